"""The stored document: what the database holds of an event and of what NVSentinel did about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.healthevents.ejson import identifier
from nvsx.healthevents.fields import Fields, Rejection, Unreadable, read_event, shown

if TYPE_CHECKING:
    from nvsx.health import HealthEvent

MONGO, POSTGRESQL = "mongo", "postgresql"


def from_document(document: Any, *, row_id: str = "") -> HealthEvent | Rejection:
    """The event in a document, as MongoDB has it (EJSON, inner keys in lower case) or PostgreSQL (inner camelCase).

    PostgreSQL keeps the id in a column beside the document (`row_id`); MongoDB's `_id` is taken from the document.
    """
    if not isinstance(document, dict):
        return Rejection("", f"is no document (found {shown(document)})", MONGO)
    source, found = MONGO, row_id
    try:
        found = _id(document) or row_id
        event = document.get("healthevent")
        if not isinstance(event, dict):
            problem = "is missing" if event is None else f"must be an object (found {shown(event)})"
            return Rejection("healthevent", problem, MONGO, found)
        lower = not ("nodeName" in event or "checkName" in event)
        source = MONGO if lower else POSTGRESQL
        known = read_event(Fields(event, "healthevent", lower=lower), source=source)
        created = Fields(document).time("createdAt")
        return _with_status(known._replace(id=found or known.id, created_time=created), document, lower)
    except Unreadable as error:
        return Rejection(error.path, error.message, source, found)


def _id(document: dict[str, Any]) -> str:
    raw = document.get("_id")
    found = "" if raw is None else identifier(raw)
    if found is None:
        raise Unreadable("_id", f"must be an ObjectId or text (found {shown(raw)})")
    return found


def _with_status(event: HealthEvent, document: dict[str, Any], lower: bool) -> HealthEvent:
    status = Fields(document).inner("healtheventstatus")
    if status is None:
        return event
    if lower:
        status = Fields(document["healtheventstatus"], "healtheventstatus", lower=True)
    eviction = status.inner("userPodsEvictionStatus")
    return event._replace(
        quarantine=status.text("nodeQuarantined"),
        eviction=eviction.text("status") if eviction else "",
        remediated=_remediated(status),
        quarantine_time=status.time("quarantineFinishTimestamp"),
        drain_time=status.time("drainFinishTimestamp"),
        remediation_time=status.time("lastRemediationTimestamp"),
    )


def _remediated(status: Fields) -> bool | None:
    """A wrapper `{value: true}`; protobuf's JSON writes the bare value, and omits what is false inside the wrapper."""
    raw = status.value("faultRemediated")
    if raw is None or isinstance(raw, bool):
        return raw
    wrapper = status.inner("faultRemediated")
    return wrapper.flag("value") if wrapper else None
