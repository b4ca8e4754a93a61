"""Watch predicates as tables: clause, what is seen, verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nvsx.engine.patterns import search
from nvsx.errors import DocumentInvalid, Forbidden, Place
from nvsx.model import Clause
from nvsx.ports import ApiPath, LogLine, Seen
from nvsx.watches import nvsentinel
from nvsx.watches.incident import Incident, observe, open_fault_time
from nvsx.watches.node import field_at
from nvsx.watches.predicate import Documents, DocumentSource, Lines, LogSource, also
from nvsx.watches.progress import repair_paths
from nvsx.watches.table import KINDS, compile_clause
from nvsx.watches.tracker import ClauseTracker
from nvsx.watches.verdict import Verdict, all_of, any_of, blind, met, unmet

T0 = 1_787_306_400.0
NOW = T0 + 100
NODE = "gpu-node-1"
ID = "66f0a1b2c3d4e5f601020304"
OTHER_ID = "aaaaaaaaaaaaaaaaaaaaaaaa"
UUID = "0a1b2c3d-0000-4000-8000-00000000000a"


def clause(kind: str, **fields: Any) -> Clause:
    extra = {"absent": fields.pop("absent", False), "hold_s": fields.pop("hold_s", 0.0)}
    return Clause(kind, fields, Place("t.yaml", 1, 1), **extra)


def node(
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    conditions: Any = (),
    **spec: Any,
) -> dict[str, Any]:
    return {
        "metadata": {"name": NODE, "resourceVersion": "7", "labels": labels or {}, "annotations": annotations or {}},
        "spec": spec,
        "status": {"conditions": list(conditions)},
    }


def fault(
    type_: str = "SysLogsXIDError", status: str = "True", code: str = "79", at: str = "2026-08-21T10:00:07Z"
) -> dict:
    bad = status == "True"
    return {
        "type": type_,
        "status": status,
        "reason": f"{type_}Is{'Not' if bad else ''}Healthy",
        "message": f"ErrorCode:{code} PCI:0000:17:00 lost. Recommended Action=RESTART_BM;"
        if bad
        else "No Health Failures",
        "lastTransitionTime": at,
    }


def event_annotation(
    *, check: str = "SysLogsXIDError", code: str = "79", action: int = 24, id_: str = ID
) -> dict[str, str]:
    event = {
        "checkName": check,
        "errorCode": [code],
        "recommendedAction": action,
        "isFatal": True,
        "id": id_,
        "generatedTimestamp": {"seconds": int(T0) + 7, "nanos": 401000000},
        "entitiesImpacted": [{"entityType": "PCI", "entityValue": "0000:17:00"}],
    }
    return {"quarantineHealthEvent": json.dumps([event])}


def judge(wanted: Clause, *things: dict[str, Any], incident: Incident | None = None, now: float = NOW) -> Verdict:
    """The verdict on a clause when every path it looks at shows the same objects."""
    incident = incident or Incident(NODE, T0)
    tracker = ClauseTracker(compile_clause(wanted), position="0", latches=False)
    sights: dict[Any, Any] = {}
    for leaf in tracker.leaves():
        for source in (*leaf.sources(incident), *also(leaf, incident)):
            assert isinstance(source, ApiPath)
            kinds = {"nodes": "Node", "pods": "Pod", "events": "Event", "configmaps": "ConfigMap"}
            kind = kinds.get(source.resource, "")
            chosen = [thing for thing in things if thing.get("kind", "Node") == kind or not kind]
            keyed = {
                f"{(t['metadata'].get('namespace', '') + '/').lstrip('/')}{t['metadata']['name']}": t for t in chosen
            }
            sights[source] = Seen(keyed, listed=True)
    return tracker.look(sights, incident, now)


LABEL = nvsentinel.STATE_LABEL
TAINTED = node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])

NODE_ROWS = [
    # clause, node, state, what the detail must have
    (clause("node", field="spec.unschedulable", expect="true"), node(unschedulable=True), "met", "=true"),
    (clause("node", field="spec.unschedulable", expect=True), node(unschedulable=True), "met", "=true"),
    (clause("node", field="spec.unschedulable", expect="false"), node(), "met", "(absent)"),
    (clause("node", field="spec.unschedulable", expect="true"), node(), "unmet", "(absent)"),
    (clause("node", field="metadata.labels['a.b/c']", expect="x"), node(labels={"a.b/c": "x"}), "met", "=x"),
    (clause("node", field="status.conditions[0].type", expect="A"), node(conditions=[{"type": "A"}]), "met", "=A"),
    (clause("node", field="spec.no.where", expect="x"), node(), "unmet", "(absent)"),
    (clause("node-condition", type="SysLogsXIDError"), node(conditions=[fault()]), "met", "error code 79"),
    (clause("node-condition", type="SysLogsXIDError", errorCode="79"), node(conditions=[fault()]), "met", "79"),
    (clause("node-condition", type="SysLogsXIDError", errorCode=79), node(conditions=[fault()]), "met", "79"),
    (clause("node-condition", type="SysLogsXIDError", errorCode="7"), node(conditions=[fault()]), "unmet", "79"),
    (clause("node-condition", type="SysLogsXIDError"), node(conditions=[fault(status="False")]), "unmet", "=False"),
    (clause("node-condition", type="SysLogsXIDError"), node(), "unmet", "no condition"),
    (clause("node-condition", type="SysLogsXIDError", status="False"), node(), "met", "no condition"),
    (clause("node-condition", type="SysLogsXIDError", status=False), node(), "met", "no condition"),
    (
        clause("node-condition", type="Ready", status="True"),
        node(conditions=[{"type": "Ready", "status": "Unknown"}]),
        "unmet",
        "Unknown",
    ),
    (clause("node-condition", type="A", reason="AIsNotHealthy"), node(conditions=[fault("A")]), "met", "A=True"),
    (clause("node-condition", type="A", reason="Else"), node(conditions=[fault("A")]), "unmet", "A=True"),
    (clause("taint", key="k"), TAINTED, "met", "k=v:NoSchedule"),
    (clause("taint", key="k", value="v", effect="NoSchedule"), TAINTED, "met", "k=v"),
    (clause("taint", key="k", value="w"), TAINTED, "unmet", "k=v"),
    (clause("taint", key="k", effect="NoExecute"), TAINTED, "unmet", "k=v"),
    (clause("taint", key="nvidia.com/gpu-error"), node(), "unmet", "none"),
    (clause("taint", key="k", absent=True), node(), "met", "none"),
    (clause("taint", key="k", absent=True), TAINTED, "unmet", "still there"),
]


@pytest.mark.parametrize(("wanted", "seen", "state", "detail"), NODE_ROWS)
def test_node_watches(wanted: Clause, seen: dict, state: str, detail: str) -> None:
    verdict = judge(wanted, seen)
    assert verdict.state == state
    assert detail in verdict.detail
    assert verdict.version == "7"


STATE_ROWS = [
    # label on the node, wanted, state, terminal
    *(
        (have, want, "met" if i >= j else "unmet", False)
        for i, have in enumerate(nvsentinel.STATES)
        for j, want in enumerate(nvsentinel.STATES)
    ),
    ("drain-failed", "quarantined", "met", False),
    ("drain-failed", "draining", "met", False),
    ("drain-failed", "drain-succeeded", "unmet", True),
    ("drain-failed", "remediating", "unmet", True),
    ("drain-failed", "drain-failed", "met", False),
    ("remediation-failed", "drain-succeeded", "met", False),
    ("remediation-failed", "remediating", "unmet", True),
    ("remediation-failed", "remediation-succeeded", "unmet", True),
    ("remediation-failed", "remediation-failed", "met", False),
    ("draining", "drain-failed", "unmet", False),
    ("", "quarantined", "unmet", False),
    ("something-new", "quarantined", "unmet", False),
]


@pytest.mark.parametrize(("label", "wanted", "state", "terminal"), STATE_ROWS)
def test_the_state_label_is_an_ordered_scale_with_two_dead_ends(
    label: str, wanted: str, state: str, terminal: bool
) -> None:
    verdict = judge(clause("nvsentinel-state", state=wanted), node(labels={LABEL: label} if label else {}))
    assert (verdict.state, verdict.terminal) == (state, terminal)


UNCORDONED = {
    "k8saas.nvidia.com/uncordon-by": "NVSentinel",
    "k8saas.nvidia.com/uncordon-timestamp": "2026-08-21T10-06-40Z",
}
LONG_AGO = {**UNCORDONED, "k8saas.nvidia.com/uncordon-timestamp": "2026-08-20T10-06-40Z"}
BY_HUMAN = {**UNCORDONED, "k8saas.nvidia.com/uncordon-by": "alice"}
REPAIRED = {"latestFaultRemediationState": '{"equivalenceGroups":{"restart":{"createdAt":"2026-08-21T10:01:00Z"}}}'}

INFERRED_ROWS = [
    (clause("nvsentinel-state", state="quarantined"), node(labels=UNCORDONED), True),
    (clause("nvsentinel-state", state="quarantined"), node(labels=LONG_AGO), False),
    (clause("nvsentinel-state", state="quarantined"), node(labels=BY_HUMAN), False),
    (clause("nvsentinel-state", state="drain-succeeded"), node(labels=UNCORDONED), False),
    (clause("nvsentinel-state", state="remediating"), node(annotations=REPAIRED), True),
    (clause("node", field="spec.unschedulable", expect="true"), node(labels=UNCORDONED), True),
    (clause("node", field="spec.unschedulable", expect="true"), node(labels=LONG_AGO), False),
    (clause("taint", key="node.kubernetes.io/unschedulable"), node(labels=UNCORDONED), True),
    (
        clause("node-condition", type="SysLogsXIDError", errorCode="79"),
        node(annotations=event_annotation(), conditions=[fault(status="False", at="2026-08-21T10:05:00Z")]),
        True,
    ),
    (clause("node-condition", type="SysLogsXIDError", errorCode="48"), node(annotations=event_annotation()), False),
    (clause("node-condition", type="GpuAllWatch"), node(annotations=event_annotation()), False),
]


@pytest.mark.parametrize(("wanted", "seen", "proven"), INFERRED_ROWS)
def test_later_traces_prove_what_was_not_seen_and_say_so(wanted: Clause, seen: dict, proven: bool) -> None:
    verdict = judge(wanted, seen)
    assert (verdict.is_met, verdict.inferred) == (proven, proven)


@pytest.mark.parametrize("conditions", [[], [fault(status="False", at="2026-08-21T09:00:00Z")]], ids=["none", "stale"])
def test_an_annotation_that_comes_before_its_condition_is_seen_not_inferred(conditions: list) -> None:
    verdict = judge(
        clause("node-condition", type="SysLogsXIDError"), node(annotations=event_annotation(), conditions=conditions)
    )
    assert (verdict.is_met, verdict.inferred) == (True, False)


def pod(name: str, phase: str, namespace: str = "default") -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "9"},
        "status": {"phase": phase},
    }


POD_ROWS = [
    ("phase=Running", ["Running", "Running"], "met"),
    ("phase=Running", ["Running", "Failed"], "unmet"),
    ("phase=Running", [], "unmet"),
    ("phase=Running,count=2", ["Running", "Running", "Failed"], "met"),
    ("phase=Running, count=2", ["Running"], "unmet"),
    ("count=0", [], "met"),
    ("count=0", ["Running"], "unmet"),
    ("", ["Pending"], "met"),
]


@pytest.mark.parametrize(("expect", "phases", "state"), POD_ROWS)
def test_pods(expect: str, phases: list[str], state: str) -> None:
    pods = [pod(f"p{i}", phase) for i, phase in enumerate(phases)]
    assert judge(clause("pod", selector="app=x", expect=expect), *pods).state == state


def event(
    *, reason: str, at: str, type_: str = "Normal", kind: str = "Node", name: str = NODE, host: str = ""
) -> dict[str, Any]:
    return {
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason}.{at}", "namespace": "default", "resourceVersion": "5"},
        "type": type_,
        "reason": reason,
        "lastTimestamp": at,
        "message": "Waiting for following pods",
        "involvedObject": {"kind": kind, "name": name, "namespace": "default"},
        "source": {"host": host},
    }


NEW, SKEWED, OLD = "2026-08-21T10:00:20Z", "2026-08-21T09:59:05Z", "2026-08-21T09:00:00Z"
EVENT_ROWS = [
    (clause("node-event", reason="AwaitingPodCompletion"), event(reason="AwaitingPodCompletion", at=NEW), "met"),
    (clause("node-event", reason="AwaitingPodCompletion"), event(reason="AwaitingPodCompletion", at=SKEWED), "met"),
    (clause("node-event", reason="AwaitingPodCompletion"), event(reason="AwaitingPodCompletion", at=OLD), "unmet"),
    (clause("node-event", reason="Rebooted"), event(reason="AwaitingPodCompletion", at=NEW), "unmet"),
    (clause("node-event", type="GpuThermalWatch"), event(reason="X", at=NEW, type_="GpuThermalWatch"), "met"),
    (clause("pod-event", reason="Killing"), event(reason="Killing", at=NEW, kind="Pod", name="a", host=NODE), "met"),
    (
        clause("pod-event", reason="Killing"),
        event(reason="Killing", at=NEW, kind="Pod", name="a", host="other"),
        "unmet",
    ),
    (clause("pod-event", reason="Killing"), event(reason="Killing", at=OLD, kind="Pod", name="a", host=NODE), "unmet"),
    (clause("pod-event", reason="Evicted"), event(reason="Killing", at=NEW, kind="Pod", name="a", host=NODE), "unmet"),
]


@pytest.mark.parametrize(("wanted", "seen", "state"), EVENT_ROWS)
def test_events_count_only_in_this_incident(wanted: Clause, seen: dict, state: str) -> None:
    assert judge(wanted, seen).state == state


def test_a_pod_event_counts_for_a_pod_that_is_listed_on_the_node() -> None:
    wanted = clause("pod-event", reason="Killing")
    seen = event(reason="Killing", at=NEW, kind="Pod", name="train-0")
    assert judge(wanted, seen, pod("train-0", "Running")).state == "met"
    assert judge(wanted, seen, pod("train-1", "Running")).state == "unmet"


def custom(
    name: str, *, created: str = NEW, conditions: Any = (), phase: str = "", node_name: str = NODE
) -> dict[str, Any]:
    return {
        "kind": "RebootNode",
        "metadata": {"name": name, "creationTimestamp": created, "resourceVersion": "11"},
        "spec": {"nodeName": node_name},
        "status": {"conditions": list(conditions), "phase": phase},
    }


KNOWN = Incident(NODE, T0, event_ids=(ID,))
OURS = f"maintenance-{NODE}-{ID}"
READY = {"type": "NodeReady", "status": "True", "reason": "Succeeded"}
LATE = {"type": "NodeReady", "status": "False", "reason": "Timeout"}
CRD_ROWS = [
    # name of the resource, its facts, extra fields of the clause, incident, state, detail
    (OURS, {}, {}, KNOWN, "met", OURS),
    (OURS, {"created": OLD}, {}, KNOWN, "met", OURS),
    (f"maintenance-{NODE}-{OTHER_ID}", {}, {}, KNOWN, "unmet", "1 older"),
    (f"maintenance-{NODE}-{UUID}", {}, {}, Incident(NODE, T0, event_ids=(UUID,)), "met", UUID),
    (f"maintenance-{NODE}-{OTHER_ID}", {}, {}, Incident(NODE, T0), "met", OTHER_ID),
    (f"maintenance-{NODE}-{OTHER_ID}", {"created": SKEWED}, {}, Incident(NODE, T0), "met", OTHER_ID),
    (f"maintenance-{NODE}-{OTHER_ID}", {"created": OLD}, {}, Incident(NODE, T0), "unmet", "1 older"),
    ("by-hand", {}, {}, KNOWN, "met", "by-hand"),
    ("by-hand", {"created": OLD}, {}, KNOWN, "unmet", "1 older"),
    (OURS, {"node_name": "gpu-node-2"}, {}, KNOWN, "unmet", "no rebootnodes"),
    (OURS, {"conditions": [READY]}, {"condition": {"type": "NodeReady"}}, KNOWN, "met", "NodeReady=True"),
    (OURS, {"conditions": [LATE]}, {"condition": {"type": "NodeReady", "status": "True"}}, KNOWN, "unmet", "Timeout"),
    (OURS, {"conditions": [LATE]}, {"condition": {"type": "NodeReady", "status": "False"}}, KNOWN, "met", "Timeout"),
    (OURS, {}, {"condition": {"type": "NodeReady"}}, KNOWN, "unmet", "absent"),
    (OURS, {"phase": "Succeeded"}, {"phase": "Succeeded"}, KNOWN, "met", "Succeeded"),
    (OURS, {"phase": "Failed"}, {"phase": "Succeeded"}, KNOWN, "unmet", "Failed"),
]


@pytest.mark.parametrize(("name", "facts", "fields", "incident", "state", "detail"), CRD_ROWS)
def test_custom_resources_of_the_node_and_the_incident(
    name: str, facts: dict, fields: dict, incident: Incident, state: str, detail: str
) -> None:
    wanted = clause("crd", group="janitor.dgxc.nvidia.com", resource="rebootnodes", version="v1alpha1", **fields)
    verdict = judge(wanted, custom(name, **facts), incident=incident)
    assert verdict.state == state
    assert detail in verdict.detail


def breaker(status: str) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "circuit-breaker", "namespace": "nvsentinel"},
        "data": {"status": status},
    }


STALLED_ROWS = [
    (node(labels={LABEL: "drain-failed"}, annotations=event_annotation()), "CLOSED", 0, "met"),
    (node(labels={LABEL: "remediation-failed"}), "CLOSED", 0, "met"),
    (node(annotations=event_annotation(action=5)), "CLOSED", 0, "met"),
    (node(annotations=event_annotation(action=6)), "CLOSED", 0, "met"),
    (node(conditions=[fault()]), "TRIPPED", 0, "met"),
    (node(), "TRIPPED", 0, "unmet"),
    (node(labels={LABEL: "draining"}, annotations=event_annotation()), "CLOSED", 506, "unmet"),
    (node(labels={LABEL: "draining"}, annotations=event_annotation()), "CLOSED", 508, "met"),  # 10m after its event
    (node(), "CLOSED", 9999, "unmet"),
]


@pytest.mark.parametrize(("seen", "breaker_status", "idle_s", "state"), STALLED_ROWS)
def test_stalled_says_at_once_that_nobody_will_act_or_after_a_time_that_nobody_does(
    seen: dict, breaker_status: str, idle_s: float, state: str
) -> None:
    incident = observe(Incident(NODE, T0), seen, NOW)
    wanted = clause("stalled", after="10m")
    assert judge(wanted, seen, breaker(breaker_status), incident=incident, now=NOW + idle_s).state == state


def test_log_patterns_match_lines_of_this_incident_once_and_for_all() -> None:
    compiled = compile_clause(clause("training-log", pod="train-0", namespace="ml", pattern=r"loss=\d"))
    pattern: Any = compiled.predicate
    incident = Incident(NODE, T0)
    assert pattern.matches(LogLine("ml/train-0", "step 1 loss=3", T0 + 1), incident, search)
    assert not pattern.matches(LogLine("ml/train-0", "step 1 loss=3", T0 - 3600), incident, search)
    assert not pattern.matches(LogLine("ml/train-0", "nothing", T0 + 1), incident, search)
    source = LogSource("ml", pod="train-0")
    seen = {source: Lines({pattern.pattern: LogLine("ml/train-0", "step 1 loss=3")})}
    assert ClauseTracker(compiled, position="0", latches=False).look(seen, incident, NOW).state == "met"
    assert (
        ClauseTracker(compiled, position="0", latches=False).look({source: Lines({})}, incident, NOW).state == "unmet"
    )
    slow = Lines({}, too_slow=frozenset({pattern.pattern}))
    found = ClauseTracker(compiled, position="0", latches=False).look({source: slow}, incident, NOW)
    assert (found.state, "the pattern takes too long" in found.detail) == ("blind", True)


def test_documents_are_counted_and_their_filter_stays_data() -> None:
    hostile = {"healthevent.nodename": '"); db.dropDatabase(); ("'}
    compiled = compile_clause(clause("mongo-event", filter=hostile, count=2))
    (source,) = compiled.predicate.sources(Incident(NODE, T0))
    assert isinstance(source, DocumentSource)
    assert (source.collection, source.enough) == ("HealthEvents", 2)
    assert json.loads(source.filter)["$and"][0] == hostile
    for found, state in ((1, "unmet"), (2, "met")):
        tracker = ClauseTracker(compiled, position="0", latches=False)
        assert tracker.look({source: Documents(found)}, Incident(NODE, T0), NOW).state == state
    tracker = ClauseTracker(compiled, position="0", latches=False)
    assert tracker.look({source: Documents(5, Forbidden("no"))}, Incident(NODE, T0), NOW).state == "blind"


@pytest.mark.parametrize(
    "bad",
    [
        clause("pod", selector="a", expect="phase=Runing"),
        clause("log", selector="a", pattern="("),
        clause("log", selector="a", pattern="x", absent=True),
        clause("taint"),
        clause("stalled", after="soon"),
        clause("no-such-kind"),
    ],
    ids=lambda c: c.kind,
)
def test_a_clause_that_cannot_be_understood_never_becomes_a_watch(bad: Clause) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        compile_clause(bad)
    assert refused.value.problems[0].place == Place("t.yaml", 1, 1)


def test_every_kind_of_the_language_has_a_predicate() -> None:
    from nvsx.runbook.kinds import KINDS as LANGUAGE

    assert set(KINDS) == set(LANGUAGE)


COMBINATIONS = [
    # verdicts, any_of, all_of
    ([met("a"), unmet("b")], "met", "unmet"),
    ([met("a"), blind("b")], "met", "blind"),
    ([unmet("a"), blind("b")], "blind", "blind"),
    ([unmet("a"), unmet("b")], "unmet", "unmet"),
    ([met("a"), met("b")], "met", "met"),
    ([blind("a"), unmet("b", terminal=True)], "blind", "unmet"),
]


@pytest.mark.parametrize(("verdicts", "either", "both"), COMBINATIONS)
def test_combinations(verdicts: list[Verdict], either: str, both: str) -> None:
    assert any_of(verdicts).state == either
    assert all_of(verdicts).state == both


def test_one_dead_end_among_alternatives_is_no_dead_end() -> None:
    assert not any_of([unmet("a", terminal=True), unmet("b")]).terminal
    assert any_of([unmet("a", terminal=True), unmet("b", terminal=True)]).terminal
    assert all_of([met("a"), unmet("b", terminal=True)]).terminal


def test_the_incident_learns_from_the_node_and_never_forgets() -> None:
    incident = observe(Incident(NODE, T0), node(conditions=[fault()]), NOW)
    assert (incident.first_check, incident.fault_time) == ("SysLogsXIDError", T0 + 7)
    held = observe(incident, node(conditions=[fault()], annotations=event_annotation(), unschedulable=True), NOW + 1)
    assert held.fault_time == pytest.approx(T0 + 7.401)
    assert (held.event_ids, held.error_codes, held.action) == ((ID,), ("79",), "RESTART_BM")
    assert held.entities == ("PCI:0000:17:00",)
    gone = observe(held, node(), NOW + 2)
    assert (gone.event_ids, gone.opened_by, gone.quarantined) == ((ID,), ("SysLogsXIDError",), True)
    assert (gone.first_check, gone.fault_time) == (held.first_check, held.fault_time)


def test_an_older_incidents_faults_are_not_this_ones() -> None:
    stale = node(conditions=[fault("GpuPcieWatch", at="2026-08-20T10:00:00Z")])
    assert observe(Incident(NODE, T0), stale, NOW).opened_by == ()


def test_cordoned_before_is_what_the_first_look_or_nvsentinel_says() -> None:
    assert observe(Incident(NODE, T0), node(unschedulable=True), NOW).cordoned_before
    assert not observe(Incident(NODE, T0), node(unschedulable=True, labels={LABEL: "draining"}), NOW).cordoned_before
    said = {**event_annotation(), nvsentinel.PRE_CORDONED_ANNOTATION: "True"}
    assert observe(Incident(NODE, T0), node(unschedulable=True, annotations=said), NOW).cordoned_before


def test_open_fault_time_is_the_earliest_of_what_the_node_shows() -> None:
    assert open_fault_time(node(conditions=[fault()])) == T0 + 7
    assert open_fault_time(node(conditions=[fault(at="2026-08-21T10:00:30Z")], annotations=event_annotation())) == (
        pytest.approx(T0 + 7.401)
    )
    assert open_fault_time(node()) == 0.0


@pytest.mark.parametrize(
    "text", ["{", "null", '"x"', "[1]", '[{"recommendedAction": null, "generatedTimestamp": "x"}]', ""]
)
def test_a_damaged_annotation_is_evidence_of_nothing(text: str) -> None:
    events = nvsentinel.quarantine_events(node(annotations={"quarantineHealthEvent": text}))
    assert all(not found.id and not found.time for found in events)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1),
        ("a['x.y']", 2),
        ('a["x.y"]', 2),
        ("list[1]", "q"),
        ("list.0", "p"),
        ("a.b.c", None),
        ("list[9]", None),
    ],
)
def test_field_paths(path: str, value: object) -> None:
    assert field_at({"a": {"b": 1, "x.y": 2}, "list": ["p", "q"]}, path) == value


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-08-21T10:00:00Z", T0),
        ("2026-08-21T10:00:00.25Z", T0 + 0.25),
        ("2026-08-21T12:00:00+02:00", T0),
        ("2026-08-21T10-00-00Z", T0),
        ("yesterday", 0.0),
        (None, 0.0),
    ],
)
def test_times(text: object, time: float) -> None:
    assert nvsentinel.parse_time(text) == time


@pytest.mark.parametrize(
    ("action", "resources"),
    [
        ("", []),
        ("RESTART_BM", ["rebootnodes"]),
        ("RESTART_VM", ["rebootnodes"]),
        ("COMPONENT_RESET", ["rebootnodes", "gpuresets"]),
    ],
)
def test_repairs_are_looked_for_where_the_recommended_action_leads(action: str, resources: list[str]) -> None:
    assert [path.resource for path in repair_paths(action)] == resources
