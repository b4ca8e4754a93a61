"""The daemon's runs: each is claimed, planned from what the ledger holds of it, and executed as a task of the loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nvsx import __version__
from nvsx.app.daemon.gate import GatedJournal
from nvsx.app.daemon.turns import Turns
from nvsx.app.execution import guarded
from nvsx.app.places import RunPlaces, make_places
from nvsx.app.records.recorded import REPEATS_S
from nvsx.app.records.recovery import take_up
from nvsx.app.scripts import ProjectScripts
from nvsx.catalog import read_runbook
from nvsx.engine.plan import Plan, TriggerFacts
from nvsx.engine.run import Run
from nvsx.errors import Exit, NvsxError
from nvsx.journal import RunEnded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from nvsx.app.daemon.gate import Gate
    from nvsx.app.daemon.log import Log
    from nvsx.app.daemon.project import Project
    from nvsx.clock import Clock
    from nvsx.cluster.view import View
    from nvsx.engine.effects import ProcessRunner
    from nvsx.engine.plan import Scripts
    from nvsx.ledger import Ledger, RunRecord, RunRow
    from nvsx.model import Runbook
    from nvsx.ports import Sink

TRIGGER_FILE = "trigger"
BEGINNINGS_AT_ONCE = 1
"""One commit claims hundreds of runs: between the beginnings of two, whoever reports the next fault is answered."""

VERDICTS_AT_ONCE = 16
"""A recovery of the fleet decides hundreds of stages: what the cluster tells of the other nodes is heard meanwhile."""

_PARSED = 64


class Ground(NamedTuple):
    """What all runs of this process stand on."""

    root: Path
    base: Path  # the state directory
    environment: Mapping[str, str]  # of every process
    secrets: frozenset[str]
    cluster: str
    context: str
    namespace: str


class Tools(NamedTuple):
    """What runs work with; they share it."""

    ledger: Ledger
    view: View
    clock: Clock
    gate: Gate
    sink: Sink
    log: Log
    scripts: Scripts | None = None  # other than the project's own, in tests
    run_process: ProcessRunner | None = None


class _Active:
    """A run of this process, or one that it is about to claim. `run` is None until it is planned."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()  # the ledger has said whether it is ours
        self.owned = False
        self.run: Run | None = None
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False


