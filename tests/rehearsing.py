"""Runs a runbook on a simulated cluster with real bash hooks, as demo and drill do, and keeps what was said."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.app.rehearsal.simulation import Rehearsal, Rehearsed, rehearse
from nvsx.app.scripts import ProjectScripts
from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.events import Finish, RunEvent, StageEnd, to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.clock import Clock

CHECKOUT = Path(__file__).resolve().parent.parent
START = 1_787_306_400.0


@dataclass
class Told:
    """A sink that remembers, and the result."""

    events: list[RunEvent] = field(default_factory=list)
    rehearsed: Rehearsed | None = None

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    @property
    def wire(self) -> list[dict[str, Any]]:
        return [to_wire(event) for event in self.events]

    @property
    def statuses(self) -> dict[str, str]:
        return {e.body.stage: e.body.status for e in self.events if isinstance(e.body, StageEnd)}

    @property
    def finish(self) -> Finish:
        assert isinstance(self.events[-1].body, Finish)
        return self.events[-1].body

    def hooks(self) -> list[tuple[str, str]]:
        """Hook name and outcome of every attempt that ended."""
        return [(w["hook"], w["outcome"]) for w in self.wire if w["event"] == "hook" and w["phase"] == "end"]

    def output(self) -> str:
        return "\n".join(w["text"] for w in self.wire if w["event"] == "output")


def rehearse_runbook(
    base: Path,
    *,
    runbook: str = "gpu-off-bus",
    scenario: str = "xid-79",
    root: Path = CHECKOUT,
    seed: int = 1,
    drill: bool = False,
    clock: SimulatedClock | None = None,
    environment: Mapping[str, str] | None = None,
    kubectl: str = "",
) -> Told:
    """On time that jumps, but passes for real while a hook runs."""
    told = Told()
    clock = clock or SimulatedClock(start=START)
    rehearsal = Rehearsal(
        runbook=Catalog(root).load(runbook),
        scenario=scenario,
        base=base,
        root=root,
        environment=environment or {"PATH": os.environ["PATH"]},
        seed=seed,
        drill=drill,
        kubectl=kubectl,
    )
    told.rehearsed = clock.run(
        rehearse(rehearsal, clock=_as_clock(clock), sink=told, scripts=ProjectScripts(root), rng=random.Random(seed))
    )
    return told


def _as_clock(clock: SimulatedClock) -> Clock:
    return clock


def project(directory: Path, text: str, hooks: Mapping[str, str], *, name: str = "mine") -> Path:
    """A project root with one runbook; `hooks` are scripts below `runbooks/` by path, without their shebang."""
    (directory / "runbooks").mkdir(parents=True)
    (directory / "runbooks" / f"{name}.yaml").write_text(text)
    for path, body in hooks.items():
        file = directory / "runbooks" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/usr/bin/env bash\n{body}\n")
        file.chmod(0o755)
    return directory
