"""Stories of a daemon: a simulated cluster, simulated processes, virtual time, and a real ledger on the disk.

A story may start several daemons one after another, or side by side, on one state directory.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.app.daemon.core import Daemon, Options
from nvsx.app.daemon.gate import Gate, GatedSink
from nvsx.app.daemon.log import Log
from nvsx.app.daemon.project import Project
from nvsx.app.daemon.runs import Ground, Tools
from nvsx.app.daemon.tally import Tally
from nvsx.clock import SimulatedClock
from nvsx.cluster.processes import Ended
from nvsx.cluster.view import View
from nvsx.config import Config
from nvsx.documents import read_yaml
from nvsx.events import Finish, Note, RunEvent
from nvsx.ledger import Ledger
from nvsx.runbook.parse import parse
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.database import SimulatedDatabase
from nvsx.sim.world import World
from nvsx.sinks.record import Record
from tests.story import REBOOTNODES, T0

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from nvsx.model import Runbook

HEAD = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: %s, title: %s}\n"

XID = """
trigger: {checkNames: [SysLogsXIDError], errorCodes: ["79"]}
stages:
  - {id: detect, hook: page.sh}
  - {id: quarantine, timeout: 10m, watch: [{kind: nvsentinel-state, state: quarantined}], hook: note.sh}
"""
QUICK = """
trigger: {checkNames: [SysLogsXIDError], errorCodes: ["79"]}
stages:
  - {id: detect, hook: page.sh}
"""
SLOW = """
trigger: {checkNames: [SysLogsXIDError], errorCodes: ["79"]}
stages:
  - {id: detect, hook: page.sh}
  - {id: drain, timeout: 24h, watch: [{kind: nvsentinel-state, state: drain-succeeded}], hook: drained.sh}
