"""Reports: one run as text, Markdown and HTML, many runs as figures; and nothing that a hook prints becomes markup."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.app.records.reporting import account_of
from nvsx.app.rehearsal.simulation import Rehearsal, rehearse
from nvsx.app.scripts import ProjectScripts
from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.ledger import Ledger
from nvsx.main import main
from nvsx.reporting.account import Account, Artifact, EffectAccount, Fault, Said, StageAccount, Writes, added
from nvsx.reporting.fleet import WINDOW_S, CallFacts, RunFacts, offenders, spread
from nvsx.reporting.fleet import page as fleet_page
from nvsx.reporting.html import html
from nvsx.reporting.markdown import markdown
from nvsx.reporting.picture import timeline
from nvsx.reporting.story import page
from nvsx.reporting.text import text
from nvsx.sinks.fanout import Fanout
from nvsx.sinks.record import Record
from nvsx.watches.clockwork import Instant, Phase, instants, phases
from nvsx.watches.moments import Reading
from tests.rehearsing import CHECKOUT, START, Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = 1_787_306_400.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def recorded(base: Path, *, scenario: str = "xid-79", runbook: str = "gpu-off-bus", seed: int = 1) -> Told:
    """A rehearsal that is recorded in a ledger in `base`, as demo and drill do it."""
    told = Told()
    clock = SimulatedClock(start=START)
    rehearsal = Rehearsal(
        Catalog(CHECKOUT).load(runbook), scenario, base, CHECKOUT, {"PATH": os.environ["PATH"]}, seed=seed, drill=False
    )
    ledger = Ledger.open(base, clock=clock)
    try:
        told.rehearsed = clock.run(
            rehearse(
                rehearsal,
                clock=clock,
                sink=Fanout([Record(ledger), told]),
                scripts=ProjectScripts(CHECKOUT),
                rng=random.Random(seed),
                journal=ledger,
            )
        )
    finally:
        ledger.close()
    return told


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    base = tmp_path_factory.mktemp("good")
    return base, recorded(base)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    base = tmp_path_factory.mktemp("bad")
    scenario = CHECKOUT / "runbooks/tests/scenarios/stays-down.yaml"
    return base, recorded(base, scenario=str(scenario))


def the_account(base: Path) -> Account:
    reader = Ledger.reader(base)
    assert reader
    try:
        return account_of(reader, "last")
    finally:
        reader.close()


def test_the_phases_are_the_scenario_s_own(good: tuple[Path, Told]) -> None:
    base, told = good
    account = the_account(base)
    assert told.rehearsed is not None
    truth = told.rehearsed.director.truth
    marks = ("fault", "detected", "quarantined", "drained", "cr-created", "recovered")
    times = [truth[mark] for mark in marks]
    expected = [after - before for before, after in pairwise(times)] + [times[-1] - times[0]]
    assert [phase.name for phase in account.phases] == ["detect", "cordon", "drain", "remediate", "recover", "total"]
    assert [phase.seconds for phase in account.phases] == pytest.approx(expected, abs=0.1)
    assert account.mttr_s == pytest.approx(told.finish.mttr_s, abs=0.001) == pytest.approx(expected[-1], abs=0.1)
    assert account.skew_s == 0.0


def test_an_account_has_all_that_happened(good: tuple[Path, Told]) -> None:
    base, told = good
    account = the_account(base)
    assert (account.verdict, account.status, account.exit_code) == ("PASSED", "pass", 0)
    assert [(stage.stage, stage.status) for stage in account.stages] == list(told.statuses.items())
    hooks = [(one.stage, one.name, one.outcome) for one in account.effects if one.role != "prerequisite"]
    ended = [w for w in told.wire if w["event"] == "hook" and w["phase"] == "end" and w["final"]]
    assert hooks == [(w["stage"], w["hook"], w["outcome"]) for w in ended]
    recovered = next(one for one in account.effects if one.script.endswith("recovered.sh"))
    assert recovered.output[:2] == ("slack: sent", "pagerduty resolve: sent")
    assert sum(len(one.output) for one in account.effects) == sum(1 for w in told.wire if w["event"] == "output")
    assert account.fault.codes == ("79",)
    assert account.fault.action == "RESTART_BM"
    assert account.incident_key == told.finish.incident_key
    assert account.writes == Writes(0, 0, 0)
    assert account.missing == ()
    node = next(one for one in account.artifacts if one.name == "node.json")
    content = (base / "runs" / account.run_id / "artifacts/node.json").read_bytes()
    assert (node.size, node.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    shares = {one.stage: one for one in added(account)}
    assert shares["recover"].seen_after_s == pytest.approx(0.0, abs=0.1)
    assert 0 < shares["recover"].hooks_s < 5


def test_a_bad_day_says_why_and_what_is_unknown(bad: tuple[Path, Told]) -> None:
    base, _ = bad
    account = the_account(base)
    told = text(page(account))
    assert "TIMED OUT at recover" in told
    assert "time to repair  unknown: not released while nvsx looked" in told
    assert "recover     timeout  40m00s  not within 40m00s: condition Ready=True" in told
    assert re.search(r"recover +unknown +\+2\d\.\ds +not released while nvsx looked", told)
    assert "0.0s  not released" not in told


FORMS: dict[str, Callable[[Account], str]] = {
    "text": lambda account: text(page(account)),
    "markdown": lambda account: markdown(page(account)),
    "html": lambda account: html(page(account), picture=timeline(account)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("day", ["good", "bad"])
def test_every_form_tells_everything(form: str, day: str, request: pytest.FixtureRequest) -> None:
    base, told = request.getfixturevalue(day)
    drawn = FORMS[form](the_account(base)).replace("\\", "")
    for said in (told.finish.verdict, told.finish.incident_key, "hooks/incident/repair-ordered.sh", "slack: sent"):
        assert said in drawn
    for stage in told.statuses:
        assert stage in drawn
    for artifact in the_account(base).artifacts:
        assert artifact.name in drawn
        assert artifact.sha256 in drawn


def parse_strictly(document: str) -> None:
    html5lib.HTMLParser(strict=True).parse(document)


@pytest.mark.parametrize("day", ["good", "bad"])
def test_html_is_valid_and_needs_nothing_else(day: str, request: pytest.FixtureRequest) -> None:
    base, _ = request.getfixturevalue(day)
    document = FORMS["html"](the_account(base))
    parse_strictly(document)
    tree = html5lib.parse(document, namespaceHTMLElements=False)
    assert tree.find(".//script") is None
    assert tree.find(".//link") is None
    attributes = {name for element in tree.iter() if isinstance(element.tag, str) for name in element.attrib}
    assert not {name for name in attributes if name in ("src", "href", "srcset", "style") or name.startswith("on")}
    assert not re.search(r"url\(|@import|https?:", document)
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}svg")) == 1 or "<svg" in document


def broken_text() -> st.SearchStrategy[str]:
    tags = ("<script>alert(1)</script>", "]]>", "--><b>", "|", "```", "&amp;")
    signs = ("\x1b[31m", "\x00", "\u202e", "\ud800", "\n")
    return st.lists(st.sampled_from(tags + signs) | st.text(max_size=8), max_size=6).map("".join)


@settings(deadline=None, max_examples=60)
@given(broken_text(), broken_text(), st.floats(-1e5, 1e5), st.floats(0, 1e6))
def test_whatever_is_said_stays_text(word: str, printed: str, offset: float, length: float) -> None:
    account = made(word, printed, offset, length)
    document = FORMS["html"](account)
    document.encode("utf-8")
    parse_strictly(document)
    tree = html5lib.parse(document, namespaceHTMLElements=False)
    assert tree.find(".//script") is None
    assert not tree.findall(".//b")
    marked = markdown(page(account))
    marked.encode("utf-8")
    for drawn in (marked, text(page(account)), document):
        assert not set(drawn) & {"\x1b", "\x00", "\u202e"}
    fence = next((line for line in marked.splitlines() if re.fullmatch("`{3,}text", line)), "```text").removesuffix(
        "text"
    )
    assert sum(line == fence for line in marked.splitlines()) <= 1
    rows = [line for line in marked.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) >= 3 for line in rows)


def made(word: str, printed: str, offset: float, length: float) -> Account:
    """An account in which every text is `word`, and every output `printed`."""
    began = T + offset
    return Account(
        run_id=word, runbook=word, title=word, nickname=word, node=word, alias=word, cluster=word, source=word,
        drill=False, nvsx_version=word, began=began, ended=began + length, status="pass", verdict=word, reason=word,
        exit_code=0, incident_key=word, fault=Fault(word, (word,), word, word, (word,), (word,)),
        instants=(Instant("fault", T, 0.0, (word,)), Instant("released", T + length, 0.5, (word,), True)),
        phases=(Phase("detect", T, None, unknown=word), Phase("total", T, length, 0.5, True)), skew_s=90.0,
        mttr_s=length, stages=(StageAccount("recover", word, began, began + length, "pass", length, word, True),),
        effects=(EffectAccount("recover", "hook", word, word, 2, began, began + 1, "failed", 1, word, (printed,)),),
        evidence=(), said=(Said(T, word, word),), warnings=((T, word),), artifact_dir=word,
        artifacts=(Artifact(word, 5, "ab"),), writes=Writes(0, 1, 2), missing=(word,),
    )  # fmt: skip


@pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
def test_a_browser_asks_nobody_and_complains_of_nothing(bad: tuple[Path, Told], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(FORMS["html"](the_account(bad[0])), encoding="utf-8")
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--virtual-time-budget=2000",
            "--dump-dom", file.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )  # fmt: skip
    assert "TIMED OUT at recover" in done.stdout, done.stderr
    assert ":CONSOLE" not in done.stderr
    urls = set(re.findall(r'"url":"([^"]+)"', log.read_text(encoding="utf-8", errors="replace")))
    own = re.compile(
        r"(file|chrome|data|about|devtools):|https?://[\w.-]+\.(google|googleapis|gvt1)\.com/"
    )  # its updates
    assert {url for url in urls if not own.match(url)} == set()


def test_the_command_finds_a_run_by_id_node_alias_and_last(
    good: tuple[Path, Told], capfd: pytest.CaptureFixture[str]
) -> None:
    base, told = good
    account = the_account(base)
    for word in ([account.run_id], [account.node], [account.alias], ["last"], []):
        assert main(["--state-dir", str(base), "report", *word, "--format", "markdown"]) == 0
        assert f"run {account.run_id}" in capfd.readouterr().out.replace("\\", "")
    assert main(["--state-dir", str(base), "report", "nobody"]) == 2
    assert "no run, node or alias nobody is recorded" in capfd.readouterr().err
    assert main(["--state-dir", str(base), "report", "last", "--since", "1h"]) == 2
    assert "nvsx report --since 30d" in capfd.readouterr().err
    assert main(["--state-dir", str(base), "report", "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)["run"]
    assert found["mttr_s"] == pytest.approx(told.finish.mttr_s, abs=0.001)
    assert found["phases"][-1]["name"] == "total"


def test_a_ledger_without_runs_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--state-dir", str(tmp_path), "report"]) == 2
    assert capfd.readouterr().err


def test_what_is_lost_is_named(good: tuple[Path, Told]) -> None:
    base, _ = good
    reader = Ledger.reader(base)
    assert reader
    from nvsx.app.records.reporting import account as put_together

    record = reader.run(reader.find("last").id)
    reader.close()
    lost = put_together(record, ())
    assert lost.missing == ("what the run said, and what its hooks printed: its events are gone",)
    assert lost.writes is None
    assert [stage.status for stage in lost.stages] == ["pass"] * 7
    assert "Not counted" in text(page(lost))


def run(number: int, *, node: str = "n", at: float = T, **more: object) -> RunFacts:
    known = instants([Reading("fault", at, at, "health event"), Reading("released", at + 300, at + 300, "nvsx")])
    facts = RunFacts(
        f"r{number}", "gpu-off-bus", node, "", "webhook", "pass", at, at + 10, at + 400, at, ("79",), phases(known),
        300.0, f"fault {int(at)}",
    )  # fmt: skip
    return facts._replace(**more)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_that_occurred(values: list[float]) -> None:
    found = spread(values)
    assert found
    assert {found.p50, found.p90, found.longest} <= set(values)
    assert found.p50 <= found.p90 <= found.longest == max(values)
    assert sum(value <= found.p90 for value in values) >= 0.9 * len(values)
    assert sum(value < found.p90 for value in values) < 0.9 * len(values)
    assert sum(value <= found.p50 for value in values) >= 0.5 * len(values)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 400)), max_size=12))
def test_offenders_are_those_with_two_incidents_in_any_window(faults: list[tuple[str, int]]) -> None:
    runs = [run(number, node=node, at=T + hours * 3600.0) for number, (node, hours) in enumerate(faults)]
    expected = {}
    for node in {node for node, _ in faults}:
        hours = {hours for other, hours in faults if other == node}
        most = max(sum(start <= other <= start + WINDOW_S / 3600 for other in hours) for start in hours)
        if most >= 2:
            expected[node] = most
    assert {one.node: one.most for one in offenders(runs)} == expected


def test_two_runbooks_for_one_fault_are_one_incident() -> None:
    assert offenders([run(1), run(2, runbook="contact-support")]) == ()
    assert offenders([run(1), run(2, at=T + 3600)])[0].most == 2


def test_the_page_of_many_runs() -> None:
    runs = [
        run(1),
        run(2, at=T + 7200, codes=("48",), runbook="ecc-memory", mttr_s=600.0),
        run(3, node="m", at=T + 9999, status="timeout", mttr_s=None, source="manual", began=T),
    ]
    drawn = text(fleet_page(runs, since=T, now=T + 86400))
    assert "3 runs, 1 not passed, 1 repeat offender" in drawn
    assert re.search(r"n +2 +2 +79, 48 ", drawn)
    assert re.search(r"gpu-off-bus +1 +5m00s +5m00s +5m00s +1", drawn)
    assert re.search(r"ecc-memory +1 +10m00s", drawn)
    assert re.search(r"webhook +2 +10\.0s +10\.0s", drawn)
    assert re.search(r"manual +0 +1", drawn)
    parse_strictly(html(fleet_page(runs, since=T, now=T + 86400)))
    assert "No run is on record" in text(fleet_page([], since=T, now=T))


def test_the_page_has_nvsx_s_own_calls() -> None:
    calls = [
        CallFacts(T, "blind", "onBlind", "nvsx cannot see the cluster: no route to host", "ok", 1),
        CallFacts(T + 7200, "resolved", "onResolved", "nvsx sees the cluster again, after 2h", "failed"),
        CallFacts(T + 7300, "unhandled", "onFailure", "brave-wombat: nobody's fault", ""),
    ]
    drawn = text(fleet_page([run(1)], calls, since=T, now=T + 86400))
    assert "1 run, 0 not passed, 0 repeat offenders, 1 call that reached nobody" in drawn
    assert "3 calls: 1 failed, 1 not ended, 1 ok (1 attempt unknown)." in drawn
    for call in (
        "onBlind, ok (1 attempt unknown): nvsx cannot see the cluster: no route to host",
        "onResolved, failed: nvsx sees the cluster again, after 2h",
        "onFailure, not ended: brave-wombat: nobody's fault",
    ):
        assert call in re.sub(r"\n +", " ", drawn)
    many = fleet_page([], calls * 100, since=T, now=T)
    assert "The newest 100 are listed" in text(many)
    assert text(many).count("onResolved,") == 33
    parse_strictly(html(many))
    assert "own" not in text(fleet_page([], calls[:0], since=T, now=T))


def test_runs_since_leaves_drills_out(good: tuple[Path, Told], capfd: pytest.CaptureFixture[str]) -> None:
    base, told = good
    assert main(["--state-dir", str(base), "report", "--since", "3650d", "--format", "json"]) == 0
    (only,) = json.loads(capfd.readouterr().out)["runs"]
    assert only["mttr_s"] == pytest.approx(told.finish.mttr_s, abs=0.001)
    assert only["codes"] == ["79"]
    assert only["fault_at"] == pytest.approx(told.rehearsed.director.fault_time, abs=0.01)  # type: ignore[union-attr]
