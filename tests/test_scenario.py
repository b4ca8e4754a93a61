"""Scenarios: every one is valid and plays to its end; xid-79 shows at each phase what a real cluster shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nvsx import assets, documents
from nvsx.clock import SimulatedClock
from nvsx.errors import DocumentInvalid, NotFoundHere, Unreachable
from nvsx.ports import ApiPath, WatchEvent
from nvsx.sim import simulate
from nvsx.sim.resources import BUILT_IN
from nvsx.sim.scenario import BUNDLED, load_scenario, scenario_names
from nvsx.sim.tokens import TIME_FORMS, render
from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.ports import Object
    from nvsx.sim.cluster import SimulatedCluster
    from nvsx.sim.director import Director
    from nvsx.sim.scenario import Scenario
    from nvsx.sim.world import World

START = 1_787_306_400.25
NODES = ApiPath("v1", "nodes")
REBOOTS = ApiPath("v1alpha1", "rebootnodes", "janitor.dgxc.nvidia.com")
DESIGNED = {
    "xid-79",
    "manual-uncordon",
    "gpu-reset",
    "contact-support",
    "thermal",
    "non-fatal",
    "drain-stuck",
    "drain-failed",
    "reboot-timeout",
    "second-fault",
    "pre-cordoned",
    "breaker-tripped",
    "api-flaps",
    "monitor-only",
    "node-deleted",
    "storm",
    "never-recovers",
    "unreachable",
    "long-drain",
    "quiet",
    "remediation-failed",
    "opted-out",
}
CHAIN = ["quarantined", "draining", "drain-succeeded", "remediating", "remediation-succeeded", ""]
_loaded: dict[str, Scenario] = {}


@dataclass
class Played:
    """A scenario after its end: `versions` are all versions of its node, `states` the state label's values in order."""

    world: World
    director: Director
    cluster: SimulatedCluster
    versions: list[Object]

    @property
    def node(self) -> Object:
        return self.versions[-1]

    @property
    def states(self) -> list[str]:
        seen = [""]
        for version in self.versions:
            state = nvsentinel.state(version)
            seen += [state] if state != seen[-1] else []
        return seen[1:]

    def at(self, mark: str) -> Object:
        """The node's first version that was written at a mark."""
        moment = self.director.truth[mark]
        return next(version for version in self.versions if version["seen"] >= moment)

    def documents(self, **fields: Any) -> list[dict[str, Any]]:
        wanted = fields.items()
        return [
            document
            for document in self.world.documents.get("HealthEvents", [])
            if document["healthevent"]["nodename"] == self.director.node
            and all(document["healthevent"][key] == value for key, value in wanted)
        ]


def scenario(name: str) -> Scenario:
    if name not in _loaded:
        _loaded[name] = load_scenario(name)
    return _loaded[name]


def played(name: str | Scenario, seed: int = 1, start: float = START) -> Played:
    clock = SimulatedClock(start=start)

    async def main() -> Played:
        world, director, cluster = simulate(scenario(name) if isinstance(name, str) else name, clock, seed)
        path = NODES._replace(field_selector=f"metadata.name={director.node}")
        versions: list[Object] = []
        watch = world.watch(path, "0")
        deliver = watch.push
        setattr(watch, "push", lambda item: deliver(item) if isinstance(item, WatchEvent) else None)  # noqa: B010 - no fault ends it
        run = asyncio.create_task(director.run())
        run.add_done_callback(lambda _: deliver(None))
        while (event := await watch.next()) is not None:
            versions.append({**event.object, "seen": clock.now()})
        await run
        return Played(world, director, cluster, versions)

    result = clock.run(main())
    assert isinstance(result, Played)
    return result


@pytest.fixture(scope="module")
def xid79() -> Played:
    return played("xid-79")


def reboot(world: World, doc_id: str) -> Object:
    return next(cr for cr in world.list(REBOOTS).objects if cr["metadata"]["name"].endswith(doc_id))


def quarantine_keys(node: Object) -> set[str]:
    before = {"cordon-by", "cordon-reason", "cordon-timestamp", "uncordon-by", "uncordon-reason", "uncordon-timestamp"}
    labels = {key for key in nvsentinel.labels_of(node) if key.rpartition("/")[2] in before | {"nvsentinel-state"}}
    return labels | set(nvsentinel.annotations_of(node))


# Every scenario


def test_the_designed_scenarios_are_there() -> None:
    assert set(scenario_names()) >= DESIGNED