"""
STORM = "trigger: {storm: true}\nhooks: {onReminder: storm-news.sh}\nstages: [{id: detect, hook: storm.sh}]\n"
UNHANDLED = "trigger: {unhandled: true}\nstages: [{id: detect, hook: unhandled.sh}]\n"
STALLED = "trigger: {stalled: 10m}\nstages: [{id: detect, hook: stalled.sh}]\n"


def runbooks(**bodies: str) -> dict[str, Runbook]:
    """Runbooks from the text below their metadata."""
    named = {name.replace("_", "-"): body for name, body in bodies.items()}
    return {name: parse(read_yaml(HEAD % (name, name) + body, f"{name}.yaml")) for name, body in named.items()}


@dataclass
class Process:
    """A process that was started: its script, when (seconds of the story), with what environment."""

    script: str
    at: float
    env: dict[str, str]
    trigger: str = ""


@dataclass
class Place:
    """The cluster and what happened: it outlasts the daemons that watch it."""

    directory: Path
    books: dict[str, Runbook]
    config: Config = field(default_factory=Config)
    with_database: bool = True
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(start=T0))
    processes: list[Process] = field(default_factory=list)
    events: list[RunEvent] = field(default_factory=list)
    takes: dict[str, float] = field(default_factory=dict)  # script -> seconds
    exits: dict[str, int] = field(default_factory=dict)
    offset: float = 0.0

    def __post_init__(self) -> None:
        self.world = World(self.clock)
        self.world.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "cluster-1"}}
        )
        self.world.create(REBOOTNODES)
        self.world.documents["HealthEvents"] = []
        (self.directory / "root").mkdir(parents=True, exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)

    # The cluster

    def node(self, *names: str, **labels: str) -> None:
        for name in names:
            self.world.create(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name, "labels": {"nvidia.com/gpu.present": "true", **labels}},
                    "spec": {},
                    "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
                }
            )

    def patch(self, name: str, **patch: Any) -> None:
        self.world.patch(self.world.resources.named("nodes"), name, "", patch)

    def fault(
        self, name: str, *, code: str = "79", action: int = 24, check: str = "SysLogsXIDError", fatal: bool = True,
        at: float | None = None,
    ) -> str:  # fmt: skip
        """A document in the database; its id."""
        now = self.clock.now() if at is None else at
        documents = self.world.documents["HealthEvents"]
        doc_id = f"{int(now):08x}{len(documents):016x}"
        documents.append(
            {
                "_id": {"$oid": doc_id},
                "createdAt": {"$date": {"$numberLong": str(int(now * 1000))}},
                "healthevent": {
                    "version": 1, "agent": "syslog-health-monitor", "componentclass": "GPU", "checkname": check,
                    "isfatal": fatal, "ishealthy": False, "message": f"NVRM: Xid: {code}", "recommendedaction": action,
                    "errorcode": [code], "entitiesimpacted": None, "metadata": {},
                    "generatedtimestamp": {"seconds": int(now), "nanos": 0}, "nodename": name,
                    "processingstrategy": 1, "id": "",
                },
                "healtheventstatus": {},
            }
        )  # fmt: skip
        return doc_id

    def quarantine(
        self, name: str, doc_id: str, *, action: int = 24, code: str = "79", state: str = "quarantined",
        at: float | None = None,
    ) -> None:  # fmt: skip
        seconds = int(self.clock.now() if at is None else at)
        self.patch(
            name,
            metadata={
                "labels": {"dgxc.nvidia.com/nvsentinel-state": state, "k8saas.nvidia.com/cordon-by": "NVSentinel"},
                "annotations": {
                    "quarantineHealthEvent": (
                        f'[{{"agent":"syslog-health-monitor","checkName":"SysLogsXIDError","isFatal":true,'
                        f'"errorCode":["{code}"],"recommendedAction":{action},"nodeName":"{name}",'
                        f'"generatedTimestamp":{{"seconds":{seconds},"nanos":0}},"id":"{doc_id}"}}]'
                    ),
                    "quarantineHealthEventIsCordoned": "True",
                },
            },
            spec={"unschedulable": True},
        )

    def state(self, name: str, state: str | None) -> None:
        self.patch(name, metadata={"labels": {"dgxc.nvidia.com/nvsentinel-state": state}})

    def release(self, name: str) -> None:
        self.patch(
            name,
            metadata={
                "labels": {"dgxc.nvidia.com/nvsentinel-state": None, "k8saas.nvidia.com/cordon-by": None},
                "annotations": {"quarantineHealthEvent": None, "quarantineHealthEventIsCordoned": None},
            },
            spec={"unschedulable": None},
        )

    def break_node(self, name: str, **facts: Any) -> str:
        """A fault and its quarantine at once."""
        doc_id = self.fault(name, **facts)
        self.quarantine(name, doc_id, action=facts.get("action", 24), at=facts.get("at"))
        return doc_id

    def breaker(self, status: str) -> None:
        maps = self.world.resources.named("configmaps")
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "circuit-breaker", "namespace": "nvsentinel"},
        }
        with suppress(Exception):
            self.world.create({**made, "data": {"status": "CLOSED"}})
        self.world.patch(maps, "circuit-breaker", "nvsentinel", {"data": {"status": status}})

    # The daemon

    @asynccontextmanager
    async def daemon(self, *, grace_s: float = 30.0, poll_s: float = 10.0, adopt: bool = False, polls: bool = True,
                     killed: bool = False, seed: int = 1, clock: Any = None) -> AsyncIterator[Daemon]:  # fmt: skip
        """A daemon while the body lasts. `killed` ends it as SIGKILL would: nothing is told any more."""
        made = self.make(poll_s=poll_s, adopt=adopt, polls=polls, seed=seed, clock=clock)
        made.start()
        task = asyncio.create_task(made.run())
        try:
            yield made
            if task.done():
                task.result()
        finally:
            tools = made.tools
            if killed:
                tools.gate.stopping = tools.gate.shut = True
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await made.runs.stop()
                await made.alarms.stop()
                made.vigil.leave()
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await made.stop(grace_s)
            await tools.view.close()
            tools.ledger.close()

    def make(self, *, poll_s: float = 10.0, adopt: bool = False, polls: bool = True, seed: int = 1,
             clock: Any = None) -> Daemon:  # fmt: skip
        clock = clock or self.clock
        gate = Gate(self.config.limits.max_hooks)
        tally = Tally()
        view = View(
            SimulatedCluster(self.world), clock, whole_fleet=True, rng=random.Random(seed),
            database=SimulatedDatabase(self.world),
        )  # fmt: skip
        ledger = Ledger.open(self.directory / "state", clock=clock, what="daemon")
        tools = Tools(
            ledger=ledger,
            view=view,
            clock=clock,
            gate=gate,
            sink=GatedSink(gate, self, tally, Record(ledger)),
            log=Log(self, clock),
            scripts=self,
            run_process=self._run_process,
        )
        ground = Ground(
            self.directory / "root", self.directory / "state", {"PATH": "/usr/bin:/bin"}, frozenset(), "cluster-1",
            "story", "nvsentinel",
        )  # fmt: skip
        database = SimulatedDatabase(self.world) if self.with_database else None
        return Daemon(
            ground, tools, Project("story", self.books, self.config, {}), Options(polls, poll_s, adopt), tally,
            database=database, rng=random.Random(seed),
        )  # fmt: skip

    def play(self, story: Callable[[], Awaitable[None]]) -> Place:
        self.clock.run(story())  # type: ignore[arg-type]
        return self

    # Ports

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    def hook(self, script: str) -> list[str]:
        return [script]

    action = hook

    async def _run_process(
        self, argv: list[str], *, env: dict[str, str], timeout_s: float, on_output: Any, on_started: Any, **_: Any
    ) -> Ended:
        script = argv[2] if argv[0] == "bash" else argv[0]
        file = Path(env.get("NVSX_TRIGGER_FILE") or "/nowhere")
        trigger = file.read_text() if file.is_file() else ""
        self.processes.append(Process(script, round(self.clock.monotonic(), 3), dict(env), trigger))
        if on_started:
            await on_started(4000 + len(self.processes), "1")
        takes = self.takes.get(script, 0.0)
        await asyncio.sleep(min(takes, timeout_s))
        if takes > timeout_s:
            return Ended(None, 15, True, timeout_s, 0, 1, 0)
        return Ended(self.exits.get(script, 0), 0, False, takes, 0, 1, 0)

    # What happened

    def started(self, script: str = "") -> list[str]:
        """`script node` of every process, in order."""
        return [
            f"{one.script} {one.env['NVSX_TARGET_NODE']}".strip()
            for one in self.processes
            if script in ("", one.script)
        ]

    def said(self, topic: str = "") -> list[str]:
        notes = [event.body for event in self.events if isinstance(event.body, Note)]
        return [note.text for note in notes if topic in ("", note.topic)]

    def verdicts(self) -> list[str]:
        return [event.body.verdict for event in self.events if isinstance(event.body, Finish)]

    def env(self, script: str) -> dict[str, str]:
        return next(one.env for one in self.processes if one.script == script)

    def ledger(self) -> Any:
        reader = Ledger.reader(self.directory / "state")
        assert reader is not None
        return reader
