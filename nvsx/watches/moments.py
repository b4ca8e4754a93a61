"""Moments: when each step of NVSentinel's chain happened, by everything that tells: stamps on the cluster, and sight.

A stamp names the clock of the component that wrote it, often to the second only. What nvsx sees arrive it can time to
the millisecond, on its own clock, unless it could not look meanwhile. So every reading is a span, and says whose it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvsx.health import HealthEvent
    from nvsx.ports import Object

FAULT = "fault"  # the monitor saw it
DETECTED = "detected"  # the cluster showed it: condition or quarantine
CORDONED = "cordoned"
DRAINED = "drained"
ORDERED = "ordered"  # the maintenance object was made
SIGNALLED = "signalled"  # the provider accepted the reboot
DOWN = "down"  # the node stopped being Ready
READY = "ready"  # and was Ready again
CLEARED = "cleared"  # every fault that had been seen was gone
RELEASED = "released"  # NVSentinel let go of the node
FINISHED = "finished"  # the maintenance object was completed
DRAIN_FAILED = "drain-failed"
REMEDIATION_FAILED = "remediation-failed"

ORDER = (
    FAULT, DETECTED, CORDONED, DRAINED, DRAIN_FAILED, ORDERED, REMEDIATION_FAILED, SIGNALLED, DOWN, READY, CLEARED,
    RELEASED, FINISHED,
)  # fmt: skip

_REPEATABLE = frozenset({DOWN, READY, CLEARED, RELEASED, FINISHED})
"""What may happen more than once in an incident; the last time counts."""

SIGHT = "nvsx"
"""The source of what nvsx saw happening."""

_WHOLE_SECOND = 1.0


class Reading(NamedTuple):
    """One statement of when something happened: not before `earliest`, not after `latest`; epoch seconds."""

    moment: str
    earliest: float
    latest: float
    source: str


class Sighting(NamedTuple):
    """What nvsx last knew of the node, to tell what has changed since. Empty before the first look."""

    looked: bool = False
    faulty: bool = False
    held: bool = False
    state: str = ""
    ready: str = ""


def sighting(node: Object) -> Sighting:
    """What a version of the node shows."""
    ready = nvsentinel.condition(node, "Ready")
    held = bool(nvsentinel.annotations_of(node).get(nvsentinel.EVENTS_ANNOTATION))
    return Sighting(True, bool(nvsentinel.faults(node)), held, nvsentinel.state(node), ready.status if ready else "")


def node_readings(
    node: Object, before: Sighting, after: Sighting, since: float, now: float, blind_since: float
) -> Iterator[Reading]:
    """What a version of the node tells; `after` is its sighting. Stamps from before `since` belong to another incident.
    `blind_since` is when sight of the node was lost, if what lay between was not seen (else `now`).
    """
    for reading in _stamps(node):
        if reading.latest >= since:
            yield reading
    if before.looked:
        yield from (Reading(moment, blind_since, now, SIGHT) for moment in _changes(before, after))


def _stamps(node: Object) -> Iterator[Reading]:
    events = nvsentinel.quarantine_events(node)
    for event in events:
        yield from _exact(FAULT, event.time, "health event")
    for fault in nvsentinel.faults(node):
        yield from _second(FAULT, fault.since, f"condition {fault.type}")
    yield from _second(CORDONED, nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX), "cordon label")
    yield from _second(ORDERED, nvsentinel.remediation_time(node), "remediation annotation")
    ready = nvsentinel.condition(node, "Ready")
    if ready:
        yield from _second(READY if ready.status == "True" else DOWN, ready.since, "condition Ready")
    if not events and not nvsentinel.state(node):
        yield from _second(RELEASED, nvsentinel.label_time(node, nvsentinel.UNCORDON_TIME_SUFFIX), "uncordon label")


def _changes(before: Sighting, after: Sighting) -> Iterator[str]:
    """What has happened between two looks at the node."""
    if (after.faulty or after.held) and not (before.faulty or before.held):
        yield DETECTED
    if after.held and not before.held:
        yield CORDONED
    for moment, state in ((DRAINED, "drain-succeeded"), (ORDERED, "remediation-succeeded")):
        if nvsentinel.reached(after.state, state) and not nvsentinel.reached(before.state, state):
            yield moment
    if after.state in (DRAIN_FAILED, REMEDIATION_FAILED) and after.state != before.state:
        yield after.state
    if before.ready == "True" and after.ready != "True":
        yield DOWN
    if before.ready not in ("", "True") and after.ready == "True":
        yield READY
    if before.faulty and not after.faulty:
        yield CLEARED
    if (before.held or before.state) and not (after.held or after.state):
        yield RELEASED


def maintenance_readings(thing: Object) -> Iterator[Reading]:
    """What a maintenance object of this incident tells."""
    kind = str(thing.get("kind") or "maintenance object")
    yield from _second(ORDERED, nvsentinel.parse_time(nvsentinel.metadata(thing).get("creationTimestamp")), kind)
    signal = nvsentinel.condition(thing, "SignalSent")
    if signal and signal.status == "True":
        yield from _second(SIGNALLED, signal.since, kind)
    yield from _second(FINISHED, nvsentinel.parse_time((thing.get("status") or {}).get("completionTime")), kind)


def event_readings(event: HealthEvent) -> Iterator[Reading]:
    """What a stored health event tells; its stamps have nanoseconds."""
    if event.healthy:
        return
    yield from _exact(FAULT, event.generated_time, "health event")
    yield from _exact(CORDONED, event.quarantine_time, "database")
    yield from _exact(DRAINED if event.eviction != "Failed" else DRAIN_FAILED, event.drain_time, "database")
    yield from _exact(ORDERED if event.remediated else REMEDIATION_FAILED, event.remediation_time, "database")


def joined(known: tuple[Reading, ...], new: Iterable[Reading]) -> tuple[Reading, ...]:
    """Readings with others added: of each moment and source the first one, or the last where it can happen again."""
    found = {(reading.moment, reading.source): reading for reading in known}
    for reading in new:
        key = (reading.moment, reading.source)
        if key not in found or (reading.moment in _REPEATABLE and reading.latest > found[key].latest):
            found[key] = reading
    return tuple(found.values())


def _exact(moment: str, at: float, source: str) -> Iterator[Reading]:
    if at > 0:
        yield Reading(moment, at, at, source)


def _second(moment: str, at: float, source: str) -> Iterator[Reading]:
    """A stamp in whole seconds, which are cut off and not rounded."""
    if at > 0:
        yield Reading(moment, at, at + _WHOLE_SECOND, source)
