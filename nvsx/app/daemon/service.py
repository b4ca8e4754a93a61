"""`nvsx serve` from its settings to its end: what it stands on is made in order, and refusals come before ready."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import shutil
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.daemon.core import Daemon, Options
from nvsx.app.daemon.fleet import NODES
from nvsx.app.daemon.gate import Gate, GatedSink
from nvsx.app.daemon.log import Log
from nvsx.app.daemon.project import load_project
from nvsx.app.daemon.runs import Ground, Tools
from nvsx.app.daemon.tally import Tally
from nvsx.app.live import DEFAULT_PATH
from nvsx.app.records.retention import KEEP_S
from nvsx.app.scripts import unpack_bundled
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.errors import ClusterError, EnvironmentUnusable, Exit, UsageError
from nvsx.ledger import Ledger
from nvsx.settings import process_environment, secret_values, state_directory
from nvsx.sinks.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from nvsx.app.daemon.project import Project
    from nvsx.clock import Clock
    from nvsx.ports import Database, Sink
    from nvsx.settings import Settings

MARK = "nvsx-serve"
IDENTITY_S = (1.0, 2.0, 5.0, 10.0)
"""Pauses between attempts to learn which cluster this is; the last one repeats."""


class Request(NamedTuple):
    """What `nvsx serve` was asked for."""

    mode: str = "webhook"  # webhook, poll or both
    host: str = "127.0.0.1"
    port: int = 8080
    poll_s: float = 10.0
    events: str = "auto"  # auto, nodes or mongo
    adopt: bool = False
    once: bool = False
    bundled: bool = False
    grace_s: float = 30.0
    max_hooks: int = 0  # 0: as nvsx.yaml has it
    keep_s: float = KEEP_S
    tokens: tuple[Path, ...] = ()
    tls: tuple[Path, Path] | None = None
    metrics_file: Path | None = None

    @property
    def polls(self) -> bool:
        return self.mode != "webhook" or self.once

    @property
    def listens(self) -> bool:
        return self.mode != "poll" and not self.once


class Footing(NamedTuple):
    """What stands before any cluster was reached."""

    ledger: Ledger
    cluster: Kubectl


class Service:
    """Everything that a daemon stands on, from `prepare` to `close`."""

    def __init__(self, request: Request, settings: Settings, clock: Clock, sink: Sink) -> None:
        if settings.bundled and not request.bundled:
            raise UsageError(
                "no project was found, and the bundled runbooks are examples: they page nobody of yours",
                hint="nvsx --project DIR serve, or nvsx serve --bundled if that is what you want",
            )
        self.request = request
        self.settings = settings
        self.clock = clock
        self.began = clock.now()
        self.tally = Tally()
        self.environment = process_environment(settings)
        self.environment.setdefault("PATH", DEFAULT_PATH)
        self.base = state_directory(settings)
        self.root = settings.project or unpack_bundled(self.base)
        self.project = self.load()
        self.gate = Gate(self._slots(self.project))
        self.sink = sink
        self.log = Log(GatedSink(self.gate, sink), clock)
        self.context = ""
        self._stack = AsyncExitStack()

    def load(self) -> Project:
        """The project as it is on the disk now; DocumentInvalid where something is wrong with it."""
        project = load_project(self.settings.project, self.environment)
        if not project.runbooks:
            raise UsageError(f"there is no runbook in {project.where}", hint="nvsx --project DIR serve")
        return project

    def introduce(self) -> None:
        """Say what this daemon works by, before anything else."""
        where = "the bundled library" if self.settings.bundled else str(self.root)
        self.log.say(f"project {where}: {counted(len(self.project.runbooks), 'runbook')}; state {self.base}")
        self.warn(self.project)

    def reloaded(self, project: Project) -> None:
        """Say, and do, what another project changes for the service itself."""
        slots = self._slots(project)
        more = f"; {counted(slots, 'hook')} at once" if slots != self.gate.slots else ""
        self.gate.resize(slots)
        self.log.say(f"reloaded: {counted(len(project.runbooks), 'runbook')}{more}")
        self.warn(project)

    @property
    def subject(self) -> str:
        """What this daemon looks after, by the way in which it was told: runbooks and a cluster."""
        return "\0".join((str(self.root), self.settings.context, self.environment.get("KUBECONFIG", "")))

    def _slots(self, project: Project) -> int:
        return self.request.max_hooks or project.config.limits.max_hooks

    def warn(self, project: Project) -> None:
        """Say what of a project cannot work here, before an incident does."""
        self.warn_of_missing(project)
        self.warn_of_unwatched(project)

    def warn_of_unwatched(self, project: Project) -> None:
        """Say what only happens where the cluster is watched, if it is not."""
        if self.request.polls:
            return
        stalled = [one.name for one in project.runbooks.values() if one.trigger and one.trigger.stalled_s is not None]
        never = [f"never starts {name} (trigger.stalled)" for name in stalled]
        if "onBlind" in project.config.hooks:
            never.append("never calls onBlind of nvsx.yaml")
        if never:
            self.log.warn(
                f"--mode webhook only listens: it {', '.join(never)}; --mode both also watches the nodes", "environment"
            )

    def warn_of_missing(self, project: Project) -> None:
        """Say which variables hooks require and lack, before an incident does."""
        lacking: dict[str, list[str]] = {}
        for script, names in project.missing.items():
            for name in names:
                lacking.setdefault(name, []).append(script.rpartition("/")[2])
        for name, scripts in lacking.items():
            more = f" and {len(scripts) - 4} more" if len(scripts) > 4 else ""
            self.log.warn(f"{name} is not set; {', '.join(scripts[:4])}{more} cannot do without it", "environment")

    async def prepare(self) -> Footing:
        """Open the ledger and settle the context: what needs no cluster. Raises what no waiting would help."""
        what = "nvsx serve --once" if self.request.once else "nvsx serve"
        ledger = Ledger.open(self.base, clock=self.clock, what=what)
        self._stack.callback(ledger.close)
        return Footing(ledger, await self._connect())

    async def open(self, footing: Footing, on_blind: Callable[[str], None] | None = None) -> Daemon:
        """Learn which cluster this is, and make the daemon. `on_blind` is told why that takes long."""
        ledger, cluster = footing
        database = self._database(cluster)
        view = View(cluster, self.clock, whole_fleet=True, on_note=self.log.warn, database=database)
        self._stack.push_async_callback(view.close)
        early = view.subscribe(NODES, lambda seen: None, name="start")  # both questions at once: deliveries wait
        try:
            identity = await self._identity(cluster, ledger, on_blind)
        finally:
            early.close()  # its stream lingers for those who come next
        self.log.cluster = identity
        sink = GatedSink(self.gate, self.sink, self.tally, Record(ledger))
        ground = Ground(
            self.root, self.base, self.environment, secret_values(self.settings), identity, self.context,
            self.settings.namespace,
        )  # fmt: skip
        tools = Tools(ledger, view, self.clock, self.gate, sink, self.log)
        options = Options(
            self.request.polls, self.request.poll_s, self.request.adopt, self.request.keep_s, sweeps=self.request.once
        )  # fmt: skip
        return Daemon(
            ground, tools, self.project, options, self.tally,
            database=database if self.request.polls and self.request.events != "nodes" else None,
            rng=random.Random(),  # noqa: S311 - ids of runs and jitter, no secret
        )  # fmt: skip

    async def close(self) -> None:
        await self._stack.aclose()

    async def _connect(self) -> Kubectl:
        # Of this process alone: another daemon on the same state may mean another context.
        directory = self.base / "serve" / str(os.getpid())
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        pinned = await pin_context(
            self.environment, directory=directory, clock=self.clock, wanted=self.settings.context, cwd=str(self.root)
        )
        self.context, self.environment = pinned.context, pinned.env
        return Kubectl(
            env=pinned.env, clock=self.clock, cwd=str(self.root), context=pinned.context, mark=f"{MARK}-{os.getpid()}"
        )

    async def _identity(self, cluster: Kubectl, ledger: Ledger, on_blind: Callable[[str], None] | None) -> str:
        """Which cluster this is. Where it cannot be asked now, the one that this context led to before; else wait."""
        name = f"cluster/{self.context}"
        known = ledger.cursor(name)
        said: type[ClusterError] | None = None
        for attempt in itertools.count():
            try:
                found = await cluster.identity()
            except ClusterError as error:
                if known:
                    cluster.assume(known)  # should another one answer later, that is blindness and no news
                    return known
                if self.request.once:
                    raise
                if type(error) is not said:
                    hint = f" ({error.hint})" if error.hint else ""
                    self.log.say(
                        f"nvsx is blind: {error.message}{hint}; it goes on trying", topic="blind", level="error"
                    )
                said = type(error)
                if on_blind:
                    on_blind(f"nvsx cannot tell yet which cluster this is: {error.message}")
                await asyncio.sleep(IDENTITY_S[min(attempt, len(IDENTITY_S) - 1)])
                continue
            if known != found:
                await ledger.set_cursor(name, found)
            return found
        raise AssertionError("it is tried for ever")

    def _database(self, cluster: Kubectl) -> Database:
        from nvsx.mongo.database import Mongo

        return Mongo(
            cluster,
            env=self.environment,
            clock=self.clock,
            namespace=self.settings.namespace,
            uri=self.settings.mongo_uri,
            cwd=str(self.root),
            mark=f"{MARK}-{os.getpid()}",
        )


def drills(ledger: Ledger) -> Mapping[str, float]:
    """When a drill of each runbook last passed."""
    return {row.runbook: row.at for row in ledger.drills()}


@contextmanager
def alone(directory: Path, subject: str) -> Iterator[bool]:
    """The lock of sweeps of one subject: False where another has it. A paused holder keeps it, a dead one does not.

    Two clusters may share a state directory, and cron starts both sweeps in the same second: neither is to give way.
    """
    import fcntl

    file = directory / f"sweep-{hashlib.sha256(subject.encode()).hexdigest()[:12]}.lock"
    try:
        facts = directory.stat()
        mode = 0o660 if facts.st_mode & 0o020 else 0o600
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    except OSError as error:
        raise EnvironmentUnusable(f"cannot open {file}: {error.strerror}", hint=f"ls -l {directory}") from error
    try:
        with suppress(OSError):  # another user's has the right mode and group, or cannot be given them
            os.fchown(handle, -1, facts.st_gid)
            os.fchmod(handle, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


def exit_code(codes: Collection[int], *, blind: bool) -> int:
    """The exit code of a sweep: the worst of its runs; 3 where nothing could be seen or written down (`blind`)."""
    if blind or Exit.BLIND in codes:
        return Exit.BLIND
    return Exit.FAILED if any(codes) else Exit.DONE


def counted(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
