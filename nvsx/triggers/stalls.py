"""Stalls: which quarantined nodes nobody acts on, and when that has lasted long enough for a runbook. Pure values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.routing.route import Report
from nvsx.routing.wants import STALLED
from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.model import Runbook
    from nvsx.ports import Object

FOR_EVER = float("inf")


class Standing(NamedTuple):
    """How far NVSentinel has come with a node that it holds. Times are epoch seconds."""

    mark: str  # its state and the faults it is held for: while this stays the same, nothing has moved
    since: float  # since when
    reason: str = ""  # why nothing will move by itself; "" where something may
    told: float = -1.0  # the longest standstill, in seconds, of which runbooks were told


def standing(node: Object, known: Standing | None, now: float) -> Standing | None:
    """How the node stands now, given how it stood before; None where NVSentinel does not hold it.

    A node seen for the first time stands since its newest trace. A time ahead of `now` (a clock was set back) is now.
    """
    events = nvsentinel.quarantine_events(node)
    label = nvsentinel.state(node)
    if not events:
        return None
    mark = " ".join((label or "(none)", *(event.id or f"{event.check}@{int(event.time)}" for event in events)))
    reason = _for_people(label, events)
    if known is None:
        traces = (*(event.time for event in events), nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX),
                  nvsentinel.remediation_time(node))  # fmt: skip
        return Standing(mark, min(max(traces) or now, now), reason)
    if known.mark != mark:
        return Standing(mark, now, reason)
    return known._replace(since=min(known.since, now))


def _for_people(label: str, events: Iterable[nvsentinel.QuarantineEvent]) -> str:
    action = next((event.action for event in events if event.action in nvsentinel.FOR_PEOPLE), "")
    if action:
        return f"NVSentinel recommends {action} and orders no repair"
    return f"state {label}: nothing follows by itself" if label in nvsentinel.FAILED_AFTER else ""


def thresholds(runbooks: Iterable[Runbook]) -> tuple[float, ...]:
    """The standstills, in seconds, for which there are runbooks; the shortest first."""
    found = {r.trigger.stalled_s for r in runbooks if r.trigger and r.trigger.stalled_s is not None}
    return tuple(sorted(found))


def stalled_for(stood: Standing, now: float) -> float:
    """Seconds without progress, infinite where there will be none."""
    return FOR_EVER if stood.reason else max(0.0, now - stood.since)


def is_news(stood: Standing, limits: Iterable[float], now: float) -> bool:
    """Whether it has stood longer than one of `limits` of which nobody was told."""
    stalled_s = stalled_for(stood, now)
    return any(stood.told < limit <= stalled_s for limit in limits)


def due(stood: Standing, limits: Iterable[float]) -> float:
    """When it will be news if nothing changes, epoch seconds; infinite if never."""
    if stood.reason:
        return FOR_EVER
    return min((stood.since + limit for limit in limits if limit > stood.told), default=FOR_EVER)


def told(stood: Standing, now: float) -> Standing:
    """The same after runbooks were asked at `now`."""
    return stood._replace(told=max(stood.told, stalled_for(stood, now)))


def report_of(node: Object, stood: Standing, now: float, *, opted_out: bool = False) -> Report:
    """The standstill as routing sees it: with the fault for which the node is held."""
    events = nvsentinel.quarantine_events(node)
    return Report(
        STALLED,
        node=str(nvsentinel.metadata(node).get("name", "")),
        check=next((event.check for event in events if event.check), ""),
        error_codes=tuple(dict.fromkeys(code for event in events for code in event.error_codes)),
        action=next((event.action for event in events), ""),
        component_class=next((event.component_class for event in events if event.component_class), ""),
        node_labels=nvsentinel.labels_of(node),
        opted_out=opted_out,
        stalled_s=stalled_for(stood, now),
    )


def to_data(standings: Mapping[str, Standing]) -> dict[str, Any]:
    """Standings by node as JSON data, so that they outlast the process."""
    return {
        node: [stood.mark, stood.since, stood.reason, "forever" if stood.told == FOR_EVER else stood.told]
        for node, stood in standings.items()
    }


def from_data(data: Mapping[str, Any]) -> dict[str, Standing]:
    """Standings in such data."""
    return {
        str(node): Standing(str(mark), float(since), str(reason), FOR_EVER if told_s == "forever" else float(told_s))
        for node, (mark, since, reason, told_s) in data.items()
    }
