"""PagerDuty's webhook V3: one event of one incident. Its body has no custom details, so the node is in the texts.

Source: PagerDuty developer docs, "Webhooks V3" and "Verifying signatures".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, OTHER, RESOLVED, Alert
from nvsx.triggers.fields import Fields
from nvsx.triggers.formats.message import issued_key
from nvsx.watches.nvsentinel import parse_time

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

STATUSES = {
    "incident.triggered": FIRING,
    "incident.reopened": FIRING,
    "incident.resolved": RESOLVED,
}


def recognises(message: Message) -> bool:
    event = message.body.get("event") if isinstance(message.body, dict) else None
    return bool(message.header("X-PagerDuty-Signature")) or (isinstance(event, dict) and "event_type" in event)


def parse(message: Message) -> list[Alert]:
    event = Fields(message.body).inner("event")
    kind = event.needed("event_type")
    incident = event.inner("data")
    key, title = incident.text("incident_key"), incident.text("title")
    return [
        Alert(
            format="pagerduty",
            status=STATUSES.get(kind, OTHER),
            key=incident.text("id") or key,
            delivery=message.header("X-Webhook-Id") or event.text("id"),
            mentions=tuple(text for text in (key, title) if text),
            title=title,
            labels={"service": incident.inner("service").text("id"), "event_type": kind},
            url=incident.text("html_url"),
            started_time=parse_time(incident.text("created_at") or event.text("occurred_at")),
            issued_key=issued_key([key, title]),
        )
    ]
