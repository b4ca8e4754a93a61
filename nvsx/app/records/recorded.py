"""Manual runs in the ledger: admitted, recorded, cancelled and taken up like the daemon's."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nvsx.admission import ATTACH, BY_HAND, Occasion
from nvsx.errors import EnvironmentUnusable, Exit, NotFoundHere, NvsxError, Refused, UsageError
from nvsx.ledger import Evidence, Ledger, NewRun
from nvsx.terminal import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nvsx.clock import Clock
    from nvsx.engine.plan import Plan
    from nvsx.engine.run import Run
    from nvsx.ledger import Reader, RunRow

REPEATS_S = 72 * 3600.0
"""The span of NVSX_REPEAT_COUNT."""

LOOK_S = 0.5
"""How often a run looks whether somebody asked for its end."""


def open_ledger(directory: Path, clock: Clock) -> Ledger | None:
    """The ledger, or None where nothing can be recorded, which is said once: the run matters more."""
    try:
        return Ledger.open(directory, clock=clock, what="nvsx run")
    except NvsxError as error:
        warn(f"note: {error.message}; this run is not recorded" + (f" ({error.hint})" if error.hint else ""))
        return None


async def admit(ledger: Ledger, plan: Plan, *, why: str, force: bool) -> int:
    """Make a run known and own it; returns how many runs the node has had in 72 h, this one counted. Raises Refused
    where one of the same runbook is under way on the node. `why` says how the node was settled.
    """
    now, runbook, asks = ledger.now(), plan.runbook, user()
    trigger = {"source": "manual", "since": plan.since, "by": asks}
    new = NewRun(plan.run_id, runbook.name, runbook.text, plan.target_node, plan.target_alias, trigger)
    occasion = Occasion(BY_HAND, now, node=plan.target_node, runbook=runbook.name, why=why)
    said = Evidence(f"nvsx run {runbook.name} by {asks}; node: {why}")
    try:
        admitted = await ledger.begin_by_hand(occasion, new, cluster=plan.cluster, evidence=said, force=force)
    except EnvironmentUnusable as error:
        warn(f"note: {error.message}; nothing of this run may be recorded ({error.hint})")
        return 1
    if admitted.decision.verdict == ATTACH:
        raise under_way(ledger, ledger.find(admitted.run_id))
    return ledger.repeat_count(plan.cluster, plan.target_node, now - REPEATS_S)


def under_way(ledger: Ledger, run: RunRow) -> Refused:
    """Why a second run is not started, and where the first one is."""
    who = ledger.owner(run.owner)
    node = f"{run.alias} ({run.node})" if run.alias else run.node
    fact = f"{run.runbook} is under way on {node}: run {run.id}"
    if run.owner and ledger.is_dead(run.owner):
        return Refused(f"{fact}, whose process is gone", hint=f"nvsx run --resume {run.id}, or: nvsx cancel {run.id}")
    by = f" by {who[2]}, process {who[0]}" if who else ", waiting for the daemon"
    return Refused(f"{fact}{by}", hint=f"nvsx attach {run.id}, or start another one with --force")


async def claim_again(ledger: Ledger, word: str) -> RunRow:
    """Own the unfinished run that a word means. Raises where it has ended or somebody runs it."""
    run = ledger.find(word)
    if run.ended:
        raise UsageError(f"run {run.id} has ended: {run.status}", hint=f"nvsx attach {run.id}")
    if not await ledger.claim(run.id):
        raise under_way(ledger, ledger.find(run.id))
    return run


async def cancel(ledger: Ledger, word: str) -> tuple[RunRow, bool]:
    """Ask for a run's end: (the run, whether its owner will end it). Without an owner it is over at once."""
    from nvsx.journal import RunEnded

    run = ledger.find(word)
    if run.ended:
        raise UsageError(f"run {run.id} has ended already: {run.status}", hint=f"nvsx attach {run.id}")
    now = ledger.now()
    await ledger.cancel(run.id, by=user(), now=now)
    if not await ledger.claim(run.id):
        return run, True
    await ledger.append(RunEnded(run.id, now, "cancelled", Exit.FAILED, 0))
    return run, False


def heed_cancellation(ledger: Ledger, run: Run) -> asyncio.Task[None]:
    """A task that ends the run when somebody asks for it (its postmortem still runs); cancel it afterwards."""
    return asyncio.create_task(_heed(ledger, run), name="cancellation")


async def _heed(ledger: Ledger, run: Run) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        with suppress(NvsxError):
            if ledger.cancellations():
                run.interrupt("cancelled", Exit.FAILED)
                return


def user() -> str:
    """Who asks, for the record."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def dead_owners(reader: Reader, directory: Path) -> Callable[[str], bool]:
    """Tells whether an owner's process is gone; asks the system once for each."""
    from functools import cache

    from nvsx.ledger.owning import is_dead

    @cache
    def dead(owner: str) -> bool:
        pid, started, _ = reader.owner(owner) or (0, "", "")
        return is_dead(directory, owner, pid, started)

    return dead


@contextmanager
def ledger_of(directory: Path) -> Iterator[Ledger]:
    """The ledger, to be changed by a command. Raises NotFoundHere where nothing was ever recorded."""
    reader_of(directory).close()
    ledger = Ledger.open(directory, what="nvsx")
    try:
        yield ledger
    finally:
        ledger.close()


def reader_of(directory: Path) -> Reader:
    """What is recorded, only to be read. Raises NotFoundHere where nothing ever was."""
    found = Ledger.reader(directory)
    if found is None:
        raise NotFoundHere(f"nothing is recorded in {directory} yet", hint="nvsx run RUNBOOK, or --state-dir DIR")
    return found
