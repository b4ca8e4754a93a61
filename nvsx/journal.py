"""What a run writes down before and after each effect, and the journal that keeps it in memory only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A run exists: enough to find it again and to go on from the stored runbook text."""

    run_id: str
    at: float
    runbook: str
    runbook_text: str
    target_node: str
    cluster: str
    incident_key: str = ""
    trigger: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)  # what else the run was told and must be told again


@dataclass(frozen=True, slots=True)
class EffectIntended:
    """About to start a process that others can see. `key` is the same over all attempts of one hook or action."""

    run_id: str
    at: float
    stage: str
    role: str  # "prerequisite", "action" or "hook"
    name: str  # "onSuccess", "action", the prerequisite's name
    script: str
    attempt: int
    key: str
    incident_key: str = ""  # the paging key that the process is given


@dataclass(frozen=True, slots=True)
class EffectStarted:
    """The process runs; pid and start time name it even after the pid was given to another process."""

    run_id: str
    at: float
    key: str
    attempt: int
    pid: int
    start_time: str


@dataclass(frozen=True, slots=True)
class EffectEnded:
    """The process ended and its outcome is known."""

    run_id: str
    at: float
    key: str
    attempt: int
    outcome: str
    exit_code: int | None
    outputs: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # `expect` texts that its output did not have
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceSeen:
    """A clause of a stage was met, and by which object version."""

    run_id: str
    at: float
    stage: str
    clause: str
    detail: str
    version: str
    inferred: bool


@dataclass(frozen=True, slots=True)
class StageBegan:
    run_id: str
    at: float
    stage: str


@dataclass(frozen=True, slots=True)
class StageEnded:
    run_id: str
    at: float
    stage: str
    status: str
    reason: str
    inferred: bool
    elapsed_s: float = 0.0
    decided_at: float = 0.0  # the moment of the verdict


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """What the node has shown of the fault so far: its traces vanish from the node when it recovers."""

    run_id: str
    at: float
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnded:
    run_id: str
    at: float
    status: str
    exit_code: int
    hooks_failed: int


Entry = (
    RunBegan
    | EffectIntended
    | EffectStarted
    | EffectEnded
    | EvidenceSeen
    | StageBegan
    | StageEnded
    | IncidentSeen
    | RunEnded
)


class MemoryJournal:
    """A journal for runs that need none: demo, drill, test, and machines where no state can be written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def append(self, entry: Entry) -> None:
        self.entries.append(entry)
