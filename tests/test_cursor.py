"""Cursor: late inserts and skewed clocks lose nothing, a restart replays nothing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nvsx.health import HealthEvent
from nvsx.healthevents.cursor import OVERLAP_S, Cursor, Reading, at_once, begin, between

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
            start, seen = json.loads(json.dumps(cursor))
            cursor = Cursor(start, seen)
    assert sorted(told) == sorted(due)


@given(st.lists(st.floats(0, 100_000), max_size=50))
def test_memory_is_bounded_by_the_overlap(times: list[float]) -> None:
    cursor = begin(T0)
    for number, time in enumerate(sorted(times)):
        event = HealthEvent("n", "c", id=str(number), created_time=T0 + time)
        _, after = cursor.advance([event], T0 + time)
        assert after.start >= cursor.start
        assert all(known >= after.start for known in after.seen.values())
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
