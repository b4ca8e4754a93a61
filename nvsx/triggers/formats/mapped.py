"""A sender of any shape: `sources.NAME.map` in nvsx.yaml says at which dotted path of the body what stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.alerts import FIRING, RESOLVED, Alert
from nvsx.triggers.fields import Fields, as_text
from nvsx.triggers.formats.message import codes, issued_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.triggers.formats.message import Message

ENDED = frozenset({"resolved", "ok", "recovered", "closed", "close", "cleared", "inactive", "normal", "false"})
"""What senders write into a status field when the incident is over; everything else is its begin."""


def parse(message: Message, paths: Mapping[str, str]) -> list[Alert]:
    """The alert of a body whose fields stand at `paths`, a key of the map to a dotted path (`alerts.0.host`)."""
    body = Fields(message.body).value
    found = {name: as_text(value) for name, path in paths.items() if (value := _at(body, path)) is not None}
    key, title = found.get("key", ""), found.get("title", "")
    return [
        Alert(
            format="map",
            status=RESOLVED if found.get("status", "").lower() in ENDED else FIRING,
            key=key,
            runbook=found.get("runbook", ""),
            node=found.get("node", ""),
            mentions=(title,) if title else (),
            check=found.get("check", ""),
            error_codes=codes(found.get("codes", "")),
            cluster=found.get("cluster", ""),
            title=title,
            issued_key=issued_key([key, title]),
        )
    ]


def _at(value: Any, path: str) -> str | int | float | bool | None:
    """The scalar at a dotted path, a list's scalars joined by commas; None where there is none."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value if isinstance(item, (str, int, float)))
    return value if isinstance(value, (str, int, float)) else None
