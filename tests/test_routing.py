"""Routing: exactly one runbook answers, the most specific one; and everybody can read why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.alerts import Alert
from nvsx.documents import read_yaml
from nvsx.health import HealthEvent
from nvsx.routing.route import Report, node_fits, report_of, report_of_alert, route
from nvsx.runbook.parse import parse

if TYPE_CHECKING:
    from nvsx.model import Runbook

CONDITION = "stages: [{id: detect, watch: [{kind: node-condition, type: %s}]}]"
ACTS = "stages: [{id: remediate, action: {script: scripts/x.sh}}]"


def runbook(name: str, more: str = "", tags: str = "", stages: str = "stages: [{id: detect}]") -> Runbook:
    metadata = f"{{name: {name}{f', tags: [{tags}]' if tags else ''}}}"
    text = f"apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {metadata}\n{more}\n{stages}\n"
    return parse(read_yaml(text, f"runbooks/{name}.yaml"))


BOOKS = {
    "by-code": runbook("by-code", "trigger: {errorCodes: [79]}"),
    "by-check": runbook("by-check", "trigger: {checkNames: [SysLogsXIDError]}"),
    "by-both": runbook("by-both", "trigger: {checkNames: [SysLogsXIDError], errorCodes: [79, 94]}"),
    "h100": runbook("h100", "trigger: {errorCodes: [79], nodes: pool=h100}"),
    "gentle": runbook("gentle", "trigger: {checkNames: [GpuThermalWatch], fatal: false}"),
    "urgent": runbook("urgent", "trigger: {errorCodes: [79], priority: 5}"),
    "tagged": runbook("tagged", tags="infra, XID-79"),
    "watching": runbook("watching", stages=CONDITION % "SysLogsXIDError"),
    "last": runbook("last", "trigger: {unhandled: true}"),
    "storm": runbook("storm", "trigger: {storm: true}"),
    "slow": runbook("slow", "trigger: {stalled: 10m}"),
    "support": runbook("support", "trigger: {recommendedActions: [CONTACT_SUPPORT]}"),
    "acting": runbook("acting", "trigger: {errorCodes: [79]}", stages=ACTS),
    "acting-remotely": runbook("acting-remotely", "trigger: {errorCodes: [79], remote: true}", stages=ACTS),
    "team-a": runbook("team-a", "trigger: {labels: {team: a}}"),
}
XID = Report(check="SysLogsXIDError", error_codes=("79",), action="RESTART_BM", node="gpu-7")


@pytest.mark.parametrize(
    ("names", "report", "chosen"),
    [
        ("by-check by-code", XID, "by-code"),
        ("by-check by-code by-both", XID, "by-both"),
        ("by-code h100", XID, "by-code"),
        ("by-code h100", XID._replace(node_labels={"pool": "h100"}), "h100"),
        ("by-code urgent", XID, "urgent"),
        ("urgent by-both", XID, "by-both"),
        ("tagged watching", XID, "tagged"),
        ("tagged by-check", XID, "by-check"),
        ("watching", XID, "watching"),
        ("watching", XID._replace(check="sysLOGSxidERROR"), "watching"),
        ("tagged", XID._replace(error_codes=("7",)), ""),
        ("tagged", XID._replace(error_codes=("179",)), ""),
        ("tagged", XID._replace(check="infra", error_codes=()), "tagged"),
        ("by-both", XID._replace(error_codes=("31",)), ""),
        ("by-both", XID._replace(error_codes=("31", "94")), "by-both"),
        ("by-code by-check", XID._replace(error_codes=("31",)), "by-check"),
        ("gentle", Report(check="GpuThermalWatch", fatal=False), "gentle"),
        ("gentle", Report(check="GpuThermalWatch"), ""),
        ("by-check last", XID._replace(fatal=False), ""),
        ("by-check last", XID._replace(check="Other"), "last"),
        ("by-check last", XID._replace(healthy=True), ""),
        ("by-check last", XID._replace(strategy="STORE_ONLY"), ""),
        ("by-check last", XID._replace(opted_out=True), "last"),
        ("by-check", XID._replace(opted_out=True), ""),
        ("by-check storm last", Report("storm"), "storm"),
        ("by-check last", Report("storm"), ""),
        ("slow", Report("stalled", stalled_s=601), "slow"),
        ("slow", Report("stalled", stalled_s=599), ""),
        ("slow", Report("stalled", stalled_s=float("inf")), "slow"),
        ("support by-check", XID._replace(action="CONTACT_SUPPORT", error_codes=()), "by-check"),
        ("support", XID._replace(action="CONTACT_SUPPORT"), "support"),
        ("acting", XID._replace(remote=True), ""),
        ("acting", XID, "acting"),
        ("acting acting-remotely", XID._replace(remote=True), "acting-remotely"),
        ("by-code by-check", XID._replace(allowed=("by-check",)), "by-check"),
        ("team-a", XID, ""),
        ("team-a", XID._replace(labels={"team": "a"}), "team-a"),
        ("by-check", XID._replace(runbook="by-check", check=""), "by-check"),
        ("by-check", XID._replace(runbook="nothing"), ""),
        ("acting", XID._replace(runbook="acting", remote=True), ""),
        ("by-check last", Report(node="gpu-7"), ""),
    ],
)
def test_who_answers(names: str, report: Report, chosen: str) -> None:
    books = [BOOKS[name] for name in names.split()]
    found = route(report, books)
    assert found.runbook == chosen
    assert found.reason
    assert route(report, books[::-1]) == found


def test_a_runbook_can_be_named_by_its_nickname() -> None:
    book = runbook("x")
    assert route(Report(runbook=f"#{book.nickname}"), [book]).runbook == "x"


def test_the_answer_names_the_rule_and_why_the_others_do_not() -> None:
    found = route(XID, [BOOKS[name] for name in ("by-check", "by-code", "gentle", "last", "tagged")])
    assert (found.runbook, found.reason, found.place) == ("by-code", "code 79", "runbooks/by-code.yaml:4:10")
    assert {one.name: one.reason for one in found.considered} == {
        "by-check": "check SysLogsXIDError, but by-code comes first",
        "by-code": "code 79",
        "gentle": "asks for check gputhermalwatch, it has SysLogsXIDError",
        "last": "answers to what no other runbook takes, not to health events and alerts",
        "tagged": "code 79, but by-code comes first",
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("gpu-*", True),
        ("gpu-7", True),
        ("gpu-?", True),
        ("gpu-70", False),
        ("pool=h100", True),
        ("pool!=h100", False),
        ("pool in (a, h100)", True),
        ("!pool", False),
        ("pool", True),
        ("zone", False),
        ("a in (", False),
    ],
)
def test_nodes_by_label_or_by_name(wanted: str, *, expected: bool) -> None:
    assert node_fits(wanted, "gpu-7", {"pool": "h100"}) is expected


def test_reports_of_events_and_alerts() -> None:
    event = HealthEvent("gpu-7", "SysLogsXIDError", error_codes=("79",), fatal=True, component_class="GPU")
    assert report_of(event, node_labels={"a": "b"})[2:8] == ("gpu-7", "SysLogsXIDError", ("79",), "NONE", "GPU", True)
    alert = Alert("alertmanager", check="SysLogsXIDError", error_codes=("79",), labels={"team": "a"})
    found = report_of_alert(alert, node="gpu-7", node_labels={}, allowed=("x",))
    assert (found.node, found.fatal, found.remote, found.allowed) == ("gpu-7", True, True, ("x",))
    assert (
        report_of_alert(Alert("nvsentinel", health=event._replace(fatal=False)), node="gpu-7", node_labels={}).fatal
        is False
    )


words = st.sampled_from(["", "SysLogsXIDError", "GpuThermalWatch", "79", "94", "infra"])
reports = st.builds(
    Report,
    occasion=st.sampled_from(["event", "stalled", "storm"]),
    runbook=st.sampled_from(["", "", "by-code", "none"]),
    check=words,
    error_codes=st.lists(words.filter(bool), max_size=3).map(tuple),
    action=st.sampled_from(["NONE", "CONTACT_SUPPORT"]),
    fatal=st.booleans(),
    healthy=st.booleans(),
    strategy=st.sampled_from(["EXECUTE_REMEDIATION", "STORE_ONLY"]),
    labels=st.sampled_from([{}, {"team": "a"}]),
    node_labels=st.sampled_from([{}, {"pool": "h100"}]),
    opted_out=st.booleans(),
    stalled_s=st.sampled_from([0.0, 700.0]),
    remote=st.booleans(),
    allowed=st.sampled_from([(), ("by-code", "storm")]),
)


@given(reports, st.permutations(sorted(BOOKS)), st.integers(0, len(BOOKS)))
def test_the_order_of_runbooks_changes_nothing_and_every_answer_has_a_reason(
    report: Report, names: list[str], count: int
) -> None:
    books: list[Any] = [BOOKS[name] for name in names[:count]]
    found = route(report, books)
    assert found == route(report, sorted(books, key=lambda book: str(book.name)))
    assert found.reason
    assert found.runbook in {"", *(book.name for book in books)}
    assert all(one.reason and one.place for one in found.considered)
    if found.runbook and report.allowed:
        assert found.runbook in report.allowed
    if report.healthy or report.strategy != "EXECUTE_REMEDIATION":
        assert found.runbook == ""
