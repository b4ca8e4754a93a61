"""Side by side: tests are spread over forked processes, because each holds its clock and its hooks for itself."""

from __future__ import annotations

import os
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import TYPE_CHECKING, Any

from nvsx.app.rehearsal.testing import Tested, rehearse_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.app.rehearsal.testing import Stand, Work

_GRACE_S = 10.0


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def rehearse_all(works: Sequence[Work], stand: Stand, jobs: int) -> Iterator[tuple[int, Tested]]:
    """Rehearse tests on up to `jobs` processes; each with its number, in the order in which they end.

    A process that dies costs the test that it was at. Whoever stops listening ends them all.
    """
    context = get_context("fork")
    waiting = iter(range(len(works)))
    ours: dict[Connection, Any] = {}
    busy: dict[Connection, int] = {}
    try:
        for _ in range(min(jobs, len(works))):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, [*ours, here], works, stand), daemon=True)
            process.start()
            there.close()
            ours[here] = process
            _hand_out(here, waiting, busy)
        while busy:
            heard = wait_for(list(busy))
            for here in [one for one in busy if one in heard]:
                number = busy.pop(here)
                try:
                    yield number, here.recv()
                    _hand_out(here, waiting, busy)
                except (EOFError, OSError):
                    yield number, Tested(works[number].case, (), _death(ours[here]), 0.0, 0.0, ())
        for number in waiting:
            yield number, Tested(works[number].case, (), "no process is left to rehearse it", 0.0, 0.0, ())
    finally:
        for here, process in ours.items():
            here.close()
            process.terminate() if here in busy else None
        for process in ours.values():
            process.join(_GRACE_S)
            process.kill()


def _hand_out(here: Connection, waiting: Iterator[int], busy: dict[Connection, int]) -> None:
    number = next(waiting, None)
    if number is not None:
        here.send(number)
        busy[here] = number


def _serve(there: Connection, others: Sequence[Connection], works: Sequence[Work], stand: Stand) -> None:
    """A process of its own: takes numbers, gives results, and ends when nobody asks any more."""
    os.setpgid(0, 0)  # Ctrl-C goes to whoever listens, who ends us in order
    for other in others:
        other.close()
    with suppress(EOFError, OSError):
        while True:
            number = there.recv()
            there.send(rehearse_case(works[number], stand, number))


def _death(process: Any) -> str:
    process.join(1.0)
    return f"its process ended by itself ({process.exitcode})"
