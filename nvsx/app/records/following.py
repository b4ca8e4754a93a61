"""Follows a run that another process runs, or replays one that has ended, from the events in the ledger."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from nvsx.errors import Exit, Interrupted
from nvsx.events import Finish, from_wire
from nvsx.terminal import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvsx.events import RunEvent
    from nvsx.ledger import Reader, RunRow
    from nvsx.ports import Sink

LOOK_S = 0.2
"""How often new events are asked for: one SELECT on an index."""

PATIENCE_S = 3.0
"""How long the last events of an ended run may take to reach the file."""

_PAGE = 500


def choose_run(reader: Reader, word: str) -> RunRow:
    """The run that `word` means; without one the newest that has not ended, else the last."""
    if word:
        return reader.find(word)
    under_way = reader.runs(limit=1, unfinished=True)
    return under_way[0] if under_way else reader.find("last")


class RunClock:
    """The wall time of a run that is followed. A rehearsal's time runs ahead of ours: it is never before its events."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ahead = 0.0

    def saw(self, t: float) -> None:
        """An event has this time."""
        self._ahead = max(self._ahead, t - self._now())

    def now(self) -> float:
        return self._now() + self._ahead


async def follow(
    reader: Reader,
    run: RunRow,
    sink: Sink,
    is_dead: Callable[[str], bool],
    now: Callable[[], float],
    *,
    saw: Callable[[float], None] = lambda t: None,
) -> int:
    """Show a run to its end, and return its exit code. Whoever stops watching does not stop the run. `saw` is told the
    time of each event.

    Raises Interrupted where the run's process is gone, so that nothing more will come.
    """
    last, quiet_s = -1, 0.0
    try:
        while True:
            found = reader.events(run.id, last, _PAGE)
            for event in _events(found):
                saw(event.t)
                sink.emit(event)
                if isinstance(event.body, Finish):
                    return event.body.exit_code
            if found:
                last, quiet_s = found[-1][0], 0.0
                continue
            known = reader.find(run.id)
            if known.ended and max(quiet_s, now() - known.ended) > PATIENCE_S:
                return _without_finish(known)
            if not known.ended and known.owner and is_dead(known.owner) and quiet_s > PATIENCE_S:
                raise Interrupted(f"the process of run {run.id} is gone", hint=f"nvsx run --resume {run.id}")
            await asyncio.sleep(LOOK_S)
            quiet_s += LOOK_S
    finally:
        sink.close()


def _events(found: list[tuple[int, str]]) -> Iterator[RunEvent]:
    for _, line in found:
        try:
            yield from_wire(json.loads(line))
        except (KeyError, TypeError, ValueError):
            continue  # of a newer nvsx


def _without_finish(run: RunRow) -> int:
    """A run that ended without a word: cancelled while nobody ran it, or its last events were lost with its disk."""
    who = f" by {run.cancelled_by}" if run.cancelled_by else ""
    warn(f"run {run.id} has ended: {run.status}{who}")
    return Exit.FAILED if run.exit_code is None else run.exit_code
