"""Field and label selectors with the API server's own meaning: a typing error must fail here as it would there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

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
_NAME = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_KEY = re.compile(_NAME + r"\Z")
_EQUALS = re.compile(rf"({_NAME})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)\Z")
_SET = re.compile(rf"({_NAME})\s+(in|notin)\s*\(([^()]*)\)\Z")


class Requirement(NamedTuple):
    """One term of a selector: `operator` is in, notin, exists or absent."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def admits(self, labels: Mapping[str, str]) -> bool:
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "absent":
            return self.key not in labels
        inside = self.key in labels and labels[self.key] in self.values
        return inside if self.operator == "in" else not inside


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The terms of a label selector (`a=b,c!=d,e in (f,g),h,!i`); BadRequest says which one is malformed."""
    return tuple(_label_term(term.strip()) for term in _split(text)) if text.strip() else ()


def _split(text: str) -> list[str]:
    return re.split(r",(?![^()]*\))", text)


def _label_term(term: str) -> Requirement:
    if equals := _EQUALS.match(term):
        operator = "notin" if equals[3] == "!=" else "in"
        return Requirement(equals[1], operator, frozenset({equals[4]}))
    if chosen := _SET.match(term):
        return Requirement(chosen[1], chosen[3], frozenset(value.strip() for value in chosen[4].split(",")))
    if term.startswith("!") and _KEY.match(term[1:].strip()):
        return Requirement(term[1:].strip(), "absent")
    if _KEY.match(term):
        return Requirement(term, "exists")
    raise BadRequest(f"unable to parse requirement: {term!r} is not a label selector")


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
    labels = parse_labels(label_selector)
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
