"""Through the real kubectl: how soon a stage ends after the write in the API server, and what a big fleet costs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.clock import RealClock
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.engine.run import Run
from nvsx.events import RunEvent, StageBegin
from nvsx.journal import MemoryJournal
from nvsx.ports import ApiPath
from nvsx.sim.world import World
from tests.bench.detection import Times, make_plan
from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer
from tests.story import NODE, runbook

if TYPE_CHECKING:
    from nvsx.ports import Seen

TRANSITIONS = 100
STAGES = ("detect", "quarantine", "drain", "remediate")
_STAGE = "  - id: {0}\n    watch: [{{kind: node, field: metadata.labels.step, expect: '{0}'}}]\n"
BODY = "stages:\n" + "".join(map(_STAGE.format, STAGES))
FLEET, NODE_BYTES = 5000, 15_000
SUBSCRIBERS = 1000


class _Begun(Times):
    """Knows also when a stage has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = {stage: asyncio.Event() for stage in STAGES}

    def emit(self, event: RunEvent) -> None:
        if isinstance(event.body, StageBegin) and event.body.stage in self.begun:
            self.begun[event.body.stage].set()
        super().emit(event)


def latency() -> dict[str, object]:
    """Milliseconds from the write to `stage_end`, the server on a thread of the same process."""
    if not shutil.which("kubectl"):
        return {"skipped": "no kubectl on PATH"}
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as directory, KubeServer("quiet", Path(directory)) as kube:
        kube.do(lambda: kube.world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}))
        for _ in range(TRANSITIONS // len(STAGES)):
            waits += asyncio.run(_one_run(kube))
    waits.sort()
    return {
        "transitions": len(waits),
        "median_ms": round(statistics.median(waits) * 1000, 2),
        "p95_ms": round(waits[int(len(waits) * 0.95)] * 1000, 2),
        "longest_ms": round(waits[-1] * 1000, 2),
    }


async def _one_run(kube: KubeServer) -> list[float]:
    clock, times, written = RealClock(), _Begun(), {}

    def write(stage: str) -> float:
        now = time.perf_counter()
        nodes = kube.world.resources.named("nodes")
        kube.world.patch(nodes, NODE, "", {"metadata": {"labels": {"step": stage}}})
        return now

    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "artifacts").mkdir()
        view = View(await _cluster(kube.env, directory), clock)
        plan = make_plan(directory, clock.now(), runbook(BODY))
        run = Run(plan, view=view, clock=clock, journal=MemoryJournal(), sink=times, scripts=times, guard=times)
        task = asyncio.create_task(run.execute())
        await asyncio.to_thread(kube.do, lambda: write("none"))
        for stage in STAGES:
            await times.begun[stage].wait()
            if stage == STAGES[0]:
                await _watched(kube)
            await asyncio.sleep(0.02)
            written[stage] = await asyncio.to_thread(kube.do, lambda stage=stage: write(stage))
        await task
        await view.close()
    return [times.ended[stage] - written[stage] for stage in STAGES]


async def _cluster(env: dict[str, str], directory: str) -> Kubectl:
    pinned = await pin_context(env, directory=Path(directory), clock=RealClock())
    return Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context)


async def _watched(kube: KubeServer) -> None:
    while not any("watch=1" in asked for asked in kube.server.asked):
        await asyncio.sleep(0.01)
    kube.server.asked.clear()


def fleet() -> dict[str, object]:
    """A first list of 5,000 nodes of 15 kB, in a process of its own: its memory, and how long its loop stood still."""
    if not shutil.which("kubectl"):
        return {"skipped": "no kubectl on PATH"}
    with tempfile.TemporaryDirectory() as directory:
        config = f"{directory}/kubeconfig"
        words = ["--scenario", "quiet", "--kubeconfig", config, "--nodes", str(FLEET), "--node-bytes", str(NODE_BYTES)]
        command = [sys.executable, "-m", "tests.servers.kube", *words, "--for", "300"]
        with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            server.stdout.readline()
            env = {"PATH": os.environ["PATH"], "HOME": directory, "KUBECONFIG": config}
            done = subprocess.run(
                [sys.executable, "-c", "from tests.bench import kube; kube.list_fleet()"],
                cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True, timeout=240,
            )  # fmt: skip
            server.terminate()
    found: dict[str, object] = json.loads(done.stdout)
    return found


def list_fleet() -> None:
    """List and watch the fleet; prints the figures as JSON."""
    print(json.dumps(asyncio.run(_list_fleet())))


async def _list_fleet() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        view = View(await _cluster(dict(os.environ), directory), RealClock(), whole_fleet=True)
        listed = asyncio.Event()

        def on_change(seen: Seen) -> None:
            if seen.listed and not seen.changed:
                listed.set()

        began = time.perf_counter()
        view.subscribe(ApiPath("v1", "nodes"), on_change)
        ticking = asyncio.create_task(_stalls(listed))
        await listed.wait()
        took = time.perf_counter() - began
        by_clock, by_processor = await ticking
        idle = time.process_time()
        await asyncio.sleep(5)
        idle = time.process_time() - idle
        await view.close()
    return {
        "nodes": FLEET,
        "list_s": round(took, 2),
        "longest_stall_ms": round(by_clock * 1000, 1),
        "longest_stall_cpu_ms": round(by_processor * 1000, 1),
        "peak_mb": _peak_mb(),
        "cpu_share_while_waiting": round(idle / 5, 5),
    }


def _peak_mb() -> float:
    """The most memory that this process has held; what its parent held before it does not count."""
    status = Path("/proc/self/status").read_text("ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


async def _stalls(listed: asyncio.Event) -> tuple[float, float]:
    """The longest time that the loop was away: by the clock, and in processor time, which knows no neighbours."""
    by_clock = by_processor = 0.0
    while not listed.is_set():
        began, spent = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        by_clock = max(by_clock, time.perf_counter() - began - 0.001)
        by_processor = max(by_processor, time.thread_time() - spent)
    return by_clock, by_processor


def events() -> dict[str, object]:
    """Node events per second through one view with 1,000 subscribers, each of one node, in process."""
    return asyncio.run(_events())


async def _events() -> dict[str, object]:
    from nvsx.sim.cluster import SimulatedCluster

    clock = RealClock()
    world = World(clock)
    nodes = world.resources.named("nodes")
    for number in range(SUBSCRIBERS):
        world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}})
    view = View(SimulatedCluster(world), clock, whole_fleet=True)
    heard, total, done = 0, 10_000, asyncio.Event()

    def on_change(seen: Seen) -> None:
        nonlocal heard
        heard += bool(seen.changed)
        if heard >= SUBSCRIBERS + total:
            done.set()

    for number in range(SUBSCRIBERS):
        view.subscribe(ApiPath("v1", "nodes", field_selector=f"metadata.name=node-{number}"), on_change)
    while heard < SUBSCRIBERS:
        await asyncio.sleep(0.01)
    for number in range(total):
        name = f"node-{number % SUBSCRIBERS}"
        world.patch(nodes, name, "", {"metadata": {"labels": {"step": str(number)}}})
    began = time.perf_counter()
    await done.wait()
    took = time.perf_counter() - began
    await view.close()
    return {"subscribers": SUBSCRIBERS, "events_per_s": round(total / took)}
