"""What the objects at hand say of one node, read once: the ground on which the oracle decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.oracle.maintenance import Repair, repairs
from nvsx.oracle.position import UNSEEN, Unseen
from nvsx.watches import customs, nvsentinel
from nvsx.watches.incident import Incident, learned, open_fault_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.health import HealthEvent
    from nvsx.ports import Object
    from nvsx.watches.nvsentinel import Condition, QuarantineEvent

TRIPPED = "TRIPPED"
_HOLDING = ("Quarantined", "AlreadyQuarantined")


class Facts(NamedTuple):
    """One node as it is now. `incident` is what is remembered of it, this look included."""

    label: str  # the state label as it stands
    events: tuple[QuarantineEvent, ...]  # for which fault-quarantine holds the node
    annotated: bool  # the quarantine annotation holds something, readable or not
    faults: tuple[Condition, ...]  # active ones of this incident
    older_faults: tuple[Condition, ...]  # active ones from before it
    cleared: bool  # every fault that it is held for has turned False
    cordoned: bool
    cordon_by: bool  # NVSentinel's cordon labels
    pre_cordoned: bool
    manual: str  # what a human undid: "uncordoned", "untainted", ""
    opted_out: bool
    handed_over: bool  # to a repair service outside
    released_at: float  # NVSentinel's uncordon in this incident, epoch seconds; 0.0 where there is no trace of one
    ready: str  # the Ready condition's status
    repairs: tuple[Repair, ...] | Unseen
    older_repairs: int
    breaker: str | Unseen  # its status; "" where there is no ConfigMap
    event: HealthEvent | None
    incident: Incident
    remembered: bool  # the incident is remembered, not made up from this one look
    times: tuple[float, ...]  # signs of progress, epoch seconds

    @property
    def held(self) -> bool:
        """Whether NVSentinel holds the node: any one of its marks is enough, since each alone keeps it out of use."""
        if self.manual and not self.annotated and not self.label:
            return False  # its cordon labels stay behind after a human's uncordon
        return self.annotated or bool(self.label) or (self.cordoned and self.cordon_by)

    @property
    def tripped(self) -> bool:
        return self.breaker == TRIPPED

    @property
    def actions(self) -> tuple[str, ...]:
        """Recommended actions of what holds the node, or of what is wrong with it, each once."""
        found = [event.action for event in self.events] or [fault.recommended_action for fault in self.faults]
        if not any(found) and self.event and not self.event.healthy:
            found = [self.event.action]
        return tuple(dict.fromkeys(action for action in found if action))

    @property
    def for_people(self) -> str:
        """The first recommended action that NVSentinel leaves to people, "" if there is none."""
        return next((action for action in self.actions if action in nvsentinel.FOR_PEOPLE), "")

    @property
    def repair(self) -> Repair | None:
        """The newest repair that was ordered for this incident."""
        return None if self.repairs is UNSEEN or not self.repairs else self.repairs[-1]


def read(
    node: Object,
    requests: Sequence[Object] | Unseen,
    breaker: Object | Unseen | None,
    event: HealthEvent | None,
    incident: Incident | None,
) -> Facts:
    """Read everything once. Without an incident, the node's open fault is the incident."""
    known = incident or _open_incident(node)
    if not known.version or known.version != nvsentinel.resource_version(node):
        known = learned(known, node)
    known = _with_document(known, event)
    annotations = nvsentinel.annotations_of(node)
    events, active = nvsentinel.quarantine_events(node), nvsentinel.faults(node)
    ours = UNSEEN if requests is UNSEEN else repairs(requests, known)
    of_node = 0 if requests is UNSEEN else sum(1 for thing in requests if customs.is_for_node(thing, known.node))
    ready = nvsentinel.condition(node, "Ready")
    released = nvsentinel.released_by_nvsentinel(node)
    return Facts(
        label=nvsentinel.state(node),
        events=events,
        annotated=nvsentinel.is_annotated(node),
        faults=tuple(fault for fault in active if fault.type in known.opened_by),
        older_faults=tuple(fault for fault in active if fault.type not in known.opened_by),
        cleared=bool(events) and all(_has_cleared(node, event) for event in events),
        cordoned=nvsentinel.cordoned(node),
        cordon_by=nvsentinel.cordoned_by_nvsentinel(node),
        pre_cordoned=annotations.get(nvsentinel.PRE_CORDONED_ANNOTATION) == "True",
        manual=next((what for key, what in nvsentinel.UNDONE.items() if annotations.get(key) == "True"), ""),
        opted_out=nvsentinel.opted_out(node),
        handed_over=nvsentinel.has_taint(node, nvsentinel.EXTERNAL_TAINT),
        released_at=released if known.covers(released) else 0.0,
        ready=ready.status if ready else "",
        repairs=ours,
        older_repairs=0 if ours is UNSEEN else of_node - len(ours),
        breaker=UNSEEN if breaker is UNSEEN else str(((breaker or {}).get("data") or {}).get("status", "")),
        event=event,
        incident=known,
        remembered=incident is not None,
        times=tuple(_times(node, events, event)) + (() if ours is UNSEEN else tuple(one.time for one in ours)),
    )


def _open_incident(node: Object) -> Incident:
    name = str(nvsentinel.metadata(node).get("name", ""))
    return Incident(name, open_fault_time(node) or nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX))


def _with_document(incident: Incident, event: HealthEvent | None) -> Incident:
    """The incident, with the id of a document that NVSentinel holds the node for: it names the repair."""
    if event is None or event.id in incident.event_ids or event.node != incident.node:
        return incident
    ours = event.quarantine in _HOLDING and not event.healthy and incident.covers(event.generated_time)
    return incident._replace(event_ids=(*incident.event_ids, event.id)) if ours else incident


def _has_cleared(node: Object, event: QuarantineEvent) -> bool:
    """Whether the event's condition has turned False since. An absent one may only be late."""
    found = nvsentinel.condition(node, event.check)
    return found is not None and found.status == "False" and bool(found.since) and found.since >= int(event.time)


def _times(node: Object, events: tuple[QuarantineEvent, ...], document: HealthEvent | None) -> list[float]:
    found = [event.time for event in events]
    found.append(nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX))
    found.append(nvsentinel.remediation_time(node))
    if document:
        found += [document.quarantine_time, document.drain_time, document.remediation_time]
    return found
