"""Every shipped runbook with its real hooks on the simulated chain: good days, bad ones, and what people are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.routing.route import report_of, route
from nvsx.sim import simulate
from tests.rehearsing import CHECKOUT, START, Told, rehearse_runbook

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog(CHECKOUT)
RUNBOOKS = [CATALOG.load(name) for name in CATALOG.names()]
CHAIN = "preflight detect quarantine drain remediate recover postmortem"


def slack(told: Told) -> list[str]:
    return [json.loads(body)["text"] for url, body in sent(told) if "slack" in url]


def pages(told: Told) -> list[dict[str, Any]]:
    return [json.loads(body) for url, body in sent(told) if "pagerduty" in url]


def sent(told: Told) -> list[tuple[str, str]]:
    assert told.rehearsed is not None
    return [(message.url, message.body) for message in told.rehearsed.messages]


GOOD = [
    # runbook, scenario, stages that pass, pages
    ("ecc-memory", "ecc-memory", CHAIN, "trigger resolve"),
    ("nvlink-down", "nvlink-down", CHAIN, "trigger resolve"),
    ("inforom-corrupt", "inforom-corrupt", CHAIN, "trigger resolve"),
    ("driver-hang", "gpu-reset", CHAIN, "trigger resolve"),
    ("gpu-reset", "gpu-reset", CHAIN, "trigger resolve"),
    ("thermal-throttle", "thermal", "detect postmortem", ""),
    ("contact-support", "contact-support", "detect drain postmortem", "trigger"),
    ("unhandled-fault", "contact-support", "detect postmortem", "trigger"),
    ("storm", "storm", "detect", "trigger"),
]


def test_every_shipped_runbook_has_its_good_day_here() -> None:
    assert {name for name, *_ in GOOD} | {"gpu-off-bus"} == set(CATALOG.names())


@pytest.mark.parametrize(("runbook", "scenario", "stages", "paged"), GOOD)
def test_the_good_day(runbook: str, scenario: str, stages: str, paged: str, tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook=runbook, scenario=scenario)
    assert told.statuses == dict.fromkeys(stages.split(), "pass")
    assert told.finish.verdict == "PASSED"
    assert [outcome for _, outcome in told.hooks() if outcome != "ok"] == []
    assert [page["event_action"] for page in pages(told)] == paged.split()
    assert {page["dedup_key"] for page in pages(told)} <= {told.finish.incident_key}
    assert slack(told)


BAD = [
    # runbook, scenario, the stage that ends the run, how
    ("driver-hang", "drain-failed", "drain", "fail"),
    ("driver-hang", "reboot-timeout", "recover", "fail"),
    ("driver-hang", "node-deleted", "", "fail"),
    ("driver-hang", "never-recovers", "recover", "fail"),
    ("contact-support", "drain-failed", "drain", "fail"),
]


@pytest.mark.parametrize(("runbook", "scenario", "stage", "status"), BAD)
def test_the_bad_day_is_told_once_and_closes_nothing(
    runbook: str, scenario: str, stage: str, status: str, tmp_path: Path
) -> None:
    told = rehearse_runbook(tmp_path, runbook=runbook, scenario=scenario)
    if stage:
        assert told.statuses[stage] == status
    assert told.finish.exit_code == 1
    opened = pages(told)
    assert opened
    assert {page["event_action"] for page in opened} == {"trigger"}
    assert opened[-1]["payload"]["severity"] == "critical"
    assert sum(":rotating_light:" in text for text in slack(told)) == (2 if runbook == "contact-support" else 1)


def test_a_fault_for_people_pages_exactly_once_and_before_the_drain_is_over(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook="contact-support", scenario="contact-support")
    (page,) = pages(told)
    assert page["payload"]["severity"] == "critical"
    assert "CONTACT_SUPPORT" in page["payload"]["summary"]
    assert told.rehearsed is not None
    detected = next(line for line in told.wire if line["event"] == "stage_end" and line["stage"] == "detect")
    assert detected["t"] - told.rehearsed.director.fault_time < 30


def test_heat_wakes_nobody(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook="thermal-throttle", scenario="thermal")
    assert pages(told) == []
    assert all(text.startswith(":information_source:") for text in slack(told))


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("xid-79", "gpu-off-bus"),
        ("ecc-memory", "ecc-memory"),
        ("nvlink-down", "nvlink-down"),
        ("inforom-corrupt", "inforom-corrupt"),
        ("gpu-reset", "driver-hang"),
        ("thermal", "thermal-throttle"),
        ("contact-support", "contact-support"),
        ("non-fatal", ""),
        ("store-only", ""),
    ],
)
def test_the_event_of_a_scenario_leads_to_its_runbook(scenario: str, expected: str) -> None:
    clock = SimulatedClock(start=START)
    world, director, _ = simulate(scenario, clock, seed=3)
    clock.run(director.run())
    told = [event for one in world.documents["HealthEvents"] if isinstance(event := from_document(one), HealthEvent)]
    event = next(event for event in told if not event.healthy and event.generated_time >= START)
    assert route(report_of(event, node_labels={}), RUNBOOKS).runbook == expected
