"""The node as a source of health events: the quarantine annotation holds whole events, a condition parts of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.health import Entity, HealthEvent
from nvsx.healthevents.fields import Fields, Rejection, Unreadable, read_event, shown
from nvsx.watches import nvsentinel
from nvsx.watches.pods import event_time

if TYPE_CHECKING:
    from nvsx.ports import Object
    from nvsx.watches.nvsentinel import Condition

ANNOTATION, CONDITION, EVENT = "node", "condition", "event"

_CODE = re.compile(r"ErrorCode:(\S+) ?")
_ENTITY = re.compile(r"([A-Za-z][A-Za-z0-9_]*):(\S+)(?: |\Z)")
_ACTION = re.compile(r"\s*Recommended Action=([A-Z_]+)\Z")


def from_annotation(node: Object) -> tuple[HealthEvent | Rejection, ...]:
    """The events for which fault-quarantine holds the node, oldest first, each as it was when the node was cordoned."""
    path = f"metadata.annotations.{nvsentinel.EVENTS_ANNOTATION}"
    try:
        listed = nvsentinel.annotated_events(node)
    except ValueError as error:
        return (Rejection(path, str(error), ANNOTATION),)
    return tuple(_annotated(raw, f"{path}[{at}]") for at, raw in enumerate(listed))


def _annotated(raw: object, path: str) -> HealthEvent | Rejection:
    if not isinstance(raw, dict):
        return Rejection(path, f"must be an object (found {shown(raw)})", ANNOTATION)
    try:
        return read_event(Fields(raw, path), source=ANNOTATION)
    except Unreadable as error:
        known = raw.get("id")
        return Rejection(error.path, error.message, ANNOTATION, known if isinstance(known, str) else "")


def from_conditions(node: Object) -> tuple[HealthEvent, ...]:
    """What the node's active fault conditions tell: fatal events without id, agent and times finer than a second.

    One condition may hold several faults of one check; its text is cut off at 1,024 characters.
    """
    name = nvsentinel.metadata(node).get("name")
    if not isinstance(name, str) or not name:
        return ()
    return tuple(event for fault in nvsentinel.faults(node) for event in _faults(name, fault))


def from_node_event(event: Object) -> HealthEvent | None:
    """What an Event on a node tells of a fault that is not fatal: its type is the check. None for any other Event."""
    check, reason = str(event.get("type") or ""), str(event.get("reason") or "")
    node = (event.get("involvedObject") or {}).get("name")
    if not check or reason != f"{check}IsNotHealthy" or not isinstance(node, str):
        return None
    told = nvsentinel.Condition(check, "True", reason, str(event.get("message") or ""), event_time(event))
    agent = str((event.get("source") or {}).get("component") or event.get("reportingComponent") or "")
    return _faults(node, told)[0]._replace(agent=agent, fatal=False, source=EVENT)


def _faults(node: str, condition: Condition) -> list[HealthEvent]:
    entries = [entry.strip() for entry in condition.message.split(";")]
    return [_fault(node, condition, entry) for entry in entries if entry] or [_fault(node, condition, "")]


def _fault(node: str, condition: Condition, entry: str) -> HealthEvent:
    action = _ACTION.search(entry)
    text = entry[: action.start()] if action else entry
    codes, entities = [], []
    while found := _CODE.match(text):
        codes.append(found[1])
        text = text[found.end() :]
    while found := _ENTITY.match(text):
        entities.append(Entity(found[1], found[2]))
        text = text[found.end() :]
    return HealthEvent(
        node=node,
        check=condition.type,
        error_codes=tuple(codes),
        action=action[1] if action else "UNKNOWN",
        message=text.strip(),
        entities=tuple(entities),
        fatal=True,
        generated_time=condition.since,
        source=CONDITION,
    )
