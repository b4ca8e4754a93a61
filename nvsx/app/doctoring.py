"""Doctor on this machine and its cluster: the ways to both, made once and taken down again."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nvsx.app.drills import last_drill
from nvsx.app.linting import lint_project
from nvsx.app.live import DEFAULT_PATH, shown_commands
from nvsx.app.scripts import unpack_bundled
from nvsx.catalog import Catalog
from nvsx.cluster.context import pin_context
from nvsx.cluster.guard import Guard
from nvsx.cluster.kubectl import Kubectl
from nvsx.doctor.ground import Ground, Site
from nvsx.doctor.table import examine
from nvsx.errors import EnvironmentUnusable, NvsxError, Problem
from nvsx.settings import process_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvsx.clock import Clock
    from nvsx.doctor.ground import Reads
    from nvsx.doctor.table import Result
    from nvsx.ports import Database
    from nvsx.settings import Settings

UIS = "scripts/port-forward-all.sh"


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
    from nvsx.cluster import processes

    await ground.reads()
    site = ground.site
    named = site.root / UIS
    root = site.root if named.exists() else unpack_bundled(Path(site.guard.directory))
    environment = {**site.environment, "PATH": site.guard.path("read", site.environment.get("PATH", ""))}
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    argv = ProjectScripts(root).action(UIS)
    async with processes.open_stream(argv, env=environment, cwd=str(root)) as script:
        reading = asyncio.create_task(_told(script, on_line))
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in (reading, waiting):
            task.cancel()
        if stopped.is_set():
            return 0
        code = await script.wait()
        if code and script.errors:
            on_line(script.errors.strip())
        return 1 if code else 0


async def _told(script: object, on_line: Callable[[str], None]) -> None:
    """Pass its lines on until it says no more."""
    from nvsx.cells import printable

    rest = b""
    async for chunk in script:  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(printable(line.decode("utf-8", "replace")))
