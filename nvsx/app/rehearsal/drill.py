"""Rehearsing a runbook on the simulated cluster: which scenario fits it, and what would have been sent."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.app.places import temporary_base
from nvsx.app.records.recorded import open_ledger
from nvsx.app.rehearsal.simulation import Rehearsal, rehearse
from nvsx.app.scripts import ProjectScripts, unpack_bundled
from nvsx.cells import clip, printable
from nvsx.clock import RealClock, SimulatedClock
from nvsx.routing.route import Report, route
from nvsx.routing.wants import STORM
from nvsx.runbook.requires import requirements
from nvsx.settings import process_environment, secret_values
from nvsx.sim.scenario import load_scenario
from nvsx.sinks.fanout import Fanout
from nvsx.sinks.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nvsx.app.rehearsal.simulation import Rehearsed
    from nvsx.messages import Message
    from nvsx.model import Runbook
    from nvsx.ports import Sink
    from nvsx.settings import Settings

CANDIDATES = (
    "xid-79",
    "ecc-memory",
    "nvlink-down",
    "inforom-corrupt",
    "gpu-reset",
    "contact-support",
    "thermal",
    "non-fatal",
)
"""Scenarios of one fault, in the order in which they are tried for a runbook."""
OTHERWISE = "xid-79"


class Played(NamedTuple):
    """A rehearsal that is over, and where its files are."""

    rehearsed: Rehearsed
    base: Path


def play(
    settings: Settings,
    runbook: Runbook,
    scenario: str,
    *,
    sink: Callable[[Callable[[], float]], Sink],
    speed: float,
    seed: int | None,
    drill: bool,
    dwell: bool,
    page: bool = False,
) -> Played:
    """Rehearse a runbook with its real hooks. `sink` is given the rehearsal's own clock, for what it draws.

    With `page` the env file is loaded, and what hooks send is sent.
    """
    base = temporary_base(f"nvsx-{'drill' if drill else 'demo'}-")
    root = settings.project or unpack_bundled(base)
    environment = process_environment(settings, env_file=page)
    rehearsal = Rehearsal(
        runbook=runbook,
        scenario=scenario,
        base=base,
        root=root,
        environment=environment if page else {**stand_ins(runbook, ProjectScripts(root)), **environment},
        secrets=secret_values(settings),
        seed=seed,
        drill=drill,
        dwell=dwell,
        page=page,
        kubectl=shutil.which("kubectl", path=environment.get("PATH", os.defpath)) or "",
    )
    clock = SimulatedClock(start=RealClock().now(), speed=speed)
    ledger = open_ledger(base, clock)  # of the rehearsal's own: `nvsx report --state-dir` tells of it afterwards
    try:
        rehearsed = clock.run(
            rehearse(
                rehearsal,
                clock=clock,
                sink=Fanout([Record(ledger), sink(clock.glance)]) if ledger else sink(clock.glance),
                scripts=ProjectScripts(root),
                rng=random.Random(),  # noqa: S311 - a run's id, not a secret
                journal=ledger,
            )
        )
    finally:
        if ledger:
            ledger.close()
    return Played(rehearsed, base)


def stand_ins(runbook: Runbook, scripts: ProjectScripts) -> dict[str, str]:
    """A value for every variable that a hook says it requires, so that it goes all the way to the point of sending."""
    hooks = {*runbook.hooks.values(), *(script for stage in runbook.stages for script in stage.hooks.values())}
    found: dict[str, str] = {}
    for hook in sorted(hooks):
        for name in requirements(scripts.text_of(hook)):
            word = name.lower().replace("_", "-")
            found[name] = f"https://{word}.example/rehearsal" if name.endswith("URL") else f"rehearsal-{word}"
    return found


def fitting_scenario(runbook: Runbook) -> tuple[str, str]:
    """The scenario to rehearse a runbook on, and why: the first whose fault it answers to, its namesake first."""
    if route(Report(STORM), [runbook]).runbook:
        return "storm", "it answers to storms"
    if runbook.trigger and runbook.trigger.unhandled:
        return "opted-out", "it answers to what no other runbook takes"
    for name in sorted(CANDIDATES, key=lambda name: name != runbook.name):
        answer = route(_fault_of(load_scenario(name).variables), [runbook])
        if answer.runbook:
            return name, f"it answers to {answer.reason}"
    return OTHERWISE, "no scenario has a fault of its own for it (--scenario)"


def _fault_of(variables: Mapping[str, Any]) -> Report:
    return Report(
        check=str(variables.get("check", "")),
        error_codes=(str(variables["error_code"]),) if variables.get("error_code") else (),
        action=str(variables.get("action", "")),
        component_class=str(variables.get("component_class", "")),
        fatal=variables.get("fatal") is not False,
    )


def sent_lines(messages: Sequence[Message], cells: int, not_held: str = "") -> Iterator[str]:
    """What would have left the machine: method, where to and key of each message, and below it what people read."""
    if not messages:
        yield "nothing would have been sent"
    else:
        yield f"{len(messages)} message{'s' if len(messages) > 1 else ''} would have been sent; none left this machine:"
    for message in messages:
        key = f"  key {message.key}" if message.key else ""
        yield clip(printable(f"  {message.method}  {message.where}{key}"), cells)
        yield clip(printable(f"      {message.gist}"), cells)
    if not_held:
        yield f"note: programs that use no proxy, such as curl --noproxy or bash's /dev/tcp, were not held: {not_held}"