@pytest.mark.parametrize("name", [file.removeprefix(BUNDLED) for file in assets.names(BUNDLED)])
def test_every_file_is_valid(name: str) -> None:
    schema = json.loads(assets.text("schemas/scenario.schema.json"))
    document = documents.read_yaml(assets.read(BUNDLED + name), name)
    assert documents.problems(document, schema) == ()
    if "/" not in name:
        assert document.data["metadata"]["name"] == name.removesuffix(".yaml")
        assert document.data["metadata"]["title"]
        assert document.text.startswith("# yaml-language-server: $schema=")


def test_every_part_is_used() -> None:
    used: set[str] = set()
    for name in assets.names(BUNDLED):
        data = documents.read_yaml(assets.read(name), name).data
        used |= set(data.get("base", [])) | {step["use"] for step in data.get("steps", []) if "use" in step}
    assert {Path(name).stem for name in assets.names(f"{BUNDLED}parts/")} == used


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_plays_to_its_end(name: str) -> None:
    result = played(name, seed=7)
    assert len(result.director.played) >= 1
    assert "{{" not in json.dumps([result.world.list(NODES).objects, result.world.documents])


@pytest.mark.parametrize("name", scenario_names())
def test_the_same_seed_gives_the_same_story(name: str) -> None:
    first, again, other = played(name, 3), played(name, 3), played(name, 4)
    assert first.versions == again.versions
    assert first.world.documents == again.world.documents
    assert first.director.truth == again.director.truth
    if first.director.truth:
        assert first.director.truth != other.director.truth


# The fragments of a fatal XID 79


def test_all_steps_of_the_timeline(xid79: Played) -> None:
    steps = {played.step.number for played in xid79.director.played} - {""}
    expected = {"0", "1", "2a", "2b", "3", "3b", "4", "5", "6a", "6b", *map(str, range(7, 22))}
    assert steps == expected


def test_the_whole_takes_six_to_seven_minutes() -> None:
    lengths = []
    for seed in range(12):
        truth = played("xid-79", seed).director.truth
        lengths.append(truth["recovered"] - truth["fault"])
        assert truth["cr-created"] - truth["remediating"] == pytest.approx(0.003, abs=1e-4)
        assert truth["remediated"] - truth["remediating"] == pytest.approx(0.005, abs=1e-4)
    assert min(lengths) > 300
    assert max(lengths) < 480


def test_the_condition_may_come_before_or_after_the_cordon() -> None:
    orders = set()
    for seed in range(60):
        truth = played("xid-79", seed).director.truth
        orders.add(truth["detected"] < truth["quarantined"])
        if len(orders) == 2:
            return
    raise AssertionError(f"always the same order: {orders}")


def test_states_of_milliseconds_are_delivered(xid79: Played) -> None:
    assert xid79.states == CHAIN


def test_p0_healthy(xid79: Played) -> None:
    node = xid79.versions[0]
    assert nvsentinel.labels_of(node)["nvidia.com/gpu.present"] == "true"
    assert nvsentinel.annotations_of(node) == {}
    assert not nvsentinel.faults(node)
    for check in ("GpuPcieWatch", "SysLogsXIDError"):
        condition = nvsentinel.condition(node, check)
        assert condition is not None
        assert condition[1:4] == ("False", f"{check}IsHealthy", "No Health Failures")


def test_p1_detected(xid79: Played) -> None:
    condition = nvsentinel.condition(xid79.at("detected"), "SysLogsXIDError")
    assert condition is not None
    assert condition.is_fault
    assert condition.error_codes == ("79",)
    assert condition.recommended_action == "RESTART_BM"
    assert condition.message.startswith("ErrorCode:79 PCI:0000:17:00 GPU_UUID:GPU-")
    assert condition.since == int(xid79.director.fault_time)


