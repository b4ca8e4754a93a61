"""Standstills as values: since when a node has not moved, who was told, and what outlasts the process."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nvsx.oracle.chain import position
from nvsx.oracle.stalling import FOREVER
from nvsx.triggers.stalls import (
    Standing,
    due,
    from_data,
    is_sound,
    news,
    report_of,
    standing,
    thresholds,
    to_data,
    told,
)
from tests.daemon_story import STALLED, runbooks
from tests.story import T0

LIMITS = (600.0, 3600.0)


def node(state: str = "quarantined", *, action: int = 24, at: float = T0, name: str = "gpu-1") -> dict[str, Any]:
    event = {
        "agent": "m", "checkName": "SysLogsXIDError", "isFatal": True, "errorCode": ["79"], "id": "66f0",
        "recommendedAction": action, "generatedTimestamp": {"seconds": int(at), "nanos": 0}, "nodeName": name,
    }  # fmt: skip
    return {
        "metadata": {
            "name": name,
            "labels": {"dgxc.nvidia.com/nvsentinel-state": state, "k8saas.nvidia.com/cordon-by": "NVSentinel"},
            "annotations": {"quarantineHealthEvent": json.dumps([event])},
        },
        "spec": {"unschedulable": True},
        "status": {"conditions": []},
    }


SOUND = {"metadata": {"name": "gpu-1", "labels": {}}, "spec": {}, "status": {"conditions": []}}


def stood(thing: dict[str, Any], known: Standing | None = None, now: float = T0) -> Standing:
    found = standing(thing, position(thing), known, now)
    assert found is not None
    return found


def test_a_sound_node_stands_nowhere() -> None:
    assert is_sound(SOUND)
    assert not is_sound(node())
    assert standing(SOUND, position(SOUND), None, T0) is None


def test_time_counts_from_the_last_sign_of_progress() -> None:
    first = stood(node())
    where = position(node())
    assert due(first, where, LIMITS) == T0 + 600
    assert news(first, where, LIMITS, T0 + 599) is None
    stall = news(first, where, LIMITS, T0 + 600)
    assert stall is not None
    after = told(first, stall)
    assert news(after, where, LIMITS, T0 + 3599) is None, "each time is told once"
    assert news(after, where, LIMITS, T0 + 3600) is not None
    moved = stood(node("draining"), first, T0 + 300)
    assert due(moved, position(node("draining")), LIMITS) == T0 + 900


def test_where_nobody_will_act_it_is_told_at_once_and_once() -> None:
    for thing in (node("drain-failed"), node("remediation-failed"), node("quarantined", action=5)):
        first, where = stood(thing), position(thing)
        stall = news(first, where, LIMITS, T0)
        assert stall is not None
        assert stall.idle_s == FOREVER
        assert report_of(thing, stall).check == "SysLogsXIDError"
        assert news(told(first, stall), where, LIMITS, T0 + 1e6) is None


def test_without_a_runbook_for_it_nothing_is_due() -> None:
    assert thresholds(runbooks(stalled=STALLED).values()) == (600.0,)
    assert thresholds(()) == ()
    assert due(stood(node()), position(node()), ()) == FOREVER


moves = st.lists(
    st.tuples(st.sampled_from(["quarantined", "draining", "drain-succeeded", "drain-failed"]), st.integers(-900, 3000)),
    max_size=15,
)


@given(moves)
def test_no_standstill_is_told_twice_whatever_the_clock_does(steps: list[tuple[str, int]]) -> None:
    known, now, heard = None, T0, set()
    for state, seconds in steps:
        now += seconds
        thing = node(state)
        before, known = known, stood(thing, known, now)
        if before is not None and before.mark != known.mark:
            heard.clear()
        stall = news(known, position(thing), LIMITS, now)
        if stall is not None:
            crossed = {limit for limit in LIMITS if limit <= stall.idle_s} - heard
            assert crossed
            heard |= crossed
            known = told(known, stall)
        assert from_data(json.loads(json.dumps(to_data({"gpu-1": known})))) == {"gpu-1": known}
        assert known.moved_at <= max(now, T0)
