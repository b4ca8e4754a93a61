"""Opsgenie's outgoing webhook; Jira Service Management Operations sends the same body.

Details come with Create only, and only where the integration's boxes are ticked; what closes an alert names it by id.
Source: docs.opsgenie.com, "Webhook integration" and "Alert action data".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, OTHER, RESOLVED, Alert
from nvsx.names import is_node_name
from nvsx.triggers.fields import Fields, first
from nvsx.triggers.formats.message import codes, digest, issued_key, milliseconds

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

STATUSES = {"Create": FIRING, "Close": RESOLVED, "Delete": RESOLVED}


def recognises(message: Message) -> bool:
    body = message.body
    alert = body.get("alert") if isinstance(body, dict) else None
    return isinstance(alert, dict) and "alertId" in alert and "action" in body


def parse(message: Message) -> list[Alert]:
    envelope = Fields(message.body)
    action, alert = envelope.needed("action"), envelope.inner("alert")
    key, details, tags = alert.needed("alertId"), alert.table("details"), alert.texts("tags")
    entity, title, alias = alert.text("entity"), alert.text("message"), alert.text("alias")
    return [
        Alert(
            format="opsgenie",
            status=STATUSES.get(action, OTHER),
            key=key,
            delivery=digest("opsgenie", key, action, alert.text("updatedAt", "createdAt")),
            runbook=first(details, "nvsx_runbook", "runbook"),
            node=first(details, "node", "host", "hostname") or (entity if is_node_name(entity) else ""),
            mentions=tuple(text for text in (entity, *tags, title, alias) if text),
            check=first(details, "check", "check_name"),
            error_codes=codes(first(details, "error_codes", "xid")),
            cluster=first(details, "cluster"),
            title=title,
            labels={**details, "priority": alert.text("priority")},
            started_time=milliseconds(alert.text("createdAt")),
            issued_key=issued_key([alias, *details.values()]),
        )
    ]
