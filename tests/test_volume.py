"""The week, the flood and its replay in small: one page per incident, and what was seen before starts nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster.view import View
from nvsx.healthevents.cursor import OVERLAP_S, Cursor, begin
from nvsx.healthevents.known import known_from_data
from nvsx.ledger import Ledger
from nvsx.mongo.database import Mongo
from nvsx.mongo.places import Names
from nvsx.sim.cluster import SimulatedCluster
from nvsx.triggers import healthsource
from nvsx.triggers.healthsource import HealthEventSource
from tests.bench import week
from tests.bench.volume import SUPPORT, XID, feed
from tests.daemon_story import Place, runbooks
from tests.servers.mongo import MongoServer
from tests.story import T0

if TYPE_CHECKING:
    from pathlib import Path


def test_a_week_in_small(tmp_path: Path) -> None:
    found = feed(4000, tmp_path)
    assert (found["pages"], found["pages_twice"]) == (found["incidents"], 0)
    assert max(found["memory_mb"]) - min(found["memory_mb"]) < 15


@pytest.fixture
def flooded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Six hundred documents in half a minute, read by a daemon that counts what it knows from two hundred on."""
    monkeypatch.setattr(healthsource, "READ_AGAIN", 200)
    place = Place(tmp_path, runbooks(xid=XID, support=SUPPORT))
    place.node(*week.NODES[: week.FAULTY], *week.FLOOD)
    times = [number / 20 for number in range(600)]
    documents = list(week.mixed(times, random.Random(1), T0 + 30))

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(30)
            for at, document in zip(times, documents, strict=True):
                await asyncio.sleep(max(0.0, 30 + at - place.clock.monotonic()))
                place.world.documents["HealthEvents"].append(document)
                event = document["healthevent"]
                if event["nodename"] in week.NODES[:20] and event["isfatal"]:
                    place.quarantine(event["nodename"], document["_id"]["$oid"])
            await asyncio.sleep(20)
            assert len(daemon.source.cursor.seen) == len(documents), "two polls after the flood all is read"
            await asyncio.sleep(30)

    return place.play(story)


def test_a_flood_is_one_page_per_incident(flooded: Place) -> None:
    pages = flooded.started()
    assert len(pages) == len(set(pages)) == week.INCIDENTS


def test_what_is_seen_again_after_a_restart_starts_nothing(flooded: Place) -> None:
    """All documents again, for a daemon whose memory says that it has read none of them (NVSentinel's own, #1513)."""
    before = flooded.started()
    seen_again: list[int] = []

    async def story() -> None:
        await forget(flooded)
        async with flooded.daemon() as daemon:
            await asyncio.sleep(120)
            seen_again.append(len(daemon.source.cursor.seen))

    flooded.play(story)
    assert seen_again == [600]
    assert len(before) == week.INCIDENTS
    assert flooded.started() == before


async def forget(place: Place) -> None:
    ledger = Ledger.open(place.directory / "state", clock=place.clock)
    memory = json.loads(ledger.cursor("serve/cluster-1"))
    assert len(known_from_data(memory["known"])) == 600
    await ledger.set_cursor("serve/cluster-1", json.dumps({**memory, "start": 0.0, "known": []}))
    ledger.close()


@pytest.mark.skipif(not shutil.which("mongosh"), reason="no mongosh: npm install --global mongosh")
def test_thousands_of_documents_through_the_real_mongosh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many of one millisecond, some from long ago, one that comes late: each is told once."""
    monkeypatch.setattr(healthsource, "READ_AGAIN", 500)
    place = Place(tmp_path, {}, clock=RealClock())  # type: ignore[arg-type]
    times = [number // 1200 * 700.0 for number in range(3000)]
    documents = list(week.mixed(times, random.Random(1), T0))
    late = week.document(9999, T0 + times[-1] - OVERLAP_S / 2, "n", "c", "79", 24, fatal=True)
    told: list[str] = []

    async def story(mongo: MongoServer) -> Cursor:
        uri = f"mongodb://127.0.0.1:{mongo.port}/?directConnection=true"
        database = Mongo(
            SimulatedCluster(place.world), env=dict(os.environ), clock=place.clock, namespace="nvsentinel", uri=uri
        )
        database._names = Names()
        source = HealthEventSource(
            View(SimulatedCluster(place.world), place.clock), database, place.clock, begin(T0), poll_s=1,
            rng=random.Random(1), on_event=lambda one: told.append(one.event.id),
            on_rejection=lambda rejection: pytest.fail(str(rejection)), on_state=failed,
        )  # fmt: skip
        try:
            await source.poll()
            assert sorted(told) == sorted(document["_id"]["$oid"] for document in documents)
            mongo.insert("HealthEventsDatabase", "HealthEvents", late)
            await source.poll()
            await source.poll()
        finally:
            await database.close()
        return source.cursor

    with MongoServer({"HealthEventsDatabase": {"HealthEvents": documents}}) as mongo:
        cursor = asyncio.run(story(mongo))
    assert told[len(documents) :] == [late["_id"]["$oid"]]
    assert cursor.start == T0 + times[-1] - OVERLAP_S
    assert len(cursor.seen) < 2000, "what lies behind is forgotten"


def failed(state: Any) -> None:
    pytest.fail(str(state))
