"""The ways through the stored events: none is left out, whatever comes late and however many are of one moment."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.clock import SimulatedClock
from nvsx.errors import Garbled
from nvsx.healthevents.ejson import moment
from nvsx.sim.database import SimulatedDatabase
from nvsx.sim.world import World
from nvsx.triggers import stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T0 = 1_787_306_400.0
stamps = st.lists(st.one_of(st.integers(0, 6), st.integers(0, 5000)), max_size=40)  # milliseconds after T0


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PAGE", 4)


class Counted(SimulatedDatabase):
    """Remembers how often it was asked."""

    counts = finds = 0

    async def count(self, *words: Any, **more: Any) -> int:
        self.counts += 1
        return await super().count(*words, **more)

    async def find(self, *words: Any, **more: Any) -> Any:
        self.finds += 1
        assert self.finds < 1000, "it goes round in circles"
        return await super().find(*words, **more)


def holding(*documents: dict[str, Any]) -> Counted:
    world = World(SimulatedClock(start=T0))
    world.documents["HealthEvents"] = list(documents)
    return Counted(world)


def document(number: int, stamp: int) -> dict[str, Any]:
    return {"_id": {"$oid": f"{number:024x}"}, "createdAt": {"$date": {"$numberLong": str(int(T0 * 1000) + stamp)}}}


def numbered(found: list[int]) -> list[dict[str, Any]]:
    return [document(number, stamp) for number, stamp in enumerate(found)]


def gather(pages: AsyncIterator[stored.Page]) -> list[Any]:
    async def all_of() -> list[Any]:
        return [document for page in [page async for page in pages] for document in page.documents]

    return asyncio.run(all_of())


def numbers(found: list[Any]) -> set[int]:
    return {int(one["_id"]["$oid"], 16) for one in found}


def stamped(found: list[int]) -> list[int]:
    return [int(T0 * 1000) + stamp for stamp in sorted(found)]


def seconds(stamp: float) -> float:
    return T0 + stamp / 1000


@given(stamps, st.integers(0, 5000), st.one_of(st.none(), st.integers(0, 5000)))
def test_onward_leaves_nothing_out_and_goes_with_time(found: list[int], start: int, end: int | None) -> None:
    database = holding(*numbered(found))
    told = gather(stored.onward(database, seconds(start), None if end is None else seconds(end)))
    last = 5000 if end is None else end
    assert numbers(told) == {number for number, stamp in enumerate(found) if start <= stamp <= last}
    times = [moment(one["createdAt"]) or 0.0 for one in told]
    assert times == sorted(times)
    assert database.finds <= 3 + 2 * len(found)


@given(stamps, stamps, st.integers(0, 5000))
def test_what_came_late_is_found_wherever_it_is(known: list[int], more: list[int], end: int) -> None:
    database = holding(*numbered([*known, *more]))
    found = numbers(gather(stored.late(database, stamped(known), T0, seconds(end))))
    late = {number for number, stamp in enumerate([*known, *more]) if number >= len(known) and stamp <= end}
    assert late <= found <= {number for number, stamp in enumerate([*known, *more]) if stamp <= end}


@given(stamps, stamps)
def test_documents_that_somebody_deleted_are_no_trouble(known: list[int], gone: list[int]) -> None:
    database = holding(*numbered(known))
    gather(stored.late(database, stamped([*known, *gone]), T0, seconds(5000)))
    assert database.counts <= 2 * len(known) + 2 * len(gone) + 1


def test_where_nothing_came_late_one_count_is_all_that_is_asked() -> None:
    found = list(range(0, 4000, 7))
    database = holding(*numbered(found))
    assert gather(stored.late(database, stamped(found), T0, seconds(5000))) == []
    assert (database.counts, database.finds) == (1, 0)


def test_one_that_came_late_is_found_with_few_questions() -> None:
    found = list(range(0, 4000, 7))
    database = holding(*numbered([*found, 1234]))
    assert len(found) in numbers(gather(stored.late(database, stamped(found), T0, seconds(5000))))
    assert database.counts < 30
    assert database.finds <= 3


def test_a_page_that_tells_no_place_to_go_on_from_is_garbled() -> None:
    class Odd(SimulatedDatabase):
        async def find(self, *_: Any, **__: Any) -> Any:
            return [{"_id": "x"}] * 4

    async def look() -> None:
        async with aclosing(stored.onward(Odd(World(SimulatedClock(start=T0))), T0)) as pages:  # type: ignore[type-var]
            async for _ in pages:
                pass

    with pytest.raises(Garbled, match="no createdAt"):
        asyncio.run(look())
