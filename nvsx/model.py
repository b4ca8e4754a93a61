"""The nouns of a runbook, parsed and checked: a value of these types cannot be malformed.

Fields carry the language's own names in snake case; all times are seconds. `runbook/parse.py` builds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.errors import Place

STAGE_IDS = ("preflight", "baseline", "inject", "detect", "quarantine", "drain", "remediate", "recover", "postmortem")
"""The canonical stages in the order in which they run."""

DRILL_STAGES = frozenset({"baseline", "inject"})
"""Stages that run with `--drill` only."""

DEFAULT_TIMEOUTS_S: Mapping[str, float] = {
    "preflight": 60.0,
    "detect": 120.0,
    "quarantine": 300.0,
    "drain": 86400.0,
    "remediate": 300.0,
    "recover": 2400.0,
    "postmortem": 300.0,
}
OTHER_TIMEOUT_S = 60.0
DEFAULT_HOOK_TIMEOUT_S = 30.0

STAGE_HOOKS = ("onSuccess", "onFailure", "onTimeout", "finally")
RUN_HOOKS = ("onFailure", "onBlind", "onReminder", "finally")
RESOLVED_HOOK = "onResolved"
"""In `nvsx.yaml` only: what nvsx itself called people for is over."""


class Clause(NamedTuple):
    """One watch clause: a kind with its fields, or `any_of` alternatives (kind `anyOf`)."""

    kind: str
    fields: Mapping[str, Any]
    place: Place
    absent: bool = False
    hold_s: float = 0.0  # `for`
    any_of: tuple[Clause, ...] = ()


class Action(NamedTuple):
    """A script that may write to the cluster; the only thing that may."""

    script: str  # relative to the project root
    args: tuple[str, ...] = ()


class Retry(NamedTuple):
    attempts: int = 1
    backoff_s: float = 1.0


ONCE = Retry()
"""One attempt: what is not known to be safe to repeat is not repeated."""


class Prerequisite(NamedTuple):
    name: str
    check: str  # bash
    expect: str = ""  # substring, or `>=N` `<=N` `==N`; "" means exit status 0 is enough


class Stage(NamedTuple):
    id: str
    title: str
    place: Place
    action: Action | None = None
    watch: tuple[Clause, ...] = ()
    hooks: Mapping[str, str] = {}  # a STAGE_HOOKS name -> script, relative to runbooks/
    expect: tuple[str, ...] = ()
    timeout_s: float = OTHER_TIMEOUT_S
    dwell_s: float = 0.0
    hook_timeout_s: float = DEFAULT_HOOK_TIMEOUT_S
    retry: Retry = ONCE
    on_unknown: str = ""  # "retry", "skip", "fail"; "" is the default of the role


class Trigger(NamedTuple):
    """Which events this runbook answers to. Empty fields ask for nothing."""

    check_names: tuple[str, ...] = ()
    error_codes: tuple[str, ...] = ()
    recommended_actions: tuple[str, ...] = ()
    component_classes: tuple[str, ...] = ()
    fatal: bool | None = None
    nodes: str = ""
    labels: Mapping[str, str] = {}
    stalled_s: float | None = None
    storm: bool = False
    unhandled: bool = False
    remote: bool = False
    priority: int = 0
    cooldown_s: float = 0.0
    max_concurrent: int = 0
    place: Place | None = None


class Runbook(NamedTuple):
    """A runbook that passed every check, with the text it was read from."""

    name: str
    nickname: str
    title: str
    file: str
    text: str
    summary: str = ""
    tags: tuple[str, ...] = ()
    estimated_duration_s: float | None = None
    trigger: Trigger | None = None
    prerequisites: tuple[Prerequisite, ...] = ()
    hooks: Mapping[str, str] = {}  # a RUN_HOOKS name -> script, relative to runbooks/
    stages: tuple[Stage, ...] = ()
    narration: Mapping[str, str] = {}

    def stage(self, stage_id: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.id == stage_id), None)
