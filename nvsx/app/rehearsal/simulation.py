"""A run on the simulated cluster: what demo, drill and test share. Nothing real is reached."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx import __version__
from nvsx.app.execution import execute
from nvsx.app.places import make_places
from nvsx.cluster.processes import run_process
from nvsx.engine.plan import Plan, TriggerFacts, new_run_id
from nvsx.health import HealthEvent
from nvsx.healthevents import from_conditions, from_document
from nvsx.journal import MemoryJournal
from nvsx.names import alias
from nvsx.ports import ApiPath
from nvsx.sim import simulate
from nvsx.sim.catcher import LOG, Catcher
from nvsx.sim.database import HEALTH_EVENTS, SimulatedDatabase
from nvsx.sim.hold import Hold
from nvsx.sim.realkubectl import RealKubectl
from nvsx.sim.shim import ShimServer

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from nvsx.clock import Clock
    from nvsx.cluster.processes import Ended
    from nvsx.engine.effects import ProcessRunner
    from nvsx.engine.plan import Scripts
    from nvsx.engine.run import Outcome
    from nvsx.messages import Message
    from nvsx.model import Runbook
    from nvsx.ports import Journal, Sink
    from nvsx.sim.director import Director
    from nvsx.sim.scenario import Scenario
    from nvsx.sim.world import World

NODES = ApiPath("v1", "nodes")
_TRIGGERED_WITHIN_S = 3.0
_REAL_CLUSTER_VARIABLES = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "NVSX_MONGO_URI")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What to rehearse: a runbook against a scenario. `base` is a directory of the rehearsal's own."""

    runbook: Runbook
    scenario: Scenario | str
    base: Path
    root: Path
    environment: Mapping[str, str]
    secrets: frozenset[str] = frozenset()
    seed: int | None = None
    drill: bool = True
    dwell: bool = False
    page: bool = False  # hooks really send
    variables: Mapping[str, str | None] = field(default_factory=dict)
    """What hooks find changed in their environment at last; None takes a variable away."""
    kubectl: str = ""
    """A real kubectl for the hooks, on the simulator's API server; without one, or where it does not work, the
    simulator's own answers."""


class Rehearsed(NamedTuple):
    """How it ended, the director (who knows what truly happened when), and what hooks would have sent.

    `not_held` says why programs that ignore PATH and proxies could have reached the network, "" if they could not.
    """

    outcome: Outcome
    director: Director
    messages: list[Message]
    not_held: str = ""


async def rehearse(
    rehearsal: Rehearsal,
    *,
    clock: Clock,
    sink: Sink,
    scripts: Scripts,
    rng: random.Random,
    on_note: Callable[[str], None] | None = None,
    before: Callable[[Director], None] | None = None,
    journal: Journal | None = None,
) -> Rehearsed:
    """Play the scenario and run the runbook on it. Without a journal nothing is recorded."""
    world, director, cluster = simulate(rehearsal.scenario, clock, rehearsal.seed)
    if before:
        before(director)
    run_id = new_run_id(clock.now(), rng)
    async with _stage(rehearsal, world, clock) as stage:
        environment = _isolated(rehearsal, stage)
        identity = await cluster.identity()
        play = asyncio.create_task(director.run(), name="director")
        await asyncio.sleep(0)  # what the scenario sets at the very start is so before the run looks
        try:
            facts = await _awaited(director) if _answers_last(rehearsal) else {}
            plan = _plan(rehearsal, director, run_id, identity, environment, clock.now(), facts)
            outcome = await execute(
                plan,
                cluster=cluster,
                clock=clock,
                journal=journal or MemoryJournal(),
                sink=sink,
                scripts=scripts,
                on_note=on_note,
                database=SimulatedDatabase(world),
                run_process=stage.run_process,
            )
        finally:
            play.cancel()
            with suppress(asyncio.CancelledError):
                await play
        return Rehearsed(outcome, director, stage.messages(), stage.not_held)


def _answers_last(rehearsal: Rehearsal) -> bool:
    """Whether the runbook takes what no other takes: it watches nothing, and knows its fault from the trigger alone."""
    trigger = rehearsal.runbook.trigger
    return trigger is not None and bool(trigger.unhandled)


