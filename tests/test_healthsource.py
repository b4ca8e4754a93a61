"""One stream of health events from nodes and database: each once, and what cannot be seen is said."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest

from nvsx.clock import SimulatedClock
from nvsx.cluster.view import View
from nvsx.errors import Forbidden
from nvsx.healthevents.cursor import begin
from nvsx.sim import simulate
from nvsx.sim.database import SimulatedDatabase
from nvsx.triggers import healthsource
from nvsx.triggers.healthsource import HealthEventSource, SourceState, Told
from tests.test_healthevents import DOCUMENT

START = 1_787_306_400.0


class Refusing(SimulatedDatabase):
    async def find(self, *_: Any, **__: Any) -> Any:
        raise Forbidden("no exec")


def told(scenario: str, seed: int, kind: str, poll_s: float = 10.0) -> tuple[list[Told], list[SourceState], str]:
    clock = SimulatedClock(start=START)
    events: list[Told] = []
    states: list[SourceState] = []

    async def story() -> str:
        world, director, cluster = simulate(scenario, clock, seed)
        view = View(cluster, clock, rng=random.Random(1))
        database = {"mongo": SimulatedDatabase, "refusing": Refusing}.get(kind, lambda _: None)(world)
        source = HealthEventSource(
            view, database, clock, begin(clock.now()), poll_s=poll_s, rng=random.Random(1), on_event=events.append,
            on_rejection=lambda rejection: pytest.fail(str(rejection)), on_state=states.append,
        )  # fmt: skip
        task = asyncio.create_task(source.run())
        await asyncio.sleep(1)
        await director.run()
        await asyncio.sleep(30)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await view.close()
        return str(director.variable("doc_id"))

    return events, states, clock.run(story())


@pytest.mark.parametrize("poll_s", [0.05, 10.0])
@pytest.mark.parametrize("kind", ["mongo", "nodes", "refusing"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_fault_is_told_once(kind: str, seed: int, poll_s: float) -> None:
    events, states, doc_id = told("xid-79", seed, kind, poll_s)
    faults = [one for one in events if one.event.fatal and not one.event.healthy]
    assert len(faults) == 1, faults
    assert faults[0].event.id in (doc_id, "")
    assert not faults[0].present
    assert [state.degraded for state in states] == ([True] if kind == "refusing" else [])
    assert not any(state.blind for state in states)


def test_what_does_not_cordon_is_seen_in_the_database_only() -> None:
    assert [one.event.check for one in told("store-only", 1, "mongo")[0]]
    assert told("store-only", 1, "nodes")[0] == []


def test_what_was_told_is_not_read_again_and_what_cannot_be_read_is_read_once() -> None:
    clock = SimulatedClock(start=START)
    asked: list[tuple[bool, int]] = []
    rejected: list[Any] = []

    class Counting(SimulatedDatabase):
        async def find(self, *words: Any, fields: Any = None, **more: Any) -> Any:
            found = await super().find(*words, fields=fields, **more)
            asked.append((fields is None, len(found)))
            return found

    async def story() -> list[Told]:
        world, _, cluster = simulate("quiet", clock, 1)
        events: list[Told] = []
        source = HealthEventSource(
            View(cluster, clock), Counting(world), clock, begin(clock.now()), poll_s=10, rng=random.Random(1),
            on_event=events.append, on_rejection=rejected.append, on_state=lambda _: None,
        )  # fmt: skip
        for number in range(1500):
            document = {**DOCUMENT, "_id": {"$oid": f"{number:024x}"}, "createdAt": date(START + 1 + number / 10)}
            world.insert_document("HealthEvents", document)
        world.insert_document("HealthEvents", {"_id": {"$oid": "f" * 24}, "createdAt": date(START + 5)})
        for _ in range(3):
            await asyncio.sleep(200)
            await source.poll()
        return events

    assert len(clock.run(story())) == 1500
    assert [str(one) for one in rejected] == [f"document {'f' * 24}: healthevent: is missing"]
    # Nothing is known yet: two pages of documents, the second begins with the first's last. Then ids alone, twice.
    assert asked == [(True, 1000), (True, 502), *[(False, 1000), (False, 502)] * 2]


def test_after_a_flood_what_is_known_is_counted_and_what_comes_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthsource, "READ_AGAIN", 100)
    clock = SimulatedClock(start=START)
    asked: list[str] = []

    class Counting(SimulatedDatabase):
        async def find(self, *words: Any, **more: Any) -> Any:
            found = await super().find(*words, **more)
            asked.append(f"find {len(found)}")
            return found

        async def count(self, *words: Any, **more: Any) -> int:
            found = await super().count(*words, **more)
            asked.append(f"count {found}")
            return found

    async def story() -> None:
        world, _, cluster = simulate("quiet", clock, 1)
        told: list[str] = []
        rejected: list[Any] = []
        source = HealthEventSource(
            View(cluster, clock), Counting(world), clock, begin(clock.now()), poll_s=10, rng=random.Random(1),
            on_event=lambda one: told.append(one.event.id), on_rejection=rejected.append, on_state=lambda _: None,
        )  # fmt: skip

        def store(number: int, at: float, **changes: Any) -> str:
            doc_id = f"{number:024x}"
            document = {**DOCUMENT, "_id": {"$oid": doc_id}, "createdAt": date(START + at), **changes}
            world.insert_document("HealthEvents", document)
            return doc_id

        flood = [store(number, 1 + number / 50) for number in range(600)]
        store(600, 3.001, healthevent=None)
        await asyncio.sleep(60)
        await source.poll()
        assert sorted(told) == flood
        told.clear()
        asked.clear()
        await source.poll()
        assert asked == ["count 601", "find 1"], "all is known, and only the newest is read again"
        late = [store(700, 2.005), store(701, 14.0)]
        next_one = store(702, 59.0)
        await source.poll()
        assert told == [*late, next_one]
        await source.poll()
        assert told == [*late, next_one]
        assert len(rejected) == 1

    clock.run(story())


def date(time: float) -> dict[str, Any]:
    return {"$date": {"$numberLong": str(round(time * 1000))}}
