"""Watches on the target node itself: a field, a condition, a taint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nvsx.watches import nvsentinel, verdict
from nvsx.watches.predicate import node_path, only_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict

_STEP = r"\.?([^.\[\]]+)|\[(?:'([^']*)'|\"([^\"]*)\"|(\d+))\]"
_NOTHING = ("", "false", "null", "<none>", "none")


class NodeTest(Protocol):
    """What is asked of a node that is there."""

    @property
    def text(self) -> str: ...

    def judge(self, node: Object, incident: Incident) -> Verdict: ...


class OnNode(NamedTuple):
    """A watch on the target node: where to look is the same for all of them, and so is a node that is not there."""

    test: NodeTest

    @property
    def text(self) -> str:
        return self.test.text

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (node_path(incident.node),) if incident.node else ()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        node = only_object(sights, node_path(incident.node))
        if node is None:
            return verdict.unmet(f"there is no node {incident.node}")
        return self.test.judge(node, incident)


class NodeField(NamedTuple):
    """`kind: node`: a field of the node, given by its dotted path, equals a value."""

    field: str
    expect: str

    @property
    def text(self) -> str:
        return f"node {self.field} = {self.expect}"

    def judge(self, node: Object, incident: Incident) -> Verdict:
        value = as_text(field_at(node, self.field))
        version = nvsentinel.resource_version(node)
        same = value == self.expect or (value == "" and self.expect.lower() in _NOTHING)
        detail = f"{self.field}={value or '(absent)'}"
        if same:
            return verdict.met(detail, version)
        if self.field == "spec.unschedulable" and self.expect == "true" and quarantine_is_over(node, incident):
            return verdict.met("cordoned and uncordoned by NVSentinel in this incident", version, inferred=True)
        return verdict.unmet(detail, version)


class NodeCondition(NamedTuple):
    """`kind: node-condition`: a condition has a status; an absent condition counts as False."""

    type: str
    status: str = "True"
    error_code: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        more = f" with error code {self.error_code}" if self.error_code else ""
        return f"condition {self.type}={self.status}{more}" + (f", reason {self.reason}" if self.reason else "")

    def judge(self, node: Object, incident: Incident) -> Verdict:
        found = nvsentinel.condition(node, self.type)
        version = nvsentinel.resource_version(node)
        status = found.status if found else "False"
        detail = self._observed(found)
        wrong_code = self.error_code and (not found or self.error_code not in found.error_codes)
        wrong_reason = self.reason and (not found or found.reason != self.reason)
        if status == self.status and not wrong_code and not wrong_reason:
            return verdict.met(detail, version)
        if self.status == "True" and not self.reason:
            for event in nvsentinel.quarantine_events(node):
                if event.check == self.type and (not self.error_code or self.error_code in event.error_codes):
                    # The two writers race, so the annotation may come first; but a condition that has turned False
                    # since the event means that the fault itself was not seen.
                    over = found is not None and found.status == "False" and found.since >= int(event.time)
                    return verdict.met(f"quarantine annotation names {self.type}", version, inferred=over)
        return verdict.unmet(detail, version)

    def _observed(self, found: nvsentinel.Condition | None) -> str:
        if found is None:
            return f"no condition {self.type}"
        codes = f", error code {' '.join(found.error_codes)}" if found.error_codes else ""
        return f"{self.type}={found.status}{codes}"


class Taint(NamedTuple):
    """`kind: taint`: the node carries a taint."""

    key: str
    value: str | None = None
    effect: str | None = None

    @property
    def text(self) -> str:
        return (
            f"taint {self.key}" + (f"={self.value}" if self.value else "") + (f":{self.effect}" if self.effect else "")
        )

    def judge(self, node: Object, incident: Incident) -> Verdict:
        version = nvsentinel.resource_version(node)
        present = [taint for taint in (node.get("spec") or {}).get("taints") or () if isinstance(taint, dict)]
        for taint in present:
            if (
                taint.get("key") == self.key
                and self.value in (None, taint.get("value") or "")
                and self.effect in (None, taint.get("effect"))
            ):
                return verdict.met(_taint_text(taint), version)
        if self.key == "node.kubernetes.io/unschedulable" and quarantine_is_over(node, incident):
            return verdict.met("cordoned and uncordoned by NVSentinel in this incident", version, inferred=True)
        return verdict.unmet("taints: " + (", ".join(map(_taint_text, present)) or "none"), version)


def quarantine_is_over(node: Object, incident: Incident) -> bool:
    """NVSentinel uncordoned the node in this incident, so it must have cordoned it before."""
    return incident.covers(nvsentinel.released_by_nvsentinel(node))


def field_at(thing: Any, path: str) -> Any:
    """The value at a path such as `spec.unschedulable` or `metadata.labels['a.b/c']`; None where there is none."""
    position = 0
    while position < len(path):
        step = re.compile(_STEP).match(path, position)
        if not step:
            return None
        position = step.end()
        if isinstance(thing, list):
            index = step[4] or step[1]
            thing = thing[int(index)] if index and index.isdigit() and int(index) < len(thing) else None
        elif isinstance(thing, dict):
            thing = thing.get(next(group for group in step.groups() if group is not None))
        else:
            return None
    return thing


def as_text(value: Any) -> str:
    """A JSON value as a runbook's `expect` writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _taint_text(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"
