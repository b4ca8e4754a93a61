"""Doctor on a simulated cluster in process: no kubectl, no waiting, and every question to the API server counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.cluster.probe import Probe
from nvsx.doctor.ground import Ground, Site
from nvsx.doctor.table import CHECKS, Check, Result, examine
from nvsx.errors import Forbidden
from nvsx.settings import load
from nvsx.sim import simulate
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.database import SimulatedDatabase
from nvsx.sim.faults import fault
from nvsx.sim.world import Request
from tests.rehearsing import CHECKOUT, START

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from nvsx.catalog import Examined
    from nvsx.clock import Clock
    from nvsx.cluster.guard import Guard
    from nvsx.errors import Problem
    from nvsx.ports import ApiPath, Listing, Object
    from nvsx.settings import Settings
    from nvsx.sim.world import World

PROCESSES = ("tools", "prerequisites")
"""Checks that start programs: on a cluster that is not there they have nothing to ask."""

IN_PROCESS = tuple(check for check in CHECKS if check.id not in PROCESSES)


class Remembered(Catalog):
    """A catalog that reads each runbook of this checkout once in a session of tests."""

    _of: ClassVar[dict[Path | None, Catalog]] = {}

    @classmethod
    def of(cls, root: Path | None) -> Catalog:
        if root != CHECKOUT:
            return Catalog(root)
        return cls._of.setdefault(root, cls(root))

    def examine(self, name: str) -> Examined:
        known = self.__dict__.setdefault("examined", {})
        if name not in known:
            known[name] = super().examine(name)
        found: Examined = known[name]
        return found


class SimulatedReads(SimulatedCluster):
    """The Cluster port with what only doctor asks; `asked` counts the reads by what they are about."""

    def __init__(self, world: World, skew_s: float | None = None) -> None:
        super().__init__(world, patience_s=15.0)
        self.context = world.context
        self.client, self.latency_s, self.skew_s = "v1.33.2", 0.02, skew_s
        self.asked: Counter[str] = Counter()

    async def get(self, url: str) -> Object:
        self.asked[url] += 1
        return await super().get(url)

    async def list(self, path: ApiPath) -> Listing:
        self.asked[path.url] += 1
        return await super().list(path)

    async def probe(self) -> Probe:
        await self._ask(Request("get"))
        return Probe("v1.34.1", self.client, self.latency_s, self.skew_s)

    async def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "") -> bool:
        asked = "logs" if resource == "pods/log" else "exec" if resource == "pods/exec" else verb
        try:
            await self._ask(Request(asked, resource.partition("/")[0], group, namespace))
        except Forbidden:
            return False
        return True


class Patient:
    """One examination: the results by the check's id, how long they took, and what was asked."""

    def __init__(self, results: Sequence[Result], elapsed_s: float, reads: SimulatedReads | None) -> None:
        self.results = {result.check.id: result for result in results}
        self.elapsed_s = elapsed_s
        self.asked = reads.asked if reads else Counter()

    def outcome(self, check: str) -> str:
        finding = self.results[check].finding
        return "blind" if finding.blind else finding.outcome

    def text(self, check: str) -> str:
        return self.results[check].finding.text

    @property
    def slowest_chain_s(self) -> float:
        """The longest way through the table, each check after all that it needs."""
        from tests.bench.doctor import slowest_chain

        return slowest_chain(list(self.results.values()))

    def outcomes(self) -> dict[str, str]:
        return {check: self.outcome(check) for check in self.results}


def examined(
    scenario: str = "quiet",
    *,
    until: float = 1e9,
    faults: Sequence[Mapping[str, Any]] = (),
    change: Callable[[World], object] | None = None,
    project: Path | None = CHECKOUT,
    flags: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    problems: Sequence[Problem] = (),
    drills: Callable[[str], tuple[float, str] | None] = lambda _: None,
    checks: Sequence[Check] = IN_PROCESS,
    connect_fails: Exception | None = None,
    delay_s: float = 0.0,
    skew_s: float | None = None,
    client: str = "v1.33.2",
    latency_s: float = 0.02,
) -> Patient:
    """Doctor on a scenario at a moment (seconds from its begin), with faults in force from then on."""
    clock = SimulatedClock(start=START)
    world, director, _ = simulate(scenario, clock, seed=5)
    reads = SimulatedReads(world, skew_s)
    reads.client, reads.latency_s = client, latency_s
    chosen = {"--state-dir": "/tmp", **(flags or {}), **({"--project": str(project)} if project else {})}
    settings = load(chosen, environ={"HOME": "/nonexistent"}, directory=CHECKOUT.parent)

    async def connect() -> SimulatedReads:
        if connect_fails:
            raise connect_fails
        return reads

    chosen_site = replace(
        site(settings, clock, world, connect),
        environment=dict(variables or {}),
        root=project or CHECKOUT,
        catalog=lambda: Remembered.of(project),
        lint=lambda: problems,
        last_drill=drills,
    )

    async def main() -> Patient:
        play = asyncio.create_task(director.run())
        await asyncio.wait([play], timeout=until)
        if change:
            change(world)
        for body in faults:
            fault(world, body, delay_s).begin()
        began = clock.monotonic()
        results = await examine(Ground(chosen_site), checks=checks)
        play.cancel()
        return Patient(results, clock.monotonic() - began, reads)

    patient: Patient = clock.run(main())
    return patient


def site(settings: Settings, clock: Clock, world: World, connect: Callable[[], Awaitable[Any]]) -> Site:
    async def version() -> str:
        return "v1.33.2"

    return Site(
        settings=settings,
        clock=clock,
        environment={},
        root=CHECKOUT,
        catalog=lambda: Remembered.of(settings.project),
        kubectl_version=version,
        connect=connect,
        database=lambda _: SimulatedDatabase(world),
        lint=lambda: (),
        last_drill=lambda _: None,
        guard=_no_guard(),
    )


def ground_on(
    scenario: str, look: Callable[[Ground], Awaitable[Any]], *, change: Callable[[World], object] | None = None,
    **flags: str,
) -> Any:  # fmt: skip
    """What `look` finds at the begin of a scenario."""
    clock = SimulatedClock(start=START)
    world, director, _ = simulate(scenario, clock, seed=5)
    reads = SimulatedReads(world)
    settings = load({f"--{name}": value for name, value in flags.items()}, environ={"HOME": "/nonexistent"})

    async def connect() -> SimulatedReads:
        return reads

    async def main() -> Any:
        play = asyncio.create_task(director.run())
        await asyncio.sleep(0)  # what the scenario sets at the very start is so before anybody looks
        play.cancel()
        if change:
            change(world)
        return await look(Ground(site(settings, clock, world, connect)))

    return clock.run(main())


def _no_guard() -> Guard:
    return None  # type: ignore[return-value]
