"""The event exporter's CloudEvent (structured mode, JSON): camelCase keys, enumerations as names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.healthevents.fields import Fields, Rejection, Unreadable, read_event, shown

if TYPE_CHECKING:
    from nvsx.health import HealthEvent

TYPE = "com.nvidia.nvsentinel.health.v1"
WEBHOOK = "webhook"


def from_cloudevent(body: Any) -> HealthEvent | Rejection:
    """The event that a CloudEvent carries. Its own `id` is new for every publication, so it is not the event's."""
    if not isinstance(body, dict):
        return Rejection("", f"is no CloudEvent (found {shown(body)})", WEBHOOK)
    try:
        kind = Fields(body).text("type")
        if kind and kind != TYPE:
            return Rejection("type", f"must be {TYPE} (found {shown(kind)})", WEBHOOK)
        data = Fields(body).inner("data")
        event = data.inner("healthEvent") if data else None
        if event is None:
            return Rejection("data.healthEvent" if data else "data", "is missing", WEBHOOK)
        return read_event(event, source=WEBHOOK)
    except Unreadable as error:
        return Rejection(error.path, error.message, WEBHOOK)
