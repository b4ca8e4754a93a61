"""How soon after a change in the World a stage ends, in real time, and what a run costs in CPU and memory."""

from __future__ import annotations

import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.clock import RealClock
from nvsx.cluster.view import View
from nvsx.engine.plan import Plan
from nvsx.engine.run import Run
from nvsx.events import RunEvent, StageEnd
from nvsx.journal import MemoryJournal
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.world import World
from tests.story import NODE, runbook

if TYPE_CHECKING:
    from nvsx.model import Runbook

TRANSITIONS = 100
BODY = """
stages:
  - id: detect
    watch: [{kind: node, field: metadata.labels.step, expect: "1"}]
  - id: quarantine
    watch: [{kind: node, field: metadata.labels.step, expect: "2"}]
"""


class Times:
    """A sink that notes when each stage ended, and a guard and scripts that are never asked."""

    action_writes = 0
    refused = 0

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}

    def emit(self, event: RunEvent) -> None:
        if isinstance(event.body, StageEnd):
            self.ended[event.body.stage] = time.perf_counter()

    def close(self) -> None: ...

    def counts(self) -> Times:
        return self

    def path(self, role: str, base_path: str) -> str:
        return base_path

    def hook(self, script: str) -> list[str]:
        return [script]

    action = hook


def measure() -> dict[str, object]:
    """Milliseconds from the write in the World to `stage_end`; CPU seconds and peak MB of this process for all runs."""
    cpu = time.process_time()
    latencies: list[float] = []
    for _ in range(TRANSITIONS // 2):
        latencies += asyncio.run(_one_run())
    latencies.sort()
    return {
        "transitions": len(latencies),
        "median_ms": round(statistics.median(latencies) * 1000, 3),
        "p95_ms": round(latencies[int(len(latencies) * 0.95)] * 1000, 3),
        "cpu_s_per_run": round((time.process_time() - cpu) / (TRANSITIONS // 2), 4),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


async def _one_run() -> list[float]:
    clock = RealClock()
    world = World(clock)
    world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {}, "status": {}})
    nodes = world.resources.named("nodes")
    times, changed = Times(), {}
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "artifacts").mkdir()
        view = View(SimulatedCluster(world), clock)
        run = Run(
            make_plan(directory, clock.now(), runbook(BODY)),
            view=view,
            clock=clock,
            journal=MemoryJournal(),
            sink=times,
            scripts=times,
            guard=times,
        )
        task = asyncio.create_task(run.execute())
        for step, stage in (("1", "detect"), ("2", "quarantine")):
            await asyncio.sleep(0.01)
            changed[stage] = time.perf_counter()
            world.patch(nodes, NODE, "", {"metadata": {"labels": {"step": step}}})
        await task
        await view.close()
    return [times.ended[stage] - changed[stage] for stage in changed]


def make_plan(directory: str, now: float, wanted: Runbook) -> Plan:
    """A run of `wanted` on the node of the stories."""
    return Plan(
        runbook=wanted,
        run_id="bench",
        cluster="bench",
        context="",
        namespace="nvsentinel",
        target_node=NODE,
        target_alias="bench",
        since=now,
        root=directory,
        run_dir=directory,
        artifact_dir=f"{directory}/artifacts",
        environment={},
        nvsx_version="",
    )