class Runs:
    """Runs under way in this process. `on_end` is awaited with the id of each that has ended by itself."""

    def __init__(
        self, ground: Ground, tools: Tools, project: Callable[[], Project], alias: Callable[[str], str],
        on_end: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.active: dict[str, _Active] = {}
        self.ended: set[int] = set()  # exit codes
        self._ground = ground
        self._tools = tools
        self._project = project
        self._alias = alias
        self._on_end = on_end
        self._parsed: dict[str, Runbook] = {}
        self.beginnings = Turns(BEGINNINGS_AT_ONCE)
        self.verdicts = Turns(VERDICTS_AT_ONCE)

    def start(self, run_id: str) -> None:
        """Begin a run that was admitted; nobody waits for it. Where it cannot be claimed now it stays queued, and is
        taken up later.
        """
        if run_id not in self.active and not self._tools.gate.stopping:
            active = self.active[run_id] = _Active()
            active.task = asyncio.create_task(self._conduct(run_id, active), name=f"run {run_id}")

    async def begin(self, run_id: str) -> bool:
        """Claim a run and start it; False where somebody else has it, or the ledger cannot be written."""
        if run_id in self.active:
            return False
        self.start(run_id)
        active = self.active.get(run_id)
        if active is None:
            return False
        await active.asked.wait()
        return active.owned

    async def claimed(self) -> None:
        """Wait until every run that was started so far is owned, or left to others."""
        for active in tuple(self.active.values()):
            await active.asked.wait()

    async def take_up(self, rows: Iterable[RunRow]) -> int:
        """Start what nobody runs, as far as `trigger.maxConcurrent` allows; returns how many were started."""
        begun = 0
        for row in rows:
            if not self._has_room(row.runbook):
                continue
            begun += await self.begin(row.id)
        return begun

    def _has_room(self, name: str) -> bool:
        runbook = self._project().runbooks.get(name)
        most = runbook.trigger.max_concurrent if runbook and runbook.trigger else 0
        if not most:
            return True
        unfinished = self._tools.ledger.unfinished()
        return sum(1 for run in unfinished if run.runbook == name and run.owner) < most

    def cancel(self, run_id: str) -> None:
        """End a run because somebody asked for it: its postmortem still runs."""
        active = self.active.get(run_id)
        if active is None or active.cancelled:
            return
        active.cancelled = True
        if active.run is not None:
            active.run.interrupt("cancelled", Exit.FAILED)

    async def stop(self) -> None:
        """Drop every run where it stands. The gate is shut by then, so that they go on from their journal later."""
        tasks = [active.task for active in self.active.values() if active.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait(self) -> None:
        """Wait until no run is under way."""
        while self.active:
            await asyncio.wait([active.task for active in self.active.values() if active.task is not None])

    async def _conduct(self, run_id: str, active: _Active) -> None:
        try:
            if not await self._claim(run_id, active):
                self.active.pop(run_id, None)
                return
            await self.beginnings.take()
            code = await self._execute(run_id, active)
        except asyncio.CancelledError:
            self.active.pop(run_id, None)
            raise
        except Exception as error:  # of this run alone: all others go on
            code = await self._broken(run_id, error)
        self.active.pop(run_id, None)
        self.ended.add(code)
        await self._on_end(run_id)

    async def _claim(self, run_id: str, active: _Active) -> bool:
        try:
            with suppress(NvsxError):  # the disk: it is tried again with the next sweep
                active.owned = await self._tools.ledger.claim(run_id)
        finally:
            active.asked.set()
        return active.owned

    async def _execute(self, run_id: str, active: _Active) -> int:
        tools = self._tools
        with tools.clock.holding():  # what a dead process left is looked for in a thread
            record, history = await take_up(tools.ledger, run_id)
        places = await tools.gate.patience.until(partial(self._make_places, record), tools.log)
        plan = self._plan(record, places)
        with guarded(plan, lazy=True) as guard:
            run = Run(
                plan,
                view=tools.view,
                clock=tools.clock,
                journal=GatedJournal(tools.gate, tools.ledger, tools.log),
                sink=tools.sink,
                scripts=tools.scripts or ProjectScripts(self._ground.root),
                guard=guard,
                history=history,
                turn=self.verdicts.take,
                **({"run_process": tools.run_process} if tools.run_process else {}),
            )
            active.run = run
            if active.cancelled:
                run.interrupt("cancelled", Exit.FAILED)
            return int((await run.execute()).exit_code)

    async def _broken(self, run_id: str, error: Exception) -> int:
        """A run that cannot be carried out is over, and said to be: nobody must wait for it."""
        expected = isinstance(error, NvsxError)
        what = error.message if isinstance(error, NvsxError) else f"{type(error).__name__}: {error}"
        self._tools.log.say(f"run {run_id} was given up: {what}", level="error")
        code = error.exit_code if isinstance(error, NvsxError) else Exit.BUG
        with suppress(NvsxError):
            await self._tools.ledger.append(RunEnded(run_id, self._tools.clock.now(), "fail", code, 0))
        if not expected:
            asyncio.get_running_loop().call_exception_handler({"message": f"run {run_id}", "exception": error})
        return code

    async def _make_places(self, record: RunRecord) -> RunPlaces:
        """The run's directories, with what started it in them."""
        places = places_of(self._ground.base, record.run.id)
        file = places.run_dir / TRIGGER_FILE
        if record.evidence and not file.exists():
            write_trigger(file, record.evidence[0].payload)
        return places

    def _plan(self, record: RunRecord, places: RunPlaces) -> Plan:
        ground, run, trigger, told = self._ground, record.run, record.trigger, record.plan
        return Plan(
            runbook=self._project().prepared(self._runbook(run.runbook, record.runbook_text)),
            run_id=run.id,
            cluster=ground.cluster,
            context=ground.context,
            namespace=ground.namespace,
            target_node=run.node,
            target_alias=run.alias or (self._alias(run.node) if run.node else ""),
            since=float(told.get("since") or trigger.get("since") or run.created),
            root=str(ground.root),
            run_dir=str(places.run_dir),
            artifact_dir=str(places.artifact_dir),
            environment={**ground.environment, "NVSX_NAMESPACE": ground.namespace},
            nvsx_version=__version__,
            secrets=ground.secrets,
            repeat_count=int(told.get("repeat_count") or self._repeats(run)),
            trigger=TriggerFacts(
                source=str(trigger.get("source", "")),
                file=str(places.run_dir / TRIGGER_FILE) if record.evidence else "",
                incident_key=str(trigger.get("incident_key", "")),
                facts=trigger.get("facts") or {},
            ),
        )

    def _repeats(self, run: RunRow) -> int:
        since = self._tools.clock.now() - REPEATS_S
        return self._tools.ledger.repeat_count(run.cluster, run.node, since) if run.node else 1

    def _runbook(self, name: str, text: str) -> Runbook:
        """The runbook of a stored text; the same text is parsed once."""
        known = self._project().runbooks.get(name)
        if known and known.text == text:
            return known
        if text not in self._parsed:
            if len(self._parsed) >= _PARSED:
                self._parsed.clear()
            self._parsed[text] = read_runbook(text, f"{name}.yaml")
        return self._parsed[text]

    def trigger_file(self, run_id: str) -> Path:
        """Where hooks of a run find what started it."""
        return self._ground.base / "runs" / run_id / TRIGGER_FILE


def write_trigger(file: Path, payload: bytes) -> None:
    """Write what started a run, or replace it by what is known now, in one step and readable by nobody else."""
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(payload)
    fresh.replace(file)


def places_of(base: Path, run_id: str) -> RunPlaces:
    """The run's directories: those it had before a restart, else new ones."""
    run_dir = base / "runs" / run_id
    if (run_dir / "artifacts").is_dir():
        return RunPlaces(run_dir, run_dir / "artifacts")
    return make_places(base, run_id)
