"""nvsx's own calls for people: written down before they are made, made once, and told what becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.app.daemon.alarms import Alarms
from nvsx.app.daemon.front import Front
from nvsx.app.daemon.memory import kept, remembered
from nvsx.app.daemon.vigil import SWEPT_S, Vigil
from nvsx.app.daemon.watch import STEADY_S
from nvsx.config import Config, Limits
from nvsx.errors import EnvironmentUnusable, NotFoundHere, Unreachable
from nvsx.journal import EffectEnded, EffectIntended, EffectStarted
from nvsx.ledger import Alarm, Ledger, Ring
from nvsx.ledger.opening import FILE
from nvsx.main import main
from nvsx.metrics import exposition
from tests.daemon_site import Site, alive, stop, wait_for
from tests.daemon_story import QUICK, STORM, Place, runbooks
from tests.story import T0

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvsx.app.daemon.core import Daemon

HOOKS = Config(hooks={"onFailure": "last.sh", "onBlind": "blind.sh", "onResolved": "over.sh"})
SCOPE = "serve/cluster-1"


def place_of(tmp_path: Path, config: Config = HOOKS) -> Place:
    place = Place(tmp_path, runbooks(xid=QUICK), config)
    place.node("gpu-1")
    return place


def unhandled(place: Place) -> None:
    place.fault("gpu-1", code="48", check="GpuMemWatch")


def nobodys(place: Place) -> list[Alarm]:
    reader = place.ledger()
    try:
        return list(reader.alarms())
    finally:
        reader.close()


# One durable step


def test_a_daemon_that_dies_right_after_deciding_leaves_the_call_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is answered and its id remembered: what was decided with it must not depend on anything later."""
    place = place_of(tmp_path)

    async def story() -> None:
        with monkeypatch.context() as dies:
            dies.setattr(Alarms, "start", lambda *_: None)
            async with place.daemon(killed=True):
                await asyncio.sleep(60)
                unhandled(place)
                await asyncio.sleep(60)
        assert place.started() == []
        assert [(one.hook, one.outcome, one.owner) for one in nobodys(place)] == [("onFailure", "", "")]
        async with place.daemon():
            await asyncio.sleep(600)
        async with place.daemon():
            await asyncio.sleep(600)

    place.play(story)
    assert place.started() == ["last.sh gpu-1"]
    assert "no runbook answers to GpuMemWatch code 48" in place.env("last.sh")["NVSX_WAITING_FOR"]
    assert [(one.outcome, bool(one.ended)) for one in nobodys(place)] == [("ok", True)]


def test_what_cannot_be_written_down_is_not_called_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(tmp_path)
    full = {"now": False}
    ring = Ledger.ring

    async def ring_or_not(self: Ledger, news: Ring) -> Any:
        if full["now"]:
            raise EnvironmentUnusable("the disk is full")
        return await ring(self, news)

    monkeypatch.setattr(Ledger, "ring", ring_or_not)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            full["now"] = True
            place.breaker("TRIPPED")
            await asyncio.sleep(60)
            assert daemon.intake.trouble == "the disk is full"
            assert place.started() == []
            full["now"] = False
            await asyncio.sleep(60)

    assert place.play(story).started() == ["last.sh"]


def test_many_reports_at_once_are_one_call_and_no_run(tmp_path: Path) -> None:
    place = place_of(tmp_path)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            for _ in range(20):
                unhandled(place)
            await asyncio.sleep(60)
            ledger = daemon.tools.ledger
            assert ledger.runs() == ledger.unfinished() == ledger.incidents() == []
            assert daemon.tally.figures()["nvsx_runs_total"] == {}
            assert ledger.repeat_count("cluster-1", "gpu-1", 0.0) == 0

    assert place.play(story).started() == ["last.sh gpu-1"]


