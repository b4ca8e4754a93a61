"""The table of watch kinds: how a clause of the runbook language becomes a predicate.

A kind's module is imported with its first clause, because `show` and `lint` start anew each time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nvsx.durations import parse_duration
from nvsx.errors import DocumentInvalid, Problem
from nvsx.watches.node import NodeCondition, NodeField, OnNode, Taint
from nvsx.watches.predicate import LogSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.model import Clause
    from nvsx.watches.lines import LogPattern
    from nvsx.watches.predicate import Predicate


def _node(fields: Mapping[str, Any]) -> Predicate:
    return OnNode(NodeField(field=fields["field"], expect=_scalar(fields["expect"])))


def _node_condition(fields: Mapping[str, Any]) -> Predicate:
    return OnNode(
        NodeCondition(
            type=fields["type"],
            status=_status(fields.get("status", "True")),
            error_code=_scalar(fields.get("errorCode", "")),
            reason=fields.get("reason", ""),
        )
    )


def _taint(fields: Mapping[str, Any]) -> Predicate:
    value = fields.get("value")
    return OnNode(Taint(fields["key"], None if value is None else _scalar(value), fields.get("effect")))


def _pod(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.pods import Pod, parse_pod_expect

    phase, count = parse_pod_expect(fields.get("expect", ""))
    return Pod(selector=fields["selector"], namespace=fields.get("namespace", "default"), phase=phase, number=count)


def _crd(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.customs import CustomResource

    condition = fields.get("condition") or {}
    return CustomResource(
        group=fields["group"],
        resource=fields["resource"],
        version=fields.get("version", ""),
        condition_type=condition.get("type", ""),
        condition_status=_status(condition.get("status", "True")),
        phase=fields.get("phase", ""),
    )


def _pod_event(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.pods import PodEvent

    return PodEvent(reason=fields["reason"], namespace=fields.get("namespace", ""), selector=fields.get("selector", ""))


def _node_event(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.pods import NodeEvent

    return NodeEvent(reason=fields.get("reason", ""), type=fields.get("type", ""))


def _nvsentinel_state(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.progress import NvsentinelState, OnChain

    return OnChain(NvsentinelState(fields["state"]))


def _stalled(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.progress import OnChain, Stalled

    return OnChain(Stalled(after_s=parse_duration(str(fields.get("after", "10m")))))


def _mongo_event(fields: Mapping[str, Any]) -> Predicate:
    import json

    from nvsx.watches.documents import DatabaseDocuments

    return DatabaseDocuments(
        collection=fields.get("collection", "HealthEvents"),
        filter=json.dumps(fields.get("filter", {}), sort_keys=True, ensure_ascii=False),
        least=fields.get("count", 1),
    )


def _log(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.lines import LogPattern

    source = LogSource(namespace=fields.get("namespace", "default"), selector=fields["selector"])
    return LogPattern(pattern=fields["pattern"], source=source)


def _training_log(fields: Mapping[str, Any]) -> Predicate:
    from nvsx.watches.lines import LogPattern

    source = LogSource(namespace=fields.get("namespace", "default"), pod=fields["pod"])
    return LogPattern(pattern=fields["pattern"], source=source)


KINDS: dict[str, Callable[[Mapping[str, Any]], Predicate]] = {
    "pod": _pod,
    "node": _node,
    "node-condition": _node_condition,
    "taint": _taint,
    "crd": _crd,
    "pod-event": _pod_event,
    "node-event": _node_event,
    "nvsentinel-state": _nvsentinel_state,
    "stalled": _stalled,
    "mongo-event": _mongo_event,
    "log": _log,
    "training-log": _training_log,
}


LOG_KINDS = ("log", "training-log")


class Compiled(NamedTuple):
    """A clause ready to look: one predicate, or alternatives of which one is enough."""

    kind: str
    text: str
    predicate: Predicate | None
    alternatives: tuple[Compiled, ...] = ()
    absent: bool = False
    hold_s: float = 0.0

    @property
    def holds_now(self) -> bool:
        """True where the clause speaks of the present, so that having been met once is not enough."""
        return self.absent or self.hold_s > 0 or any(child.holds_now for child in self.alternatives)


def compile_clause(clause: Clause) -> Compiled:
    """The clause with its predicates; DocumentInvalid where its fields cannot be understood."""
    if clause.any_of:
        children = tuple(compile_clause(child) for child in clause.any_of)
        text = " or ".join(child.text for child in children)
        return Compiled("anyOf", _worded(clause, text), None, children, clause.absent, clause.hold_s)
    try:
        predicate = KINDS[clause.kind](clause.fields)
        if clause.kind in LOG_KINDS:
            re.compile(clause.fields["pattern"])
            predicate = cast("LogPattern", predicate)._replace(place=str(clause.place))
            if clause.absent or clause.hold_s:
                raise ValueError("a log line passes and is gone: absent and for cannot be asked of it")
    except (KeyError, ValueError, AttributeError, TypeError, re.error) as error:
        message = f"watch of kind {clause.kind}: {error}"
        hint = f"nvsx show --schema watch.{clause.kind}"
        raise DocumentInvalid(message, (Problem(clause.place, "", message, hint),), hint=hint) from error
    return Compiled(clause.kind, _worded(clause, predicate.text), predicate, (), clause.absent, clause.hold_s)


def _worded(clause: Clause, text: str) -> str:
    from nvsx.durations import format_duration

    absent = "no " if clause.absent else ""
    held = f" for {format_duration(clause.hold_s)}" if clause.hold_s else ""
    return f"{absent}{text}{held}"


def _scalar(value: Any) -> str:
    """A YAML scalar as text: a runbook may write `expect: true` as well as `expect: "true"`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _status(value: Any) -> str:
    return str(value) if isinstance(value, bool) else value
