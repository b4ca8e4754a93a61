"""Doctor on this machine and its cluster: the ways to both, made once and taken down again."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nvsx.app.checking.linting import lint_project
from nvsx.app.live import DEFAULT_PATH, shown_commands
from nvsx.app.rehearsal.drills import last_drill
from nvsx.app.scripts import unpack_bundled
from nvsx.catalog import Catalog
from nvsx.cluster.context import pin_context
from nvsx.cluster.guard import Guard
from nvsx.cluster.kubectl import Kubectl
from nvsx.doctor.ground import Ground, Site
from nvsx.doctor.table import examine
from nvsx.errors import EnvironmentUnusable, Exit, NvsxError, Problem
from nvsx.settings import process_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvsx.clock import Clock
    from nvsx.doctor.ground import Reads
    from nvsx.doctor.table import Result
    from nvsx.ports import Database
    from nvsx.settings import Settings

UIS = "scripts/port-forward-all.sh"
LONGEST_S = 7 * 86400.0


def diagnose(settings: Settings, clock: Clock, *, told: Callable[[Result], None] | None = None) -> list[Result]:
    """All checks, with reads only; `told` hears of each in the order of the table as soon as it can."""
    with ground_for(settings, clock) as ground, shown_commands(verbose=settings.verbose):
        return asyncio.run(examine(ground, told=told))


@contextmanager
def ground_for(settings: Settings, clock: Clock) -> Iterator[Ground]:
    """The ground to stand on, in a private directory that goes with it."""
    try:
        directory = TemporaryDirectory(prefix="nvsx-")
    except OSError as error:
        raise EnvironmentUnusable(
            f"no temporary directory can be written: {error.strerror or error}", hint="TMPDIR=/some/where nvsx doctor"
        ) from error
    with directory as base:
        environment = _environment(settings)
        real = shutil.which("kubectl", path=environment["PATH"]) or ""
        root = settings.project or unpack_bundled(Path(base))
        with Guard(f"{base}/guard", real=real) as guard:
            yield Ground(_site(settings, clock, environment, Path(base), root, guard))


def _site(
    settings: Settings, clock: Clock, environment: dict[str, str], base: Path, root: Path, guard: Guard
) -> Site:  # fmt: skip
    async def connect() -> Reads:
        pinned = await pin_context(environment, directory=base, clock=clock, wanted=settings.context, cwd=str(base))
        environment.update(pinned.env)
        return Kubectl(env=pinned.env, clock=clock, cwd=str(base), context=pinned.context)

    async def kubectl_version() -> str:
        return await Kubectl(env=environment, clock=clock, cwd=str(base)).client_version()

    def database(reads: Reads) -> Database:
        from nvsx.mongo.database import Mongo

        return Mongo(
            reads, env=environment, clock=clock, namespace=settings.namespace, uri=settings.mongo_uri, cwd=str(base)
        )

    def lint() -> tuple[Problem, ...]:
        return lint_project(Catalog.for_settings(settings), (), environment).problems

    return Site(
        settings=settings,
        clock=clock,
        environment=environment,
        root=root,
        catalog=lambda: Catalog.for_settings(settings),
        kubectl_version=kubectl_version,
        connect=connect,
        database=database,
        lint=lint,
        last_drill=lambda name: last_drill(settings, name),
        guard=guard,
    )


def _environment(settings: Settings) -> dict[str, str]:
    """What hooks would get; without the env file where that cannot be used, which is a check of its own."""
    try:
        environment = process_environment(settings)
    except NvsxError:
        environment = process_environment(settings, env_file=False)
    environment.setdefault("PATH", DEFAULT_PATH)
    return environment


def open_uis(settings: Settings, clock: Clock, *, on_line: Callable[[str], None]) -> int:
    """Forward the ports of the dashboards until Ctrl-C or SIGTERM; the script's exit code, 0 when it was ended."""
    with ground_for(settings, clock) as ground, shown_commands(verbose=settings.verbose):
        return asyncio.run(_forward(ground, on_line))


async def _forward(ground: Ground, on_line: Callable[[str], None]) -> int:
    import signal

    from nvsx.app.scripts import ProjectScripts
    from nvsx.app.signals import heeded
    from nvsx.cluster import processes

    await ground.reads()
    site = ground.site
    root = site.root if (site.root / UIS).exists() else unpack_bundled(Path(site.guard.directory))
    lines = _Lines(on_line)
    running = asyncio.create_task(
        processes.run_process(
            ProjectScripts(root).action(UIS),
            env={**site.environment, "PATH": site.guard.path("read", site.environment.get("PATH", ""))},
            cwd=str(root),
            timeout_s=LONGEST_S,
            clock=site.clock,
            on_output=lines.feed,
        )
    )
    stopped = asyncio.Event()
    waiting = asyncio.create_task(stopped.wait())
    with heeded(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stopped.set)):
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if stopped.is_set():
        running.cancel()
        await asyncio.wait((running,))  # until nothing of it is left
        return Exit.DONE
    return Exit.DONE if running.result().exit_code == 0 else Exit.FAILED


class _Lines:
    """Cuts output into lines that may be shown."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        from nvsx.cells import printable

        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._on_line(printable(line.decode("utf-8", "replace")))
