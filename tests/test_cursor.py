"""Cursor: late inserts and skewed clocks lose nothing, a restart replays nothing."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.health import HealthEvent
from nvsx.healthevents.cursor import OVERLAP_S, Cursor, Reading, at_once, begin, between
from nvsx.healthevents.known import Known, known_from_data, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = 1_787_306_400.0

inserts = st.lists(st.tuples(st.floats(0, 7200), st.floats(-OVERLAP_S + 1, OVERLAP_S - 1)), max_size=40)


@given(inserts, st.lists(st.floats(1, 300), min_size=1, max_size=60), st.integers(0, 59))
def test_every_document_is_told_exactly_once(pairs: list[tuple[float, float]], pauses: list[float], stop: int) -> None:
    """Each becomes visible at one time and is dated up to ten minutes earlier or later."""
    stored = [
        (T0 + at, HealthEvent("n", "c", id=f"{number:024x}", created_time=T0 + at + skew))
        for number, (at, skew) in enumerate(pairs)
    ]
    due = {event.id for at, event in stored if event.created_time >= T0}
    told: list[str] = []
    cursor, now = begin(T0), T0
    for number, pause in enumerate([*pauses, 9000.0, 9000.0]):
        now += pause
        visible = [event for at, event in stored if at <= now and event.created_time >= cursor.start]
        fresh, cursor = cursor.advance(sorted(visible, key=lambda event: (event.created_time, event.id)), now)
        told += [event.id for event in fresh]
        if number == stop:  # a restart: the cursor comes back from a file
            start, seen = json.loads(json.dumps([cursor.start, cursor.seen.to_data(1000)]))
            cursor = Cursor(start, known_from_data(seen))
    assert sorted(told) == sorted(due)


@given(st.lists(st.floats(0, 100_000), max_size=50))
def test_memory_is_bounded_by_the_overlap(times: list[float]) -> None:
    cursor = begin(T0)
    for number, time in enumerate(sorted(times)):
        event = HealthEvent("n", "c", id=str(number), created_time=T0 + time)
        _, after = cursor.advance([event], T0 + time)
        assert after.start >= cursor.start
        assert all(stamp > (after.start - 10) * 1000 - 1 for stamp in after.seen.stamps())
        cursor = after


@given(st.lists(st.floats(0, 900_000), max_size=60), st.integers(0, 20))
def test_a_long_gap_read_in_one_look_is_forgotten_on_the_way(times: list[float], spare: int) -> None:
    now, told = T0 + 1_000_000, []
    whole, reading = Reading(begin(T0)), Reading(begin(T0))
    reading._most = spare
    for number, time in enumerate(sorted(times)):
        event = HealthEvent("n", "c", id=str(number), created_time=T0 + time)
        told += [one.id for one in reading.fresh([event])]
        whole.fresh([event])
        reading.forget(now)
        assert reading.fresh([event]) == []
    assert len(told) == len(times)
    assert reading.cursor(now) == whole.cursor(now)


def test_filters_name_milliseconds() -> None:
    date = {"$date": {"$numberLong": "1787306400500"}}
    assert between(T0 + 0.5) == {"createdAt": {"$gte": date}}
    assert between(T0 + 0.5, T0 + 0.5) == {"createdAt": {"$gte": date, "$lte": date}}
    assert between(T0 + 0.5, after=True) == {"createdAt": {"$gt": date}}
    assert at_once(T0 + 0.5) == {"createdAt": date}
    assert at_once(T0 + 0.5, "ab") == {"createdAt": date, "_id": {"$gt": {"$oid": "ab"}}}


# Known


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "add", "copy", "since", "file"]),
            st.integers(0, 30),
            st.one_of(st.integers(0, 40_000), st.integers(0, 60)),
        ),
        max_size=60,
    )
)
def test_what_is_known_is_what_a_plain_set_would_know(steps: list[tuple[str, int, int]]) -> None:
    """Ids with their times, added, forgotten, copied and kept in a file, beside a set of pairs that does the same."""
    known, plain = Known(), set[tuple[str, int]]()
    before: list[tuple[Known, list[int]]] = []
    for what, number, at in steps:
        time = T0 + at / 1000
        if what == "add":
            assert known.add(f"{number:024x}", time) != ((f"{number:024x}", at // 10_000) in slices(plain))
            if (f"{number:024x}", at // 10_000) not in slices(plain):
                plain.add((f"{number:024x}", at))
        elif what == "copy":
            before.append((known, sorted(stamp for _, stamp in plain)))
            known = known.copy()
        elif what == "since":
            before.append((known, sorted(stamp for _, stamp in plain)))
            known = known.since(time)
            plain = {(id_, stamp) for id_, stamp in plain if stamp // 10_000 >= at // 10_000}
        else:
            known = known_from_data(json.loads(json.dumps(known.to_data(10_000))))
        assert list(known.stamps()) == [int(T0 * 1000) + stamp for stamp in sorted(stamp for _, stamp in plain)]
        assert len(known) == len(plain)
        assert known == known_from_data(known.to_data(10_000))
        for other in range(31):
            id_ = f"{other:024x}"
            assert (id_ in known) == any(id_ == one for one, _ in plain)
            assert known.has(id_, time) == ((id_, at // 10_000) in slices(plain))
        newest = max((stamp for _, stamp in plain if stamp <= at), default=None)
        assert known.newest(time) == (None if newest is None else T0 + newest / 1000)
    for value, stamps in before:
        assert list(value.stamps()) == [int(T0 * 1000) + stamp for stamp in stamps], "a value stays as it was"


def slices(pairs: set[tuple[str, int]]) -> set[tuple[str, int]]:
    return {(id_, stamp // 10_000) for id_, stamp in pairs}


def test_only_the_newest_go_into_a_file() -> None:
    known = Known()
    for number in range(100):
        known.add(str(number), T0 + number)
    left = known_from_data(known.to_data(25))
    assert list(left.stamps()) == [milliseconds(T0 + number) for number in range(70, 100)]
    assert known_from_data(known.to_data(0)) == known_from_data([]) == Known()


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: [one[0][:-4], one[1]],
        lambda one: [one[0], one[1][:-4] + "AAAA"],
        lambda one: ["?" + one[0], one[1]],
        lambda one: [one[0]],
        lambda one: ["", ""],
        lambda one: [base64.b64encode(bytes(reversed(base64.b64decode(one[0])))).decode(), one[1]],
    ],
)
def test_damaged_ids_are_told_from_whole_ones(damage: Callable[[list[str]], list[str]]) -> None:
    known = Known()
    for number in range(12):
        known.add(str(number), T0 + number / 100)
    (one,) = known.to_data(100)
    with pytest.raises(ValueError, match=r"."):
        known_from_data([damage(one)])


def test_a_flood_is_remembered_in_few_bytes() -> None:
    """1.22 million ids of ten minutes at 2,033 a second must fit beside everything else: 24 bytes each are 30 MB."""
    tracemalloc.start()
    try:
        known = Known()
        for number in range(8_000):
            known.add(f"{number:024x}", T0 + number / 2033)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(known) < 24
