"""cron at its worst: a sweep that is paused while the next one comes, a reboot in the middle of a run, and a hook that
outlives its sweep. Never are two processes at work on one incident.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

from nvsx.app.daemon.memory import remembered
from nvsx.ledger import Ledger
from nvsx.ledger.opening import FILE
from nvsx.ledger.owning import DIRECTORY
from tests.daemon_site import Site, alive, descendants, pause, stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")

SWEEP = ("--once", "--events", "nodes", "--adopt")  # the first one runs for what is there, too


STALLED = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: stalled, title: Nobody acts}
trigger: {stalled: 10m}
stages: [{id: detect, hook: hooks/note.sh}]
"""
STORM = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: storm, title: Storm}
trigger: {storm: true}
stages: [{id: detect, hook: hooks/note.sh}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as made:
        made.do(lambda: made.place.node("gpu-1"))
        yield made


def break_node(site: Site) -> None:
    site.do(lambda: site.place.break_node("gpu-1"))


def drained(site: Site) -> None:
    site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))


def begun(site: Site) -> list[str]:
    return [line for line in site.effects if line.startswith("begin")]


def test_a_sweep_that_is_paused_while_it_decides_keeps_the_next_ones_from_deciding(site: Site, tmp_path: Path) -> None:
    """Its kubectl hangs until it is let go, so that it is surely within its look at the cluster."""
    real = shutil.which("kubectl")
    programs = site.directory / "bin"
    programs.mkdir()
    (site.directory / "wait").touch()
    slow = programs / "kubectl"
    slow.write_text(
        f'#!/bin/sh\ntouch {site.directory}/asked\nwhile [ -e {site.directory}/wait ]; do sleep 0.05; done\n'
        f'exec {real} "$@"\n'
    )  # fmt: skip
    slow.chmod(0o755)
    break_node(site)
    usual = site.environment
    site.environment = {**usual, "PATH": f"{programs}:{usual['PATH']}"}
    paused = site.start(*SWEEP, log="paused")
    wait_for(lambda: (site.directory / "asked").exists(), "it asks the cluster")
    os.kill(paused.pid, signal.SIGSTOP)
    site.environment = usual
    for _ in range(2):
        swept = site.run(*SWEEP)
        assert (swept.returncode, swept.stdout, swept.stderr) == (0, "", "")
    assert site.effects == []
    with Site(tmp_path / "other") as other:  # of another project and cluster, on the same state directory
        other.state = site.state
        other.do(lambda: (other.place.node("gpu-9"), other.place.break_node("gpu-9")))
        elsewhere = other.start(*SWEEP)
        other.after("end xid detect gpu-9")
        other.do(lambda: other.place.state("gpu-9", "drain-succeeded"))
        assert elsewhere.wait(30) == 0, other.said()
    (site.directory / "wait").unlink()
    os.kill(paused.pid, signal.SIGCONT)
    site.after("end xid detect gpu-1")
    drained(site)
    assert paused.wait(30) == 0, site.said("paused")
    assert begun(site) == [f"begin xid {stage} gpu-1" for stage in ("detect", "drain", "postmortem")]


def test_a_paused_sweep_whose_hook_is_under_way_keeps_its_run(site: Site) -> None:
    break_node(site)
    site.hold()
    paused = site.start(*SWEEP, log="paused")
    site.after("begin xid detect gpu-1")
    pause(paused, site.state / FILE)
    site.let_go()
    site.after("end xid detect gpu-1")
    drained(site)
    swept = site.run(*SWEEP)
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "", "")
    assert begun(site) == ["begin xid detect gpu-1"]
    os.kill(paused.pid, signal.SIGCONT)
    assert paused.wait(30) == 0
    assert len(begun(site)) == len(set(begun(site))) == 3


@pytest.mark.parametrize("owners", ["kept", "lost"])
def test_after_a_reboot_a_run_goes_on_whoever_has_its_pid_now(site: Site, owners: str) -> None:
    """Nothing lives, no lock is held, and the pid of the dead daemon is that of another process."""
    daemon = site.poll()
    break_node(site)
    site.hold()
    site.after("begin xid detect gpu-1")
    family = list(descendants(daemon.pid))
    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    for pid in family:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    if owners == "lost":
        shutil.rmtree(site.state / DIRECTORY)
    connection = sqlite3.connect(site.state / FILE)
    assert connection.execute("UPDATE owners SET pid = ?", (os.getpid(),)).rowcount == 1
    connection.commit()
    connection.close()
    site.let_go()
    drained(site)
    swept = site.run(*SWEEP)
    assert swept.returncode == 0, swept.stderr
    assert site.effects[-1] == "end xid postmortem gpu-1"
    assert begun(site).count("begin xid detect gpu-1") == 2, "cut off, so unknown, so tried again"
    assert len(begun(site)) == 4


