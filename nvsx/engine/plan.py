"""Plan: everything a run is told before it starts. Nothing in the engine looks anywhere else for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nvsx.model import DRILL_STAGES, Stage

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from nvsx.errors import Place
    from nvsx.model import Runbook
    from nvsx.watches.incident import Incident


class Scripts(Protocol):
    """Where a runbook's scripts are and how to start them; both raise an NvsxError when they cannot be started."""

    def hook(self, script: str) -> list[str]:
        """The command line of a hook, whose path is relative to `runbooks/`."""
        ...

    def action(self, script: str) -> list[str]:
        """The command line of an action's script, whose path is relative to the project root."""
        ...


class KubectlGuard(Protocol):
    """The `kubectl` that processes of a run find first: counts calls, refuses writes to all but actions."""

    def path(self, role: Literal["read", "write"], base_path: str) -> str:
        """PATH for a process; `role` is `read` (prerequisites, hooks) or `write` (actions)."""
        ...

    def counts(self) -> GuardCounts: ...


class GuardCounts(Protocol):
    @property
    def action_writes(self) -> int: ...

    @property
    def refused(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """Who asked for the run."""

    source: str = "manual"
    file: str = ""  # the raw payload, for hooks
    incident_key: str = ""  # the sender's own
    facts: Mapping[str, Any] = field(default_factory=dict)  # `HealthEvent.facts` where a health event asked for it


MANUAL = TriggerFacts()


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Directories are absolute and exist; `since` is epoch seconds."""

    runbook: Runbook
    run_id: str
    cluster: str
    context: str
    namespace: str
    target_node: str
    target_alias: str
    since: float
    root: str  # working directory of every process
    run_dir: str  # private to the run
    artifact_dir: str
    environment: Mapping[str, str]  # what processes inherit, PATH included
    nvsx_version: str
    secrets: frozenset[str] = frozenset()
    drill: bool = False
    dwell: bool = False
    repeat_count: int = 1
    trigger: TriggerFacts = MANUAL

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The runbook's stages; prerequisites get a preflight of their own where the runbook has none."""
        listed = self.runbook.stages
        if self.runbook.prerequisites and self.runbook.stage("preflight") is None:
            first = listed[0].place if listed else _nowhere()
            return (Stage(id="preflight", title="Check the prerequisites", place=first, timeout_s=60.0), *listed)
        return listed

    def runs(self, stage: Stage) -> bool:
        """False for stages that only a drill runs."""
        return self.drill or stage.id not in DRILL_STAGES


def incident_key(plan: Plan, incident: Incident) -> str:
    """The paging key of an incident: the same from every host and run that sees the same first fault.

    A fault is named by its check and the second in which the monitor saw it, because the condition on the node and the
    quarantine annotation both tell these two, whichever of them is seen first.
    """
    fault = f"{incident.first_check}@{int(incident.fault_time)}" if incident.fault_time else plan.trigger.incident_key
    return incident_key_of(plan.cluster, plan.target_node, plan.runbook.name, fault)


def incident_key_of(cluster: str, node: str, runbook: str, fault: str) -> str:
    """The paging key of a fault, which is named by `CHECK@SECOND` or by its sender's own key."""
    parts = f"{cluster}\n{node}\n{runbook}\n{fault}"
    return f"nvsx/{hashlib.sha256(parts.encode()).hexdigest()[:20]}"


def new_run_id(now: float, rng: random.Random) -> str:
    """A run id that sorts by time and can be read over the phone: `20261123-235105-7f3a`."""
    from time import gmtime

    year, month, day, hour, minute, second, *_ = gmtime(now)
    return f"{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{rng.randrange(16**4):04x}"


def _nowhere() -> Place:
    from nvsx.errors import Place

    return Place("")
