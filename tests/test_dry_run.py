"""A dry run looks where its watches will look, the database included, and says what it could not look at."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.app.dryrun import dry_run
from nvsx.app.live import Request
from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.sim import simulate
from nvsx.sim.database import SimulatedDatabase
from tests.rehearsing import START, project

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.sim.cluster import SimulatedCluster
    from nvsx.sim.world import World

RUNBOOK = """
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine}
stages:
  - id: detect
    watch:
      - {kind: mongo-event, filter: {healthevent.errorcode: "79"}}
      - {kind: mongo-event, filter: {healthevent.errorcode: "95"}}
      - {kind: log, namespace: nvsentinel, selector: app=x, pattern: never}
  - id: quarantine
    watch: [{kind: nvsentinel-state, state: quarantined}]
"""


class Session(SimpleNamespace):
    """What a dry run needs of a session, on the simulated cluster."""

    def __init__(self, base: Path, clock: SimulatedClock, world: World, cluster: SimulatedCluster) -> None:
        super().__init__(
            settings=SimpleNamespace(namespace="nvsentinel"),
            clock=clock,
            run_id="r",
            places=SimpleNamespace(run_dir=base, artifact_dir=base),
            environment={},
            hook_environment={},
            context="simulated",
            root=base,
            asked=0,
        )
        self._world, self._cluster = world, cluster

    async def connect(self) -> SimulatedCluster:
        return self._cluster

    def database(self, _: Any) -> SimulatedDatabase:
        self.asked += 1
        return SimulatedDatabase(self._world)


def looked(base: Path, scenario: str, text: str = RUNBOOK) -> tuple[list[str], Session]:
    root = project(base / "project", text, {})
    clock = SimulatedClock(start=START)
    world, director, cluster = simulate(scenario, clock, seed=2)

    async def main() -> tuple[list[str], Session]:
        play = asyncio.create_task(director.run())
        await asyncio.sleep(60)
        session = Session(root, clock, world, cluster)
        request = Request(Catalog(root).load("mine"), target=director.node)
        lines = await dry_run(request, session)  # type: ignore[arg-type]
        play.cancel()
        return lines, session

    return clock.run(main())


def watches(lines: list[str]) -> list[str]:
    return [line.rpartition("  now ")[2] for line in lines if "watch " in line]


def test_documents_are_counted(tmp_path: Path) -> None:
    lines, session = looked(tmp_path, "xid-79")
    assert watches(lines)[:2] == ["met: 1 of 1 documents", "unmet: 0 of 1 documents"]
    assert watches(lines)[3].startswith("met: state ")
    assert session.asked == 1


def test_a_database_that_is_not_there_is_blind_and_hides_nothing_else(tmp_path: Path) -> None:
    lines, _ = looked(tmp_path, "monitor-only")
    assert watches(lines)[0].startswith("blind: there is no pod of a database in nvsentinel")
    assert watches(lines)[3] == "unmet: state (none)"


@pytest.mark.parametrize("kind", ["{kind: nvsentinel-state, state: quarantined}", "{kind: taint, key: x}"])
def test_no_database_is_asked_for_that_no_watch_needs(kind: str, tmp_path: Path) -> None:
    text = RUNBOOK.split("stages:")[0] + f"stages: [{{id: detect, watch: [{kind}]}}]\n"
    assert looked(tmp_path, "xid-79", text)[1].asked == 0