async def _awaited(director: Director) -> dict[str, Any]:
    """What a trigger tells of the scenario's fault, once its event can be read; {} where there comes none."""
    with suppress(TimeoutError):
        async with asyncio.timeout(director.length):
            await director.reached("fault")
            await asyncio.sleep(_TRIGGERED_WITHIN_S)
    world = director.world
    stored = [from_document(document) for document in world.documents.get(HEALTH_EVENTS, ())]
    shown = [event for node in world.list(NODES).objects for event in from_conditions(node)]
    since = director.fault_time
    for found in (*stored, *shown):
        if isinstance(found, HealthEvent) and found.node == director.node and found.generated_time >= int(since) > 0:
            return found.facts()
    return {}


class _Stage(NamedTuple):
    """What hooks have in place of the world: programs that come first, variables, and a way to start in there."""

    bin_dir: Path
    variables: Mapping[str, str]
    messages: Callable[[], list[Message]]
    run_process: ProcessRunner
    not_held: str


@asynccontextmanager
async def _stage(rehearsal: Rehearsal, world: World, clock: Clock) -> AsyncIterator[_Stage]:
    """The simulated cluster for hooks, and everything held that would leave this machine, unless it is to be sent."""
    directory = rehearsal.base / "bin"
    if rehearsal.page:
        async with _kubectl(rehearsal, world, clock, None) as kubectl:
            yield _Stage(kubectl.bin_dir, kubectl.env, list, run_process, "")
        return
    plain = {"PATH": rehearsal.environment.get("PATH", "")}
    async with (
        Hold(directory, directory / "bin" / LOG, plain) as hold,
        _kubectl(rehearsal, world, clock, hold) as kubectl,
        Catcher(kubectl.bin_dir, hold.port) as catcher,
    ):

        async def run_inside(argv: Sequence[str], **how: Any) -> Ended:
            return await run_process([*hold.prefix, *argv], **how)

        variables = {**catcher.variables, **kubectl.env}
        yield _Stage(kubectl.bin_dir, variables, catcher.messages, run_inside, hold.why_not)


@asynccontextmanager
async def _kubectl(
    rehearsal: Rehearsal, world: World, clock: Clock, hold: Hold | None
) -> AsyncIterator[RealKubectl | ShimServer]:
    """What scripts find as kubectl."""
    directory = rehearsal.base / "bin"
    if rehearsal.kubectl:
        async with RealKubectl(world, directory, rehearsal.kubectl, hold) as real:
            if await real.answers(clock):
                yield real
                return
    async with ShimServer(world, directory) as shim:
        yield shim


def _plan(
    rehearsal: Rehearsal,
    director: Director,
    run_id: str,
    cluster: str,
    environment: Mapping[str, str],
    now: float,
    facts: Mapping[str, Any],
) -> Plan:
    places = make_places(rehearsal.base, run_id)
    return Plan(
        runbook=rehearsal.runbook,
        run_id=run_id,
        cluster=cluster,
        context=director.world.context,
        namespace="nvsentinel",
        target_node=director.node,
        target_alias=alias(director.node) if director.node else "",
        since=now,
        root=str(rehearsal.root),
        run_dir=str(places.run_dir),
        artifact_dir=str(places.artifact_dir),
        environment=environment,
        nvsx_version=__version__,
        secrets=rehearsal.secrets,
        drill=rehearsal.drill,
        dwell=rehearsal.dwell,
        trigger=TriggerFacts(source="drill" if rehearsal.drill else "demo", facts=facts),
    )


def _isolated(rehearsal: Rehearsal, stage: _Stage) -> dict[str, str]:
    """The environment without the ways to a real cluster, the simulator's tools first on the PATH."""
    given = rehearsal.environment
    isolated = {name: value for name, value in given.items() if name not in _REAL_CLUSTER_VARIABLES}
    isolated.update(stage.variables)
    isolated["PATH"] = f"{stage.bin_dir}:{given.get('PATH') or '/usr/local/bin:/usr/bin:/bin'}"
    for name, value in rehearsal.variables.items():
        isolated.pop(name, None)
        if value is not None:
            isolated[name] = value
    return isolated
