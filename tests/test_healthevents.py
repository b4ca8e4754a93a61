"""One fault, told by the database, the node, a CloudEvent or a condition, is one HealthEvent; nonsense is named."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.clock import SimulatedClock
from nvsx.health import STORE_AND_ANALYSE, Entity, HealthEvent
from nvsx.healthevents import Rejection, from_annotation, from_cloudevent, from_conditions, from_document
from nvsx.healthevents.ejson import plain
from nvsx.sim import simulate
from nvsx.watches.nvsentinel import EVENTS_ANNOTATION

if TYPE_CHECKING:
    from nvsx.sim.director import Director

START = 1_787_306_400.0
STATUS = ("quarantine", "eviction", "remediated", "quarantine_time", "drain_time", "remediation_time", "created_time")
"""What the database knows of an event and no other source does."""

DOCUMENT: dict[str, Any] = {
    "_id": {"$oid": "66f0a1b2c3d4e5f601020304"},
    "createdAt": {"$date": "2026-08-21T10:00:07.412Z"},
    "healthevent": {
        "version": 1,
        "agent": "syslog-health-monitor",
        "componentclass": "GPU",
        "checkname": "SysLogsXIDError",
        "isfatal": True,
        "ishealthy": False,
        "message": "NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.",
        "recommendedaction": 24,
        "errorcode": ["79"],
        "entitiesimpacted": [{"entitytype": "PCI", "entityvalue": "0000:17:00"}],
        "metadata": {"trace_id": "0af7"},
        "generatedtimestamp": {"seconds": 1787306407, "nanos": 401000000},
        "nodename": "gpu-node-1",
        "quarantineoverrides": None,
        "processingstrategy": 1,
        "id": "",
        "customrecommendedaction": "",
    },
    "healtheventstatus": {
        "nodequarantined": "Quarantined",
        "quarantinefinishtimestamp": {"seconds": 1787306408, "nanos": 5},
        "userpodsevictionstatus": {"status": "Succeeded", "message": ""},
        "drainfinishtimestamp": {"seconds": 1787306420, "nanos": 0},
        "faultremediated": {"value": True},
        "lastremediationtimestamp": {"seconds": 1787306421, "nanos": 0},
    },
}
EVENT = HealthEvent(
    node="gpu-node-1",
    check="SysLogsXIDError",
    id="66f0a1b2c3d4e5f601020304",
    agent="syslog-health-monitor",
    component_class="GPU",
    error_codes=("79",),
    action="RESTART_BM",
    message="NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.",
    entities=(Entity("PCI", "0000:17:00"),),
    fatal=True,
    generated_time=1787306407.401,
    created_time=1787306407.412,
    quarantine="Quarantined",
    eviction="Succeeded",
    remediated=True,
    quarantine_time=1787306408.000000005,
    drain_time=1787306420.0,
    remediation_time=1787306421.0,
    source="mongo",
)


def canonical(value: Any) -> Any:
    """Relaxed EJSON as the canonical form writes it."""
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        if "$date" in value:
            return {"$date": {"$numberLong": "1787306407412"}}
        return value if "$oid" in value else {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"$numberLong" if value > 2**31 else "$numberInt": str(value)}
    return value


def changed(path: str, value: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(DOCUMENT))
    *parents, last = path.split(".")
    target = document
    for key in parents:
        target = target[key]
    target[last] = value
    return dict(document)


def camel(document: dict[str, Any]) -> dict[str, Any]:
    """The same event as PostgreSQL's JSONB, the annotation and CloudEvents write it."""
    names = (
        "componentClass", "checkName", "isFatal", "isHealthy", "recommendedAction", "errorCode", "entitiesImpacted",
        "nodeName", "generatedTimestamp", "processingStrategy", "entityType", "entityValue",
    )  # fmt: skip
    by_lower = {name.lower(): name for name in names}

    def spell(value: Any) -> Any:
        if isinstance(value, list):
            return [spell(item) for item in value]
        if isinstance(value, dict):
            return {by_lower.get(key, key): spell(inner) for key, inner in value.items()}
        return value

    return dict(spell(document["healthevent"]))


def test_a_stored_document() -> None:
    assert from_document(DOCUMENT) == EVENT


def test_canonical_extended_json_is_the_same() -> None:
    assert from_document(canonical(DOCUMENT)) == EVENT


def test_postgresql_writes_the_inner_keys_in_camel_case() -> None:
    document = {"createdAt": "2026-08-21T10:00:07.412Z", "healthevent": camel(DOCUMENT),
                "healtheventstatus": {"nodeQuarantined": "Quarantined", "faultRemediated": False,
                                      "userPodsEvictionStatus": {"status": "InProgress"}}}  # fmt: skip
    found = from_document(document, row_id="0b8e")
    assert isinstance(found, HealthEvent)
    assert found.id == "0b8e"
    assert found.source == "postgresql"
    assert (found.quarantine, found.eviction, found.remediated) == ("Quarantined", "InProgress", False)
    assert found[:2] + found[3:14] == EVENT[:2] + EVENT[3:14]