def test_a_hook_that_outlives_its_sweep_is_ended_before_the_next_one_tries_again(site: Site) -> None:
    break_node(site)
    site.hold()
    killed = site.start(*SWEEP, log="killed")
    site.after("begin xid detect gpu-1")
    hooks = [pid for pid in descendants(killed.pid) if b"note.sh" in read(pid)]
    assert hooks
    assert stop(killed, signal.SIGKILL) == -signal.SIGKILL
    assert any(map(alive, hooks)), "it outlived its sweep"
    drained(site)
    second = site.start(*SWEEP, log="second")

    def ended() -> bool:
        assert second.poll() is None, f"it goes on until it may: {site.said('second')}"
        return not any(map(alive, hooks))

    wait_for(ended, "the hook of the dead sweep has ended")
    site.let_go()
    assert second.wait(30) == 0, site.said("second")
    assert site.effects.count("begin xid detect gpu-1") == 2
    assert site.effects.count("end xid detect gpu-1") == 1
    assert "unknown" in site.said("second")


def read(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - not a file of the disk
            return file.read()
    except OSError:
        return b""


def test_a_sweep_hears_of_a_tripped_breaker_and_the_next_ones_say_it_no_more(site: Site) -> None:
    (site.root / "runbooks/stalled.yaml").write_text(STALLED)
    site.do(lambda: site.place.breaker("TRIPPED"))
    first, second = site.run(*SWEEP), site.run(*SWEEP)
    assert "circuit breaker is TRIPPED" in first.stdout
    assert begun(site) == ["begin stalled detect "]
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_without_a_runbook_for_it_one_sweep_says_that_the_breaker_has_tripped(site: Site) -> None:
    site.do(lambda: site.place.breaker("TRIPPED"))
    assert [site.run(*SWEEP).stdout.count("TRIPPED") for _ in range(2)] == [1, 0]


def test_a_sweep_whose_run_takes_hours_does_not_write_over_what_later_sweeps_remember(site: Site) -> None:
    (site.root / "nvsx.yaml").write_text("limits: {stormNodes: 2, stormWindow: 1h}\n")
    (site.root / "runbooks/storm.yaml").write_text(STORM)
    site.do(lambda: site.place.node("gpu-2", "gpu-3"))
    site.do(lambda: [site.place.break_node(name) for name in ("gpu-1", "gpu-2")])
    long = site.start(*SWEEP, log="long")
    for name in ("gpu-1", "gpu-2"):
        site.after(f"end xid detect {name}")
    site.do(lambda: site.place.break_node("gpu-3"))
    assert site.run(*SWEEP).returncode == 0
    site.after("end storm detect ")
    site.do(lambda: site.place.state("gpu-2", "drain-succeeded"))
    site.do(lambda: site.place.release("gpu-2"))  # something happens, so that the long one looks after its house
    reader = wait_for(lambda: Ledger.reader(site.state), "the ledger")
    wait_for(lambda: [one for one in reader.incidents(open=False) if one.node == "gpu-2" and one.closed], "closed")
    drained(site)
    assert long.wait(30) == 0
    [storm] = [one for one in reader.incidents() if one.runbook == "storm"]
    memory = remembered(reader.cursor(f"serve/{storm.cluster}"), storm.opened)
    reader.close()
    assert memory.storm.nodes == ("gpu-1", "gpu-2", "gpu-3")
    assert memory.storm_incident == storm.id


def test_what_is_seen_again_with_every_sweep_is_decided_and_written_down_once(site: Site) -> None:
    break_node(site)
    sweep = site.start(*SWEEP)
    site.after("end xid detect gpu-1")
    for _ in range(2):
        assert site.run(*SWEEP).returncode == 0
    reader = Ledger.reader(site.state)
    assert reader
    assert [one.verdict for one in reader.decisions(node="gpu-1")] == ["start"]
    reader.close()
    drained(site)
    assert sweep.wait(30) == 0
