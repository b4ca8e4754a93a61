"""The oracle: where NVSentinel's chain stands with one node, decided from everything that is seen of it.

What could not be looked at (`UNSEEN`) decides nothing. In particular no missing part of the view can make a node that
NVSentinel keeps out of service look recovered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.health import EXECUTE
from nvsx.oracle import free, held
from nvsx.oracle.contradictions import contradictions
from nvsx.oracle.facts import read
from nvsx.oracle.maintenance import repairs
from nvsx.oracle.position import DELETED, DETECTED, UNKNOWN, UNSEEN, Position, Unseen
from nvsx.watches.incident import REPLACED
from nvsx.watches.nvsentinel import FAILED_AFTER, FOR_PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nvsx.health import HealthEvent
    from nvsx.oracle.facts import Facts
    from nvsx.ports import Object
    from nvsx.watches.incident import Incident


def position(
    node: Object | Unseen | None,
    *,
    requests: Sequence[Object] | Unseen = UNSEEN,
    breaker: Object | Unseen | None = UNSEEN,
    event: HealthEvent | None = None,
    incident: Incident | None = None,
) -> Position:
    """Where the chain stands. `None` says that a completed look found none, `UNSEEN` that it was not looked.

    `requests` are maintenance objects of whatever node and age: those of this incident are picked out by the event id
    in their names, else by their age. `breaker` is the ConfigMap `circuit-breaker`. `event` is the latest event about
    the node, with its document's status where there is one. `incident` is what is remembered of it, which the objects
    forget as they recover; without one the node's open fault is the incident, and nothing can have recovered.
    """
    if isinstance(node, Unseen):
        return _by_document(event)
    if node is None:
        return _deleted(requests, event, incident)
    return placed(read(node, requests, breaker, event, incident))


def placed(facts: Facts) -> Position:
    """Where the chain stands with a node that is there, by what was read of it."""
    found = held.judge(facts) if facts.held else free.judge(facts)
    return found._replace(contradictions=contradictions(facts))


def _deleted(requests: Sequence[Object] | Unseen, event: HealthEvent | None, incident: Incident | None) -> Position:
    """A node that is gone: on purpose where its replacement was ordered."""
    ordered = () if requests is UNSEEN or incident is None else repairs(requests, incident)
    replaced = any(one.kind == "TerminateNode" for one in ordered)
    action = (incident.action if incident else "") or (event.action if event else "")
    if replaced or action == REPLACED:
        return Position(DELETED, "the node was terminated, as its replacement was ordered", terminal=True)
    reason = "the cluster has no such node: it was deleted, and NVSentinel drops what it knew of it"
    return Position(DELETED, reason, "people: nobody ordered that the node be replaced", True, True)


_BY_STATUS: tuple[tuple[Callable[[HealthEvent], bool], str], ...] = (
    # what the document says, the phase that it proves; the latest first
    (lambda event: event.remediated is False, "remediation-failed"),
    (lambda event: event.remediated is True, "remediation-succeeded"),
    (lambda event: event.eviction == "Failed", "drain-failed"),
    (lambda event: event.eviction in ("Succeeded", "AlreadyDrained"), "drain-succeeded"),
    (lambda event: event.eviction == "InProgress", "draining"),
    (lambda event: event.quarantine in ("Quarantined", "AlreadyQuarantined"), "quarantined"),
)


def _by_document(event: HealthEvent | None) -> Position:
    """What a document alone tells. It can say that people must come; it cannot say that a node is well."""
    if event is None:
        return Position(UNKNOWN, "the node was not looked at")
    if event.healthy or event.quarantine in ("UnQuarantined", "Cancelled"):
        status = event.quarantine or "healthy"
        return Position(UNKNOWN, f"the document says {status}; the node was not looked at", since=event.created_time)
    if event.strategy != EXECUTE or not event.fatal:
        return free.reported(event)
    phase = next((phase for says, phase in _BY_STATUS if says(event)), DETECTED)
    reason, waits_for = held.SAYS.get(phase, ("the event is stored", "fault-quarantine to cordon the node"))
    failed = phase in FAILED_AFTER
    if event.action in FOR_PEOPLE:
        reason += f"; NVSentinel recommends {event.action} and will order no repair"
    return Position(
        phase,
        f"{reason} (by its document: the node was not looked at)",
        waits_for,
        terminal=failed,
        needs_people=failed or event.action in FOR_PEOPLE,
        since=max(event.created_time, event.quarantine_time, event.drain_time, event.remediation_time),
    )
