"""A node that NVSentinel does not hold: well, faulty and left alone, taken out by a human, or back in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.health import EXECUTE
from nvsx.oracle.position import (
    CANCELLED,
    DETECTED,
    HEALTHY,
    RECOVERED,
    RELEASED,
    REPORTED,
    Position,
)

if TYPE_CHECKING:
    from nvsx.health import HealthEvent
    from nvsx.oracle.facts import Facts

_HANDLED = ("Quarantined", "AlreadyQuarantined")


def judge(facts: Facts) -> Position:
    """The position of a node that NVSentinel does not hold."""
    if _is_cancelled(facts):
        return _cancelled(facts)
    if facts.faults or (facts.older_faults and not _was_held(facts)):
        return _detected(facts)
    if _was_held(facts):
        return _after(facts)
    event = facts.event
    if event and not event.healthy and facts.incident.covers(event.generated_time):
        if event.strategy != EXECUTE or not event.fatal:
            return reported(event)
        if not _has_passed(facts, event):
            return _detected(facts)
    return Position(HEALTHY, "no fault, and not in quarantine")


def reported(event: HealthEvent) -> Position:
    """An event upon which NVSentinel never acts."""
    why = "it is not fatal" if event.strategy == EXECUTE else f"its processing strategy is {event.strategy}"
    return Position(
        REPORTED, f"{event.check}: NVSentinel does nothing, because {why}", terminal=True, since=_time(event)
    )


def _was_held(facts: Facts) -> bool:
    """Whether NVSentinel held the node in this incident and has let go of it; a look alone cannot know."""
    told = facts.event is not None and facts.event.healthy and facts.event.quarantine == "UnQuarantined"
    return facts.remembered and (facts.incident.quarantined or bool(facts.released_at) or told)


def _is_cancelled(facts: Facts) -> bool:
    """Whether a human undid the quarantine of this incident. The mark stays until the next quarantine."""
    event = facts.event
    told = event is not None and event.quarantine == "Cancelled" and facts.incident.covers(event.generated_time)
    if facts.released_at or not (facts.manual or told):
        return False
    return told or bool(facts.faults) or (facts.remembered and facts.incident.quarantined)


def _cancelled(facts: Facts) -> Position:
    who = f"a human has {facts.manual or 'uncordoned'} the node: NVSentinel has dropped the incident"
    since = max(facts.times, default=0.0)
    if not facts.faults:
        return Position(CANCELLED, f"{who}, and no fault is left", terminal=True, since=since)
    still = f"{who}, and {_names(facts)} is still there"
    return Position(CANCELLED, still, f"people: {still}", terminal=True, needs_people=True, since=since)


def _detected(facts: Facts) -> Position:
    """A fault that fault-quarantine has not taken up; some it never will."""
    event = facts.event
    times = [fault.since for fault in facts.faults or facts.older_faults]
    since = min((time for time in times if time), default=_time(event) if event else 0.0)
    reason = f"{_names(facts)}; the node is not in quarantine"
    here = Position(DETECTED, reason, "fault-quarantine to cordon the node", since=since)
    never = _never(facts)
    if never:
        return here._replace(
            reason=f"{reason}, and will not be: {never}", waits_for=f"people: {never}", terminal=True, needs_people=True
        )
    if facts.breaker == "":
        here = here._replace(reason=f"{reason}; fault-quarantine has not started here, or is not installed")
    if facts.for_people:
        more = f"; NVSentinel recommends {facts.for_people} and will order no repair"
        return here._replace(reason=here.reason + more, needs_people=True)
    return here


def _never(facts: Facts) -> str:
    """Why fault-quarantine will not take the fault up, "" where it may."""
    if facts.handed_over:
        return "it is handed over to an external remediation"
    if facts.opted_out:
        return "a label opts it out of NVSentinel"
    if facts.tripped:
        return "the circuit breaker is TRIPPED until somebody resets it"
    return ""


def _after(facts: Facts) -> Position:
    """NVSentinel has let go. In service again is only what can be scheduled, or could not be before."""
    by = "NVSentinel released the node" if facts.released_at else "NVSentinel no longer holds the node"
    since = facts.released_at or max(facts.times, default=0.0)
    if facts.cordoned and not facts.incident.cordoned_before:
        reason = f"{by}, and it is still cordoned, by somebody else"
        return Position(RELEASED, reason, f"people: {reason}", needs_people=True, since=since)
    if facts.cordoned:
        reason = f"{by}; it stays cordoned, as it was before the fault"
        return Position(RECOVERED, reason, "people to uncordon it", terminal=True, since=since)
    return Position(RECOVERED, f"{by}, and the fault is gone", terminal=True, since=since)


def _has_passed(facts: Facts, event: HealthEvent) -> bool:
    """Whether a fatal event that is not on the node is over: its document was dealt with."""
    return event.quarantine not in ("", *_HANDLED)


def _names(facts: Facts) -> str:
    faults = facts.faults or facts.older_faults
    named = ", ".join(" ".join((f"{fault.type}=True", *fault.error_codes)) for fault in faults)
    if named or facts.event is None:
        return named or "the fault"
    return f"{facts.event.check} is stored and not on the node"


def _time(event: HealthEvent) -> float:
    return event.generated_time or event.created_time
