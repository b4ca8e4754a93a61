"""RunEvent: everything the engine says about a run, said once.

Sinks draw it; `schemas/event.schema.json` pins the wire form.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

WIRE_VERSION = 1

Status = Literal["pass", "fail", "timeout", "blind", "skipped", "cancelled", "interrupted"]
"""How a stage or a run ended."""

HookOutcome = Literal["ok", "failed", "timeout", "not_configured", "unknown"]
"""How a hook or action process ended; `unknown` means nvsx was cut off before it could tell."""


@dataclass(frozen=True, slots=True)
class Start:
    event: ClassVar[str] = "start"
    runbook: str
    runbook_nickname: str
    title: str
    target_node: str
    target_alias: str
    stages: tuple[str, ...]
    nvsx_version: str
    artifact_dir: str
    drill: bool = False
    trigger_source: str = ""


@dataclass(frozen=True, slots=True)
class Prerequisite:
    event: ClassVar[str] = "prerequisite"
    name: str
    ok: bool
    elapsed_s: float
    detail: str = ""
    stage: str = "preflight"


@dataclass(frozen=True, slots=True)
class StageBegin:
    event: ClassVar[str] = "stage_begin"
    stage: str
    title: str
    timeout_s: float
    waiting_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """A clause's verdict changed. `clause` is its position in the stage; nested alternatives are `0.1`."""

    event: ClassVar[str] = "watch"
    stage: str
    clause: str
    kind: str
    text: str
    state: Literal["met", "unmet", "blind"]
    detail: str = ""
    version: str = ""
    inferred: bool = False


Tone = Literal["bad", "work", "good", "blind"]
"""What a change of the chain means for the node: worse, under way, better, or not known any more."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Something that NVSentinel's chain shows of the target node has changed, whether or not a clause waits for it.

    `topic`: condition, cordon, state, taint, drain, repair, node, breaker, people, recovery, sight. `subject` is what
    of it: a condition's type, a taint's key, a maintenance object's name. `at` is when it happened: when it was seen,
    or for what was there before the run what the object says, 0.0 where it does not. `since` is the object's own time.
    """

    event: ClassVar[str] = "chain"
    topic: str
    subject: str
    text: str
    tone: Tone
    at: float
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Output:
    """A line that a process printed, escaped and masked. `origin`: `action`, `onSuccess`, `prerequisite NAME`."""

    event: ClassVar[str] = "output"
    stage: str
    origin: str
    text: str


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook or action process began (`outcome` empty) or ended."""

    event: ClassVar[str] = "hook"
    stage: str
    hook: str
    script: str
    attempt: int
    phase: Literal["begin", "end"]
    outcome: HookOutcome | Literal[""] = ""
    exit_code: int | None = None
    elapsed_s: float = 0.0
    detail: str = ""
    final: bool = True


@dataclass(frozen=True, slots=True)
class StageEnd:
    event: ClassVar[str] = "stage_end"
    stage: str
    status: Status
    elapsed_s: float
    reason: str = ""
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people. `topic`: narration, reminder, blind, recovered, writes, record, environment."""

    event: ClassVar[str] = "note"
    topic: str
    text: str
    stage: str = ""
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over. Times are seconds; `mttr_s` is null unless recovery and the fault's own time are known."""

    event: ClassVar[str] = "finish"
    ok: bool
    status: Status
    exit_code: int
    total_s: float
    hooks_failed: int
    mttr_s: float | None
    incident_key: str
    artifact_dir: str
    artifact_count: int
    nvsx_cluster_writes: int
    action_cluster_writes: int
    refused_cluster_writes: int
    verdict: str
    reason: str = ""


Body = Start | Prerequisite | StageBegin | Watch | Chain | Output | Hook | StageEnd | Note | Finish


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A body with its stamp: which run, which cluster, its number in the run (from 0), and when (epoch seconds)."""

    run_id: str
    cluster: str
    seq: int
    t: float
    body: Body


def to_wire(event: RunEvent) -> dict[str, Any]:
    """The JSON object of an event, keys in a steady order."""
    body = event.body
    wire: dict[str, Any] = {"v": WIRE_VERSION, "event": body.event}
    for field in fields(body):
        value = getattr(body, field.name)
        wire[field.name] = list(value) if isinstance(value, tuple) else value
    for key in ("elapsed_s", "total_s", "mttr_s", "at", "since"):
        if isinstance(wire.get(key), float):
            wire[key] = round(wire[key], 3)
    wire.update(t=round(event.t, 6), seq=event.seq, run_id=event.run_id, cluster=event.cluster)
    return wire


def from_wire(wire: Mapping[str, Any]) -> RunEvent:
    """The event of a wire line. KeyError, TypeError or ValueError for what is none; fields of a newer nvsx are left
    out.
    """
    kind = _BODIES[wire["event"]]
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in wire:
            value = wire[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return RunEvent(str(wire["run_id"]), str(wire["cluster"]), int(wire["seq"]), float(wire["t"]), kind(**values))


_BODIES: dict[str, type[Body]] = {
    kind.event: kind for kind in (Start, Prerequisite, StageBegin, Watch, Chain, Output, Hook, StageEnd, Note, Finish)
}
