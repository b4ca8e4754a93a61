"""Stories: a runbook, a cluster that changes at given times, simulated processes; and then what the run said.

Everything is real but the processes and the time: the engine, the view and the streams read a simulated World.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.clock import SimulatedClock
from nvsx.cluster.processes import Ended
from nvsx.cluster.view import View
from nvsx.documents import read_yaml
from nvsx.durations import parse_duration
from nvsx.engine.history import NEW_RUN
from nvsx.engine.plan import Plan, TriggerFacts
from nvsx.engine.run import Outcome, Run
from nvsx.events import Finish, Hook, Note, Prerequisite, RunEvent, StageEnd, Watch
from nvsx.journal import MemoryJournal
from nvsx.runbook.parse import parse
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.database import SimulatedDatabase
from nvsx.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.errors import ClusterError
    from nvsx.model import Runbook

T0 = 1_787_306_400.0  # 2026-08-21T10:00:00Z
NODE = "gpu-node-1"

REBOOTNODES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rebootnodes.janitor.dgxc.nvidia.com"},
    "spec": {
        "group": "janitor.dgxc.nvidia.com",
        "scope": "Cluster",
        "names": {"plural": "rebootnodes", "kind": "RebootNode"},
        "versions": [{"name": "v1alpha1", "served": True, "storage": True}],
    },
}


def runbook(body: str) -> Runbook:
    """A runbook from the text below its metadata."""
    text = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: story, nickname: calm-otter, title: Story}\n" + body
    return parse(read_yaml(text, "story.yaml"))


def node_patch(**patch: Any) -> Callable[[World], object]:
    def change(world: World) -> object:
        return world.patch(world.resources.named("nodes"), NODE, "", patch)

    return change


def condition(
    type_: str, status: str = "True", *, code: str = "", since: float | None = None
) -> Callable[[World], object]:
    """Set a condition as NVSentinel's connector does."""

    def change(world: World) -> object:
        nodes = world.resources.named("nodes")
        kept = [c for c in world.get(nodes, NODE)["status"]["conditions"] if c["type"] != type_]
        bad = status == "True"
        made = {
            "type": type_,
            "status": status,
            "reason": f"{type_}Is{'Not' if bad else ''}Healthy",
            "message": f"ErrorCode:{code} broken Recommended Action=RESTART_BM;" if bad else "No Health Failures",
            "lastTransitionTime": stamp(world.clock.now() if since is None else since),
        }
        if type_ == "Ready":
            made["reason"] = "KubeletReady"
        return world.patch(nodes, NODE, "", {"status": {"conditions": [*kept, made]}})

    return change