def test_a_fresh_document_has_no_status() -> None:
    empty = {"nodequarantined": "", "userpodsevictionstatus": {"status": "", "message": ""}, "faultremediated": None}
    found = from_document(changed("healtheventstatus", empty))
    assert isinstance(found, HealthEvent)
    assert (found.quarantine, found.eviction, found.remediated, found.drain_time) == ("", "", None, 0.0)


def test_a_healthy_event_of_the_whole_check() -> None:
    event = {**DOCUMENT["healthevent"], "isfatal": False, "ishealthy": True, "errorcode": None,
             "entitiesimpacted": None, "recommendedaction": 0}  # fmt: skip
    found = from_document(changed("healthevent", event))
    assert isinstance(found, HealthEvent)
    assert found.healthy
    assert (found.error_codes, found.entities, found.action) == ((), (), "NONE")


def test_a_cloud_event_names_its_enumerations() -> None:
    event = {**camel(DOCUMENT), "recommendedAction": "RESTART_BM", "processingStrategy": "STORE_AND_ANALYSE",
             "generatedTimestamp": "2026-08-21T10:00:07.401Z"}  # fmt: skip
    body = {
        "specversion": "1.0",
        "type": "com.nvidia.nvsentinel.health.v1",
        "id": "b6f5",
        "data": {"healthEvent": event},
    }
    found = from_cloudevent(body)
    assert isinstance(found, HealthEvent)
    assert (found.action, found.strategy, found.id) == ("RESTART_BM", STORE_AND_ANALYSE, "")
    assert found.generated_time == pytest.approx(EVENT.generated_time, abs=1e-5)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("healthevent", None, "healthevent: is missing"),
        ("healthevent", "x", "healthevent: must be an object (found 'x')"),
        ("healthevent.nodename", None, "healthevent.nodename: is missing"),
        ("healthevent.nodename", "", "healthevent.nodename: is empty"),
        ("healthevent.checkname", 7, "healthevent.checkname: must be text (found 7)"),
        ("healthevent.isfatal", "yes", "healthevent.isfatal: must be true or false (found 'yes')"),
        ("healthevent.errorcode", "79", "healthevent.errorcode: must be a list (found '79')"),
        ("healthevent.errorcode", ["79", 48], "healthevent.errorcode[1]: must be text (found 48)"),
        ("healthevent.entitiesimpacted", [7], "healthevent.entitiesimpacted[0]: must be an object (found 7)"),
        ("healthevent.recommendedaction", 1.5, "healthevent.recommendedaction: must be a number or a name (found 1.5)"),
        ("healthevent.generatedtimestamp", "soon", "healthevent.generatedtimestamp: must be a time (found 'soon')"),
        ("createdAt", {"$date": "never"}, "createdAt: must be a time (found {'$date': 'never'})"),
        ("healtheventstatus", [], "healtheventstatus: must be an object (found [])"),
        ("healtheventstatus.faultremediated", 1, "healtheventstatus.faultremediated: must be an object (found 1)"),
    ],
)
def test_a_rejection_names_the_field(path: str, value: Any, told: str) -> None:
    found = from_document(changed(path, value))
    assert isinstance(found, Rejection)
    assert str(found) == f"document 66f0a1b2c3d4e5f601020304: {told}"


def test_an_id_of_another_kind_is_told() -> None:
    assert from_document(changed("_id", 7)) == Rejection("_id", "must be an ObjectId or text (found 7)", "mongo")


def test_an_enumeration_that_nvsx_does_not_know_keeps_its_number() -> None:
    found = from_document(changed("healthevent.recommendedaction", 41))
    assert isinstance(found, HealthEvent)
    assert found.action == "41"


def test_a_damaged_annotation_is_told() -> None:
    node = {"metadata": {"name": "n", "annotations": {EVENTS_ANNOTATION: '[{"checkName"'}}}
    (found,) = from_annotation(node)
    assert isinstance(found, Rejection)
    assert str(found).startswith("metadata.annotations.quarantineHealthEvent: is not JSON")


def test_one_bad_event_of_an_annotation_does_not_hide_the_other() -> None:
    text = json.dumps([{"checkName": "A"}, {"checkName": "B", "nodeName": "n"}, 3])
    bad, good, worse = from_annotation({"metadata": {"name": "n", "annotations": {EVENTS_ANNOTATION: text}}})
    assert isinstance(bad, Rejection)
    assert bad.path == "metadata.annotations.quarantineHealthEvent[0].nodeName"
    assert isinstance(good, HealthEvent)
    assert good.check == "B"
    assert isinstance(worse, Rejection)


