"""How long doctor takes on a slow cluster, beside its slowest chain of checks and beside all of them in turn."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from nvsx.clock import RealClock
from nvsx.doctor.ground import Ground
from nvsx.doctor.table import Check, Result, examine
from nvsx.settings import load
from nvsx.sim import simulate
from nvsx.sim.faults import fault
from tests.doctoring import IN_PROCESS, Remembered, SimulatedReads, site
from tests.rehearsing import CHECKOUT

ANSWER_S = 0.2
"""What each answer of the API server takes: a far region, or a busy server."""


def measure() -> dict[str, object]:
    """Seconds and ratios; the catalog is read beforehand, because it is the same work in every order."""
    for name in (catalog := Remembered.of(CHECKOUT)).names():
        catalog.examine(name)
    together, chain = asyncio.run(_together())
    one_by_one = asyncio.run(_one_by_one())
    return {
        "checks": len(IN_PROCESS),
        "answer_s": ANSWER_S,
        "together_s": round(together, 3),
        "slowest_chain_s": round(chain, 3),
        "one_by_one_s": round(one_by_one, 3),
        "together_to_slowest_chain": round(together / chain, 3),
        "together_to_one_by_one": round(together / one_by_one, 3),
    }


async def _together() -> tuple[float, float]:
    ground = _ground()
    began = time.perf_counter()
    results = await examine(ground, checks=IN_PROCESS)
    return time.perf_counter() - began, slowest_chain(results)


async def _one_by_one() -> float:
    """Each check after the one before; what one has seen the next need not ask again, as it is together."""
    ground = _ground()
    began = time.perf_counter()
    for check in IN_PROCESS:
        await examine(ground, checks=[Check(check.id, check.group, check.title, (), check.run, check.hint)])
    return time.perf_counter() - began


def slowest_chain(results: list[Result]) -> float:
    """The longest way through the table, each check after all that it needs."""
    ends: dict[str, float] = {}
    for result in results:
        before = max((ends.get(need, 0.0) for need in result.check.needs), default=0.0)
        ends[result.check.id] = before + result.elapsed_s
    return max(ends.values())


def _ground() -> Ground:
    clock = RealClock()
    world, _, _ = simulate("quiet", clock, seed=1)
    fault(world, {"kind": "latency"}, ANSWER_S).begin()
    reads = SimulatedReads(world)

    async def connect() -> Any:
        return reads

    settings = load({"--project": str(CHECKOUT), "--state-dir": "/tmp"}, environ={"HOME": "/nonexistent"})
    return Ground(site(settings, clock, world, connect))
