"""A node that NVSentinel holds: what the state label says, and what everything else says beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.oracle.position import UNSEEN, Position
from nvsx.watches.nvsentinel import FAILED_AFTER, STATES

if TYPE_CHECKING:
    from nvsx.oracle.facts import Facts
    from nvsx.oracle.maintenance import Repair

SAYS = {
    # state label: what it means, what comes next
    "quarantined": ("fault-quarantine has cordoned the node", "node-drainer to begin"),
    "draining": ("node-drainer waits for the node to be empty", "user pods to end"),
    "drain-succeeded": ("the node is drained", "fault-remediation to order the repair"),
    "remediating": ("fault-remediation is ordering the repair", "fault-remediation to order the repair"),
    "remediation-succeeded": ("the repair is ordered, not yet done", "the node to come back healthy"),
    "drain-failed": (
        "the drain failed: fault-remediation never starts",
        "people: the drain failed, and nothing follows by itself",
    ),
    "remediation-failed": ("fault-remediation ordered no repair", "people: NVSentinel ordered no repair"),
}
_NEXT_OF_REPAIR = {
    "waiting": "janitor to take up {repair}",
    "working": "the node to come back healthy ({repair})",
    "done": "the monitor to clear {faults} ({repair})",
}


def judge(facts: Facts) -> Position:
    """The position of a node that NVSentinel holds."""
    phase = facts.label if facts.label in (*STATES, *FAILED_AFTER) else "quarantined"
    reason, waits_for = SAYS[phase]
    here = Position(phase, reason, waits_for, since=_since(facts))
    if facts.cleared:
        return _cleared(facts, here)
    if phase in FAILED_AFTER:
        return _gave_up(facts, here)
    if phase == "remediation-succeeded":
        here = _repairing(facts, here)
    elif phase == "drain-succeeded" and facts.actions == ("NONE",):
        reason = "the recommended action is NONE: fault-remediation passes it over, and the node stays cordoned"
        here = here._replace(reason=reason, waits_for=f"people: {reason}", terminal=True, needs_people=True)
    return here if here.needs_people else _with_people(facts, here)


def _cleared(facts: Facts, here: Position) -> Position:
    """The fault is over, and only fault-quarantine is still to say so; it cannot while its breaker is tripped."""
    if facts.tripped:
        reason = "the fault is over, and the circuit breaker is TRIPPED: fault-quarantine releases nothing"
        return here._replace(reason=reason, waits_for=f"people: {_RESET}", terminal=True, needs_people=True)
    return here._replace(reason="the fault is over", waits_for="fault-quarantine to release the node")


_RESET = "the circuit breaker is TRIPPED until somebody resets it and restarts fault-quarantine"


def _gave_up(facts: Facts, here: Position) -> Position:
    wanted = f" (recommended action {', '.join(facts.actions)})" if facts.actions else ""
    reason, waits_for = here.reason + wanted, here.waits_for
    if here.phase == "remediation-failed":
        if facts.for_people:
            reason = f"NVSentinel recommends {facts.for_people} and orders no repair"
        elif facts.actions:
            reason = f"fault-remediation could not order a repair{wanted}"
        waits_for = f"people: {reason}"
    return here._replace(reason=reason, waits_for=waits_for, terminal=True, needs_people=True)


def _repairing(facts: Facts, here: Position) -> Position:
    """The label says that a repair was ordered; its object says what came of it."""
    repair = facts.repair
    if repair is None:
        back = f" (Ready={facts.ready})" if facts.ready not in ("", "True") else ""
        return here._replace(waits_for=here.waits_for + back)
    if repair.progress in ("failed", "people"):
        what = "the repair failed" if repair.progress == "failed" else "the repair is left to people"
        reason = f"{what}: {repair}"
        return here._replace(reason=reason, waits_for=f"people: {reason}", terminal=True, needs_people=True)
    faults = ", ".join(fault.type for fault in facts.faults) or "the fault"
    waits_for = _NEXT_OF_REPAIR[repair.progress].format(repair=repair, faults=faults)
    return here._replace(waits_for=waits_for, working=repair.progress == "working")


def _with_people(facts: Facts, here: Position) -> Position:
    """What goes on and yet cannot end well without people."""
    if facts.handed_over:
        return here._replace(
            reason="the node is handed over to an external remediation", waits_for="the external remediation to end it"
        )
    if facts.for_people:
        reason = f"{here.reason}; NVSentinel recommends {facts.for_people} and will order no repair"
        return here._replace(reason=reason, needs_people=True)
    if facts.opted_out:
        reason = f"{here.reason}; it is opted out of NVSentinel"
        return here._replace(reason=reason, waits_for="people: the node is opted out of NVSentinel", needs_people=True)
    if facts.tripped:
        reason = f"{here.reason}; the circuit breaker is TRIPPED: fault-quarantine will not release the node"
        return here._replace(reason=reason, needs_people=True)
    return here


def _since(facts: Facts) -> float:
    repair: Repair | None = None if facts.repairs is UNSEEN else facts.repair
    return max((*facts.times, repair.time if repair else 0.0), default=0.0)
