"""The nouns that the ledger takes and gives. Times are epoch seconds, 0.0 where something has not happened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.model import RESOLVED_HOOK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.admission import Decision


class NewRun(NamedTuple):
    """A run that may be started: enough to start it after a crash, too."""

    run_id: str
    runbook: str
    runbook_text: str
    target_node: str
    target_alias: str = ""
    trigger: Mapping[str, Any] = {}  # `source`, and whatever else the run is told of what started it


class Evidence(NamedTuple):
    """What a source said, as it said it."""

    summary: str = ""  # one line for people
    payload: bytes = b""  # raw; the first 64 KiB are kept


ALARM_KINDS = ("blind", "circuit-breaker", "ledger", "resolved", "storm", "unhandled")
"""What nvsx calls people for of its own accord; `resolved` is the end of any of the others."""


def alarm_kind(hook: str, key: str) -> str:
    """One of ALARM_KINDS: a paging key begins with what it is about."""
    return "resolved" if hook == RESOLVED_HOOK else re.split("[@/]", key, maxsplit=1)[0]


class Alarm(NamedTuple):
    """A hook that nvsx calls for people of its own accord, for no run. Its attempts are effects under its id."""

    id: str
    cluster: str
    at: float  # when it was decided
    hook: str  # onFailure, onBlind, …
    script: str
    why: str  # one line for people
    key: str  # the paging key: the same for the alarm and for the news that it is over
    node: str = ""
    alias: str = ""
    status: str = "fail"
    runbook: str = "nvsx"
    payload: bytes = b""  # what its trigger file holds
    owner: str = ""  # who calls it, "" while nobody does
    ended: float = 0.0
    outcome: str = ""  # of its last attempt, "" until it has ended

    @property
    def kind(self) -> str:
        """One of ALARM_KINDS."""
        return alarm_kind(self.hook, self.key)


class Ring(NamedTuple):
    """News of a topic for which people are called once. `scope` is whose memory of it counts."""

    scope: str
    topic: str
    alarm: Alarm | None  # None: there is no hook for it, and it is only remembered


class Rung(NamedTuple):
    """What came of a Ring: whether it was news, and the id of the alarm that is to be called, if any."""

    new: bool = False
    alarm: str = ""


class Joined(NamedTuple):
    """The run that was there before, to which an occasion belongs."""

    runbook: str
    node: str
    incident_key: str


class Admitted(NamedTuple):
    """The answer to an occasion. `run_id`: of the run that was started or queued, or of the one it belongs to."""

    decision: Decision
    run_id: str = ""
    incident: int = 0
    decision_id: int = 0
    rung: Rung = Rung()
    joined: Joined | None = None


class RunRow(NamedTuple):
    """One run, without what happened in it."""

    id: str
    created: float
    began: float
    ended: float
    runbook: str
    node: str
    alias: str
    cluster: str
    source: str
    incident: int
    incident_key: str
    status: str  # "queued", "running", or how it ended
    exit_code: int | None
    hooks_failed: int
    drill: bool
    owner: str  # "" where nobody runs it
    resumed: int  # how often it went on after a crash
    alive: float  # when a process that ran it and died was last known to live
    cancelled: float  # when somebody asked for its end
    cancelled_by: str


class StageRow(NamedTuple):
    stage: str
    began: float
    ended: float
    status: str
    reason: str
    inferred: bool
    elapsed: float
    decided: float


class EffectRow(NamedTuple):
    """One attempt of a hook, action or prerequisite. Its outcome is "unknown" where it was cut off."""

    key: str
    attempt: int
    stage: str
    role: str
    name: str
    script: str
    intended: float
    started: float
    pid: int
    start_time: str
    ended: float
    outcome: str
    exit_code: int | None
    outputs: Mapping[str, str]
    missing: tuple[str, ...]
    detail: str


class ClauseRow(NamedTuple):
    """A clause that was met, and by which object version."""

    stage: str
    clause: str
    at: float
    detail: str
    version: str
    inferred: bool


class EvidenceRow(NamedTuple):
    id: int
    incident: int
    run_id: str
    at: float
    about: float
    source: str
    key: str
    summary: str
    size: int  # of what came; `payload` may hold less
    payload: bytes


class DecisionRow(NamedTuple):
    """One admission decision. `rule` is the `file:line` of the rule that chose the runbook."""

    id: int
    at: float
    cluster: str
    source: str
    node: str
    runbook: str
    verdict: str
    reason: str
    rule: str
    summary: str
    run_id: str
    incident: int
    considered: list[Any]


class IncidentRow(NamedTuple):
    id: int
    cluster: str
    node: str
    runbook: str
    run_id: str
    opened: float
    closed: float
    session: str
    run_ended: float
    news: float
    evidence: int  # how many reports belong to it


class SilenceRow(NamedTuple):
    id: int
    made: float
    until: float
    until_text: str
    start: float
    node: str
    selector: str
    runbook: str
    why: str
    by: str


class DrillRow(NamedTuple):
    runbook: str
    at: float
    scenario: str


class RunRecord(NamedTuple):
    """Everything that is known of one run."""

    run: RunRow
    runbook_text: str
    trigger: Mapping[str, Any]
    plan: Mapping[str, Any]
    facts: Mapping[str, Any]  # of the incident
    stages: list[StageRow]
    effects: list[EffectRow]
    clauses: list[ClauseRow]
    evidence: list[EvidenceRow]
    decisions: list[DecisionRow]
