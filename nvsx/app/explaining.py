"""What a message from outside would do: decoded as whatever it is, and routed as the daemon routes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import DocumentInvalid, Place, Problem
from nvsx.healthevents import Rejection, from_annotation, from_document
from nvsx.routing.route import Report, report_of, report_of_alert, route
from nvsx.triggers.fields import Malformed
from nvsx.triggers.formats import FORMATS, recognise
from nvsx.triggers.formats.message import Message
from nvsx.watches.nvsentinel import EVENTS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.alerts import Alert
    from nvsx.health import HealthEvent
    from nvsx.model import Runbook
    from nvsx.routing.route import Route

LONGEST = 1 << 20
"""Bytes of a message, the same limit as the webhook's."""


class Explained(NamedTuple):
    """One thing that the message says, and what would come of it."""

    what: str  # "alertmanager alert", "health event"
    status: str  # "firing", "resolved", "other", or "" for a health event
    report: Report
    route: Route


def explain(data: bytes, name: str, runbooks: Sequence[Runbook]) -> list[Explained]:
    """What each event or alert in a message would start; DocumentInvalid where it is nothing that nvsx takes.

    Node labels are not known here, so a trigger that asks for some does not fit.
    """
    body = _decoded(data, name)
    try:
        return [_explained(what, thing, runbooks) for what, thing in _things(body)]
    except Malformed as error:
        raise _refused(name, error.path, error.fact) from None


def _explained(what: str, thing: HealthEvent | Alert, runbooks: Sequence[Runbook]) -> Explained:
    from nvsx.health import HealthEvent

    if isinstance(thing, HealthEvent):
        report = report_of(thing, node_labels={})
        return Explained(what, "", report, route(report, runbooks))
    report = report_of_alert(thing, node=thing.node, node_labels={})
    return Explained(what, thing.status, report, route(report, runbooks))


def _things(body: Any) -> Iterator[tuple[str, HealthEvent | Alert]]:
    """The events or alerts of a decoded message, whichever of the known forms it has."""
    message = Message({}, body)
    form = recognise(message)
    if form:
        yield from ((f"{form} alert", alert) for alert in FORMATS[form].parse(message))
        return
    if isinstance(body, list):  # the annotation of a quarantined node, as it stands there
        node = {"metadata": {"annotations": {EVENTS_ANNOTATION: json.dumps(body)}}}
        yield from (("health event", _sound(found)) for found in from_annotation(node))
        return
    yield "health event", _sound(from_document(body))


def _sound(found: HealthEvent | Rejection) -> HealthEvent:
    if isinstance(found, Rejection):
        raise Malformed(found.path, found.message)
    return found


def _decoded(data: bytes, name: str) -> Any:
    if len(data) > LONGEST:
        raise _refused(name, "", f"is larger than {LONGEST} bytes")
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise _refused(name, "", f"is not JSON: {error.msg}", Place(name, error.lineno, error.colno)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise _refused(name, "", f"is not JSON: {error}") from None


def _refused(name: str, path: str, fact: str, place: Place | None = None) -> DocumentInvalid:
    problem = Problem(place or Place(name), path, fact)
    hint = "a health event, a CloudEvent, or what a webhook sender posts: nvsx explain --help"
    return DocumentInvalid(f"{name} cannot be explained", (problem,), hint=hint)
