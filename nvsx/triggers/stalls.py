"""Stalls: which nodes nobody acts on, and when that has lasted long enough for a runbook. Pure values.

Whether somebody acts is the oracle's to say; here stands since when, and who was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.oracle.position import DETECTED
from nvsx.oracle.stalling import FOREVER, Stall, stalled, stalls_at
from nvsx.routing.route import Report
from nvsx.routing.wants import STALLED
from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.model import Runbook
    from nvsx.oracle.position import Position
    from nvsx.ports import Object


class Standing(NamedTuple):
    """How far NVSentinel has come with a node that is not as it should be. Times are epoch seconds."""

    mark: str  # the phase, and the faults: while this stays the same, nothing has moved
    moved_at: float = 0.0  # when it was last seen to change; 0.0: it was so when it was first seen
    told: float = -1.0  # the longest standstill, in seconds, of which runbooks were told


def is_sound(node: Object) -> bool:
    """Whether there is nothing about a node that could stall; cheap, for it is asked of every version of every node."""
    return not (nvsentinel.state(node) or nvsentinel.is_annotated(node) or nvsentinel.faults(node))


def standing(node: Object, where: Position, known: Standing | None, now: float) -> Standing | None:
    """How the node stands now, given how it stood before; None where nothing about it can stall."""
    if not (where.held or where.phase == DETECTED or where.needs_people):
        return None
    mark = " ".join((where.phase, *_faults(node)))
    if known is None:
        return Standing(mark)
    if known.mark != mark:
        return Standing(mark, now)
    return known._replace(moved_at=min(known.moved_at, now))  # a clock that was set back


def _faults(node: Object) -> list[str]:
    events = nvsentinel.quarantine_events(node)
    return [event.id or f"{event.check}@{int(event.time)}" for event in events] or sorted(
        fault.type for fault in nvsentinel.faults(node)
    )


def thresholds(runbooks: Iterable[Runbook]) -> tuple[float, ...]:
    """The standstills, in seconds, for which there are runbooks; the shortest first."""
    found = {r.trigger.stalled_s for r in runbooks if r.trigger and r.trigger.stalled_s is not None}
    return tuple(sorted(found))


def news(stood: Standing, where: Position, limits: Iterable[float], now: float) -> Stall | None:
    """The standstill, if it has lasted longer than one of `limits` of which nobody was told."""
    found = None
    for limit in limits:
        stall = stalled(where, now, after_s=limit, moved_at=stood.moved_at) if limit > stood.told else None
        found = stall or found
    return found


def due(stood: Standing, where: Position, limits: Iterable[float]) -> float:
    """When it will be news if nothing changes, epoch seconds; infinite if never."""
    times = (stalls_at(where, after_s=limit, moved_at=stood.moved_at) for limit in limits if limit > stood.told)
    return min((time for time in times if time is not None), default=FOREVER)


def told(stood: Standing, stall: Stall) -> Standing:
    """The same after runbooks were asked about it."""
    return stood._replace(told=max(stood.told, stall.idle_s))


def report_of(node: Object, stall: Stall, *, opted_out: bool = False) -> Report:
    """The standstill as routing sees it: with the fault that the node has."""
    events, faults = nvsentinel.quarantine_events(node), nvsentinel.faults(node)
    codes = [code for event in events for code in event.error_codes] or [c for f in faults for c in f.error_codes]
    checks = [event.check for event in events if event.check] or [fault.type for fault in faults]
    actions = [event.action for event in events] or [fault.recommended_action for fault in faults]
    return Report(
        STALLED,
        node=str(nvsentinel.metadata(node).get("name", "")),
        check=next(iter(checks), ""),
        error_codes=tuple(dict.fromkeys(codes)),
        action=next(iter(actions), ""),
        component_class=next((event.component_class for event in events if event.component_class), ""),
        node_labels=nvsentinel.labels_of(node),
        opted_out=opted_out,
        stalled_s=stall.idle_s,
    )


def to_data(standings: Mapping[str, Standing]) -> dict[str, Any]:
    """Standings by node as JSON data, so that they outlast the process."""
    return {
        node: [stood.mark, stood.moved_at, None if stood.told == FOREVER else stood.told]
        for node, stood in standings.items()
    }


def from_data(data: Mapping[str, Any]) -> dict[str, Standing]:
    """Standings in such data."""
    return {
        str(node): Standing(str(mark), float(moved_at), FOREVER if told_s is None else float(told_s))
        for node, (mark, moved_at, told_s) in data.items()
    }
