"""Webhook: from a request to a delivery, and from what became of it to the answer. Pure, but for the secrets' files.

Order is safety: who is it (on raw bytes), then what form has it, then what does it say. Answers follow what senders do
with them: 2xx ends a delivery, 4xx drops it (and may disable the subscription), 503 alone makes all of them come again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.admission import ATTACH, DUPLICATE, IGNORE, QUEUE, REFUSE, START
from nvsx.httpd.message import Answer, json_answer
from nvsx.names import is_slug
from nvsx.triggers.fields import Malformed
from nvsx.triggers.formats import FORMATS, mapped, own, recognise
from nvsx.triggers.formats.message import Message
from nvsx.triggers.inbox import UNKNOWN, Delivery, Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.alerts import Alert
    from nvsx.httpd.message import Request
    from nvsx.triggers.senders import Sender

RETRY_AFTER_S = 15
"""When a sender that was told 503 is asked to come again."""

WORDS = {
    # verdict: the status in an answer
    START: "fired",
    QUEUE: "queued",
    DUPLICATE: "duplicate",
    ATTACH: "duplicate",
    IGNORE: "ignored",
    UNKNOWN: "unknown",
    REFUSE: "refused",
}
_WEIGHT = (REFUSE, START, QUEUE, ATTACH, DUPLICATE, UNKNOWN, IGNORE)
"""Which of many verdicts is the delivery's."""


class Turned(NamedTuple):
    """A delivery that goes no further: its answer, a word for the metrics and the reason for the log."""

    answer: Answer
    verdict: str
    reason: str


def read(request: Request, sender: Sender, now: float) -> Delivery | Turned:
    """The delivery in a request whose sender is known; or what to answer instead."""
    if not _is_json(request):
        given = request.headers.get("content-type", "none")
        told = "Content-Type must be application/json or end with +json"
        return _turned(415, f"{told}, not {given[:80]}", {"reason": f"{told}, and the body must not be compressed"})
    try:
        body = _decoded(request.body)
        form, alerts = _alerts(Message(request.headers, body), sender)
    except Malformed as error:
        return _turned(400, str(error), {"path": error.path, "reason": error.fact})
    return Delivery(sender.name, form, alerts, request.body, sender.runbooks, now)


def unbelieved(status: int, kind: str) -> Answer:
    """401 (nothing was offered) or 403 (it was wrong): neither says what would have been right."""
    headers = {"WWW_Authenticate": kind.capitalize()} if status == 401 and kind in ("bearer", "basic") else {}
    return json_answer(status, {"status": "unauthorized" if status == 401 else "forbidden"}, **headers)


def unable(reason: str) -> Answer:
    """503: nothing was accepted, come again."""
    return json_answer(503, {"status": "refused", "reason": reason}, Retry_After=str(RETRY_AFTER_S))


def told(delivery: Delivery, receipts: Sequence[Receipt]) -> tuple[Answer, str]:
    """The answer to a delivery, and the verdict that stands for all of it."""
    if not receipts:
        return json_answer(200, {"status": "ignored", "reason": "the message holds no alert"}), IGNORE
    first = min(receipts, key=lambda receipt: _WEIGHT.index(receipt.verdict))
    said = _said(first)
    if len(receipts) > 1:
        said["alerts"] = [_said(receipt) for receipt in receipts]
    by_hand = delivery.format == "nvsx"
    if first.verdict == REFUSE:
        return json_answer(503, said, Retry_After=str(RETRY_AFTER_S)), REFUSE
    if first.verdict == UNKNOWN and by_hand:
        return json_answer(404, said), UNKNOWN
    if first.verdict == UNKNOWN:  # a sender that is told 404 gives the alert up, and in the end the subscription
        said["status"] = WORDS[IGNORE]
    status = 202 if first.verdict in (START, QUEUE) and not by_hand else 200
    return json_answer(status, said), first.verdict


def misnamed(delivery: Delivery) -> Receipt | None:
    """The receipt for a message by hand whose runbook can be none: such a name goes no further."""
    for alert in delivery.alerts if delivery.format == "nvsx" else ():
        if alert.runbook and not is_slug(alert.runbook.removeprefix("#")):
            return Receipt(UNKNOWN, "a runbook's name is lower-case letters, digits and inner dashes")
    return None


def _alerts(message: Message, sender: Sender) -> tuple[str, list[Alert]]:
    if sender.format == "map":
        return "map", mapped.parse(message, sender.map)
    if not sender.format:
        form = recognise(message)
        return (form, FORMATS[form].parse(message)) if form else ("nvsx", own.parse(message))
    form = sender.format
    alerts = FORMATS[form].parse(message)
    if form != "nvsx" and not FORMATS[form].recognises(message):
        raise Malformed("", f"is no message in the form of {form}")
    return form, alerts


def _said(receipt: Receipt) -> dict[str, object]:
    joined = receipt.verdict in (ATTACH, DUPLICATE)
    said = {
        "status": WORDS[receipt.verdict],
        "runbook": receipt.runbook,
        "run_id": receipt.run_id,
        "duplicate_of": receipt.run_id if joined else "",
        "target_node": receipt.node,
        "incident": receipt.incident,
        "reason": receipt.reason,
    }
    return {key: value for key, value in said.items() if value}


def _turned(status: int, reason: str, said: dict[str, object]) -> Turned:
    return Turned(json_answer(status, {"status": "invalid", **said}), "invalid", reason)


def _is_json(request: Request) -> bool:
    """Only what a web page cannot post without asking first, and what is not compressed."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    plain = request.headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
    return plain and (media == "application/json" or media.endswith("+json"))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise Malformed("", f"the body is not JSON: line {error.lineno} column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise Malformed("", "the body is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise Malformed("", "the body is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise Malformed("", f"the body is not JSON that can be read: {error}") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
