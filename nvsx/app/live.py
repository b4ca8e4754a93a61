"""A manual run on the real cluster: pins the context, settles the node, and executes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.app.execution import execute
from nvsx.app.places import make_places
from nvsx.app.scripts import ProjectScripts, unpack_bundled
from nvsx.app.target import ask_on_terminal, settle_target
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.processes import observing
from nvsx.engine.plan import Plan, new_run_id
from nvsx.journal import MemoryJournal
from nvsx.settings import process_environment, secret_values, state_directory_or_scratch
from nvsx.terminal import warn

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from nvsx.clock import Clock
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


class Session:
    """The pinned cluster and the directories that one command works with."""

    def __init__(self, settings: Settings, clock: Clock, rng: random.Random) -> None:
        base, note = state_directory_or_scratch(settings)
        if note:
            warn(f"note: {note}")
        self.settings = settings
        self.clock = clock
        self.run_id = new_run_id(clock.now(), rng)
        self.places = make_places(base, self.run_id)
        self.environment = process_environment(settings)
        self.environment.setdefault("PATH", DEFAULT_PATH)
        self.context = ""
        self.root: Path = settings.project or unpack_bundled(self.places.run_dir)

    async def connect(self) -> Kubectl:
        """Pin the context for nvsx and for everything it starts."""
        pinned = await pin_context(
            self.environment,
            directory=self.places.run_dir,
            clock=self.clock,
            wanted=self.settings.context,
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
    settings = session.settings
    with shown_commands(verbose=settings.verbose):
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
            namespace=settings.namespace,
            target_node=target.name,
            target_alias=target.alias,
            since=since,
            root=str(session.root),
            run_dir=str(session.places.run_dir),
            artifact_dir=str(session.places.artifact_dir),
            environment={**session.environment, "NVSX_NAMESPACE": settings.namespace},
            nvsx_version=__version__,
            secrets=secret_values(settings),
            drill=request.drill,
            dwell=request.dwell,
        )
        outcome = await execute(
            plan,
            cluster=cluster,
            clock=session.clock,
            journal=MemoryJournal(),
            sink=sink(),
            scripts=ProjectScripts(session.root),
            on_note=warn,
            database=session.database(cluster),
        )
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
