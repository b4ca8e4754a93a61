"""Cursor: where reading the stored events has come to, so that nothing is lost and nothing is told twice.

`createdAt` is set by the clock of the machine that stored the event, so documents arrive late and out of order. Each
look therefore begins `OVERLAP_S` before the newest one, and ids seen in that span are remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.healthevents.known import Known, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvsx.health import HealthEvent

OVERLAP_S = 600.0
"""Documents may become visible this much later than their own time says, or be dated this much ahead."""

_SPARE = 10_000


class Cursor(NamedTuple):
    """A position in the events by time of storage (epoch seconds). A value: keep it in a file and go on from there."""

    start: float  # events from before this are not asked for any more
    seen: Known  # the events told since `start`

    def advance(self, events: Iterable[HealthEvent], now: float) -> tuple[list[HealthEvent], Cursor]:
        """The events that were not told before, in their order, and the cursor after them.

        `now` is the observer's clock: an event dated ahead of it must not push the cursor past others that are due.
        """
        reading = Reading(self)
        fresh = reading.fresh(events)
        return fresh, reading.cursor(now)


class Reading:
    """One look from a cursor on, page by page: what is remembered is copied once, not with each page."""

    def __init__(self, cursor: Cursor) -> None:
        self.start = cursor.start
        self.seen = cursor.seen.copy()
        self._most = 2 * len(self.seen) + _SPARE

    def fresh(self, events: Iterable[HealthEvent]) -> list[HealthEvent]:
        """Those that were not told before, in their order; they count as told from now on."""
        due = (event for event in events if event.created_time >= self.start)
        return [event for event in due if self.seen.add(event.id, event.created_time)]

    def newest(self, now: float) -> float:
        """The newest time of storage that is not ahead of the observer's clock; the start where nothing was seen."""
        newest = self.seen.newest(now)
        return self.start if newest is None else newest

    def forget(self, now: float) -> None:
        """Let go of what lies behind by more than the overlap, once that is a lot: a long gap is read in one look."""
        if len(self.seen) > self._most:
            self.start, self.seen = self.cursor(now)
            self._most = 2 * len(self.seen) + _SPARE

    def cursor(self, now: float) -> Cursor:
        """Where to go on from after all that was read."""
        start = max(self.start, self.newest(now) - OVERLAP_S)
        return Cursor(start, self.seen.since(start))


def begin(now: float) -> Cursor:
    """The cursor of a first start: what is stored from now on, late ones included, and nothing from before."""
    return Cursor(now, Known())


def between(start: float, end: float | None = None, *, after: bool = False) -> dict[str, Any]:
    """The filter for what was stored from `start` (`after`: later than that) to `end`, both included."""
    wanted = {"$gt" if after else "$gte": _date(start)}
    return {"createdAt": wanted if end is None else {**wanted, "$lte": _date(end)}}


def at_once(time: float, last: str = "") -> dict[str, Any]:
    """The filter for what was stored in one millisecond, behind the document `last` of it."""
    return {"createdAt": _date(time), **({"_id": {"$gt": {"$oid": last}}} if last else {})}


def _date(seconds: float) -> dict[str, Any]:
    return {"$date": {"$numberLong": str(milliseconds(seconds))}}