def test_an_older_memory_of_calls_is_taken_over(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    topic = "unhandled/gpu-1/GpuMemWatch/48"

    async def story() -> None:
        async with place.daemon(killed=True) as daemon:
            await asyncio.sleep(60)
            text = json.loads(daemon.tools.ledger.cursor(SCOPE))
            await daemon.tools.ledger.set_cursor(SCOPE, json.dumps({**text, "alarms": {topic: T0}}))
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            unhandled(place)
            await asyncio.sleep(60)
            assert topic in daemon.alarms.rung("")

    assert place.play(story).started() == []
    new = json.loads(kept(remembered("", T0)))
    assert "alarms" not in new
    assert new.pop("known") == []
    older = remembered(json.dumps({**new, "seen": {"66f0a1b2c3d4e5f601020304": T0}}), T0)
    assert older.cursor.seen.has("66f0a1b2c3d4e5f601020304", T0)


# What programs and leads are shown


def counted(text: str) -> dict[str, float]:
    """The samples about nvsx's own calls that are not nought, as Prometheus's own parser reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    samples = [one for family in parser.text_string_to_metric_families(text) for one in family.samples]
    return {
        "/".join([one.name.removeprefix("nvsx_"), *one.labels.values()]): one.value
        for one in samples
        if one.name.startswith("nvsx_call") and one.value
    }


def test_a_call_that_reached_nobody_can_be_alerted_on_and_is_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_of(tmp_path)
    place.exits["last.sh"] = 1
    shown: list[dict[str, float]] = []
    listed: list[Any] = []

    async def look(daemon: Daemon) -> None:
        front = Front(daemon, dict, T0)
        text = exposition(await front.metrics())
        shown.append(counted(text))
        assert 'nvsx_calls_total{kind="blind",outcome="timeout"} 0' in text, "a rise from nought is a rise"
        listed.append(await front.calls(limit=5, unfinished=False))

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            await look(daemon)
            place.takes["last.sh"] = 8.0
            unhandled(place)
            await asyncio.sleep(15)
            await look(daemon)
            await asyncio.sleep(60)
            place.exits["last.sh"], place.takes["last.sh"] = 0, 0.0
            place.breaker("TRIPPED")
            await asyncio.sleep(60)
            place.breaker("CLOSED")
            await asyncio.sleep(60)
            await look(daemon)
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            await look(daemon)

    place.play(story)
    before, meanwhile, after, anew = shown
    failed = max(one.ended for one in nobodys(place) if one.outcome == "failed")
    assert before == {}
    assert meanwhile == {"calls_open": 1}
    assert after == {
        "calls_total/unhandled/failed": 1,
        "calls_total/circuit-breaker/ok": 1,
        "calls_total/resolved/ok": 1,
        "call_last_failure_timestamp_seconds/unhandled": pytest.approx(failed, abs=1.0),
    }
    assert anew == {"call_last_failure_timestamp_seconds/unhandled": failed}, "known after a restart"
    assert [(one["kind"], one["status"]) for one in listed[2]] == [
        ("resolved", "ok"), ("circuit-breaker", "ok"), ("unhandled", "failed"),
    ]  # fmt: skip
    json.dumps(listed)

    words = ("--state-dir", str(tmp_path / "state"), "report", "--since", "3650d")
    assert main([*words]) == 0
    report = " ".join(capsys.readouterr().out.split())
    assert "No run is on record" in report
    assert "3 calls: 1 failed, 2 ok." in report
    assert "Z onFailure, failed: " in report
    assert main([*words, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["hook"], one["outcome"]) for one in told["calls"]] == [
        ("unhandled", "onFailure", "failed"), ("circuit-breaker", "onFailure", "ok"), ("resolved", "onResolved", "ok"),
    ]  # fmt: skip


# The breaker and storms


def test_a_breaker_that_closes_resolves_its_page_and_the_next_time_is_a_new_one(tmp_path: Path) -> None:
    place = place_of(tmp_path)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(60)
        async with place.daemon():
            await asyncio.sleep(60)
            assert place.started() == ["last.sh"], "a restart tells nothing again"
            place.breaker("CLOSED")
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(60)

    assert place.play(story).started() == ["last.sh", "over.sh", "last.sh"]
    assert len({one.env["NVSX_INCIDENT_KEY"] for one in place.processes}) == 1
    assert place.env("over.sh")["NVSX_STAGE_STATUS"] == "pass"


def test_news_of_a_storm_that_was_told_is_not_told_again_by_the_next_daemon(tmp_path: Path) -> None:
    """The first one dies before it could keep its own memory: the ledger's call is what is left of it."""
    place = Place(tmp_path, runbooks(xid=QUICK, storm=STORM), Config(limits=Limits(storm_nodes=3)))
    names = [f"gpu-{i}" for i in range(6)]
    place.node(*names)

    async def story() -> None:
        async with place.daemon(killed=True) as daemon:
            await asyncio.sleep(60)
            for name in names:
                place.break_node(name)
            await asyncio.sleep(60)

            async def forgets() -> None: ...

            daemon.keep = forgets  # type: ignore[method-assign]
            place.state("gpu-1", "drain-failed")
            await asyncio.sleep(20)
        assert place.started("storm-news.sh") == ["storm-news.sh"]
        place.state("gpu-2", "drain-failed")
        async with place.daemon():
            await asyncio.sleep(60)

    place.play(story)
    told = [one.env["NVSX_WAITING_FOR"] for one in place.processes if one.script == "storm-news.sh"]
    assert [("gpu-1" in text, "gpu-2" in text) for text in told] == [(True, False), (False, True)]


# The end of blindness


class Sight:
    """Whether the cluster of a place can be reached."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.open = True
        place.world.react(self._react)

    async def _react(self, _: object) -> None:
        if not self.open:
            raise Unreachable("no route to host")

    def shut(self) -> None:
        self.open = False
        self.place.world.cut(lambda _: True, lambda _: Unreachable("no route to host"))


def test_the_end_of_blindness_resolves_its_page_once_the_sight_is_steady(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    sight = Sight(place)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(1000)
            sight.shut()
            await asyncio.sleep(3600)
            sight.open = True
            await asyncio.sleep(STEADY_S / 2)
            sight.shut()  # it flaps: the same blindness, no page and no end of one
            await asyncio.sleep(STEADY_S / 2)
            sight.open = True
            await asyncio.sleep(STEADY_S / 2)
            assert place.started() == ["blind.sh"]
            await asyncio.sleep(STEADY_S * 3)
            assert place.started() == ["blind.sh", "over.sh"]
            sight.shut()
            await asyncio.sleep(300)

    place.play(story)
    assert place.started() == ["blind.sh", "over.sh", "blind.sh"], "a new blindness is a new page"
    over = place.env("over.sh")
    assert over["NVSX_INCIDENT_KEY"] == place.env("blind.sh")["NVSX_INCIDENT_KEY"]
    assert over["NVSX_STAGE_STATUS"] == "pass"
    assert over["NVSX_WAITING_FOR"].startswith("nvsx sees the cluster again, after 1h")


@pytest.mark.parametrize("blind_at_start", [True, False])
def test_the_end_of_blindness_is_told_though_nvsx_was_started_again_in_between(
    tmp_path: Path, blind_at_start: bool
) -> None:
    place = place_of(tmp_path)
    sight = Sight(place)

    async def story() -> None:
        async with place.daemon(killed=True):
            await asyncio.sleep(60)
            sight.shut()
            await asyncio.sleep(300)
        sight.open = not blind_at_start
        async with place.daemon(killed=True):
            await asyncio.sleep(300)
            sight.open = True
            await asyncio.sleep(STEADY_S * 2)
        async with place.daemon():
            await asyncio.sleep(STEADY_S * 2)

    assert place.play(story).started() == ["blind.sh", "over.sh"]


def test_without_its_hook_the_end_is_only_said(tmp_path: Path) -> None:
    place = place_of(tmp_path, Config(hooks={"onFailure": "last.sh"}))
    sight = Sight(place)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            sight.shut()
            await asyncio.sleep(300)
            sight.open = True
            await asyncio.sleep(STEADY_S * 2)
            sight.shut()
            await asyncio.sleep(300)

    place.play(story)
    assert place.started() == ["last.sh", "last.sh"], "onBlind falls back; onResolved does not"


def test_a_page_that_is_tried_again_is_not_overtaken_by_its_end(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    place.exits["last.sh"] = 1
    place.takes["last.sh"] = 20.0

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(10)
            place.breaker("CLOSED")
            await asyncio.sleep(300)

    place.play(story)
    assert place.started() == ["last.sh", "last.sh", "last.sh", "over.sh"]
    assert [one.outcome for one in nobodys(place)] == ["ok", "failed"]
    assert any("onFailure (last.sh) failed: exit status 1" in text for text in place.said())


# Nobody looks for the end any more


def test_a_page_whose_end_nobody_will_see_is_closed_and_says_why(tmp_path: Path) -> None:
    """The mode was changed from poll to webhook while nvsx was blind and the breaker had tripped."""
    place = place_of(tmp_path)
    sight = Sight(place)

    async def story() -> None:
        async with place.daemon(killed=True):
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(60)
            sight.shut()
            await asyncio.sleep(300)
        assert place.started() == ["last.sh", "blind.sh"]
        sight.open = True
        for _ in range(2):
            async with place.daemon(polls=False):
                await asyncio.sleep(1)
                assert place.started("over.sh") == ["over.sh"] * 2, "at the start, and once"
                await asyncio.sleep(60)
        sight.shut()
        async with place.daemon():
            await asyncio.sleep(300)

    place.play(story)
    assert place.started() == ["last.sh", "blind.sh", "over.sh", "over.sh", "blind.sh"], "then it begins anew"
    ends = {one.env["NVSX_INCIDENT_KEY"]: one.env for one in place.processes if one.script == "over.sh"}
    assert ends.keys() == {place.env("last.sh")["NVSX_INCIDENT_KEY"], place.env("blind.sh")["NVSX_INCIDENT_KEY"]}
    told = ends[place.env("blind.sh")["NVSX_INCIDENT_KEY"]]
    assert told["NVSX_WAITING_FOR"].startswith(
        "closed, not over: nvsx only listens now (--mode webhook) and will not see the end of this: nvsx cannot see "
    )
    assert told["NVSX_STAGE_STATUS"] == "cancelled"
    assert told["NVSX_WAITING_FOR"] in place.said("blind")


def test_a_page_stays_open_while_somebody_looks_for_its_end(tmp_path: Path) -> None:
    place = place_of(tmp_path)

    async def story() -> None:
        async with place.daemon(), place.daemon(polls=False, seed=2):
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(3 * SWEPT_S)
            assert place.started() == ["last.sh"]
        async with place.daemon(polls=False):
            await asyncio.sleep(60)

    assert place.play(story).started() == ["last.sh", "over.sh"]


@pytest.mark.parametrize("left", ["a sweep", "nobody knows"])
def test_what_sweeps_called_for_is_theirs_until_they_come_no_more(tmp_path: Path, left: str) -> None:
    place = place_of(tmp_path)

    async def story() -> None:
        async with place.daemon(killed=True) as daemon:
            daemon.options = daemon.options._replace(sweeps=True)
            await asyncio.sleep(60)
            place.breaker("TRIPPED")
            await asyncio.sleep(60)
            if left == "nobody knows":
                await daemon.tools.ledger.set_cursor(SCOPE, "{}")
        async with place.daemon(polls=False):
            await asyncio.sleep(SWEPT_S - 300)
            assert place.started() == ["last.sh"]
            await asyncio.sleep(600)
            assert place.started() == ["last.sh", "over.sh"]

    place.play(story)


def test_who_may_not_be_asked_counts_as_watching(tmp_path: Path) -> None:
    one, other = Vigil(tmp_path, SCOPE), Vigil(tmp_path, SCOPE)
    assert not one.is_kept()
    other.keep()
    assert one.is_kept()
    assert not Vigil(tmp_path, "serve/cluster-2").is_kept()
    other.leave()
    assert not one.is_kept()
    file = next(tmp_path.glob("watching-*.lock"))
    file.unlink()
    file.mkdir()
    assert one.is_kept(), "it cannot be told"
    one.keep()  # and where it cannot be held, nvsx goes on


# In the ledger


def alarm(name: str = "nvsx-1", **facts: Any) -> Alarm:
    return Alarm(**{"id": name, "cluster": "c", "at": 1000.0, "hook": "onFailure", "script": "a.sh", "why": "because",
                    "key": "k", **facts})  # fmt: skip


def test_only_one_process_calls_and_death_frees(tmp_path: Path) -> None:
    async def story() -> None:
        one, other = Ledger.open(tmp_path), Ledger.open(tmp_path)
        rung = await one.ring(Ring("s", "t", alarm()))
        assert rung == (True, "nvsx-1")
        assert await other.ring(Ring("s", "t", alarm("nvsx-2"))) == (False, "")
        assert (await other.ring(Ring("s", "u", alarm()))).alarm == "nvsx-1.1", "the id was taken"
        assert await one.claim_alarm("nvsx-1")
        assert not await other.claim_alarm("nvsx-1")
        assert [free.id for free in other.free_alarms("c")] == ["nvsx-1.1"]
        one.close()
        assert [free.id for free in other.free_alarms("c")] == ["nvsx-1", "nvsx-1.1"]
        assert await other.claim_alarm("nvsx-1")
        assert await other.resolve(Ring("s", "t", alarm("nvsx-3"))) == (False, ""), "it has not ended"
        await other.end_alarm("nvsx-1", "ok")
        assert not await other.claim_alarm("nvsx-1")
        assert await other.resolve(Ring("s", "t", alarm("nvsx-3"))) == (True, "nvsx-3")
        assert await other.resolve(Ring("s", "t", alarm("nvsx-4"))) == (False, ""), "once"
        other.close()

    asyncio.run(story())


def test_what_is_old_goes_and_what_is_open_stays(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = Ledger.open(tmp_path)
        for topic in ("ended", "open"):
            await ledger.ring(Ring("s", topic, alarm(f"nvsx-{topic}")))
            await ledger.append(EffectIntended(f"nvsx-{topic}", 1.0, "", "hook", "onFailure", "a.sh", 1, "key"))
        await ledger.end_alarm("nvsx-ended", "ok")
        await ledger.prune(ledger.now() + 1)
        assert [one.id for one in ledger.alarms()] == ["nvsx-open"]
        assert ledger.effects("nvsx-ended") == []
        assert len(ledger.effects("nvsx-open")) == 1
        assert ledger.rung("s") == {}
        ledger.close()

    asyncio.run(story())


def test_a_ledger_of_the_version_before_is_read_as_it_is_and_then_brought_up_to_date(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.executescript("DROP TABLE alarms; DROP TABLE rung; PRAGMA user_version = 1")
    connection.close()
    reader = Ledger.reader(tmp_path)
    assert reader is not None
    assert reader.runs() == reader.alarms() == []
    with pytest.raises(NotFoundHere):
        reader.find("nvsx-1")
    reader.close()
    ledger = Ledger.open(tmp_path)
    assert asyncio.run(ledger.ring(Ring("s", "t", alarm()))).new
    ledger.close()


def test_people_are_shown_what_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        ledger = Ledger.open(tmp_path)
        now = ledger.now()
        await ledger.ring(Ring("s", "t", alarm("nvsx-20260101-0001", at=now - 600, node="gpu-1", alias="brave-wombat")))
        key = ("nvsx-20260101-0001", now)
        await ledger.append(EffectIntended(*key, "", "hook", "onFailure", "a.sh", 1, "key"))
        await ledger.append(EffectStarted(*key, "key", 1, 1, "1"))
        await ledger.append(EffectEnded(*key, "key", 1, "unknown", None, detail="cut off"))
        await ledger.append(EffectIntended(*key, "", "hook", "onFailure", "a.sh", 2, "key"))
        await ledger.append(EffectEnded(*key, "key", 2, "ok", 0))
        await ledger.end_alarm("nvsx-20260101-0001", "ok")
        ledger.close()

    asyncio.run(story())

    def shown(*words: str) -> str:
        assert main(["--state-dir", str(tmp_path), *words]) == 0
        return capsys.readouterr().out

    listed = shown("runs")
    assert listed.splitlines()[2:] == [
        "nvsx's own calls:",
        "  ✗ nvsx-20260101-0001  onFailure, ok, 10m00s ago",
        "      brave-wombat: because",
        "      unknown: attempt 1 of onFailure a.sh was cut off; look whether it did its work",
    ]
    assert "own calls" not in shown("runs", "--runbook", "xid")
    assert "own calls" not in shown("runs", "--unfinished")
    told = shown("explain", "nvsx-20260101-0001")
    assert [line.split()[4] for line in told.splitlines() if "attempt" in line] == ["unknown:", "ok"]
    data = json.loads(shown("runs", "--output", "json"))
    assert data["runs"] == []
    assert data["calls"][0]["unknown"] == ["attempt 1 of onFailure a.sh"]
    assert main(["--state-dir", str(tmp_path), "attach", "nvsx-20260101-0001"]) == 2
    assert "is a call of nvsx's own, and no run" in capsys.readouterr().err


# Real daemons, real hooks, SIGKILL

CALL = """#!/usr/bin/env bash
set -euo pipefail
log=$NVSX_PROJECT_ROOT/calls.log
exec 9>> "$NVSX_PROJECT_ROOT/busy-$NVSX_TARGET_NODE"
flock -n 9 || echo "overlap $NVSX_TARGET_NODE" >> "$log"
echo "begin $NVSX_TARGET_NODE $NVSX_ATTEMPT $NVSX_IDEMPOTENCY_KEY $NVSX_INCIDENT_KEY $$" >> "$log"
while [ -e "$NVSX_PROJECT_ROOT/hold" ]; do sleep 0.05; done
echo "end $NVSX_TARGET_NODE $NVSX_ATTEMPT $NVSX_IDEMPOTENCY_KEY $NVSX_INCIDENT_KEY $$" >> "$log"
if [ -e "$NVSX_PROJECT_ROOT/victim" ]; then kill -9 "$(cat "$NVSX_PROJECT_ROOT/victim")"; fi
"""

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A project whose runbook answers to none of the faults."""
    with Site(tmp_path) as made:
        made.do(lambda: made.place.node("gpu-1", "gpu-2"))
        runbook = made.root / "runbooks/xid.yaml"
        runbook.write_text(runbook.read_text().replace("SysLogsXIDError", "SomethingElse"))
        hook = made.root / "runbooks/hooks/call.sh"
        hook.write_text(CALL)
        hook.chmod(0o755)
        hooks = ", ".join(f"{name}: hooks/call.sh" for name in ("onFailure", "onBlind", "onResolved"))
        (made.root / "nvsx.yaml").write_text(f"limits: {{maxHooks: 1}}\nhooks: {{{hooks}}}\n")
        yield made


def calls(site: Site) -> list[list[str]]:
    file = site.root / "calls.log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def count(site: Site, word: str, node: str) -> int:
    return sum(1 for call in calls(site) if call[:2] == [word, node])


def breaks(site: Site, node: str) -> None:
    site.do(lambda: site.place.break_node(node))


def recorded(site: Site) -> list[Alarm]:
    reader = Ledger.reader(site.state)
    assert reader is not None
    try:
        return reader.alarms()[::-1]
    finally:
        reader.close()


def ended(site: Site, number: int) -> None:
    wait_for(lambda: [one.outcome for one in recorded(site)] == ["ok"] * number, f"{number} calls have ended")


@needs_kubectl
def test_killed_before_the_call_began_and_while_it_was_under_way(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = site.poll()
    site.hold()
    breaks(site, "gpu-1")
    wait_for(lambda: count(site, "begin", "gpu-1"), "the first call is under way")
    breaks(site, "gpu-2")  # there is one slot for hooks: this one is written down, and waits
    wait_for(lambda: len(recorded(site)) == 2, "the second call is written down")
    reader = Ledger.reader(site.state)
    assert reader is not None
    wait_for(lambda: all(one.pid for one in reader.effects(recorded(site)[0].id)), "its process is known")
    reader.close()
    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    first = next(int(call[5]) for call in calls(site))
    assert alive(first), "what a dead daemon left behind"

    def listed() -> str:
        assert main(["--state-dir", str(site.state), "runs", "--unfinished"]) == 0
        return capsys.readouterr().out

    # What the daemon was just starting, a kubectl say, holds its lock until it has become its program.
    shown = wait_for(lambda: next((text for text in [listed()] if "orphaned" in text), ""), "it is orphaned")
    assert "waiting" in shown
    os.environ["KUBECONFIG"], before = str(site.kubeconfig), os.environ.get("KUBECONFIG")
    try:
        main(["--state-dir", str(site.state), "status"])
    finally:
        os.environ.pop("KUBECONFIG") if before is None else os.environ.update(KUBECONFIG=before)
    assert "unknown: attempt 1 of onFailure hooks/call.sh was cut off" in capsys.readouterr().out

    daemon = site.poll()
    wait_for(lambda: not alive(first), "what was left behind is ended")
    assert count(site, "end", "gpu-1") == 0
    site.let_go()
    ended(site, 2)
    assert count(site, "overlap", "gpu-1") == 0, "ended before the retry"
    assert "unknown: onFailure (hooks/call.sh) was cut off when nvsx was killed" in site.said()
    again = [call for call in calls(site) if call[:2] == ["begin", "gpu-1"]]
    assert [call[2] for call in again] == ["1", "2"]
    assert again[0][3:5] == again[1][3:5], "the same idempotency key and the same incident key"
    assert (count(site, "begin", "gpu-2"), count(site, "end", "gpu-2")) == (1, 1), "never begun, so called once"

    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    daemon = site.poll()
    site.do(lambda: site.place.fault("gpu-1"))
    assert stop(daemon) == 0
    assert len(calls(site)) == 5, "a finished one is never called again"


@needs_kubectl
def test_killed_between_the_end_of_the_hook_and_its_result(site: Site) -> None:
    daemon = site.poll()
    (site.root / "victim").write_text(str(daemon.pid))
    breaks(site, "gpu-1")
    assert daemon.wait(30) == -signal.SIGKILL
    assert count(site, "end", "gpu-1") == 1
    (site.root / "victim").unlink()
    daemon = site.poll()
    ended(site, 1)
    assert stop(daemon) == 0
    assert [call[2] for call in calls(site) if call[0] == "begin"] == ["1", "2"]
    assert "unknown: onFailure" in site.said()
    reader = Ledger.reader(site.state)
    assert reader is not None
    assert [one.outcome for one in reader.effects(recorded(site)[0].id)] == ["unknown", "ok"]
    reader.close()


@needs_kubectl
def test_sigterm_leaves_a_call_that_waits_to_the_next_start(site: Site) -> None:
    daemon = site.poll("--grace", "0.3")
    site.hold()
    breaks(site, "gpu-1")
    wait_for(lambda: count(site, "begin", "gpu-1"), "the first call is under way")
    breaks(site, "gpu-2")
    wait_for(lambda: len(recorded(site)) == 2, "the second call is written down")
    assert stop(daemon) == 0
    assert "2 calls of nvsx's own go on at the next start" in site.said()
    site.let_go()
    daemon = site.poll()
    ended(site, 2)
    assert stop(daemon) == 0
    assert count(site, "begin", "gpu-2") == 1


@needs_kubectl
def test_sweeps_tell_blindness_once_and_its_end_once(site: Site) -> None:
    metrics = site.root / "nvsx.prom"
    sweep = ("--once", "--events", "nodes", "--metrics-file", str(metrics))
    assert site.run(*sweep).returncode == 0
    site.do(lambda: site.server.__aexit__(None, None, None))
    assert site.run(*sweep).returncode == 3
    assert counted(metrics.read_text()) == {"calls_total/blind/ok": 1}
    assert site.run(*sweep).returncode == 3
    assert counted(metrics.read_text()) == {}
    assert count(site, "begin", "1") == 1  # without a node, the attempt stands in its place
    site.do(site.server.__aenter__)
    site.server.write_kubeconfig(site.kubeconfig)
    assert [site.run(*sweep).returncode for _ in range(2)] == [0, 0]
    assert [one.hook for one in recorded(site)] == ["onBlind", "onResolved"]
    assert len({call[3] for call in calls(site)}) == 1, "one incident key"


@needs_kubectl
def test_a_mode_that_was_changed_while_nvsx_was_blind_leaves_no_page_open(site: Site) -> None:
    daemon = site.poll()
    site.do(lambda: site.server.__aexit__(None, None, None))
    ended(site, 1)
    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    config = site.root / "nvsx.yaml"
    config.write_text(config.read_text().replace("onBlind: hooks/call.sh, ", ""))
    site.do(site.server.__aenter__)
    site.server.write_kubeconfig(site.kubeconfig)
    for start in (1, 2):
        daemon = site.start("--mode", "webhook", "--port", "0")
        wait_for(lambda start=start: site.said().count("ready:") > start, "ready")  # type: ignore[misc]
        ended(site, 2)
        assert stop(daemon) == 0
    first, second = recorded(site)
    assert (first.hook, second.hook, second.status) == ("onBlind", "onResolved", "cancelled")
    assert first.key == second.key
    assert second.why.endswith(first.why)
    assert "closed, not over: nvsx only listens now (--mode webhook)" in site.said()


@needs_kubectl
def test_a_page_is_closed_though_its_own_hook_is_gone_from_the_configuration(site: Site) -> None:
    """What people were called for by a hook that a reload took away ends as it would have."""
    daemon = site.poll()
    site.do(lambda: site.place.breaker("TRIPPED"))
    ended(site, 1)
    config = site.root / "nvsx.yaml"
    config.write_text(config.read_text().replace("onFailure: hooks/call.sh, ", ""))
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded: 1 runbook" in site.said(), "reloaded")
    site.do(lambda: site.place.breaker("CLOSED"))
    ended(site, 2)
    assert stop(daemon) == 0
    first, second = recorded(site)
    assert (first.hook, second.hook, second.status, second.key) == ("onFailure", "onResolved", "pass", first.key)
