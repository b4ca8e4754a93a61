"""The incident clock: what the cluster's stamps and nvsx's own sight give together, and what stays unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.health import HealthEvent
from nvsx.watches import moments
from nvsx.watches.clockwork import NEWS_S, Instant, instants, phases, skew, time_to_repair
from nvsx.watches.customs import observe_resources
from nvsx.watches.incident import Incident, observe
from nvsx.watches.moments import SIGHT, Reading, event_readings, joined
from tests.rehearsing import rehearse_runbook

if TYPE_CHECKING:
    from pathlib import Path

T = 1_787_306_400.0
CHAIN = (moments.DETECTED, moments.CORDONED, moments.DRAINED, moments.ORDERED, moments.RELEASED)


def stamp(moment: str, at: float, source: str = "stamp") -> Reading:
    """As a label has it: the second, the rest cut off."""
    return Reading(moment, float(int(at)), int(at) + 1.0, source)


def sight(moment: str, at: float, since: float | None = None) -> Reading:
    return Reading(moment, at if since is None else since, at, SIGHT)


def exact(moment: str, at: float, source: str = "health event") -> Reading:
    return Reading(moment, at, at, source)


@pytest.mark.parametrize(
    ("readings", "at", "within"),
    [
        ([exact("cordoned", T + 0.4)], T + 0.4, 0.0),
        ([stamp("cordoned", T + 0.4)], T + 0.5, 0.5),
        ([stamp("cordoned", T + 0.4), sight("cordoned", T + 0.4)], T + 0.4, 0.0),
        # The news came in the next second: it happened at the end of the one that the stamp names.
        ([stamp("cordoned", T + 0.95), sight("cordoned", T + 1.1)], T + 1.0, 0.0),
        # Late news says nothing that the stamp does not.
        ([stamp("cordoned", T + 0.4), sight("cordoned", T + 9.0)], T + 0.5, 0.5),
        # Seen again after a time of blindness, the stamp tells; without one, so much is unknown.
        ([stamp("cordoned", T + 3.2), sight("cordoned", T + 60, T)], T + 3.5, 0.5),
        ([sight("cordoned", T + 60, T)], T + 30, 30.0),
        (
            [exact("cordoned", T + 0.3, "database"), stamp("cordoned", T + 0.3), sight("cordoned", T + 0.31)],
            T + 0.3,
            0.0,
        ),
    ],
)
def test_a_moment_is_what_all_readings_allow(readings: list[Reading], at: float, within: float) -> None:
    found = instants(readings)["cordoned"]
    assert (found.at, found.within_s, found.skewed) == (pytest.approx(at), pytest.approx(within), False)


@given(
    times=st.lists(st.floats(0.01, 5000), min_size=6, max_size=6).map(sorted),
    delay=st.floats(0, NEWS_S),
    stamped=st.sets(st.sampled_from(CHAIN)),
    seen=st.sets(st.sampled_from(CHAIN)),
)
def test_no_moment_is_further_off_than_it_says(
    times: list[float], delay: float, stamped: set[str], seen: set[str]
) -> None:
    truth = dict(zip((moments.FAULT, *CHAIN), (T + one for one in times), strict=True))
    readings = [exact(moments.FAULT, truth[moments.FAULT])]
    readings += [stamp(moment, truth[moment]) for moment in stamped]
    readings += [sight(moment, truth[moment] + delay) for moment in seen]
    found = instants(readings)
    assert set(found) == {moments.FAULT} | stamped | seen
    for moment, instant in found.items():
        assert abs(instant.at - truth[moment]) <= instant.within_s + delay + 1e-6
        assert not instant.skewed
    for phase in phases(found):
        assert (phase.seconds is None) == bool(phase.unknown)
        assert phase.seconds is None or phase.seconds >= 0


@given(
    offset=st.one_of(st.floats(-4000, -3), st.floats(4, 4000)),
    times=st.lists(st.integers(1, 500), min_size=6, max_size=6),
)
def test_clocks_that_disagree_are_noticed_and_marked(offset: float, times: list[int]) -> None:
    at, truth = T, {}
    for moment, pause in zip((moments.FAULT, *CHAIN), times, strict=True):
        at += pause
        truth[moment] = at
    readings = [exact(moments.FAULT, truth[moments.FAULT])]
    readings += [stamp(moment, truth[moment]) for moment in (moments.CORDONED, moments.ORDERED, moments.RELEASED)]
    readings += [sight(moment, truth[moment] + offset) for moment in CHAIN]
    assert skew(readings) == pytest.approx(offset, abs=1.01)
    told = {phase.name: phase for phase in phases(instants(readings))}
    # What one clock tells from begin to end is right whatever the others show.
    for name, begin, end in (("cordon", *CHAIN[:2]), ("drain", *CHAIN[1:3]), ("recover", *CHAIN[3:])):
        assert told[name].seconds == pytest.approx(truth[end] - truth[begin])
        assert not told[name].skewed
    assert told["detect"].skewed
    assert told["total"].skewed


def test_one_late_thing_is_not_a_clock() -> None:
    readings = [stamp("ready", T), sight("ready", T + 30), stamp("cordoned", T), sight("cordoned", T + 0.1)]
    assert skew(readings) == 0.0
    assert skew(readings[:2]) == 0.0


def test_what_is_not_known_is_said_and_never_zero() -> None:
    known = instants([exact("fault", T), stamp("cordoned", T + 2), stamp("released", T + 400, "uncordon label")])
    told = {phase.name: (phase.seconds, phase.unknown) for phase in phases(known)}
    assert told["detect"] == (None, "nobody told when it was detected")
    assert told["drain"] == (None, "nobody told when it was drained")
    assert told["recover"] == (None, "nobody told when it was ordered")
    assert told["total"] == (400.5, "")


@pytest.mark.parametrize(
    ("readings", "name", "why"),
    [
        ([], "total", "nobody told when the fault was"),
        ([exact("fault", T)], "total", "not released while nvsx looked"),
        ([sight("cordoned", T), sight("drain-failed", T + 9)], "drain", "the chain ended with drain-failed"),
        ([exact("fault", T), sight("drain-failed", T + 9)], "recover", "the chain ended with drain-failed"),
        ([exact("fault", T), sight("remediation-failed", T + 9)], "remediate", "nobody told when it was drained"),
        ([sight("drained", T), sight("remediation-failed", T)], "remediate", "the chain ended with remediation-failed"),
        ([sight("ordered", T), exact("finished", T + 1500)], "recover", "not released while nvsx looked"),
    ],
)  # fmt: skip
def test_why_a_phase_is_unknown(readings: list[Reading], name: str, why: str) -> None:
    assert next(phase.unknown for phase in phases(instants(readings)) if phase.name == name) == why


def test_a_cordon_that_comes_before_the_condition_is_a_detection() -> None:
    told = phases(instants([exact("fault", T), sight("cordoned", T + 1), sight("detected", T + 1.2)]))
    assert [(phase.name, phase.seconds) for phase in told[:2]] == [("detect", 1.0), ("cordon", 0.0)]


def test_a_release_before_the_fault_is_not_of_this_incident() -> None:
    assert time_to_repair([stamp("released", T - 300), exact("fault", T)]) is None


def node(*, state: str = "", events: float = 0.0, fault: bool = False, ready: str = "True", **labels: str) -> dict:
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    if fault:
        conditions.append({"type": "X", "status": "True", "reason": "XIsNotHealthy", "lastTransitionTime": rfc(T)})
    event = {"id": "a", "checkName": "X", "generatedTimestamp": {"seconds": int(events), "nanos": 5 * 10**8}}
    annotations = {"quarantineHealthEvent": json.dumps([event])} if events else {}
    known = {"dgxc.nvidia.com/nvsentinel-state": state} if state else {}
    return {
        "metadata": {"name": "n", "labels": {**known, **labels}, "annotations": annotations},
        "status": {"conditions": conditions},
    }


def rfc(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_was_there_at_the_first_look_was_not_seen_happening() -> None:
    incident = observe(Incident("n", T), node(state="draining", events=T + 1, fault=True), T + 50)
    assert {reading.source for reading in incident.moments} == {"health event", "condition X"}


def test_sight_after_blindness_is_as_wide_as_the_blindness() -> None:
    incident = observe(Incident("n", T), node(state="draining", events=T + 1, fault=True), T + 50)
    incident = observe(incident, node(state="drain-succeeded", events=T + 1, fault=True), T + 90, blind_since=T + 60)
    assert Reading("drained", T + 60, T + 90, SIGHT) in incident.moments
    assert instants(incident.moments)["drained"] == Instant("drained", T + 75, 15.0, (SIGHT,))


def test_maintenance_objects_of_other_incidents_tell_nothing() -> None:
    incident = Incident("n", T, event_ids=("66f0a1b2c3d4e5f601020304",))
    ours = {
        "kind": "RebootNode",
        "metadata": {"name": "maintenance-n-66f0a1b2c3d4e5f601020304", "creationTimestamp": rfc(T + 30)},
        "spec": {"nodeName": "n"},
        "status": {
            "completionTime": rfc(T + 400),
            "conditions": [{"type": "SignalSent", "status": "True", "lastTransitionTime": rfc(T + 40)}],
        },
    }
    old = {**ours, "metadata": {"name": "maintenance-n-66f0a1b2c3d4e5f601020399", "creationTimestamp": rfc(T - 9000)}}
    found = observe_resources(incident, [old, ours]).moments
    assert {(one.moment, one.earliest) for one in found} == {
        ("ordered", T + 30),
        ("signalled", T + 40),
        ("finished", T + 400),
    }


def test_a_document_tells_nanoseconds() -> None:
    event = HealthEvent("n", "X", generated_time=T, quarantine_time=T + 1.5, drain_time=T + 20.25, eviction="Succeeded",
                        remediation_time=T + 21, remediated=True)  # fmt: skip
    assert {one.moment: one.earliest - T for one in event_readings(event)} == {
        "fault": 0.0,
        "cordoned": 1.5,
        "drained": 20.25,
        "ordered": 21.0,
    }
    failed = event._replace(eviction="Failed", remediated=False)
    assert [one.moment for one in event_readings(failed)] == ["fault", "cordoned", "drain-failed", "remediation-failed"]
    assert list(event_readings(event._replace(healthy=True))) == []


def test_what_can_happen_again_is_kept_as_it_happened_last() -> None:
    known = joined((), [sight("released", T + 10), sight("cordoned", T)])
    known = joined(known, [sight("released", T + 90), sight("cordoned", T + 50)])
    assert {one.moment: one.latest for one in known} == {"released": T + 90, "cordoned": T}


MARKS = {"fault": "fault", "detected": "detected", "cordoned": "quarantined", "drained": "drained",
         "ordered": "cr-created", "released": "recovered", "down": "rebooting", "ready": "back"}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_simulated_incident_is_told_within_a_tenth_of_a_second(seed: int, tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, seed=seed)
    assert told.rehearsed is not None
    truth = {moment: told.rehearsed.director.truth[mark] for moment, mark in MARKS.items()}
    truth["detected"] = min(truth["detected"], truth["cordoned"])
    record = json.loads((tmp_path / "runs" / told.events[0].run_id / "report.json").read_text())
    begins = {
        "detect": "fault",
        "cordon": "detected",
        "drain": "cordoned",
        "remediate": "drained",
        "recover": "ordered",
    }
    ends = [*list(begins.values())[1:], "released"]
    expected = {name: truth[end] - truth[begin] for (name, begin), end in zip(begins.items(), ends, strict=True)}
    expected["total"] = truth["released"] - truth["fault"]
    assert record["phases"] == {name: pytest.approx(seconds, abs=0.1) for name, seconds in expected.items()}
    assert told.finish.mttr_s == record["phases"]["total"] == record["mttr_s"]


def test_a_run_that_was_blind_in_between_makes_no_repair_longer(tmp_path: Path) -> None:
    flaps = rehearse_runbook(tmp_path / "flaps", scenario="api-flaps")
    calm = rehearse_runbook(tmp_path / "calm", scenario="xid-79")
    assert flaps.finish.mttr_s == pytest.approx(calm.finish.mttr_s, abs=0.1)
