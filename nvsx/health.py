"""HealthEvent: what one of NVSentinel's monitors said about a node, whichever way nvsx learned of it."""

from __future__ import annotations

from typing import Any, NamedTuple

EXECUTE, STORE_ONLY, STORE_AND_ANALYSE = "EXECUTE_REMEDIATION", "STORE_ONLY", "STORE_AND_ANALYSE"
"""Processing strategies. Only the first lets NVSentinel act; a missing one counts as it."""


class Entity(NamedTuple):
    """A part of the node that the event names, e.g. `PCI` `0000:17:00`."""

    kind: str
    value: str


class HealthEvent(NamedTuple):
    """One event. Times are epoch seconds, 0.0 where the source does not tell; enums are their protobuf names.

    Source: NVSentinel's `data-models/protobufs/health_event.proto`. The database, the annotation on the node and a
    CloudEvent spell the same fields differently; here they have one spelling.
    """

    node: str
    check: str  # also the type of the node condition
    id: str = ""  # hex ObjectId or UUID of the stored document; also in the name of the maintenance object
    agent: str = ""
    component_class: str = ""  # GPU, NIC, Node…
    error_codes: tuple[str, ...] = ()
    action: str = "NONE"  # recommended action: RESTART_BM, CONTACT_SUPPORT, COMPONENT_RESET…
    message: str = ""
    entities: tuple[Entity, ...] = ()
    fatal: bool = False
    healthy: bool = False
    strategy: str = EXECUTE
    generated_time: float = 0.0  # on the monitor's clock
    created_time: float = 0.0  # when it was stored; the poll cursor's key
    quarantine: str = ""  # Quarantined, AlreadyQuarantined, UnQuarantined, Cancelled
    eviction: str = ""  # InProgress, Succeeded, Failed, AlreadyDrained, Cancelled
    remediated: bool | None = None  # None: not tried yet
    quarantine_time: float = 0.0
    drain_time: float = 0.0
    remediation_time: float = 0.0
    source: str = ""  # "mongo", "node" (annotation), "condition" or "webhook"

    def facts(self) -> dict[str, Any]:
        """What a run that this event starts is told of its fault, ready for JSON (see `nvsx.watches.incident.told`)."""
        return {
            "id": self.id,
            "check": self.check,
            "codes": list(self.error_codes),
            "action": self.action,
            "message": self.message,
            "entities": [f"{entity.kind}:{entity.value}" for entity in self.entities],
            "time": self.generated_time or self.created_time,
            "fatal": self.fatal,
        }
