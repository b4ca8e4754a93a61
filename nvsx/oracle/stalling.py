"""Nobody is acting: what the `stalled` watch and `trigger.stalled` ask of a position."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import format_duration
from nvsx.oracle.position import CANCELLED, DELETED, DETECTED, RELEASED

if TYPE_CHECKING:
    from nvsx.oracle.position import Position

FOREVER = float("inf")
_NOT_A_STALL = (DELETED, RELEASED)


class Stall(NamedTuple):
    """Nobody acts, and why. `idle_s`: for how long, infinite where nobody will."""

    reason: str
    idle_s: float


def stalled(position: Position, now: float, *, after_s: float = 600.0, moved_at: float = 0.0) -> Stall | None:
    """Whether nobody acts on a node: at once where NVSentinel leaves it to people, else `after_s` without progress.

    `moved_at` is when the observer last saw the position change, epoch seconds, 0.0 if it has only just come. None
    where somebody acts, where nothing has to be done, or where it was not looked.
    """
    if position.phase in _NOT_A_STALL:
        return None
    if position.needs_people and position.phase != CANCELLED:
        return Stall(position.reason, FOREVER)
    due = stalls_at(position, after_s=after_s, moved_at=moved_at)
    if due is None or now < due:
        return None
    idle = now - (due - after_s)
    return Stall(f"{position.reason}, for {format_duration(idle)}", idle)


def stalls_at(position: Position, *, after_s: float = 600.0, moved_at: float = 0.0) -> float | None:
    """When a position that does not change becomes a stall, epoch seconds; None where it never does by time alone."""
    waiting = position.held or position.phase == DETECTED or (position.phase == CANCELLED and position.needs_people)
    last = max(position.since, moved_at)
    if not waiting or position.working or not last:
        return None
    return last + after_s
