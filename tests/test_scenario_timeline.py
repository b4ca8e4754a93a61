"""Every scenario against NVSentinel's timeline, and against what the state oracle makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from nvsx.clock import SimulatedClock
from nvsx.errors import NotFound
from nvsx.health import HealthEvent
from nvsx.healthevents import from_annotation, from_conditions, from_document, from_node_event
from nvsx.oracle.chain import position
from nvsx.ports import ApiPath
from nvsx.sim import simulate
from nvsx.sim.database import SimulatedDatabase
from nvsx.sim.scenario import scenario_names
from nvsx.watches.incident import Incident, observe
from tests.test_scenario import NODES, REBOOTS, START, played

if TYPE_CHECKING:
    from nvsx.ports import Object
    from nvsx.sim.director import Director
    from nvsx.sim.world import World

GAPS = {
    # from step to step of the timeline: seconds between, at least and at most
    ("0", "1"): (0, 15),
    ("1", "2a"): (0, 1),
    ("1", "2b"): (0, 3),
    ("2a", "3"): (1, 2.5),
    ("3", "3b"): (0, 1),
    ("3", "4"): (0, 1),
    ("4", "5"): (0, 1),
    ("5", "6a"): (0, 1),
    ("7", "8"): (0, 1),
    ("8", "9"): (0, 1),
    ("9", "10"): (0, 0.1),
    ("10", "11"): (0, 0.1),
    ("11", "12"): (0, 1),
    ("11", "13"): (0, 2),
    ("13", "14"): (1, 60),
    ("14", "15"): (10, 100),
    ("15", "16"): (120, 3000),
    ("16", "17"): (10, 60),
    ("17", "18"): (1, 3),
    ("18", "19"): (0, 1),
    ("19", "20"): (0, 1),
}
OUT_OF_ORDER = {"2b", "3b", "21", "13"}
"""Steps of other actors, which may overtake their neighbours; the table above holds them."""


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_keeps_to_the_timeline(name: str) -> None:
    for seed in range(1 if name == "storm" else 3):
        result = played(name, seed)
        first: dict[tuple[str, str], float] = {}
        for entry in result.director.played:
            first.setdefault((entry.node, entry.step.number), entry.time)
        for (before, step), (least, most) in GAPS.items():
            for node in {node for node, _ in first}:
                if (node, before) in first and (node, step) in first:
                    gap = first[node, step] - first[node, before]
                    assert least <= gap <= most, (seed, node, before, step, gap)
        for node in {node for node, _ in first}:
            order = [number for one, number in first if one == node and number and number not in OUT_OF_ORDER]
            assert order == sorted(order, key=lambda number: (int(re.sub(r"\D", "", number)), number)), (seed, node)


STANDS = {
    "xid-79": "recovered",
    "ecc-memory": "recovered",
    "nvlink-down": "recovered",
    "inforom-corrupt": "recovered",
    "gpu-reset": "recovered",
    "second-fault": "recovered",
    "pre-cordoned": "recovered",
    "long-drain": "recovered",
    "api-flaps": "recovered",
    "unreachable": "recovered",
    "storm": "recovered",
    "contact-support": "remediation-failed",
    "remediation-failed": "remediation-failed",
    "drain-failed": "drain-failed",
    "drain-stuck": "draining",
    "never-recovers": "remediation-succeeded",
    "reboot-timeout": "remediation-succeeded",
    "reboot-refused": "remediation-succeeded",
    "manual-uncordon": "cancelled",
    "breaker-tripped": "detected",
    "opted-out": "detected",
    "monitor-only": "detected",
    "non-fatal": "reported",
    "thermal": "reported",
    "store-only": "reported",
    "quiet": "healthy",
    "node-deleted": "deleted",
}
FOR_PEOPLE = {
    *("contact-support", "remediation-failed", "drain-failed", "never-recovers", "reboot-timeout", "reboot-refused"),
    *("manual-uncordon", "breaker-tripped", "opted-out", "node-deleted"),
}
BREAKER = ApiPath("v1", "configmaps", namespace="nvsentinel", field_selector="metadata.name=circuit-breaker")
RESETS = ApiPath("v1alpha1", "gpuresets", "janitor.dgxc.nvidia.com")


@pytest.mark.parametrize("name", scenario_names())
def test_the_oracle_knows_where_every_scenario_has_come_to(name: str) -> None:
    result = played(name, seed=2)
    incident = Incident(result.director.node, result.director.fault_time or START)
    disputed = set()
    for version in result.versions:
        incident = observe(incident, version, version["seen"])
        disputed |= set(position(version, incident=incident).contradictions)
    # A human's uncordon is not noticed at once; nothing else in a scenario is ever at odds with itself.
    assert disputed <= ({"the node is in quarantine and can be scheduled"} if name == "manual-uncordon" else set())
    there = result.director.node in {node["metadata"]["name"] for node in result.world.list(NODES).objects}
    told = [event for one in result.documents() if isinstance(event := from_document(one), HealthEvent)]
    found = position(
        result.node if there else None,
        requests=[thing for path in (REBOOTS, RESETS) for thing in listed(result.world, path)],
        breaker=next(iter(listed(result.world, BREAKER)), None),
        event=max(told, key=lambda event: event.created_time, default=None),
        incident=incident,
    )
    assert (found.phase, found.contradictions) == (STANDS[name], ())
    assert found.failed is (name in FOR_PEOPLE)


def listed(world: World, path: ApiPath) -> list[Object]:
    try:
        return world.list(path).objects
    except NotFound:
        return []


def test_the_oracle_has_an_opinion_of_every_scenario() -> None:
    assert set(STANDS) == set(scenario_names())


def test_each_scenario_has_its_documents_and_a_stock_install_has_no_database() -> None:
    for name in set(scenario_names()) - {"unreachable", "storm"}:
        clock = SimulatedClock(start=START)
        world, director, _ = simulate(name, clock, seed=2)

        async def look(world: World = world, director: Director = director) -> list[int]:
            await director.run()
            database = SimulatedDatabase(world)
            today = {"createdAt": {"$gte": {"$date": "2026-08-21T10:00:00Z"}}, "healthevent.ishealthy": False}
            return [await database.count(where, today) for where in ("HealthEvents", "MaintenanceEvents")]

        if name == "monitor-only":
            with pytest.raises(NotFound, match="no pod of a database"):
                clock.run(look())
        else:
            wanted = {"quiet": 0, "second-fault": 2, "breaker-tripped": 4}
            assert clock.run(look()) == [wanted.get(name, 1), 0], name


def test_a_collection_that_does_not_exist_is_not_an_empty_one() -> None:
    world, _, _ = simulate("quiet", SimulatedClock(start=START), seed=2)
    with pytest.raises(NotFound, match="no collection Healthevents"):
        SimulatedClock(start=START).run(SimulatedDatabase(world).count("Healthevents", {}))


FATAL = sorted(set(scenario_names()) - {"quiet", "non-fatal", "thermal", "store-only"})
DATABASE_ONLY = ("id", "created_time", "quarantine", "eviction", "remediated", "source", "agent", "component_class")
TIMES = ("quarantine_time", "drain_time", "remediation_time", "generated_time")


def bare(event: HealthEvent, *, without: tuple[str, ...] = ()) -> dict[str, object]:
    """What every source tells of a fault; times to the second."""
    told = {name: value for name, value in event._asdict().items() if name not in (*DATABASE_ONLY, *TIMES, *without)}
    return {**told, "time": int(event.generated_time)}


@pytest.mark.parametrize("name", FATAL)
def test_a_fault_is_the_same_with_and_without_a_database(name: str) -> None:
    result = played(name, seed=4)
    annotated: dict[str, HealthEvent] = {}
    shown: list[HealthEvent] = []
    for version in result.versions:
        annotated |= {one.id: one for one in from_annotation(version) if isinstance(one, HealthEvent)}
        shown += [one for one in from_conditions(version) if one not in shown]
    assert shown
    stored = {}
    for one in result.documents():
        found = from_document(one)
        if isinstance(found, HealthEvent) and not found.healthy and found.generated_time >= START:
            stored[found.id] = found
    assert set(annotated) <= set(stored)
    for id_, event in annotated.items():
        assert bare(event) == bare(stored[id_])
        assert (event.id, event.agent, event.component_class) == stored[id_][2:5]
        assert event.generated_time == pytest.approx(stored[id_].generated_time, abs=1e-6)
    # All entries of a condition carry the time of its last transition, the first fault's.
    conditions = [bare(one, without=("time",)) | {"time": 0} for one in shown]
    assert all(bare(event, without=("time",)) | {"time": 0} in conditions for event in stored.values())


def test_a_fault_that_is_not_fatal_is_the_same_in_its_event() -> None:
    for name in ("thermal", "non-fatal"):
        result = played(name, seed=4)
        path = ApiPath("v1", "events", namespace="default", field_selector="involvedObject.kind=Node")
        told = [found for thing in listed(result.world, path) if (found := from_node_event(thing))]
        (stored,) = [
            found
            for one in result.documents()
            if isinstance(found := from_document(one), HealthEvent) and found.generated_time >= START
        ]
        (event,) = told
        assert bare(event) | {"time": 0} == bare(stored) | {"time": 0}
        assert event.agent == stored.agent
