"""nvsx's own format: what a script or a colleague posts by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, OTHER, RESOLVED, Alert
from nvsx.names import is_node_name
from nvsx.triggers.fields import Fields, Malformed
from nvsx.triggers.formats.message import codes, issued_key

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

STATUSES = {"": FIRING, "firing": FIRING, "resolved": RESOLVED}
EXAMPLE = '{"runbook": "gpu-off-bus", "target_node": "NODE"}'


def recognises(message: Message) -> bool:
    body = message.body
    return isinstance(body, dict) and bool({"runbook", "target_node", "check", "check_name"} & body.keys())


def parse(message: Message) -> list[Alert]:
    fields = Fields(message.body)
    runbook, check = fields.text("runbook"), fields.text("check", "check_name")
    error_codes = codes(*fields.texts("error_codes"), *fields.texts("codes"))
    status = fields.text("status").lower()
    if not (runbook or check or error_codes):
        raise Malformed("runbook", f"is missing (or `check`, or `error_codes`), as in {EXAMPLE}")
    node = fields.text("target_node", "node").strip()
    if node and not is_node_name(node.lower()):
        raise Malformed("target_node", f"{node[:80]!r} cannot be a node's name")
    key = fields.text("key", "incident_key", "id")
    return [
        Alert(
            format="nvsx",
            status=STATUSES.get(status, OTHER),
            key=key,
            delivery=message.header("Idempotency-Key") or fields.text("delivery"),
            runbook=runbook,
            node=node,
            check=check,
            error_codes=error_codes,
            cluster=fields.text("cluster"),
            title=fields.text("title", "message"),
            labels=fields.table("labels"),
            url=fields.text("url"),
            issued_key=issued_key([key]),
            drill=fields.value.get("drill") is True,
        )
    ]
