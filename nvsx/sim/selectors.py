"""Field selectors with the API server's own meaning: a typing error must fail here as it would there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nvsx.selectors import Requirement, parse_labels
from nvsx.sim.status import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.ports import Object

_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    "secrets": frozenset({"type"}),
    "jobs": frozenset({"status.successful"}),
}


def parse_fields(text: str, resource: str) -> tuple[Requirement, ...]:
    """The terms of a field selector; only the fields that the API server indexes for `resource` are known."""
    terms = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = re.match(r"([^=!]+)(==|=|!=)(.*)\Z", part)
        if not found:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        key, operator, value = found.groups()
        if key not in _COMMON_FIELDS and key not in _FIELDS.get(resource, ()):
            raise BadRequest(f"field label not supported: {key}")
        terms.append(Requirement(key, "notin" if operator == "!=" else "in", frozenset({value})))
    return tuple(terms)


def field_values(thing: Object, keys: set[str]) -> dict[str, str]:
    """The selectable fields of an object as the text that selectors compare with; a missing one is ""."""
    values = {key: _text(_dig(thing, key)) for key in keys}
    if "spec.unschedulable" in keys and not values["spec.unschedulable"]:
        values["spec.unschedulable"] = "false"
    if "source" in keys:
        values["source"] = _text(_dig(thing, "source.component") or thing.get("reportingComponent"))
    return values


def _dig(thing: Any, path: str) -> Any:
    for key in path.split("."):
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def matcher(resource: str, namespace: str, field_selector: str, label_selector: str) -> Callable[[Object], bool]:
    """A predicate over objects of `resource`; BadRequest for selectors that the API server would refuse."""
    fields = parse_fields(field_selector, resource)
    try:
        labels = parse_labels(label_selector)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    keys = {term.key for term in fields}

    def matches(thing: Object) -> bool:
        metadata = thing["metadata"]
        if namespace and metadata.get("namespace") != namespace:
            return False
        if fields:
            values = field_values(thing, keys)
            if not all(term.admits(values) for term in fields):
                return False
        if not labels:
            return True
        attached = metadata.get("labels") or {}
        return all(term.admits(attached) for term in labels)

    return matches
