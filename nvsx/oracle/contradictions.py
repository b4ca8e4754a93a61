"""Contradictions: signals of NVSentinel that do not go together. People are shown them; none is explained away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.oracle.position import UNSEEN
from nvsx.watches.nvsentinel import FAILED_AFTER, STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvsx.oracle.facts import Facts

_DRAINED = ("drain-succeeded", "remediating", "remediation-succeeded")


def contradictions(facts: Facts) -> tuple[str, ...]:
    """Each disagreement in words, the node's own marks first, then its documents and repairs."""
    return tuple(text for look in (_marks, _repairs, _document) for text in look(facts))


def _marks(facts: Facts) -> Iterator[str]:
    if facts.annotated and not facts.events:
        yield "the annotation quarantineHealthEvent cannot be read"
    if facts.label and facts.label not in (*STATES, *FAILED_AFTER):
        yield f"the state label says {facts.label}, which NVSentinel never writes"
    if facts.annotated and not facts.label:
        yield "the node is in quarantine by its annotation and has no state label"
    if facts.label and not facts.annotated:
        yield f"the state label says {facts.label}, and there is no annotation quarantineHealthEvent"
    if facts.held and not facts.cordoned:
        yield "the node is in quarantine and can be scheduled"
    if facts.held and facts.manual:
        yield f"the node is in quarantine and marked as {facts.manual} by a human"
    if facts.pre_cordoned and facts.cordon_by:
        yield "the node was cordoned before NVSentinel came, and carries NVSentinel's cordon labels"
    if facts.cordon_by and not facts.annotated and not facts.label and not facts.manual:
        where = "cordoned" if facts.cordoned else "schedulable"
        yield f"NVSentinel's cordon labels are on a {where} node that it does not hold"
    if facts.released_at and not facts.held:
        for fault in facts.faults:
            if fault.since <= facts.released_at:
                yield f"NVSentinel released the node, and {fault.type} is True"


def _repairs(facts: Facts) -> Iterator[str]:
    if facts.repairs is UNSEEN:
        return
    newest = facts.repair
    if facts.label == "remediation-succeeded" and newest is None and facts.events:
        older = f" ({facts.older_repairs} of older ones)" if facts.older_repairs else ""
        yield f"the state label says remediation-succeeded, and no repair of this incident is to be found{older}"
    if facts.label == "remediation-failed" and newest is not None:
        yield f"the state label says remediation-failed, and there is {newest}"
    if not facts.held and facts.released_at and newest is not None and newest.progress == "failed":
        yield f"NVSentinel released the node, and its repair failed: {newest}"


_AGAINST: dict[str, Callable[[Facts], bool]] = {
    "Cancelled": lambda facts: facts.held,
    "Quarantined": lambda facts: not (facts.held or facts.manual or facts.released_at),
    "UnQuarantined": lambda facts: facts.held,
}


def _document(facts: Facts) -> Iterator[str]:
    event = facts.event
    if event is None or not facts.incident.covers(event.generated_time or event.created_time):
        return
    wrong = _AGAINST.get(event.quarantine)
    of_now = event.healthy or not facts.events or event.id in {held.id for held in facts.events}
    if wrong and of_now and wrong(facts):
        yield f"the document says {event.quarantine}, and the node is {'' if facts.held else 'not '}in quarantine"
    if event.healthy or not of_now:
        return
    if event.eviction == "Failed" and facts.label in _DRAINED:
        yield f"the document says that the drain has Failed, and the state label says {facts.label}"
    if event.eviction in ("Succeeded", "AlreadyDrained") and facts.label == "drain-failed":
        yield f"the document says that the drain has {event.eviction}, and the state label says drain-failed"
    if event.remediated is True and facts.label == "remediation-failed":
        yield "the document says faultremediated true, and the state label says remediation-failed"
    if event.remediated is False and facts.label == "remediation-succeeded":
        yield "the document says faultremediated false, and the state label says remediation-succeeded"
