"""One run from its parts to its exit code, whichever cluster it is on: the wiring of `run`, `demo` and `serve`."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from nvsx.app.signals import heeded
from nvsx.cluster.guard import Guard
from nvsx.cluster.processes import run_process
from nvsx.cluster.view import View
from nvsx.engine.history import NEW_RUN
from nvsx.engine.run import Outcome, Run
from nvsx.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.clock import Clock
    from nvsx.engine.effects import ProcessRunner
    from nvsx.engine.history import History
    from nvsx.engine.plan import Plan, Scripts
    from nvsx.ports import Cluster, Database, Journal, Sink

_STOPS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


async def execute(
    plan: Plan,
    *,
    cluster: Cluster,
    clock: Clock,
    journal: Journal,
    sink: Sink,
    scripts: Scripts,
    on_note: Callable[[str], None] | None = None,
    database: Database | None = None,
    history: History = NEW_RUN,
    on_run: Callable[[Run], None] | None = None,
    run_process: ProcessRunner = run_process,
) -> Outcome:
    """Run a plan, or what its history leaves to do. `on_run` is told the run, so that it can be interrupted.

    SIGINT and SIGTERM stop it in order; SIGHUP (a dropped ssh) does not stop it at all.
    """
    view = View(cluster, clock, on_note=on_note, database=database)
    try:
        with guarded(plan) as guard:
            run = Run(
                plan, view=view, clock=clock, journal=journal, sink=sink, scripts=scripts, guard=guard, history=history,
                run_process=run_process,
            )  # fmt: skip
            if on_run:
                on_run(run)
            with heeded(_stops(run)):
                return await run.execute()
    finally:
        await view.close()
        sink.close()


def guarded(plan: Plan, *, lazy: bool = False) -> Guard:
    """The kubectl that the plan's processes find first, ready to be entered; `lazy` as Guard has it."""
    path = plan.environment.get("PATH") or os.defpath
    real = shutil.which("kubectl", path=path) or ""
    return Guard(f"{plan.run_dir}/guard", real=real, fallbacks=(tempfile.gettempdir(), plan.root), lazy=lazy)


def _stops(run: Run) -> dict[int, Callable[[], object]]:
    """What each signal means to a run: an orderly stop, but for SIGHUP."""
    stops: dict[int, Callable[[], object]] = {signal.SIGHUP: _go_on}
    for number, exit_code in _STOPS.items():
        stops[number] = partial(run.interrupt, "interrupted", exit_code)
    return stops


def _go_on() -> None:
    """The terminal is gone; whoever watched can look at the record, and the incident goes on."""