def test_p2_quarantined_in_one_update(xid79: Played) -> None:
    node = xid79.at("quarantined")
    before = xid79.versions[xid79.versions.index(node) - 1]
    assert quarantine_keys(before) == set()
    assert "unschedulable" not in before["spec"]
    assert quarantine_keys(node) == {
        "k8saas.nvidia.com/cordon-by",
        "k8saas.nvidia.com/cordon-reason",
        "k8saas.nvidia.com/cordon-timestamp",
        "dgxc.nvidia.com/nvsentinel-state",
        "quarantineHealthEvent",
        "quarantineHealthEventIsCordoned",
    }
    labels = nvsentinel.labels_of(node)
    assert labels["k8saas.nvidia.com/cordon-by"] == "NVSentinel"
    assert labels["k8saas.nvidia.com/cordon-reason"] == "Syslog-fatal-error-ruleset"
    assert nvsentinel.parse_time(labels["k8saas.nvidia.com/cordon-timestamp"]) == int(
        xid79.director.truth["quarantined"]
    )
    assert node["spec"]["unschedulable"] is True
    assert "taints" not in node["spec"]
    (raw,) = json.loads(nvsentinel.annotations_of(node)["quarantineHealthEvent"])
    keys = "version agent componentClass checkName isFatal message recommendedAction errorCode entitiesImpacted"
    assert list(raw) == [*keys.split(), "generatedTimestamp", "nodeName", "processingStrategy", "id"]
    (event,) = nvsentinel.quarantine_events(node)
    assert event.action == "RESTART_BM"
    assert event.time == pytest.approx(xid79.director.fault_time, abs=1e-6)
    assert event.id == xid79.director.variable("doc_id")


def test_p2b_the_controller_manager_taints(xid79: Played) -> None:
    tainted = next(version for version in xid79.versions if version["spec"].get("taints"))
    (taint,) = tainted["spec"]["taints"]
    assert (taint["key"], taint["effect"]) == ("node.kubernetes.io/unschedulable", "NoSchedule")
    assert set(taint) == {"key", "effect", "timeAdded"}


def test_p3_draining_counts_up_one_event(xid79: Played) -> None:
    path = ApiPath("v1", "events", namespace="default", field_selector="reason=AwaitingPodCompletion")
    (event,) = xid79.world.list(path).objects
    assert event["type"] == "NodeDraining"
    assert event["message"] == "Waiting for following pods to finish: [default/train-0]"
    assert event["involvedObject"]["uid"] == xid79.node["metadata"]["uid"]
    assert event["source"] == {"component": "nvsentinel-node-drainer"}
    assert event["count"] == 2
    assert event["metadata"]["name"].startswith(f"{xid79.director.node}-")


