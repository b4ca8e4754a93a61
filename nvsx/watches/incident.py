"""Incident: what a run knows of the fault it is about, folded from the node's versions as they pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.watches import moments, nvsentinel
from nvsx.watches.moments import Reading, Sighting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object

REPLACED = "REPLACE_VM"
"""The recommended action after which a node's end is no loss, and another one may come under its name."""

CLOCK_SKEW_S = 60.0
"""How far the clocks of a cluster's machines are allowed to differ before old evidence counts as new."""


class Incident(NamedTuple):
    """Times are epoch seconds; 0 means unknown. Only evidence from `since` on belongs to the incident."""

    node: str
    since: float
    namespace: str = "nvsentinel"
    fault_time: float = 0.0  # when the monitor saw the first fault
    first_check: str = ""
    event_ids: tuple[str, ...] = ()
    opened_by: tuple[str, ...] = ()  # condition types that must be False again
    error_codes: tuple[str, ...] = ()
    action: str = ""
    message: str = ""
    entities: tuple[str, ...] = ()
    cordoned_before: bool = False
    quarantined: bool = False  # NVSentinel has been seen holding the node
    state: str = ""  # last value of the state label that was seen
    progress_time: float = 0.0  # when that value, or the set of faults, last changed, as far as was seen
    moments: tuple[Reading, ...] = ()  # when what happened, by all that tells
    sighting: Sighting = Sighting()  # the node as it was seen last
    version: str = ""  # of the node, as it was last learned from
    uid: str = ""  # of the node
    replaced: bool = False  # a node with another uid has taken its name, as was ordered

    def covers(self, time: float) -> bool:
        """Whether what happened at `time` belongs to this incident; whole seconds and skewed clocks allowed."""
        return time > 0 and time >= int(self.since) - CLOCK_SKEW_S


def usurper(incident: Incident, node: Object) -> str:
    """What a node is that has the incident's name and is not its node, in words; "" where it is, or was ordered.

    What a new node shows is evidence of nothing: NVSentinel forgets a quarantine with the node that it was about.
    """
    uid = nvsentinel.uid(node)
    if not incident.uid or not uid or uid == incident.uid or incident.action == REPLACED:
        return ""
    made = nvsentinel.metadata(node).get("creationTimestamp") or "an unknown time"
    return f"a new one with its name joined at {made}"


def observe(incident: Incident, node: Object, now: float, *, blind_since: float = 0.0) -> Incident:
    """The incident after one more version of its node; never forgets, because traces vanish when the node recovers.

    `blind_since`: when sight of the node was lost, if versions may have been missed before this one.
    """
    known = _with_moments(learned(incident, node), node, now, blind_since or now)
    if not incident.progress_time:  # who comes late learns from the node for how long it has stood still
        return known._replace(progress_time=min(nvsentinel.last_sign(node) or now, now))
    moved = known.state != incident.state or known.event_ids != incident.event_ids
    return known._replace(progress_time=now) if moved else known


def learned(incident: Incident, node: Object) -> Incident:
    """What is known of the incident with this version of its node, but for the times at which it was seen."""
    events = tuple(
        event for event in nvsentinel.quarantine_events(node) if incident.covers(event.time) or not event.time
    )
    faults = tuple(fault for fault in nvsentinel.faults(node) if incident.covers(fault.since) or not fault.since)
    label = nvsentinel.state(node)
    held = nvsentinel.is_annotated(node)
    pre_existing = nvsentinel.annotations_of(node).get(nvsentinel.PRE_CORDONED_ANNOTATION) == "True"
    never_seen = not incident.progress_time
    known = incident._replace(
        event_ids=_joined(incident.event_ids, (event.id for event in events if event.id)),
        opened_by=_joined(incident.opened_by, [*(e.check for e in events if e.check), *(f.type for f in faults)]),
        error_codes=_joined(
            incident.error_codes,
            [*(c for e in events for c in e.error_codes), *(c for f in faults for c in f.error_codes)],
        ),
        entities=_joined(incident.entities, (entity for event in events for entity in event.entities)),
        action=next((e.action for e in events), incident.action or next((f.recommended_action for f in faults), "")),
        message=incident.message or next((e.message for e in events), "") or next((f.message for f in faults), ""),
        cordoned_before=incident.cordoned_before
        or pre_existing
        or (never_seen and nvsentinel.cordoned(node) and not held and not label),
        quarantined=incident.quarantined or held,
        state=label,
        version=nvsentinel.resource_version(node),
        uid=nvsentinel.uid(node) or incident.uid,
        replaced=incident.replaced or bool(incident.uid and nvsentinel.uid(node) not in ("", incident.uid)),
    )
    return _with_first_fault(known, events, faults)


def _with_moments(incident: Incident, node: Object, now: float, blind_since: float) -> Incident:
    since = int(incident.since) - CLOCK_SKEW_S
    seen = moments.sighting(node)
    new = moments.node_readings(node, incident.sighting, seen, since, now, blind_since)
    return incident._replace(moments=moments.joined(incident.moments, new), sighting=seen)


def told(incident: Incident, facts: Mapping[str, Any]) -> Incident:
    """The incident with what its trigger, or an Event, says of its fault; what the node showed is not overruled.

    `facts` are those of `HealthEvent.facts`; what is missing or of another type is passed over.
    """

    def text(name: str) -> str:
        return found if isinstance(found := facts.get(name), str) else ""

    def texts(name: str) -> tuple[str, ...]:
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found := facts.get(name), list) else ()

    check, time = text("check"), facts.get("time")
    known = incident._replace(
        event_ids=_joined(incident.event_ids, filter(None, [text("id")])),
        opened_by=_joined(incident.opened_by, [check] if check and facts.get("fatal") is True else []),
        error_codes=_joined(incident.error_codes, texts("codes")),
        action=incident.action or text("action"),
        message=incident.message or text("message"),
        entities=_joined(incident.entities, texts("entities")),
        first_check=incident.first_check or check,
    )
    if isinstance(time, (int, float)) and time > 0 and check and not incident.fault_time:
        # A time without a fraction is one whose fraction was cut off.
        said = Reading(moments.FAULT, float(time), time if time % 1 else time + 1.0, "what was said of it")
        known = known._replace(fault_time=float(time), moments=moments.joined(known.moments, [said]))
    return known


def _with_first_fault(
    incident: Incident,
    events: tuple[nvsentinel.QuarantineEvent, ...],
    faults: tuple[nvsentinel.Condition, ...],
) -> Incident:
    if events and events[0].time and (not incident.fault_time or events[0].time - 1 <= incident.fault_time):
        # The annotation has nanoseconds where the condition has whole seconds: the finer reading of one moment wins.
        first = min(events, key=lambda event: event.time or float("inf"))
        return incident._replace(fault_time=first.time, first_check=first.check)
    if not incident.fault_time and faults:
        earliest = min(faults, key=lambda fault: fault.since or float("inf"))
        return incident._replace(fault_time=earliest.since, first_check=earliest.type)
    return incident


def _joined(old: tuple[str, ...], new: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))  # type: ignore[misc]


def open_fault_time(node: Object) -> float:
    """When the node's present fault began: its quarantine events, else its active fault conditions; 0.0 if none."""
    times = [event.time for event in nvsentinel.quarantine_events(node)]
    times += [fault.since for fault in nvsentinel.faults(node)]
    return min((time for time in times if time), default=0.0)
