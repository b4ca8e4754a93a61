"""Webhook formats: senders' messages, as they are documented, become alerts; the rest is refused with its place."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.alerts import FIRING, OTHER, RESOLVED
from nvsx.triggers.fields import LONGEST_TEXT, Malformed
from nvsx.triggers.formats import FORMATS, recognise
from nvsx.triggers.formats.datadog import TEMPLATE
from nvsx.triggers.formats.mapped import parse as parse_mapped
from nvsx.triggers.formats.message import Message, codes

KEY = "nvsx/0123456789abcdef0123"


def pagerduty(kind: str = "incident.triggered", **data: Any) -> dict[str, Any]:
    incident = {
        "id": "Q0INCIDENT",
        "type": "incident",
        "html_url": "https://example.pagerduty.com/incidents/Q0INCIDENT",
        "incident_key": "prod-a/gpu-7",
        "created_at": "2026-08-22T02:14:06Z",
        "title": "XID 79 on gpu-7",
        "service": {"id": "PSERVICE", "type": "service_reference"},
    } | data
    return {"event": {"id": "01EVENT", "event_type": kind, "occurred_at": "2026-08-22T02:14:07Z", "data": incident}}


def alertmanager(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": '{}:{alertname="X"}', "status": "firing", "alerts": list(alerts)}


def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "GpuXidFatal", **labels},
        "annotations": {"summary": "GPU fell off the bus", "nvsx_runbook": "gpu-off-bus"},
        "startsAt": "2026-08-22T02:13:40Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "9f1c0d7e5a3b2846",
    }


def opsgenie(action: str = "Create", **more: Any) -> dict[str, Any]:
    body = {"alertId": "7d0c", "message": "XID 79 on gpu-7", "entity": "gpu-7", "createdAt": 1787364846000, **more}
    return {"action": action, "alert": body, "source": {"name": "x", "type": "api"}, "integrationId": "2f1d"}


DATADOG = {
    "nvsx_format": "datadog/1",
    "event_id": "77165",
    "alert_cycle_key": "1787364820000000000",
    "alert_transition": "Triggered",
    "alert_title": "GPU XID fatal on gpu-7",
    "alert_scope": "host:gpu-7,kube_cluster_name:prod-a",
    "hostname": "$HOSTNAME",
    "tags": "monitor,host:gpu-7,xid:79",
}
OWN = {"runbook": "gpu-off-bus", "target_node": "gke-ml-pool-t4-abc1", "source": "pagerduty"}
GRAFANA = {**alertmanager(alert(node="gpu-7")), "version": "1", "orgId": 1, "state": "alerting"}

CLOUDEVENT = {
    "specversion": "1.0",
    "type": "com.nvidia.nvsentinel.health.v1",
    "source": "nvsentinel://prod-a/healthevents",
    "id": "b6f5f0f1",
    "time": "2026-08-22T02:13:39.120345Z",
    "data": {
        "metadata": {"cluster": "prod-a"},
        "healthEvent": {
            "version": 1,
            "agent": "syslog-health-monitor",
            "componentClass": "GPU",
            "checkName": "SysLogsXIDError",
            "isFatal": True,
            "isHealthy": False,
            "message": "GPU has fallen off the bus",
            "recommendedAction": "RESTART_BM",
            "errorCode": ["79"],
            "entitiesImpacted": [{"entityType": "PCI", "entityValue": "0000:17:00"}],
            "generatedTimestamp": "2026-08-22T02:13:39.120345Z",
            "nodeName": "gpu-7",
            "processingStrategy": "EXECUTE_REMEDIATION",
        },
    },
}
BODIES = {
    "nvsentinel": CLOUDEVENT,
    "pagerduty": pagerduty(),
    "grafana": GRAFANA,
    "alertmanager": alertmanager(alert(node="gpu-7")),
    "datadog": DATADOG,
    "opsgenie": opsgenie(),
    "nvsx": OWN,
}


def parse(name: str, body: Any, **headers: str) -> list[Any]:
    message = Message({key.lower().replace("_", "-"): value for key, value in headers.items()}, body)
    return FORMATS[name].parse(message)


@pytest.mark.parametrize("name", FORMATS)
def test_a_delivery_on_the_common_path_is_known_by_its_body(name: str) -> None:
    assert recognise(Message({}, BODIES[name])) == name


@pytest.mark.parametrize("body", [{}, [], None, 7, "x", {"hello": 1}, {"alerts": 3}, {"event": "x"}])
def test_a_strange_body_has_no_format(body: Any) -> None:
    assert recognise(Message({}, body)) == ""


def test_own_format_takes_the_words_of_the_first_nvsx() -> None:
    (found,) = parse("nvsx", OWN, idempotency_key="k1")
    assert (found.runbook, found.node, found.status, found.delivery) == (
        "gpu-off-bus",
        "gke-ml-pool-t4-abc1",
        FIRING,
        "k1",
    )
    with pytest.raises(Malformed, match=r"runbook: is missing .*target_node"):
        parse("nvsx", {"target_node": "gpu-7"})


def test_alertmanager_gives_one_alert_each_with_its_own_status() -> None:
    firing, ended = parse("alertmanager", alertmanager(alert(node="gpu-7", xid="79"), alert("resolved", node="gpu-8")))
    assert (firing.node, firing.status, firing.error_codes, firing.runbook) == ("gpu-7", FIRING, ("79",), "gpu-off-bus")
    assert firing.key == "9f1c0d7e5a3b2846@2026-08-22T02:13:40Z"
    assert firing.started_time == 1787364820.0
    assert (ended.node, ended.status) == ("gpu-8", RESOLVED)
    assert firing.delivery != ended.delivery


def test_both_of_a_highly_available_pair_deliver_the_same() -> None:
    one, other = alertmanager(alert(node="gpu-7")), alertmanager(alert(node="gpu-7"))
    other["externalURL"] = "http://alertmanager-1:9093"
    other["alerts"][0]["generatorURL"] = "http://prometheus-1:9090"
    assert parse("alertmanager", one)[0].delivery == parse("alertmanager", other)[0].delivery
    ended = alertmanager(alert("resolved", node="gpu-7"))
    assert parse("alertmanager", one)[0].delivery != parse("alertmanager", ended)[0].delivery


def test_an_address_is_a_mention_and_not_a_node() -> None:
    (found,) = parse("alertmanager", alertmanager(alert(instance="10.0.0.5:9400")))
    assert found.node == ""
    assert "10.0.0.5" in found.mentions


def test_grafana_is_told_from_alertmanager() -> None:
    (found,) = parse("grafana", GRAFANA)
    assert (found.format, found.node, found.status) == ("grafana", "gpu-7", FIRING)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("incident.triggered", FIRING),
        ("incident.reopened", FIRING),
        ("incident.resolved", RESOLVED),
        ("incident.acknowledged", OTHER),
        ("pagey.ping", OTHER),
    ],
)
def test_pagerduty_names_the_node_in_its_texts_only(kind: str, status: str) -> None:
    (found,) = parse("pagerduty", pagerduty(kind), x_webhook_id="W1")
    assert (found.status, found.node, found.key, found.delivery) == (status, "", "Q0INCIDENT", "W1")
    assert found.mentions == ("prod-a/gpu-7", "XID 79 on gpu-7")


def test_pagerduty_without_the_header_is_told_apart_by_the_event() -> None:
    assert parse("pagerduty", pagerduty())[0].delivery == "01EVENT"


def test_opsgenie_closes_by_id_alone() -> None:
    (created,) = parse("opsgenie", opsgenie(details={"node": "gpu-9", "runbook": "gpu-off-bus", "xid": "XID_79"}))
    (closed,) = parse("opsgenie", {"action": "Close", "alert": {"alertId": "7d0c"}})
    assert (created.node, created.runbook, created.error_codes) == ("gpu-9", "gpu-off-bus", ("79",))
    assert (closed.status, closed.key) == (RESOLVED, created.key)
    assert parse("opsgenie", opsgenie())[0].node == "gpu-7"
    assert parse("opsgenie", opsgenie("Acknowledge"))[0].status == OTHER


def test_datadog_leaves_out_what_was_not_expanded() -> None:
    (found,) = parse("datadog", DATADOG)
    assert (found.node, found.cluster, found.error_codes, found.delivery) == ("gpu-7", "prod-a", ("79",), "77165")
    (bare,) = parse("datadog", TEMPLATE)
    assert (bare.node, bare.key, bare.delivery, bare.status) == ("", "", "", OTHER)


def test_nvsentinels_exporter_is_known_by_content_because_its_ids_are_always_new() -> None:
    again = CLOUDEVENT | {"id": "another"}
    (found,), (other,) = parse("nvsentinel", CLOUDEVENT), parse("nvsentinel", again)
    assert found == other
    assert found.health is not None
    assert (found.node, found.check, found.error_codes, found.cluster) == (
        "gpu-7",
        "SysLogsXIDError",
        ("79",),
        "prod-a",
    )
    with pytest.raises(Malformed) as refused:
        parse("nvsentinel", CLOUDEVENT | {"data": {"healthEvent": {"checkName": 3}}})
    assert refused.value.path.startswith("data.healthEvent")


def test_a_map_reads_dotted_paths() -> None:
    body = {"host": {"name": "gpu-7"}, "codes": ["79", 94], "alerts": [{"id": 12}], "state": "OK"}
    paths = {"node": "host.name", "codes": "codes", "key": "alerts.0.id", "status": "state", "title": "no.such"}
    (found,) = parse_mapped(Message({}, body), paths)
    assert (found.node, found.error_codes, found.key, found.status) == ("gpu-7", ("79", "94"), "12", RESOLVED)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("pagerduty", pagerduty(incident_key=KEY)),
        ("alertmanager", alertmanager(alert(node="gpu-7", nvsx_incident_key=KEY))),
        ("opsgenie", opsgenie(alias=KEY)),
        ("datadog", {**DATADOG, "tags": f"nvsx_key:{KEY}"}),
        ("nvsx", {**OWN, "key": KEY}),
    ],
)
def test_what_nvsx_itself_opened_is_known_when_it_comes_back(name: str, body: Any) -> None:
    assert parse(name, body)[0].issued_key == KEY


def test_a_key_that_only_looks_similar_is_not_its_own() -> None:
    assert parse("opsgenie", opsgenie(alias="nvsx/prod-a/gpu-7/xid-check"))[0].issued_key == ""
    assert parse("opsgenie", opsgenie(alias=f"x{KEY}"))[0].issued_key == ""


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("alertmanager", alertmanager({"labels": []}), "alerts[0].labels"),
        ("alertmanager", {"version": "4", "alerts": {}}, "alerts"),
        ("alertmanager", {"version": "4", "alerts": [3]}, "alerts[0]"),
        ("alertmanager", {"version": "4", "alerts": [{}] * 1001}, "alerts"),
        ("pagerduty", {"event": {"data": {}}}, "event.event_type"),
        ("pagerduty", {"event": []}, "event"),
        ("pagerduty", pagerduty(title=["x"]), "event.data.title"),
        ("opsgenie", {"action": "Create", "alert": {}}, "alert.alertId"),
        ("datadog", {"alert_title": {}}, "alert_title"),
        ("nvsx", {"runbook": {"x": 1}}, "runbook"),
        ("nvsx", [], ""),
    ],
)
def test_what_is_malformed_is_refused_with_its_path(name: str, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(name, body)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [("79", ("79",)), ("xid-79", ("79",)), ("XID_79, 94", ("79", "94")), ("DCGM_FR_X", ("DCGM_FR_X",)), ("", ())],
)
def test_codes_are_written_as_nvsentinel_writes_them(text: str, expected: tuple[str, ...]) -> None:
    assert codes(text) == expected


def test_a_long_text_is_cut_and_nul_never_passes() -> None:
    (found,) = parse("nvsx", {"runbook": "x", "title": "a\0" + "b" * 10_000})
    assert len(found.title) == LONGEST_TEXT
    assert "\0" not in found.title


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in children for found in paths_of(inner, (*path, key)))]


@given(st.data())
def test_a_message_with_anything_anywhere_is_parsed_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    body: Any = copy.deepcopy(BODIES[name])
    path = data.draw(st.sampled_from(paths_of(body)))
    value = data.draw(json_values)
    if path:
        holder = body
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
    else:
        body = value
    recognise(Message({}, body))
    try:
        alerts = parse(name, body)
    except Malformed:
        return
    assert all(isinstance(text, str) for found in alerts for text in (found.node, found.key, found.delivery))
    json.dumps([found._asdict() for found in alerts])
