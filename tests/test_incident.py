"""What a run knows of its fault: from its trigger, from an Event, from the node, in whichever order they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.healthevents import from_node_event
from nvsx.watches.incident import Incident, observe, told
from tests.chain import FAULT, ID, NODE, T0, condition, document, node, quarantined, stamp

BARE = Incident(NODE, FAULT)
FACTS = document(message="fell off", error_codes=("79",)).facts()
LETTERS = st.text("aZ79 \0ä", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=8,
)


def test_a_trigger_tells_what_the_node_would() -> None:
    known = told(BARE, FACTS)
    assert (known.first_check, known.error_codes, known.action) == ("SysLogsXIDError", ("79",), "RESTART_BM")
    assert (known.message, known.event_ids, known.opened_by) == ("fell off", (ID,), ("SysLogsXIDError",))
    assert known.fault_time == pytest.approx(FAULT + 0.401)
    assert json.loads(json.dumps(FACTS)) == FACTS


def test_the_node_and_the_trigger_agree_on_the_key_of_the_fault() -> None:
    by_trigger, by_node = told(BARE, FACTS), observe(BARE, quarantined(), T0 + 9)
    both = observe(by_trigger, quarantined(), T0 + 9)
    for known in (by_trigger, by_node, both, told(by_node, FACTS)):
        assert (known.first_check, int(known.fault_time)) == ("SysLogsXIDError", int(FAULT))
        assert (known.event_ids, known.error_codes) == ((ID,), ("79",))


def test_what_the_node_showed_is_not_overruled() -> None:
    known = told(observe(BARE, node(condition(code="95", action="COMPONENT_RESET")), T0 + 9), FACTS)
    assert (known.action, known.error_codes) == ("COMPONENT_RESET", ("95", "79"))


def test_a_fault_that_is_not_fatal_opens_no_condition() -> None:
    assert told(BARE, document(fatal=False).facts()).opened_by == ()


@given(st.dictionaries(st.sampled_from([*FACTS, "url"]), JSON))
def test_facts_of_any_shape_are_survived(facts: dict[str, Any]) -> None:
    known = told(BARE, facts)
    assert all(isinstance(code, str) for code in (*known.error_codes, *known.entities, *known.event_ids))
    assert isinstance(known.action, str)
    assert known.fault_time >= 0


def thermal(**changes: Any) -> dict[str, Any]:
    return {
        "type": "GpuThermalWatch",
        "reason": "GpuThermalWatchIsNotHealthy",
        "message": "ErrorCode:DCGM_FR_CLOCKS_EVENT_THERMAL GPU:3 Too hot. Recommended Action=NONE;",
        "involvedObject": {"kind": "Node", "name": NODE, "uid": NODE},
        "source": {"component": "gpu-health-monitor", "host": NODE},
        "lastTimestamp": stamp(FAULT),
        **changes,
    }


def test_an_event_on_the_node_is_a_fault_that_is_not_fatal() -> None:
    found = from_node_event(thermal())
    assert found is not None
    assert (found.node, found.check, found.agent, found.fatal) == (NODE, "GpuThermalWatch", "gpu-health-monitor", False)
    assert (found.error_codes, found.action) == (("DCGM_FR_CLOCKS_EVENT_THERMAL",), "NONE")
    assert [tuple(entity) for entity in found.entities] == [("GPU", "3")]
    assert (found.message, found.generated_time) == ("Too hot.", int(FAULT))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "Normal", "reason": "NodeReady", "involvedObject": {"name": NODE}},
        {"type": "NodeDraining", "reason": "AwaitingPodCompletion", "involvedObject": {"name": NODE}},
        {"type": "GpuThermalWatch", "reason": "GpuThermalWatchIsHealthy", "involvedObject": {"name": NODE}},
        {"type": "GpuThermalWatch", "reason": "GpuThermalWatchIsNotHealthy"},
        {},
    ],
)
def test_other_events_are_none(event: dict[str, Any]) -> None:
    assert from_node_event(event) is None


def test_who_comes_late_learns_how_long_the_node_has_stood_still() -> None:
    assert observe(BARE, quarantined("draining"), FAULT + 3600).progress_time == int(FAULT) + 1
    assert observe(BARE, node(), FAULT + 3600).progress_time == FAULT + 3600
    first = observe(BARE, quarantined("draining"), FAULT + 60)
    assert observe(first, quarantined("drain-succeeded"), FAULT + 90).progress_time == FAULT + 90
