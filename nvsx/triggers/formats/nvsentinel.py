"""NVSentinel's own event exporter: one CloudEvent for each health event, healthy ones and mere observations included.

Its `id` is new for every publication, so a delivery is known by its content. Source: NVSentinel `event-exporter/pkg`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, RESOLVED, Alert
from nvsx.healthevents import Rejection, from_cloudevent
from nvsx.triggers.fields import Fields, Malformed
from nvsx.triggers.formats.message import digest

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

TYPE = "com.nvidia.nvsentinel.health.v1"


def recognises(message: Message) -> bool:
    return isinstance(message.body, dict) and message.body.get("type") == TYPE


def parse(message: Message) -> list[Alert]:
    fields = Fields(message.body)
    event = from_cloudevent(message.body)
    if isinstance(event, Rejection):
        raise Malformed(event.path, event.message)
    parts = sorted(f"{entity.kind}={entity.value}" for entity in event.entities)
    key = digest(event.node, event.check, *sorted(event.error_codes), *parts)
    told = f"{event.healthy}@{event.generated_time}"
    return [
        Alert(
            format="nvsentinel",
            status=RESOLVED if event.healthy else FIRING,
            key=key,
            delivery=digest(key, told),
            node=event.node,
            check=event.check,
            error_codes=event.error_codes,
            cluster=fields.inner("data").inner("metadata").text("cluster"),
            title=event.message,
            started_time=event.generated_time,
            health=event,
        )
    ]
