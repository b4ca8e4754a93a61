"""Watch clauses that are well-formed and wait for what a default NVSentinel never shows, each with what to write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.runbook.checks import CHECKS, misspelt
from nvsx.runbook.emit import inline
from nvsx.runbook.finding import warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nvsx.errors import Problem
    from nvsx.model import Clause, Runbook, Stage


class Seat(NamedTuple):
    """Where a clause stands: its runbook, its stage, and whether an alternative may be met in its place."""

    runbook: Runbook
    stage: Stage
    has_alternatives: bool


Remark = tuple[str, str]  # what is wrong, what to write instead

JANITOR = "janitor.dgxc.nvidia.com"
_GROUPS = {
    "rebootnodes": JANITOR,
    "gpuresets": JANITOR,
    "terminatenodes": JANITOR,
    "externalremediationrequests": "nvsentinel.dgxc.nvidia.com",
}
_FLAT_FIELDS = {
    "isFatal": "healthevent.isfatal",
    "isHealthy": "healthevent.ishealthy",
    "nodeName": "healthevent.nodename",
    "checkName": "healthevent.checkname",
    "errorCode": "healthevent.errorcode",
    "recommendedAction": "healthevent.recommendedaction",
    "timestamp": "createdAt",
    "healthEvent": "healthevent",
}
_NESTED = re.compile(r"(?<!\\)[+*}][^()\[\]|]*\)(?:[+*]|\{\d+,)")
_OFF_BUS = re.compile(r"off.?(?:the.?)?bus|xid.?79\b", re.IGNORECASE)


def clause_problems(runbook: Runbook) -> Iterator[Problem]:
    """A warning for each clause that cannot be met on a default NVSentinel, or means less than it seems to."""
    for index, stage in enumerate(runbook.stages):
        for number, clause in enumerate(stage.watch):
            yield from _clause(clause, f"stages[{index}].watch[{number}]", Seat(runbook, stage, has_alternatives=False))


def _clause(clause: Clause, path: str, seat: Seat) -> Iterator[Problem]:
    for number, alternative in enumerate(clause.any_of):
        inner = seat._replace(has_alternatives=len(clause.any_of) > 1)
        yield from _clause(alternative, f"{path}.anyOf[{number}]", inner)
    if clause.absent:  # what is never there is absent for certain: weak, but not wrong
        return
    for remark in _REMARKS.get(clause.kind, ()):
        for message, instead in remark(clause.fields, seat):
            yield warning(clause.place, path, message, instead)


def _instead(**fields: Any) -> str:
    return f"- {inline(fields)}"


def _condition(fields: Mapping[str, Any], seat: Seat) -> Iterator[Remark]:
    name, status = fields["type"], fields.get("status", "True")
    near = misspelt(name, CHECKS)
    if near:
        yield f"NVSentinel has no check {name}", f"did you mean {near}?"
    shown = CHECKS[name].shown if name in CHECKS else "condition"
    if shown == "event" and status == "True":
        message = f"{name} is practically never fatal, and what is not fatal gives an Event and no condition"
        yield message, _instead(kind="node-event", type=name)
    if shown == "nothing" and status == "True":
        message = f"{name} is stored only by default: it shows neither a condition nor an Event"
        yield message, _instead(kind="mongo-event", filter={"healthevent.checkname": name})
    if name in CHECKS and status == "False" and seat.stage.id == "detect":
        yield f"{name}=False means healthy: True is the fault", _instead(kind="node-condition", type=name)


def _pcie(fields: Mapping[str, Any], seat: Seat) -> Iterator[Remark]:
    if fields["type"] == "GpuPcieWatch" and not seat.has_alternatives and about_xid_79(seat.runbook):
        if any(other.fields.get("type") == "SysLogsXIDError" for other in seat.stage.watch):
            return  # watched besides the check that tells
        more = {} if fields.get("status", "True") == "True" else {"status": fields["status"]}
        code = {} if more else {"errorCode": "79"}
        yield (
            "an XID 79 comes from the system log and never sets GpuPcieWatch, which counts PCIe replays",
            _instead(kind="node-condition", type="SysLogsXIDError", **code, **more),
        )


def about_xid_79(runbook: Runbook) -> bool:
    """Whether a runbook says that it is for the GPU that fell off the bus."""
    codes = runbook.trigger.error_codes if runbook.trigger else ()
    return "79" in codes or any(_OFF_BUS.search(text) for text in (runbook.name, runbook.title, *runbook.tags))


def _pattern(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    if _NESTED.search(fields["pattern"]):
        yield (
            "a repeat inside a repeat can take for ever on a line that almost matches; nvsx then gives the pattern up",
            "say it with one repeat, such as a+ for (a+)+",
        )


def _taint(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    if fields["key"] == "nvidia.com/gpu-error":
        yield (
            "the default rules of NVSentinel cordon and set no taint nvidia.com/gpu-error",
            _instead(kind="nvsentinel-state", state="quarantined"),
        )


def _pod_event(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    if fields["reason"] in ("Evicted", "TaintManagerEviction"):
        yield (
            f"draining by NVSentinel never gives an Event {fields['reason']}; the one of other evictions would pass",
            _instead(kind="nvsentinel-state", state="drain-succeeded"),
        )


def _node_event(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    reason, type_ = fields.get("reason", ""), fields.get("type", "")
    check = reason.removesuffix("IsNotHealthy")
    if type_ in ("Warning", "Normal") and check in CHECKS:
        message = f"NVSentinel writes the check's name into the type of its Events, not {type_}"
        yield message, _instead(kind="node-event", type=check)


def _crd(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    resource, group = fields["resource"], fields["group"]
    right = _GROUPS.get(resource, group)
    near = misspelt(resource, _GROUPS)
    if right != group:
        yield (
            f"{resource} is in the API group {right}, not {group}",
            _instead(**{"kind": "crd", **fields, "group": right}),
        )
    elif near and group == _GROUPS[near]:
        yield f"NVSentinel has no resource {resource}", _instead(**{"kind": "crd", **fields, "resource": near})
    if resource == "gpuresets" and fields.get("condition", {}).get("type") == "Complete":
        message = "a GPUReset is Complete when it has failed, too; its phase tells"
        yield message, _instead(kind="crd", group=group, resource=resource, phase="Succeeded")


def _mongo(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    flat = {key: _FLAT_FIELDS[key] for key in fields["filter"] if key in _FLAT_FIELDS}
    if flat:
        message = f"health events have no field {', '.join(flat)}"
        renamed = {flat.get(key, key): value for key, value in fields["filter"].items()}
        yield message, _instead(kind="mongo-event", filter=renamed)


def _selector(fields: Mapping[str, Any], _: Seat) -> Iterator[Remark]:
    selector = fields.get("selector", "")
    if "app.kubernetes.io/name=platform-connectors" in selector:
        right = selector.replace("name=platform-connectors", "name=nvsentinel")
        yield "the pods of platform-connectors carry the name nvsentinel", f"selector: {inline(right)}"


_REMARKS: dict[str, tuple[Callable[[Mapping[str, Any], Seat], Iterator[Remark]], ...]] = {
    "node-condition": (_condition, _pcie),
    "taint": (_taint,),
    "pod-event": (_pod_event,),
    "node-event": (_node_event,),
    "crd": (_crd,),
    "mongo-event": (_mongo,),
    "pod": (_selector,),
    "log": (_selector, _pattern),
    "training-log": (_pattern,),
}
