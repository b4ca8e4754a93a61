"""`nvsx drill`: any runbook on the scenario that fits it, its real hooks, and nothing that leaves the machine."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from nvsx.app.rehearsal.drill import fitting_scenario, sent_lines
from nvsx.catalog import Catalog
from nvsx.main import main
from nvsx.messages import Message
from nvsx.sim.catcher import PROGRAMS
from tests.rehearsing import CHECKOUT, rehearse_runbook

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog(CHECKOUT)
SCENARIOS = {
    "gpu-off-bus": "xid-79",
    "ecc-memory": "ecc-memory",
    "nvlink-down": "nvlink-down",
    "inforom-corrupt": "inforom-corrupt",
    "driver-hang": "gpu-reset",
    "gpu-reset": "gpu-reset",
    "contact-support": "contact-support",
    "thermal-throttle": "thermal",
    "storm": "storm",
    "unhandled-fault": "opted-out",
}


@pytest.fixture(scope="module")
def literal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped runbooks, in which every hook also posts to an address of its own."""
    root = tmp_path_factory.mktemp("literal")
    shutil.copytree(CHECKOUT / "runbooks", root / "runbooks")
    shutil.copytree(CHECKOUT / "scripts", root / "scripts")
    for hook in (root / "runbooks/hooks/incident").glob("*.sh"):
        text = hook.read_text()
        hook.write_text(text.replace("\ntold\n", '\ncurl -s -d "from $0" https://literal.example/hook\ntold\n'))
    return root


def test_every_shipped_runbook_has_a_scenario() -> None:
    assert {name: fitting_scenario(CATALOG.load(name))[0] for name in CATALOG.names()} == SCENARIOS


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_literal_address_gets_nothing_and_is_told(name: str, literal: Path, tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook=name, scenario=SCENARIOS[name], root=literal, drill=True)
    assert told.rehearsed is not None
    caught = [message for message in told.rehearsed.messages if message.url == "https://literal.example/hook"]
    assert caught
    assert all(message.method == "POST" and message.body.startswith("from ") for message in caught)
    assert any("literal.example/hook" in line for line in sent_lines(caught, 100))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wget -q --post-data=hello https://a.example/x", Message("POST", "https://a.example/x", "hello")),
        ("echo hello | mail -s subject oncall@a.example", Message("MAIL", "-s subject oncall@a.example ", "hello ")),
        ("echo hello | sendmail -t", Message("MAIL", "-t ", "hello ")),
        ("ssh -n root@node 'dmesg | tail'", Message("SSH", "-n root@node dmesg | tail ", "ssh")),
        ("scp /etc/hosts a.example:/x", Message("SSH", "/etc/hosts a.example:/x ", "scp")),
        ("curl -X PUT --json '{}' https://a.example/x", Message("PUT", "https://a.example/x", "{}")),
    ],
)
def test_other_programs_are_caught_too(line: str, expected: Message, tmp_path: Path) -> None:
    assert line.split()[0] in PROGRAMS or "|" in line
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, line), drill=True)
    assert told.rehearsed is not None
    assert told.rehearsed.messages == [expected]


@pytest.mark.parametrize(
    "line",
    [
        f"{shutil.which('curl')} -sS --max-time 5 https://a.example/x",
        "python3 -c 'import urllib.request as u; u.urlopen(\"https://a.example/x\", timeout=5)'",
    ],
)
def test_what_finds_its_own_way_is_refused_and_told(line: str, tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, line), drill=True)
    assert told.finish.verdict == "PASSED, 1 HOOK FAILED"
    assert told.rehearsed is not None
    assert told.rehearsed.messages == [Message("CONNECT", "a.example:443", "(held back by the proxy)")]
    assert "  CONNECT  a.example:443" in list(sent_lines(told.rehearsed.messages, 80))


def test_a_relay_on_this_machine_is_held_back_too(tmp_path: Path) -> None:
    line = f"{shutil.which('curl')} -sS --max-time 5 -d x http://127.0.0.1:1/relay || true"
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, line), drill=True)
    assert told.rehearsed is not None
    assert [message.url for message in told.rehearsed.messages] == ["http://127.0.0.1:1/relay"]


def one_hook(directory: Path, line: str) -> Path:
    root = directory / "project"
    hook = root / "runbooks/hooks/x.sh"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/usr/bin/env bash\n{line}\n")
    hook.chmod(0o755)
    text = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: mine}\nstages: [{id: detect, hook: hooks/x.sh}]\n"
    (root / "runbooks/mine.yaml").write_text(text)
    return root


def test_the_command_says_what_it_did_and_remembers_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state = str(tmp_path / "state")
    words = ["--project", str(CHECKOUT), "--state-dir", state]
    assert main([*words, "drill", "thermal-throttle", "--speed", "5000", "--output", "text"]) == 0
    out, err = capfd.readouterr()
    assert "PASSED" in out
    *told, report = err.splitlines()
    assert report.startswith("its report: nvsx report --state-dir ")
    assert told == [
        "drill of thermal-throttle on thermal: it answers to check GpuThermalWatch",
        "1 message would have been sent; none left this machine:",
        "  POST  hooks.slack.example/services/rehearsal",
        "      [drill] :information_source: GpuThermalWatch DCGM_FR_CLOCKS_EVENT_THERMAL…",
    ]
    assert main([*words, "show", "thermal-throttle"]) == 0
    assert "last drill that passed: 2" in capfd.readouterr().out
    assert main([*words, "show", "storm"]) == 0
    assert "last drill that passed: never" in capfd.readouterr().out


def test_a_drill_that_fails_is_not_remembered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(CHECKOUT), "--state-dir", str(tmp_path), "drill", "gpu-off-bus"]
    assert main([*words, "--scenario", "drain-failed", "--speed", "5000", "--output", "jsonl"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out.splitlines()[-1])["status"] == "fail"
    assert err.startswith("3 messages would have been sent; none left this machine:\n  POST  hooks.slack.example")
    assert not (tmp_path / "drills.json").exists()


def test_a_damaged_memory_of_drills_is_begun_anew(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "drills.json").write_text("{")
    words = ["--project", str(CHECKOUT), "--state-dir", str(tmp_path)]
    assert main([*words, "drill", "storm", "--speed", "5000", "--output", "quiet"]) == 0
    assert list(json.loads((tmp_path / "drills.json").read_text())) == ["storm"]
    capfd.readouterr()
