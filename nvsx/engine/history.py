"""History: what a run had done before its process died, as its journal tells it. A new run has none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.events import HookOutcome, Status

MOST_UNKNOWN = 5
"""How often an effect that is cut off again and again is tried: it may be what kills nvsx."""


@dataclass(frozen=True, slots=True)
class PastEffect:
    """The last attempt of an effect. `unknown` counts the attempts that were cut off."""

    attempt: int
    outcome: HookOutcome
    exit_code: int | None = None
    detail: str = ""
    missing: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class PastStage:
    """A stage whose verdict is known."""

    status: Status
    elapsed_s: float
    reason: str
    inferred: bool
    decided_at: float


@dataclass(frozen=True, slots=True)
class CutOff:
    """An attempt without a result: it may not have begun, or have done all it does."""

    key: str
    attempt: int
    stage: str
    name: str
    script: str
    role: str


@dataclass(frozen=True, slots=True)
class History:
    """`stage` is the one that was under way, and `spent_s` how much of its time it had used up."""

    began: float = 0.0  # epoch seconds; 0.0 for a new run
    downtime_s: float = 0.0
    stages: Mapping[str, PastStage] = field(default_factory=dict)
    stage: str = ""
    spent_s: float = 0.0
    effects: Mapping[str, PastEffect] = field(default_factory=dict)
    cut_off: tuple[CutOff, ...] = ()
    effects_begun: int = 0
    incident_key: str = ""
    incident: Mapping[str, Any] = field(default_factory=dict)  # fields of `nvsx.watches.incident.Incident`
    next_seq: int = 0
    stopped: Status = "interrupted"  # how the run ends where a stage was stopped

    @property
    def is_new(self) -> bool:
        return not self.began

    @property
    def outputs(self) -> dict[str, str]:
        """What the hooks left for later ones."""
        return {name: value for effect in self.effects.values() for name, value in effect.outputs.items()}


NEW_RUN = History()
