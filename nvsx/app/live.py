"""A manual run on the real cluster: pins the context, settles the node, and executes."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.app.execution import execute
from nvsx.app.places import make_places
from nvsx.app.records.recorded import admit, heed_cancellation, open_ledger
from nvsx.app.records.retention import forget_old
from nvsx.app.scripts import ProjectScripts, unpack_bundled
from nvsx.app.target import ask_on_terminal, settle_target
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.listed import Listed
from nvsx.cluster.processes import observing
from nvsx.engine.history import NEW_RUN
from nvsx.engine.plan import Plan, new_run_id
from nvsx.errors import NvsxError, Refused
from nvsx.journal import MemoryJournal
from nvsx.settings import process_environment, secret_values, state_directory_or_scratch
from nvsx.sinks.fanout import Fanout
from nvsx.sinks.record import Record
from nvsx.terminal import warn
from nvsx.watches.predicate import node_path

if TYPE_CHECKING:
    import asyncio
    import random
    from collections.abc import Callable, Iterator, Sequence

    from nvsx.clock import Clock
    from nvsx.engine.history import History
    from nvsx.engine.run import Run
    from nvsx.ledger import Ledger
    from nvsx.model import Runbook
    from nvsx.ports import Cluster, Database, Sink
    from nvsx.settings import Settings

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""For hooks where there is no PATH at all, as a very bare cron has it."""

LONGEST_WORD = 1000
"""Longer words of a command line are cut when `-v` shows it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for with `nvsx run`."""

    runbook: Runbook
    target: str = ""
    since_s: float | None = None
    drill: bool = False
    dwell: bool = False
    force: bool = False


class Session:
    """The pinned cluster and the directories that one command works with."""

    def __init__(self, settings: Settings, clock: Clock, rng: random.Random) -> None:
        base, note = state_directory_or_scratch(settings)
        if note:
            warn(f"note: {note}")
        self.settings = settings
        self.clock = clock
        self._base = base
        self._scratch = bool(note)
        self.run_id = new_run_id(clock.now(), rng)
        self.places = make_places(base, self.run_id)
        self.environment = process_environment(settings)
        self.environment.setdefault("PATH", DEFAULT_PATH)
        self.context = ""
        self.root: Path = settings.project or unpack_bundled(self.places.run_dir)

    @property
    def hook_environment(self) -> dict[str, str]:
        return {**self.environment, "NVSX_NAMESPACE": self.settings.namespace}

    @contextmanager
    def ledger(self) -> Iterator[Ledger | None]:
        """The ledger while the body lasts; None where nothing can be recorded, which is said once."""
        ledger = None if self._scratch else open_ledger(self._base, self.clock)
        try:
            yield ledger
        finally:
            if ledger:
                ledger.close()

    async def connect(self, context: str = "") -> Kubectl:
        """Pin the context for nvsx and for everything it starts: the one the settings name, else `context`, else the
        current one.
        """
        pinned = await pin_context(
            self.environment,
            directory=self.places.run_dir,
            clock=self.clock,
            wanted=self.settings.context or context,
            cwd=str(self.root),
        )
        self.context, self.environment = pinned.context, pinned.env
        return Kubectl(env=pinned.env, clock=self.clock, cwd=str(self.root), context=pinned.context, mark=self.run_id)

    def database(self, cluster: Cluster) -> Database:
        """NVSentinel's database; nothing is started before the first question."""
        from nvsx.mongo.database import Mongo

        return Mongo(
            cluster,
            env=self.environment,
            clock=self.clock,
            namespace=self.settings.namespace,
            uri=self.settings.mongo_uri,
            cwd=str(self.root),
            mark=self.run_id,
        )


async def run_live(request: Request, session: Session, sink: Callable[[], Sink]) -> int:
    """Run on the current cluster; returns the exit code. `sink` is made only once the run is certain to start."""
    with shown_commands(verbose=session.settings.verbose):
        cluster = await session.connect()
        identity = await cluster.identity()
        ask = ask_on_terminal if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() else None
        target = await settle_target(cluster, request.target, ask=ask)
        now = session.clock.now()
        since = now - request.since_s if request.since_s is not None else target.fault_time or now
        plan = Plan(
            runbook=request.runbook,
            run_id=session.run_id,
            cluster=identity,
            context=session.context,
            namespace=session.settings.namespace,
            target_node=target.name,
            target_alias=target.alias,
            since=since,
            root=str(session.root),
            run_dir=str(session.places.run_dir),
            artifact_dir=str(session.places.artifact_dir),
            environment=session.hook_environment,
            nvsx_version=__version__,
            secrets=secret_values(session.settings),
            drill=request.drill,
            dwell=request.dwell,
        )
        with session.ledger() as ledger:
            try:
                repeats = await admit(ledger, plan, why=target.why, force=request.force) if ledger else 1
            except Refused:
                shutil.rmtree(session.places.run_dir, ignore_errors=True)
                raise
            known = Listed(cluster, node_path(target.name), target.listing)
            return await carry_out(replace(plan, repeat_count=repeats), NEW_RUN, session, known, ledger, sink)


async def carry_out(
    plan: Plan, history: History, session: Session, cluster: Cluster, ledger: Ledger | None, sink: Callable[[], Sink]
) -> int:
    """Execute a plan, recorded where there is a ledger, and return its exit code."""
    heeding: list[asyncio.Task[None]] = []

    def on_run(run: Run) -> None:
        if ledger:
            heeding.append(heed_cancellation(ledger, run))

    try:
        outcome = await execute(
            plan,
            cluster=cluster,
            clock=session.clock,
            journal=ledger or MemoryJournal(),
            sink=Fanout([Record(ledger), sink()]) if ledger else sink(),
            scripts=ProjectScripts(Path(plan.root)),
            on_note=warn,
            database=session.database(cluster),
            history=history,
            on_run=on_run,
        )
    finally:
        for task in heeding:
            task.cancel()
    if ledger:
        with suppress(NvsxError):
            await forget_old(ledger, Path(plan.run_dir).parent, session.clock)
    return int(outcome.exit_code)


@contextmanager
def shown_commands(*, verbose: bool) -> Iterator[None]:
    """With `-v`, say every command line that nvsx starts, on stderr."""
    if not verbose:
        yield
        return
    import shlex

    def show(argv: Sequence[str], pid: int) -> None:
        words = [os.fsdecode(word) for word in argv]
        # The program for mongosh is constant and a page long.
        warn(f"+ {shlex.join(word if len(word) <= LONGEST_WORD else f'{word[:12]}…' for word in words)}")

    with observing(show):
        yield