def test_p5_the_request_is_named_by_the_event(xid79: Played) -> None:
    node = xid79.at("remediated")
    doc_id = xid79.director.variable("doc_id")
    request = reboot(xid79.world, doc_id)
    assert request["metadata"]["name"] == f"maintenance-{xid79.director.node}-{doc_id}"
    assert request["spec"] == {"nodeName": xid79.director.node, "force": False}
    assert request["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
    noted = json.loads(nvsentinel.annotations_of(node)["latestFaultRemediationState"])
    restart = noted["equivalenceGroups"]["restart"]
    assert restart["maintenanceCR"] == request["metadata"]["name"]
    assert restart["actionName"] == "RESTART_BM"


def test_p7_rebooting_and_p8_back_with_the_fault_still_shown(xid79: Played) -> None:
    down = xid79.at("rebooting")
    ready = nvsentinel.condition(down, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")
    taints = {(taint["key"], taint["effect"]) for taint in down["spec"]["taints"]}
    unreachable = "node.kubernetes.io/unreachable"
    assert {(unreachable, "NoSchedule"), (unreachable, "NoExecute")} < taints
    back = xid79.at("back")
    assert back["status"]["nodeInfo"]["bootID"] != xid79.versions[0]["status"]["nodeInfo"]["bootID"]
    assert [taint["key"] for taint in back["spec"]["taints"]] == ["node.kubernetes.io/unschedulable"]
    assert [fault.type for fault in nvsentinel.faults(back)] == ["SysLogsXIDError"]


def test_p9_recovered(xid79: Played) -> None:
    node = xid79.node
    prefix = "k8saas.nvidia.com/uncordon-"
    assert quarantine_keys(node) == {f"{prefix}by", f"{prefix}reason", f"{prefix}timestamp"}
    assert nvsentinel.labels_of(node)[f"{prefix}by"] == "NVSentinel"
    assert nvsentinel.labels_of(node)[f"{prefix}reason"] == "Syslog-fatal-error-ruleset-removed"
    assert not nvsentinel.faults(node)
    assert node["spec"].keys() == xid79.versions[0]["spec"].keys()


def test_p10_the_request_is_closed_last(xid79: Played) -> None:
    status = reboot(xid79.world, xid79.director.variable("doc_id"))["status"]
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert conditions["SignalSent"]["message"] == xid79.versions[0]["status"]["nodeInfo"]["bootID"]
    assert conditions["NodeReady"]["message"] == "Node reached ready state post-reboot"
    assert nvsentinel.parse_time(status["completionTime"]) == int(xid79.director.truth["finished"])


def test_the_documents_at_the_end(xid79: Played) -> None:
    (bad,) = xid79.documents(errorcode=["79"])
    (good,) = xid79.documents(ishealthy=True)
    assert bad["_id"]["$oid"] == xid79.director.variable("doc_id")
    stamp = bad["healthevent"]["generatedtimestamp"]
    assert stamp["seconds"] + stamp["nanos"] / 1e9 == pytest.approx(xid79.director.fault_time, abs=1e-6)
    status = bad["healtheventstatus"]
    assert status["nodequarantined"] == "Quarantined"
    assert status["userpodsevictionstatus"] == {"status": "Succeeded", "message": ""}
    assert status["faultremediated"] == {"value": True}
    writers = {"platform-connector", "fault-quarantine", "node-drainer", "fault-remediation"}
    assert set(status["spanids"]) == writers
    assert good["healthevent"]["errorcode"] is None
    assert good["healthevent"]["entitiesimpacted"] is None
    assert good["healthevent"]["recommendedaction"] == 0
    assert good["healtheventstatus"]["nodequarantined"] == "UnQuarantined"


def test_what_must_not_be_taken_for_evidence_is_there_from_the_start(xid79: Played) -> None:
    fault = xid79.director.fault_time
    old = [cr for cr in xid79.world.list(REBOOTS).objects if cr["status"].get("completionTime")]
    ages = {
        cr["spec"]["nodeName"]: fault - nvsentinel.parse_time(cr["metadata"]["creationTimestamp"]) for cr in old[:1]
    }
    assert ages[xid79.director.node] > 86_000
    assert {cr["spec"]["nodeName"] for cr in old} == {xid79.director.node, xid79.director.variable("bystander")}
    (evicted,) = xid79.world.list(ApiPath("v1", "events", field_selector="reason=Evicted")).objects
    assert evicted["involvedObject"]["kind"] == "Pod"
    assert evicted["metadata"]["name"].startswith("etl-")


def test_recorded_for_any_start_time() -> None:
    """The whole second in the condition never differs from that of the event, wherever the milliseconds fall."""
    for tenth in range(0, 1000, 93):
        result = played("xid-79", 5, START + tenth / 1000)
        (event,) = nvsentinel.quarantine_events(result.at("quarantined"))
        condition = nvsentinel.condition(result.at("detected"), "SysLogsXIDError")
        assert condition is not None
        assert condition.since == int(event.time)


# The variants


VARIANTS: dict[str, tuple[list[str], Callable[[Played], bool]]] = {
    "contact-support": (
        ["quarantined", "draining", "drain-succeeded", "remediation-failed"],
        lambda it: nvsentinel.cordoned(it.node) and not requests(it) and remediated(it) is False,
    ),
    "ecc-memory": (CHAIN, lambda it: rebooted_for(it, "GpuMemWatch")),
    "nvlink-down": (CHAIN, lambda it: rebooted_for(it, "GpuNvlinkWatch")),
    "inforom-corrupt": (CHAIN, lambda it: rebooted_for(it, "GpuInforomWatch")),
    "remediation-failed": (
        ["quarantined", "draining", "drain-succeeded", "remediating", "remediation-failed"],
        lambda it: nvsentinel.cordoned(it.node) and not requests(it) and remediated(it) is False,
    ),
    "opted-out": (
        [],
        lambda it: nvsentinel.opted_out(it.node) and bool(nvsentinel.faults(it.node)) and statuses(it) == [""],
    ),
    "drain-failed": (
        ["quarantined", "draining", "drain-failed"],
        lambda it: nvsentinel.cordoned(it.node) and not requests(it) and remediated(it) is None,
    ),
    "drain-stuck": (["quarantined", "draining"], lambda it: it.director.length > 5 * 3600),
    "long-drain": (CHAIN, lambda it: it.director.truth["drained"] - it.director.truth["draining"] > 2.9 * 3600),
    "gpu-reset": (
        CHAIN,
        lambda it: (
            not requests(it) and all(ready(version) for version in it.versions) and reset_phase(it) == "Succeeded"
        ),
    ),
    "second-fault": (
        CHAIN,
        lambda it: (
            max(len(nvsentinel.quarantine_events(version)) for version in it.versions) == 2
            and len(requests(it)) == 1
            and statuses(it) == ["Quarantined", "AlreadyQuarantined", "UnQuarantined"]
        ),
    ),
    "pre-cordoned": (
        CHAIN,
        lambda it: (
            nvsentinel.cordoned(it.node)
            and not any("k8saas.nvidia.com/cordon-by" in nvsentinel.labels_of(version) for version in it.versions)
            and not nvsentinel.annotations_of(it.node)
        ),
    ),
    "manual-uncordon": (
        ["quarantined", "draining", ""],
        lambda it: (
            not nvsentinel.cordoned(it.node)
            and nvsentinel.annotations_of(it.node) == {"quarantinedNodeUncordonedManually": "True"}
            and "k8saas.nvidia.com/cordon-by" in nvsentinel.labels_of(it.node)
            and bool(nvsentinel.faults(it.node))
            and statuses(it) == ["Cancelled"]
        ),
    ),
    "never-recovers": (
        CHAIN[:-1],
        lambda it: (
            nvsentinel.cordoned(it.node)
            and not ready(it.node)
            and node_ready(it) == ("False", "Timeout")
            and it.director.truth["reboot-timed-out"] - it.director.truth["signal-sent"] == pytest.approx(1500)
        ),
    ),
    "reboot-timeout": (
        CHAIN[:-1],
        lambda it: nvsentinel.cordoned(it.node) and ready(it.node) and node_ready(it) == ("False", "Timeout"),
    ),
    "reboot-refused": (
        CHAIN[:-1],
        lambda it: nvsentinel.cordoned(it.node) and node_ready(it) == ("Unknown", "Initializing"),
    ),
    "breaker-tripped": (
        [],
        lambda it: (
            breaker(it) == "TRIPPED"
            and statuses(it) == [""]
            and bool(nvsentinel.faults(it.node))
            and sum(nvsentinel.cordoned(node) for node in it.world.list(NODES).objects) == 3
        ),
    ),
    "monitor-only": (
        [],
        lambda it: (
            bool(nvsentinel.faults(it.node)) and not it.world.documents and tuple(it.world.resources) == BUILT_IN
        ),
    ),
    "non-fatal": ([], lambda it: len(it.versions) == 1 and event_count(it, "SysLogsXIDError") == 3),
    "thermal": ([], lambda it: len(it.versions) == 1 and event_count(it, "GpuThermalWatch") == 4),
    "store-only": ([], lambda it: len(it.versions) == 1 and len(it.documents(processingstrategy=2)) == 1),
    "api-flaps": (CHAIN, lambda it: not nvsentinel.cordoned(it.node)),
    "unreachable": (CHAIN, lambda it: not nvsentinel.cordoned(it.node)),
    "quiet": ([], lambda it: len(it.versions) == 7),
}


def requests(it: Played) -> list[Object]:
    """This incident's RebootNodes."""
    since = it.director.fault_time
    return [
        cr
        for cr in it.world.list(REBOOTS).objects
        if nvsentinel.parse_time(cr["metadata"]["creationTimestamp"]) >= since
    ]


def remediated(it: Played) -> bool | None:
    (document,) = it.documents(isfatal=True, recommendedaction=it.director.variable("action_number"))
    found = document["healtheventstatus"]["faultremediated"]
    return found and bool(found["value"])


def statuses(it: Played) -> list[str]:
    return [document["healtheventstatus"]["nodequarantined"] for document in it.documents()[1:]]


def ready(node: Object) -> bool:
    condition = nvsentinel.condition(node, "Ready")
    return condition is not None and condition.status == "True"


def node_ready(it: Played) -> tuple[str, str]:
    (request,) = requests(it)
    condition = nvsentinel.condition(request, "NodeReady")
    assert condition is not None
    return condition.status, condition.reason


def rebooted_for(it: Played, check: str) -> bool:
    """The check's condition came and went, and one reboot lay between."""
    found = [condition.status for version in it.versions if (condition := nvsentinel.condition(version, check))]
    return "True" in found and found[-1] == "False" and len(requests(it)) == 1 and not nvsentinel.cordoned(it.node)


def reset_phase(it: Played) -> str:
    (reset,) = it.world.list(ApiPath("v1alpha1", "gpuresets", "janitor.dgxc.nvidia.com")).objects
    return str(reset["status"]["phase"])


def breaker(it: Played) -> str:
    found = it.world.get(it.world.resources.named("configmaps"), "circuit-breaker", "nvsentinel")
    return str(found["data"]["status"])


def event_count(it: Played, kind: str) -> int:
    path = ApiPath("v1", "events", field_selector=f"involvedObject.kind=Node,type={kind},reason={kind}IsNotHealthy")
    (event,) = it.world.list(path).objects
    assert event["involvedObject"]["uid"] == it.director.node
    return int(event["count"])


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_variants(name: str) -> None:
    states, holds = VARIANTS[name]
    result = played(name)
    assert result.states == states
    assert holds(result)


def test_every_variant_is_looked_at() -> None:
    assert set(scenario_names()) - set(VARIANTS) == {"xid-79", "node-deleted", "storm"}


def test_a_deleted_node_is_gone_with_its_pods() -> None:
    result = played("node-deleted")
    assert result.states == ["quarantined", "draining"]
    nodes = {node["metadata"]["name"] for node in result.world.list(NODES).objects}
    assert result.director.node not in nodes
    pods = ApiPath("v1", "pods", namespace="default", field_selector=f"spec.nodeName={result.director.node}")
    assert result.world.list(pods).objects == []


def test_a_storm_is_fourteen_incidents_that_do_not_mix() -> None:
    result = played("storm")
    assert result.states == [state for state in CHAIN if state != "draining"]
    struck = {entry.node for entry in result.director.played if entry.step.mark == "quarantined"}
    assert len(struck) == 14
    named = {}
    for document in result.world.documents["HealthEvents"]:
        if document["healthevent"]["errorcode"] == ["79"]:
            named[document["healthevent"]["nodename"]] = document["_id"]["$oid"]
    assert set(named) == struck
    assert len(set(named.values())) == 14
    assert {cr["metadata"]["name"] for cr in requests(result)} == {f"maintenance-{n}-{i}" for n, i in named.items()}
    nodes = result.world.list(NODES).objects
    assert not any(nvsentinel.cordoned(node) or nvsentinel.faults(node) for node in nodes)
    faults = {entry.node: entry.time for entry in result.director.played if entry.step.mark == "fault"}
    for document in result.world.documents["HealthEvents"]:
        if document["_id"]["$oid"] in named.values():
            event = document["healthevent"]
            assert event["generatedtimestamp"]["seconds"] == int(faults[event["nodename"]])
    marks = [entry.time for entry in result.director.played if entry.step.mark == "quarantined"]
    assert max(marks) - min(marks) < 120


def test_playings_side_by_side_keep_what_they_set_apart(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "both.yaml").write_text("steps: [{use: fault}, {use: quarantine}]", encoding="utf-8")
    file = tmp_path / "own.yaml"
    nodes = ("gke-ml-pool-a100-2mvd", "gke-ml-pool-a100-f7wq", "gke-ml-pool-a100-hd5t")
    each = ", ".join(f"{{node: {name}}}" for name in nodes)
    file.write_text(f"base: [chain]\nsteps: [{{use: both, each: [{each}]}}]", encoding="utf-8")
    own = load_scenario(str(file))
    for seed in range(5):
        result = played(own, seed)
        faults = {entry.node: entry.time for entry in result.director.played if entry.step.mark == "fault"}
        assert set(faults) == set(nodes)
        for node in result.world.list(NODES).objects:
            for event in nvsentinel.quarantine_events(node):
                assert event.time == pytest.approx(faults.pop(node["metadata"]["name"]), abs=0.002)
        assert not faults


def test_an_unreachable_cluster_stays_so() -> None:
    result = played("unreachable")
    with pytest.raises(Unreachable):
        asyncio.run(result.cluster.list(NODES))


def test_a_mark_can_be_waited_for() -> None:
    clock = SimulatedClock(start=START)

    async def main() -> None:
        _, director, _ = simulate(scenario("xid-79"), clock, 1)
        run = asyncio.create_task(director.run())
        moment = await director.reached("quarantined")
        assert clock.now() == moment == director.truth["quarantined"]
        assert "draining" not in director.truth
        await run

    clock.run(main())


def test_speed_comes_from_the_clock() -> None:
    clock = SimulatedClock(start=START, speed=2000)

    async def main() -> Director:
        _, director, _ = simulate(scenario("contact-support"), clock, 1)
        await director.run()
        return director

    director = clock.run(main())
    assert director.truth["remediation-failed"] - START >= director.length - 1


# The language


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps: [{patch: nodes/x, delete: nodes/y}]", "does patch and delete: one operation a step"),
        ("steps: [{after: soon}]", "must be a time such as 7.4s"),
        ("steps: [{use: no-such-part}]", "no part 'no-such-part'"),
        ("base: [no-such-part]", "no part 'no-such-part'"),
        ("steps: [{fault: {kind: earthquake}}]", "kind"),
        ("steps: [{pacth: nodes/x}]", "pacth"),
        ("steps: [{body: {}}]", "patch"),
        ("objects: [{}]", "must be a manifest"),
        ("nodes: []", "nodes"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"metadata: {{name: mine}}\n{text}\n", encoding="utf-8")
    with pytest.raises(DocumentInvalid) as invalid:
        load_scenario(str(file))
    texts = [str(found) for found in invalid.value.problems]
    assert any(problem in found for found in texts), texts
    assert all(found.place.line == 2 for found in invalid.value.problems)


def test_own_scenarios_have_own_parts_and_the_bundled_ones(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mine.yaml").write_text("steps: [{mark: here, after: 5s}]", encoding="utf-8")
    file = tmp_path / "own.yaml"
    file.write_text("base: [cluster]\nsteps:\n- use: mine\n- {mark: later, at: here + 1m}\n", encoding="utf-8")
    truth = played(load_scenario(str(file))).director.truth
    assert truth == {"here": START + 5, "later": START + 65}


def test_parts_that_use_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.yaml").write_text("steps: [{use: b}]", encoding="utf-8")
    (tmp_path / "parts" / "b.yaml").write_text("steps: [{use: a}]", encoding="utf-8")
    file = tmp_path / "own.yaml"
    file.write_text("steps: [{use: a}]", encoding="utf-8")
    with pytest.raises(DocumentInvalid) as invalid:
        load_scenario(str(file))
    assert "uses itself" in str(invalid.value.problems)


def test_bases_that_stand_on_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.yaml").write_text("base: [a]", encoding="utf-8")
    file = tmp_path / "own.yaml"
    file.write_text("base: [a]", encoding="utf-8")
    with pytest.raises(DocumentInvalid) as invalid:
        load_scenario(str(file))
    assert "stands on itself" in str(invalid.value.problems)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: [{patch: nodes/nobody, body: {}}]", 'nodes "nobody" not found'),
        ("steps: [{patch: pods/p, body: {}}]", "write nodes/NAME or pods/NAMESPACE/NAME"),
        ("steps: [{at: nowhere + 1s}]", "no step before this one has the mark 'nowhere'"),
        ("vars: {a: '{{b}}'}", "unknown token {{b}}"),
        ("objects: [{template: none}]", "there is no template 'none'"),
        ("vars: {a: '{{ago:soon}}'}", "'soon' is not a duration"),
    ],
)
def test_what_only_playing_shows_is_an_error_too(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentInvalid) as invalid:
        played(load_scenario(str(file)))
    assert says in invalid.value.message + str(invalid.value.problems)


def test_unknown_scenarios() -> None:
    with pytest.raises(NotFoundHere, match="no scenario 'xid-80'") as missing:
        load_scenario("xid-80")
    assert "xid-79" in missing.value.hint
    with pytest.raises(NotFoundHere):
        load_scenario("/nowhere/x.yaml")
    with pytest.raises(NotFoundHere):
        load_scenario("../cluster")


def test_tokens_keep_types_and_make_json() -> None:
    known: dict[str, Any] = {"n": 24, "list": [1, {"a": "b"}], "name": "x"}
    filled = render(
        {"a": "{{n}}", "b": "n={{n}}", "c": {"$json": ["{{list}}", "{{name}}"]}, "{{name}}": 1}, lambda k, _: known[k]
    )
    assert filled == {"a": 24, "b": "n=24", "c": '[[1,{"a":"b"}],"x"]', "x": 1}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", "2026-08-21T10:00:07Z"),
        ("seconds", 1_787_306_407),
        ("nanos", 999_000_000),
        ("millis", "2026-08-21T10:00:07.999Z"),
        ("label", "2026-08-21T10-00-07Z"),
    ],
)
def test_forms_of_a_time_agree_on_the_second(form: str, text: object) -> None:
    assert TIME_FORMS[form](1_787_306_407.9996) == text
