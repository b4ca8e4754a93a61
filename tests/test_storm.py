"""When many single faults are one storm: any order, late news, a clock that is set back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nvsx.config import Limits
from nvsx.triggers.storm import CALM, QUIET_WINDOWS, Storm, after, from_data, gathered, listed, quiet_at, to_data

LIMITS = Limits(storm_nodes=3, storm_window_s=120.0)
T0 = 1_787_306_400.0

faults = st.lists(st.tuples(st.sampled_from([f"n{i}" for i in range(8)]), st.integers(1, 1200).map(float)), max_size=40)


def several(*times: float) -> list[tuple[str, float]]:
    return [(f"n{at}", T0 + time) for at, time in enumerate(times)]


def is_storm(found: list[tuple[str, float]], limits: Limits) -> bool:
    """The plain definition: some window holds more distinct nodes than allowed, each by its newest fault."""
    newest = {node: max(time for name, time in found if name == node) for node, _ in found}
    return any(
        sum(1 for time in newest.values() if start <= time <= start + limits.storm_window_s) > limits.storm_nodes
        for start in newest.values()
    )


def test_more_nodes_than_allowed_within_the_window_are_a_storm() -> None:
    assert not gathered(CALM, several(0, 1, 2), T0 + 2, LIMITS).rages
    storm = gathered(CALM, several(0, 1, 119, 120), T0 + 120, LIMITS)
    assert storm.nodes == ("n0", "n1", "n2", "n3")
    assert storm.began == T0
    assert not gathered(CALM, several(0, 1, 119, 121), T0 + 121, LIMITS).rages


def test_one_node_many_times_is_no_storm() -> None:
    assert not gathered(CALM, [("n1", T0 + i) for i in range(100)], T0 + 100, LIMITS).rages


def test_an_alert_without_a_node_counts_for_nothing() -> None:
    assert not gathered(CALM, [("", T0)] * 10, T0, LIMITS).rages


def test_old_quarantines_found_after_a_gap_are_no_storm_of_today() -> None:
    assert not gathered(CALM, several(0, 3600, 7200, 10800, 14400), T0 + 20000, LIMITS).rages
    assert gathered(CALM, several(0, 10, 20, 30, 14400), T0 + 20000, LIMITS).nodes == ("n0", "n1", "n2", "n3")


def test_nodes_join_and_it_ends_after_a_quiet_time() -> None:
    storm = gathered(CALM, several(0, 0, 0, 0), T0, LIMITS)
    storm = gathered(storm, [("late", T0 + 300), ("n0", T0 + 300)], T0 + 300, LIMITS)
    assert storm.nodes[-1] == "late"
    assert len(storm.nodes) == 5
    assert listed(storm).startswith("5 nodes:\nn0\n")
    over = T0 + 300 + QUIET_WINDOWS * 120
    assert quiet_at(storm, LIMITS) == over
    assert after(storm, over - 1, LIMITS).rages
    assert after(storm, over, LIMITS) == CALM
    repeated = gathered(storm, [("n0", T0 + 400)], T0 + 400, LIMITS)
    assert repeated.last == T0 + 300, "a node that is in it already is no news"


def test_a_clock_set_back_neither_ends_nor_prolongs_it_for_ever() -> None:
    storm = gathered(CALM, several(0, 0, 0, 0), T0, LIMITS)
    storm = after(storm, T0 - 600, LIMITS)
    assert storm.rages
    assert after(storm, T0 - 600 + QUIET_WINDOWS * 120, LIMITS) == CALM


@given(faults)
def test_the_order_in_which_faults_are_heard_of_changes_nothing(found: list[tuple[str, float]]) -> None:
    at_once = gathered(CALM, found, 2000.0, LIMITS)
    assert at_once.rages == is_storm(found, LIMITS)
    if at_once.rages:
        assert gathered(CALM, reversed(found), 2000.0, LIMITS) == at_once


@given(faults)
def test_live_faults_are_a_storm_as_soon_as_they_are_one(found: list[tuple[str, float]]) -> None:
    storm, heard = CALM, []
    for node, time in sorted(found, key=lambda fault: fault[1]):
        heard.append((node, time))
        before, storm = storm, gathered(storm, [(node, time)], time, LIMITS)
        assert storm.rages == (before.rages or is_storm(heard, LIMITS))
        assert len(set(storm.nodes)) == len(storm.nodes)
        assert set(storm.nodes) >= set(before.nodes)
        assert len(storm.recent) <= 8


@given(faults, st.floats(0, 3000))
def test_it_outlasts_the_process(found: list[tuple[str, float]], now: float) -> None:
    storm = gathered(CALM, found, now, LIMITS)
    assert from_data(json.loads(json.dumps(to_data(storm)))) == storm
    assert isinstance(after(storm, now, LIMITS), Storm)
