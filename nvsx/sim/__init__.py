"""The simulator: a cluster with NVSentinel that is not there, for demo, drill and test, and for nvsx's own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvsx.clock import Clock
    from nvsx.sim.cluster import SimulatedCluster
    from nvsx.sim.director import Director
    from nvsx.sim.scenario import Scenario
    from nvsx.sim.world import World


def simulate(
    scenario: Scenario | str, clock: Clock, seed: int | None = None
) -> tuple[World, Director, SimulatedCluster]:
    """A world furnished for a scenario (or its name), the director that will play it, and the Cluster port on it.

    Nothing happens until `director.run()`; without a seed one is drawn, see `director.seed`.
    """
    import secrets

    from nvsx.sim.cluster import SimulatedCluster
    from nvsx.sim.director import Director
    from nvsx.sim.scenario import load_scenario
    from nvsx.sim.world import World

    chosen = secrets.randbelow(1 << 32) if seed is None else seed
    world = World(clock, seed=chosen)
    director = Director(world, load_scenario(scenario) if isinstance(scenario, str) else scenario, clock, chosen)
    return world, director, SimulatedCluster(world)
