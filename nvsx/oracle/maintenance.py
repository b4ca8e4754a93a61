"""Maintenance objects: how far janitor has come with a RebootNode, GPUReset or TerminateNode, by its status.

Source: NVSentinel's `janitor/pkg/controller` and `janitor/api/v1alpha1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from nvsx.watches import customs, nvsentinel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.ports import Object
    from nvsx.watches.incident import Incident

Progress = Literal["waiting", "working", "done", "failed", "people"]

_FINAL_CONDITION = {"RebootNode": "NodeReady", "TerminateNode": "NodeTerminated"}
_RESET_PHASES: dict[str, Progress] = {
    "Pending": "waiting",
    "InProgress": "working",
    "Succeeded": "done",
    "Failed": "failed",
    "Terminating": "working",
}
_DRAIN_PREFIX = "drain-"  # node-drainer's own objects, where a site drains with a plug-in


class Repair(NamedTuple):
    """One maintenance object. `time` is its last sign of progress, epoch seconds.

    `waiting`: nobody has taken it up; `people`: somebody outside has to do it and say so.
    """

    kind: str
    name: str
    progress: Progress
    detail: str
    time: float
    created: float = 0.0  # epoch seconds

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.detail}"


def repairs(things: Sequence[Object], incident: Incident) -> tuple[Repair, ...]:
    """The repairs that were ordered for an incident, oldest first. Those of older incidents stay for 14 days."""
    ours = [
        thing
        for thing in things
        if customs.is_for_node(thing, incident.node)
        and customs.is_of_incident(thing, incident)
        and not _name(thing).startswith(_DRAIN_PREFIX)
    ]
    return tuple(repair(thing) for thing in sorted(ours, key=lambda one: (customs.created(one), _name(one))))


def repair(thing: Object) -> Repair:
    """How far one maintenance object has come. Kinds that a site made itself are only known to be there."""
    kind = str(thing.get("kind") or "maintenance object")
    status = thing.get("status") or {}
    if kind == "GPUReset":
        progress, detail = _reset(thing)
    elif kind == "ExternalRemediationRequest":
        progress, detail = _external(thing)
    elif kind in _FINAL_CONDITION:
        progress, detail = _by_signal(thing, _FINAL_CONDITION[kind])
    else:
        progress, detail = "waiting", _shown(thing) or "no status yet"
    times = (nvsentinel.parse_time(status.get(key)) for key in ("startTime", "completionTime"))
    moved = (condition.since for condition in nvsentinel.conditions(thing))
    created = customs.created(thing)
    return Repair(kind, _name(thing), progress, detail, max((created, *times, *moved)), created)


def has_failed(thing: Object) -> bool:
    """Whether a maintenance object has ended without success: it changes no more."""
    return repair(thing).progress == "failed"


def _by_signal(thing: Object, final: str) -> tuple[Progress, str]:
    """RebootNode and TerminateNode: a signal is sent, then the node is waited for."""
    signal, end = nvsentinel.condition(thing, "SignalSent"), nvsentinel.condition(thing, final)
    manual = nvsentinel.condition(thing, "ManualMode")
    over = bool((thing.get("status") or {}).get("completionTime"))
    if end and end.status == "True":
        return "done", _said(end)
    if signal and signal.status == "False":
        return "failed", _said(signal)
    if end and end.status == "False" and (over or end.reason in ("Failed", "Timeout")):
        return "failed", _said(end)
    if over:
        return "failed", f"it has ended, and {final} is {end.status if end else 'absent'}"
    if manual and manual.status == "True" and not (signal and signal.status == "True"):
        return "people", _said(manual)
    if signal and signal.status == "True":
        return "working", f"SignalSent=True, {final}={end.status if end else 'absent'}"
    return "waiting", f"SignalSent={signal.status if signal else 'absent'}"


def _reset(thing: Object) -> tuple[Progress, str]:
    """GPUReset is judged by its phase: its condition Complete is True on failure, too."""
    phase = str((thing.get("status") or {}).get("phase") or "Pending")
    complete = nvsentinel.condition(thing, "Complete")
    why = f" ({complete.reason})" if complete and complete.reason and phase in ("Succeeded", "Failed") else ""
    return _RESET_PHASES.get(phase, "waiting"), f"phase {phase}{why}"


def _external(thing: Object) -> tuple[Progress, str]:
    complete = nvsentinel.condition(thing, "ExternalRemediationComplete")
    released = nvsentinel.condition(thing, "NVSentinelOwnershipReleased")
    if complete and complete.status == "True":
        return "done", _said(complete)
    return "waiting", _said(released) if released else "NVSentinelOwnershipReleased=absent"


def _said(condition: nvsentinel.Condition) -> str:
    reason = f" ({condition.reason})" if condition.reason else ""
    return f"{condition.type}={condition.status}{reason}" + (f": {condition.message}" if condition.message else "")


def _shown(thing: Object) -> str:
    return ", ".join(f"{found.type}={found.status}" for found in nvsentinel.conditions(thing))


def _name(thing: Object) -> str:
    return str(nvsentinel.metadata(thing).get("name", ""))
