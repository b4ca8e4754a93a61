"""Position: where NVSentinel's chain stands with one node, what comes next, and whether people must come."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from nvsx.watches.nvsentinel import FAILED_AFTER, STATES

UNKNOWN, DELETED, HEALTHY, REPORTED, DETECTED = "unknown", "deleted", "healthy", "reported", "detected"
CANCELLED, RELEASED, RECOVERED = "cancelled", "released", "recovered"

PHASES = (
    UNKNOWN,  # not looked
    DELETED,  # the cluster has no such node
    HEALTHY,  # nothing is wrong, and nothing was in this incident
    REPORTED,  # an event that NVSentinel only stores and tells: not fatal, or not to be acted upon
    DETECTED,  # a fault is there, and NVSentinel does not hold the node
    *STATES,
    *FAILED_AFTER,
    CANCELLED,  # a human took the node out of quarantine
    RELEASED,  # NVSentinel let go of it, and somebody else's cordon keeps it out of service
    RECOVERED,  # NVSentinel let go of it, and it is in service as before the incident
)
"""Words for where a node stands. Those of the state label are NVSentinel's own."""


class Unseen(Enum):
    """The type of `UNSEEN`."""

    UNSEEN = "not looked"


UNSEEN: Final = Unseen.UNSEEN
"""What could not be looked at. It is not None, which says that a look found nothing."""


class Position(NamedTuple):
    """Where the chain stands. `reason` and `waits_for` are for people; `since` is epoch seconds, 0.0 unknown.

    `terminal`: nothing follows by itself, for good or ill; a position that reopens is no longer terminal when it is
    asked again. `needs_people`: somebody has to come, now or at the end of what still goes on. `working`: NVSentinel is
    at something that ends by a deadline of its own.
    """

    phase: str
    reason: str
    waits_for: str = ""
    terminal: bool = False
    needs_people: bool = False
    working: bool = False
    since: float = 0.0  # the last sign of progress that the cluster's objects show
    contradictions: tuple[str, ...] = ()  # signals that do not go together, each in words

    @property
    def held(self) -> bool:
        """Whether NVSentinel holds the node in quarantine."""
        return self.phase in STATES or self.phase in FAILED_AFTER

    @property
    def failed(self) -> bool:
        """Whether the chain has come to its end without repairing the node."""
        return self.terminal and self.needs_people


def reopened(before: Position, now: Position) -> bool:
    """Whether a chain that had ended badly goes on: fault-remediation decided anew, or people came."""
    return before.failed and not now.failed
