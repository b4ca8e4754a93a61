"""`nvsx status`: the present state of each scenario, and that what could not be looked at is never shown as nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nvsx.app.status import look
from nvsx.clock import SimulatedClock
from nvsx.errors import Forbidden
from nvsx.sim import simulate
from nvsx.sim.shim import ShimServer
from tests.rehearsing import CHECKOUT, START

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.app.status import Status
    from nvsx.ports import ApiPath, Listing


def played(scenario: str, *, until: float = 1e9) -> Status:
    """The status after a scenario, or at a moment in it (seconds from its begin)."""
    clock = SimulatedClock(start=START)
    _, director, cluster = simulate(scenario, clock, seed=5)

    async def main() -> Status:
        play = asyncio.create_task(director.run())
        await asyncio.wait([play], timeout=until)
        play.cancel()
        return await look(cluster, "nvsentinel")

    status: Status = clock.run(main())
    return status


@pytest.mark.parametrize(
    ("scenario", "until", "state", "waits"),
    [
        ("drain-stuck", 3600.0, "draining", "user pods to end"),
        ("drain-failed", 1e9, "drain-failed", "people: the drain failed"),
        ("contact-support", 1e9, "remediation-failed", "people: NVSentinel recommends CONTACT_SUPPORT"),
        ("never-recovers", 1e9, "remediation-succeeded", "people: the repair failed: RebootNode"),
        ("reboot-refused", 1e9, "remediation-succeeded", "people: the repair failed: RebootNode"),
        ("xid-79", 100.0, "remediation-succeeded", "the node to come back healthy (RebootNode"),
        ("monitor-only", 1e9, "detected", "fault-quarantine to cordon the node"),
        ("manual-uncordon", 1e9, "cancelled", "people: a human has uncordoned the node"),
    ],
)
def test_a_node_in_trouble(scenario: str, until: float, state: str, waits: str) -> None:
    status = played(scenario, until=until)
    assert status.blind == {}
    (node,) = status.nodes
    assert node.state == state
    assert node.waits_for.startswith(waits)
    assert node.cordoned is node.held is (state not in ("detected", "cancelled"))
    assert node.contradictions == ()
    assert node.since > START - 60
    assert node.faults


@pytest.mark.parametrize("scenario", ["quiet", "xid-79", "thermal"])
def test_all_is_well(scenario: str) -> None:
    status = played(scenario)
    assert (status.nodes, status.breaker, status.unready) == ((), "CLOSED", ())
    assert status.gpu_nodes > 0


def test_a_tripped_breaker_is_seen() -> None:
    assert played("breaker-tripped").breaker == "TRIPPED"


def test_what_is_forbidden_is_blind_and_hides_nothing_else() -> None:
    clock = SimulatedClock(start=START)
    _, _, cluster = simulate("quiet", clock, seed=5)

    class NoNodes:
        async def list(self, path: ApiPath) -> Listing:
            if path.resource == "nodes":
                raise Forbidden("nodes is forbidden", hint="ask for get, list and watch on nodes")
            return await cluster.list(path)

    status: Status = clock.run(look(NoNodes(), "nvsentinel"))  # type: ignore[arg-type]
    assert list(status.blind) == ["nodes"]
    assert status.breaker == "CLOSED"
    assert status.pods > 0


def run(tmp_path: Path, *words: str, scenario: str = "contact-support", kubectl: bool = True) -> tuple[int, str, str]:
    """The command as a process, with the simulator's kubectl first on its PATH."""
    clock = SimulatedClock(start=START)
    world, director, _ = simulate(scenario, clock, seed=5)
    clock.run(director.run())

    async def main() -> tuple[int, str, str]:
        async with ShimServer(world, tmp_path / "bin") as shim:
            path = f"{shim.bin_dir}:{os.environ['PATH']}" if kubectl else "/nonexistent"
            environment = {
                "PATH": path,
                "HOME": str(tmp_path),
                "PYTHONPATH": str(CHECKOUT),
                "COLUMNS": "80",
                **shim.env,
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "nvsx", "status", *words,
                env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode()

    return asyncio.run(main())


def test_the_command_reads_well_and_starts_few_kubectls(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "-v")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[:4] == [
        lines[0],
        lines[1],
        "breaker  CLOSED",
        lines[3],
    ]
    assert lines[0].startswith("context  gke_")
    assert lines[1].endswith("with GPUs, 1 quarantined")
    assert lines[3].startswith("pods     all ")
    assert lines[5].split() == ["NODE", "STATE", "SINCE", "WAITS", "FOR"]
    assert "remediation-failed" in lines[6]
    assert "people: NVSentinel recommends CONTACT_SUPPORT and orders no repair" in lines[6]
    assert lines[7].strip().startswith("gke-ml-pool-a100-8ksx: SysLogsXIDError 74, cordoned")
    started = [line for line in err.splitlines() if line.startswith("+ ")]
    assert 3 <= len(started) <= 6
    assert all(" get " in line or " config " in line or " version" in line for line in started)


def test_calm_when_all_is_well_and_json_for_programs(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, scenario="quiet")
    assert code == 0
    assert "none quarantined, no fault" in out
    code, out, _ = run(tmp_path / "again", "--output", "json")
    found = json.loads(out)
    assert code == 0
    assert (found["breaker"], found["blind"]) == ("CLOSED", {})
    assert [node["state"] for node in found["nodes"]] == ["remediation-failed"]


def test_without_kubectl_it_says_so(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, kubectl=False)
    assert code == 3
    assert "kubectl" in out + err
    assert "none quarantined" not in out
