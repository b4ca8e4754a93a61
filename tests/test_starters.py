"""Starter runbooks: what ships, made a team's own, and written so that it reads back as the same data."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.app.drafting.starters import free_nickname, shipped, starter_for
from nvsx.catalog import Catalog, read_runbook
from nvsx.documents import read_yaml
from nvsx.names import alias
from nvsx.runbook.faults import FAULTS, HOOKS, Site
from nvsx.runbook.writing import runbook_text

OWN = {script: name and f"hooks/mine/{name}.sh" for script, name in HOOKS.items()}
ABOUT = {"name": "mine", "nickname": "bold-newt"}


def clauses(data: dict[str, Any]) -> str:
    return str([stage.get("watch") for stage in data["stages"]])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_starter_is_the_shipped_runbook_under_another_name(fault: str) -> None:
    before, data = shipped(FAULTS[fault].runbook), starter_for(fault, ABOUT, OWN)
    text = runbook_text(data)
    runbook = read_runbook(text, "mine.yaml")
    original = Catalog(None).load(FAULTS[fault].runbook)
    assert runbook.trigger is not None
    assert original.trigger is not None
    assert runbook.trigger._replace(place=None) == original.trigger._replace(place=None)
    assert [(stage.id, stage.timeout_s) for stage in runbook.stages] == [
        (stage.id, stage.timeout_s) for stage in original.stages
    ]
    assert clauses(data) == clauses(before)
    assert (runbook.name, runbook.nickname) == ("mine", "bold-newt")
    assert "hooks/incident" not in str(data["stages"]) + str(data.get("hooks"))


def test_every_hook_that_ships_has_a_place_in_a_starter() -> None:
    used = set()
    for fault in FAULTS.values():
        runbook = Catalog(None).load(fault.runbook)
        used |= {*runbook.hooks.values(), *(script for stage in runbook.stages for script in stage.hooks.values())}
    assert used == set(HOOKS)


def test_a_starter_keeps_the_shipped_hooks_where_none_are_given() -> None:
    assert starter_for("ecc", ABOUT, {})["hooks"] == shipped("ecc-memory")["hooks"]


@pytest.mark.parametrize("name", Catalog(None).names())
def test_every_runbook_that_ships_can_be_written(name: str) -> None:
    assert read_yaml(runbook_text(shipped(name)), "x.yaml").data == shipped(name)


def test_a_starter_is_made_for_its_site() -> None:
    custom = {"group": "repairs.example.com", "resource": "powercycles", "version": "v1"}
    site = Site("sentinel-prod", frozenset({"fault-quarantine", "node-drainer", "fault-remediation"}), (custom,), "2h")
    data = starter_for("ecc", ABOUT, OWN, site)
    assert [check["check"] for check in data["prerequisites"]] == [
        'kubectl get pods -n "${NVSX_NAMESPACE:-sentinel-prod}" -l app.kubernetes.io/name=fault-quarantine'
    ]
    stages = {stage["id"]: stage for stage in data["stages"]}
    assert stages["drain"]["timeout"] == "2h"
    assert stages["remediate"]["watch"][1] == {"kind": "crd", **custom}
    both = starter_for("xid-79", ABOUT, OWN, site._replace(repairs=(custom, custom)))
    assert {stage["id"]: stage for stage in both["stages"]}["remediate"]["watch"][1] == {
        "anyOf": [{"kind": "crd", **custom}] * 2
    }


def test_what_never_happens_on_a_monitor_only_site_is_not_waited_for() -> None:
    data = starter_for("xid-79", ABOUT, OWN, Site(components=frozenset({"gpu-health-monitor"})))
    assert [stage["id"] for stage in data["stages"]] == ["preflight", "detect", "recover", "postmortem"]
    assert "prerequisites" not in data
    assert set(data["narration"]) == {"preflight", "detect", "recover", "postmortem"}
    assert read_runbook(runbook_text(data), "mine.yaml")


def test_a_nickname_is_one_that_nobody_has() -> None:
    assert free_nickname("mine", []) == alias("mine")
    second = free_nickname("mine", [alias("mine")])
    assert second not in ("", alias("mine"))
    assert free_nickname("mine", [alias("mine"), second]) not in (alias("mine"), second)


LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), min_size=1)
KEYS = st.sampled_from(["title", "summary", "tags", "retry", "timeout", "expect", "id", "anyOf", "check"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | LINES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["kind", "type", "field", "absent", "check"])
CLAUSE = st.dictionaries(FIELDS, LINES | st.booleans(), min_size=1) | st.fixed_dictionaries(
    {"anyOf": st.lists(st.dictionaries(FIELDS, LINES, min_size=1), min_size=1, max_size=3)}
)
STAGE = st.builds(
    lambda fields, watch: {**fields, **({"watch": watch} if watch else {})},
    st.dictionaries(KEYS, VALUES, max_size=4).map(lambda stage: {**stage, "id": "drain"}),
    st.lists(CLAUSE, max_size=2),
)


@given(
    st.dictionaries(st.sampled_from(["metadata", "trigger", "narration", "kind"]), VALUES),
    LINES,
    st.lists(STAGE, max_size=2),
)
def test_whatever_is_written_reads_back(data: dict[str, Any], title: str, stages: list[dict[str, Any]]) -> None:
    data = {**data, "hooks": {"summary": title, "title": title * 3}, "stages": stages}
    assert read_yaml(runbook_text(data), "x.yaml").data == data


@given(st.dictionaries(st.sampled_from(["title", "summary"]), st.text(string.printable, min_size=1, max_size=300)))
def test_words_of_people_survive(about: dict[str, str]) -> None:
    data = {"metadata": about, "stages": [{"id": "detect", "title": text} for text in about.values()]}
    assert read_yaml(runbook_text(data), "x.yaml").data == data