def stamp(time: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def label(state: str | None) -> Callable[[World], object]:
    return node_patch(metadata={"labels": {"dgxc.nvidia.com/nvsentinel-state": state}})


def quarantine(
    *, event_id: str = "66f0a1b2c3d4e5f601020304", at: float | None = None, action: int = 24
) -> Callable[[World], object]:
    """Cordon as fault-quarantine does: one update."""

    def change(world: World) -> object:
        seconds = int(world.clock.now() if at is None else at)
        event = (
            f'[{{"agent":"syslog-health-monitor","checkName":"SysLogsXIDError","isFatal":true,"errorCode":["79"],'
            f'"recommendedAction":{action},"generatedTimestamp":{{"seconds":{seconds},"nanos":0}},"id":"{event_id}"}}]'
        )
        return node_patch(
            metadata={
                "labels": {
                    "dgxc.nvidia.com/nvsentinel-state": "quarantined",
                    "k8saas.nvidia.com/cordon-by": "NVSentinel",
                },
                "annotations": {"quarantineHealthEvent": event, "quarantineHealthEventIsCordoned": "True"},
            },
            spec={"unschedulable": True},
        )(world)

    return change


def release() -> Callable[[World], object]:
    """Uncordon as fault-quarantine does after recovery: one update."""

    def change(world: World) -> object:
        return node_patch(
            metadata={
                "labels": {
                    "dgxc.nvidia.com/nvsentinel-state": None,
                    "k8saas.nvidia.com/cordon-by": None,
                    "k8saas.nvidia.com/uncordon-by": "NVSentinel",
                    "k8saas.nvidia.com/uncordon-timestamp": stamp(world.clock.now()).replace(":", "-"),
                },
                "annotations": {"quarantineHealthEvent": None, "quarantineHealthEventIsCordoned": None},
            },
            spec={"unschedulable": None},
        )(world)

    return change


def reboot(event_id: str = "66f0a1b2c3d4e5f601020304", node: str = NODE) -> Callable[[World], object]:
    def change(world: World) -> object:
        return world.create(
            {
                "apiVersion": "janitor.dgxc.nvidia.com/v1alpha1",
                "kind": "RebootNode",
                "metadata": {"name": f"maintenance-{node}-{event_id}"},
                "spec": {"nodeName": node},
            }
        )

    return change


def delete_node(world: World) -> object:
    return world.delete(world.resources.named("nodes"), NODE)


def blind(error: ClusterError, *, resource: str = "") -> Callable[[World], object]:
    """From now on every read (of one resource) fails."""

    def change(world: World) -> object:
        async def react(request: Any) -> None:
            if resource in ("", request.resource):
                raise error

        world.react(react)
        world.cut(lambda request: resource in ("", request.resource), lambda request: error)
        return None

    return change


@dataclass
class Process:
    """What a simulated process does: the story's own way to be a hook."""

    exit_codes: tuple[int, ...] = (0,)  # one per start, the last one for all that follow
    takes_s: float = 0.0
    output: str = ""
    writes: str = ""  # into NVSX_OUTPUT


@dataclass
class Started:
    """A process that the run started, and when (seconds of the story)."""

    script: str
    at: float
    env: dict[str, str]


class Story:
    """Build it, `at` what happens, then `run` it."""

    def __init__(
        self, body: str, *, drill: bool = False, dwell: bool = False, trigger_key: str = "", node: str = NODE
    ) -> None:
        self.clock = SimulatedClock(start=T0)
        self.world = World(self.clock)
        self.world.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "cluster-1"}}
        )
        self.world.create(REBOOTNODES)
        self.world.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": NODE, "labels": {"nvidia.com/gpu.present": "true"}},
                "spec": {},
                "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
            }
        )
        self.processes: dict[str, Process] = {}
        self.started: list[Started] = []
        self.events: list[RunEvent] = []
        self.journal = MemoryJournal()
        self.outcome = Outcome()
        self._runbook = runbook(body)
        self._changes: list[tuple[float, Any]] = []
        self._interrupts: list[float] = []
        self._drill = drill
        self._dwell = dwell
        self._node = node
        self._key = trigger_key
        self._since: float | None = None
        self.history = NEW_RUN

    def at(self, time: str, *changes: Any) -> Story:
        self._changes += [(parse_duration(time), change) for change in changes]
        return self

    def process(self, script: str, **facts: Any) -> Story:
        self.processes[script] = Process(**facts)
        return self

    def interrupt_at(self, *times: str) -> Story:
        self._interrupts += [parse_duration(time) for time in times]
        return self

    def since(self, seconds_ago: float) -> Story:
        self._since = T0 - seconds_ago
        return self

    def run(self) -> Story:
        with tempfile.TemporaryDirectory() as directory:
            self.clock.run(self._run(Path(directory)))
        return self

    async def _run(self, directory: Path) -> None:
        artifacts = directory / "artifacts"
        artifacts.mkdir()
        plan = Plan(
            runbook=self._runbook,
            run_id="20260821-100000-0001",
            cluster="cluster-1",
            context="story",
            namespace="nvsentinel",
            target_node=self._node,
            target_alias="brave-gazelle" if self._node else "",
            since=self._since if self._since is not None else T0,
            root=str(directory),
            run_dir=str(directory),
            artifact_dir=str(artifacts),
            environment={"PATH": "/usr/bin:/bin"},
            nvsx_version="0",
            drill=self._drill,
            dwell=self._dwell,
            trigger=TriggerFacts(incident_key=self._key),
        )
        view = View(
            SimulatedCluster(self.world), self.clock, rng=random.Random(1), database=SimulatedDatabase(self.world)
        )
        run = Run(
            plan,
            view=view,
            clock=self.clock,
            journal=self.journal,
            sink=self,
            scripts=self,
            guard=self,
            run_process=self._run_process,
            history=self.history,
        )
        for time, change in self._changes:
            if time == 0:  # so it was before the run looked for the first time
                change(self.world)
        play = asyncio.create_task(self._play(run))
        try:
            self.outcome = await run.execute()
        finally:
            play.cancel()
            with suppress(asyncio.CancelledError):
                await play
            await view.close()

    async def _play(self, run: Run) -> None:
        todo = [(time, 0, change) for time, change in self._changes if time] + [
            (t, 1, run.interrupt) for t in self._interrupts
        ]
        for time, kind, change in sorted(todo, key=lambda item: item[0]):
            await asyncio.sleep(max(0.0, time - self.clock.monotonic()))
            change() if kind else change(self.world)

    # The ports that a story plays itself

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    def hook(self, script: str) -> list[str]:
        return [script]

    action = hook

    def path(self, role: str, base: str) -> str:
        return f"/{role}:{base}"

    def counts(self) -> Any:
        return self

    action_writes = 0
    refused = 0

    async def _run_process(
        self, argv: list[str], *, env: dict[str, str], timeout_s: float, on_output: Any, on_started: Any, **_: Any
    ) -> Ended:
        script = argv[2] if argv[0] == "bash" else argv[0]
        process = self.processes.get(script, Process())
        earlier = sum(1 for one in self.started if one.script == script)
        self.started.append(Started(script, round(self.clock.monotonic(), 3), dict(env)))
        if on_started:
            await on_started(4000 + len(self.started), "1")
        on_output(process.output.encode())
        if process.writes:
            Path(env["NVSX_OUTPUT"]).write_text(process.writes)
        if process.takes_s > timeout_s:
            await asyncio.sleep(timeout_s)
            return Ended(None, 15, True, timeout_s, 0, 1, 0)
        await asyncio.sleep(process.takes_s)
        return Ended(process.exit_codes[min(earlier, len(process.exit_codes) - 1)], 0, False, process.takes_s, 0, 1, 0)

    # What was said

    @property
    def stages(self) -> list[str]:
        """Each stage's end as `detect pass 2.0`."""
        ended = [event.body for event in self.events if isinstance(event.body, StageEnd)]
        return [f"{body.stage} {body.status} {body.elapsed_s:.1f}" for body in ended]

    def stage(self, stage: str) -> StageEnd:
        return next(e.body for e in self.events if isinstance(e.body, StageEnd) and e.body.stage == stage)

    @property
    def finish(self) -> Finish:
        assert isinstance(self.events[-1].body, Finish)
        return self.events[-1].body

    @property
    def hooks(self) -> list[str]:
        """The scripts that were started as hooks or actions, in order."""
        begun = [event.body for event in self.events if isinstance(event.body, Hook) and event.body.phase == "begin"]
        return [body.script for body in begun]

    def of(self, kind: type[Watch] | type[Note] | type[Prerequisite] | type[Hook]) -> list[Any]:
        return [event.body for event in self.events if isinstance(event.body, kind)]

    def env(self, script: str) -> dict[str, str]:
        return next(one.env for one in self.started if one.script == script)