def test_a_condition_with_several_faults() -> None:
    message = (
        "ErrorCode:79 PCI:0000:17:00 GPU_UUID:GPU-1 NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus. "
        "Recommended Action=RESTART_BM;ErrorCode:154 PCI:0000:18:00 NVRM: again Recommended Action=NONE;"
    )
    condition = {"type": "SysLogsXIDError", "status": "True", "reason": "SysLogsXIDErrorIsNotHealthy",
                 "message": message, "lastTransitionTime": "2026-08-21T10:00:07Z"}  # fmt: skip
    first, second = from_conditions({"metadata": {"name": "n"}, "status": {"conditions": [condition]}})
    assert first.entities == (Entity("PCI", "0000:17:00"), Entity("GPU_UUID", "GPU-1"))
    assert first.message == EVENT.message
    assert (first.error_codes, first.action, first.generated_time) == (("79",), "RESTART_BM", 1787306407.0)
    assert (second.error_codes, second.action, second.message) == (("154",), "NONE", "NVRM: again")


def played(scenario: str, mark: str, seed: int) -> Director:
    """The scenario up to some time after a mark."""
    clock = SimulatedClock(start=START)

    async def play() -> Director:
        _, director, _ = simulate(scenario, clock, seed)
        task = asyncio.create_task(director.run())
        await director.reached(mark)
        await asyncio.sleep(2.5)
        task.cancel()
        return director

    found: Director = clock.run(play())
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("scenario", ["xid-79", "contact-support", "gpu-reset", "pre-cordoned"])
def test_the_fault_is_the_same_without_a_database(scenario: str, seed: int) -> None:
    director = played(scenario, "quarantined", seed)
    world = director.world
    stored = from_document(next(
        raw for raw in world.documents["HealthEvents"] if raw["_id"]["$oid"] == director.variable("doc_id")
    ))  # fmt: skip
    node = world.get(world.resources.named("nodes"), director.node)
    assert isinstance(stored, HealthEvent)
    (annotated,) = from_annotation(node)
    assert isinstance(annotated, HealthEvent)

    bare = HealthEvent("", "")
    blank = {name: getattr(bare, name) for name in STATUS}
    assert stored._replace(source="node", **blank) == annotated
    assert stored.created_time > 0

    exported = {"type": "com.nvidia.nvsentinel.health.v1", "data": {"healthEvent": _exported(node)}}
    assert from_cloudevent(exported) == annotated._replace(source="webhook", id="")

    partial = next(event for event in from_conditions(node) if event.check == stored.check)
    same = ("node", "check", "error_codes", "action", "entities", "fatal")
    assert {name: getattr(partial, name) for name in same} == {name: getattr(stored, name) for name in same}
    assert partial.message.rstrip(".") == stored.message.rstrip(".")
    assert abs(partial.generated_time - stored.generated_time) < 1.0


def _exported(node: dict[str, Any]) -> dict[str, Any]:
    """The annotation's event as the exporter publishes it."""
    (event,) = json.loads(node["metadata"]["annotations"][EVENTS_ANNOTATION])
    names = {24: "RESTART_BM", 2: "COMPONENT_RESET", 5: "CONTACT_SUPPORT"}
    return {**event, "id": "", "recommendedAction": names[event["recommendedAction"]], "isHealthy": False,
            "processingStrategy": "EXECUTE_REMEDIATION"}  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["2026-08-21T10:00:07Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["healthevent", "healtheventstatus", "createdAt", "_id", "$oid", "$date", "$numberLong", "seconds", "nanos",
             "nodename", "nodeName", "checkname", "checkName", "errorcode", "errorCode", "entitiesimpacted",
             "recommendedaction", "generatedtimestamp", "faultremediated", "value", "userpodsevictionstatus", "data",
             "healthEvent", "type", "isfatal"]) | st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_decoders_are_total(value: Any) -> None:
    assert isinstance(from_document(value), HealthEvent | Rejection)
    assert isinstance(from_cloudevent(value), HealthEvent | Rejection)
    node = {"metadata": {"name": "n", "annotations": {EVENTS_ANNOTATION: json.dumps(value)}}}
    assert all(isinstance(found, HealthEvent | Rejection) for found in from_annotation(node))
    plain(value)


FIELDS = [
    f"{group}.{name}" if group else name
    for group, names in (("", DOCUMENT), ("healthevent", DOCUMENT["healthevent"]),
                         ("healtheventstatus", DOCUMENT["healtheventstatus"]))
    for name in names
]  # fmt: skip


@given(st.sampled_from(FIELDS), JSON)
@settings(max_examples=300, deadline=None)
def test_a_document_with_one_strange_field_is_an_event_or_names_that_field(path: str, value: Any) -> None:
    found = from_document(changed(path, value))
    if isinstance(found, Rejection):
        assert found.path.startswith(path)
        assert found.message


@given(st.text(max_size=60))
def test_any_annotation_and_condition_text(text: str) -> None:
    condition = {"type": "A", "status": "True", "reason": "AIsNotHealthy", "message": text}
    node = {"metadata": {"name": "n", "annotations": {EVENTS_ANNOTATION: text}}, "status": {"conditions": [condition]}}
    from_annotation(node)
    assert all(event.node == "n" for event in from_conditions(node))
