"""Account: everything a report tells of one run, as plain values. Times are epoch seconds, 0.0 where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import moments

if TYPE_CHECKING:
    from nvsx.watches.clockwork import Instant, Phase


class StageAccount(NamedTuple):
    """A stage of the run; `decided` is the moment of its verdict."""

    stage: str
    title: str
    began: float
    decided: float
    status: str  # "" while it is under way
    elapsed_s: float
    reason: str = ""
    inferred: bool = False


class EffectAccount(NamedTuple):
    """A hook, action or check, over all its attempts. Its outcome is "unknown" where it was cut off."""

    stage: str  # "" for a hook of the run
    role: str
    name: str
    script: str
    attempts: int
    began: float
    ended: float
    outcome: str
    exit_code: int | None = None
    detail: str = ""
    output: tuple[str, ...] = ()


class EvidenceAccount(NamedTuple):
    """A clause that was met, what was observed, and in which version of the object."""

    stage: str
    text: str
    detail: str
    version: str
    at: float
    inferred: bool = False


class Said(NamedTuple):
    """What somebody said of the incident: who started the run, and every report that was attached to it."""

    at: float
    source: str
    summary: str


class Artifact(NamedTuple):
    """A file that hooks and actions left; no hash where it is gone or cannot be read."""

    name: str
    size: int
    sha256: str


class Fault(NamedTuple):
    """What NVSentinel said of the fault."""

    check: str = ""
    codes: tuple[str, ...] = ()
    action: str = ""
    message: str = ""
    entities: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()


class Writes(NamedTuple):
    """Changes to the cluster."""

    nvsx: int
    actions: int
    refused: int


class Account(NamedTuple):
    """One run and its incident. `missing` says what of the record is not there any more."""

    run_id: str
    runbook: str
    title: str
    nickname: str
    node: str
    alias: str
    cluster: str
    source: str
    drill: bool
    nvsx_version: str
    began: float
    ended: float  # 0.0 while it runs
    status: str
    verdict: str
    reason: str
    exit_code: int | None
    incident_key: str
    fault: Fault
    instants: tuple[Instant, ...]
    phases: tuple[Phase, ...]
    skew_s: float
    mttr_s: float | None
    stages: tuple[StageAccount, ...]
    effects: tuple[EffectAccount, ...]
    evidence: tuple[EvidenceAccount, ...]
    said: tuple[Said, ...]
    warnings: tuple[tuple[float, str], ...]
    artifact_dir: str
    artifacts: tuple[Artifact, ...]
    writes: Writes | None
    missing: tuple[str, ...] = ()

    def instant(self, moment: str) -> Instant | None:
        return next((one for one in self.instants if one.moment == moment), None)

    @property
    def zero(self) -> float:
        """What times are counted from: the fault, or the run's begin where nobody told when that was."""
        fault = self.instant(moments.FAULT)
        return fault.at if fault else self.began


class Added(NamedTuple):
    """What nvsx itself added at a stage: how long after the fact it knew, and how long its hooks took."""

    stage: str
    seen_after_s: float | None
    hooks_s: float


_PROVES = {
    "detect": moments.DETECTED,
    "quarantine": moments.CORDONED,
    "drain": moments.DRAINED,
    "remediate": moments.ORDERED,
    "recover": moments.RELEASED,
}


def added(account: Account) -> tuple[Added, ...]:
    """nvsx's own share, stage by stage. How late it knew is unknown where clocks disagree or nobody told the moment."""
    found = []
    for stage in account.stages:
        if stage.status in ("", "skipped"):
            continue
        hooks = [effect for effect in account.effects if effect.stage == stage.stage and effect.role != "prerequisite"]
        spent = sum(max(0.0, hook.ended - hook.began) for hook in hooks if hook.ended and hook.name != "onReminder")
        instant = account.instant(_PROVES.get(stage.stage, ""))
        late = None
        if instant and stage.status == "pass" and not instant.skewed:
            # A stage that was decided before the run came to it was known at once, and waited for nobody.
            late = max(0.0, stage.decided - instant.at)
        found.append(Added(stage.stage, late, spent))
    return tuple(found)
