"""Datadog: the body is a template of the operator's own; this is the one that `nvsx help webhook` gives.

A variable that Datadog did not expand stays as `$NAME` and counts as missing. Source: Datadog docs, "Webhooks".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, OTHER, RESOLVED, Alert
from nvsx.triggers.fields import Fields
from nvsx.triggers.formats.message import codes, issued_key, milliseconds

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

VERSION = "datadog/1"
TEMPLATE = {
    "nvsx_format": VERSION,
    "event_id": "$ID",
    "alert_cycle_key": "$ALERT_CYCLE_KEY",
    "alert_transition": "$ALERT_TRANSITION",
    "alert_title": "$ALERT_TITLE",
    "alert_scope": "$ALERT_SCOPE",
    "hostname": "$HOSTNAME",
    "tags": "$TAGS",
    "last_updated": "$LAST_UPDATED",
    "link": "$LINK",
}
"""What to put into the webhook's payload box."""

STATUSES = {"triggered": FIRING, "re-triggered": FIRING, "recovered": RESOLVED}
_UNEXPANDED = re.compile(r"\$[A-Z_]+")


def recognises(message: Message) -> bool:
    return isinstance(message.body, dict) and str(message.body.get("nvsx_format", "")).startswith("datadog/")


def parse(message: Message) -> list[Alert]:
    raw = Fields(message.body).value
    fields = Fields({key: "" if _unexpanded(value) else value for key, value in raw.items()})
    tags = _tags(fields.text("alert_scope"), fields.text("tags"))
    title = fields.text("alert_title")
    return [
        Alert(
            format="datadog",
            status=STATUSES.get(fields.text("alert_transition").lower(), OTHER),
            key=fields.text("alert_cycle_key", "aggreg_key", "alert_id"),
            delivery=fields.text("event_id"),
            runbook=tags.get("nvsx_runbook", ""),
            node=tags.get("node") or fields.text("hostname") or tags.get("host", ""),
            mentions=(title,) if title else (),
            error_codes=codes(tags.get("xid", "")),
            cluster=tags.get("kube_cluster_name") or tags.get("cluster", ""),
            title=title,
            labels=tags,
            url=fields.text("link"),
            started_time=milliseconds(fields.text("last_updated", "date")),
            issued_key=issued_key([*tags.values(), title]),
        )
    ]


def _unexpanded(value: object) -> bool:
    return isinstance(value, str) and bool(_UNEXPANDED.fullmatch(value.strip()))


def _tags(*lists: str) -> dict[str, str]:
    pairs = (tag.strip().partition(":") for text in lists for tag in text.split(","))
    return {name: value for name, colon, value in pairs if colon}
