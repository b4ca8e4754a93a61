"""Doctor: what each check sees on every scenario, and that not being able to look is never shown as all is well."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from nvsx import assets
from nvsx.commands.doctor import _in_one_line, _say_json, exit_code
from nvsx.doctor.finding import ok
from nvsx.doctor.install import Component, Drain, DrainMode, Install, component
from nvsx.doctor.table import CHECKS, Check
from nvsx.errors import Forbidden, NoContext, Place, Problem
from nvsx.sim.scenario import scenario_names
from tests.doctoring import IN_PROCESS, examined

STANDING = {"hooks": "warn", "drills": "warn", "fit": "warn"}
"""On every cluster: this checkout has no channels and no drills, and its gpu-reset waits for a GPUReset."""


def unusual(**expected: str) -> dict[str, str]:
    return {**{check.id: "ok" for check in IN_PROCESS}, **STANDING, **expected}


def without_server(outcome: str = "blind") -> dict[str, str]:
    after = {check.id: "skip" for check in IN_PROCESS if _needs(check, "server")}
    return unusual(server=outcome, **after)


def _needs(check: Check, other: str) -> bool:
    by_id = {one.id: one for one in CHECKS}
    return any(one == other or _needs(by_id[one], other) for one in check.needs)


SCENARIOS: dict[str, dict[str, str]] = {
    # scenario, at its end: what is not ok
    "breaker-tripped": {"breaker": "fail"},
    "contact-support": {"held": "warn"},
    "drain-failed": {"held": "warn"},
    "gpu-reset": {"fit": "ok"},
    "never-recovers": {"gpu-nodes": "warn"},
    "remediation-failed": {"held": "warn"},
    "storm": {"monitors": "warn"},
    "unreachable": {},
}


@pytest.mark.parametrize("scenario", scenario_names())
def test_every_scenario(scenario: str) -> None:
    patient = examined(scenario)
    expected = without_server() if scenario == "unreachable" else unusual(**SCENARIOS.get(scenario, {}))
    # How old the newest heartbeat is depends on when the scenario ended.
    assert patient.outcomes() | {"clock": ""} == expected | {"clock": ""}
    assert exit_code(list(patient.results.values())) == {"unreachable": 3, "breaker-tripped": 1}.get(scenario, 0)


@pytest.mark.parametrize("until", [45.0])
@pytest.mark.parametrize("scenario", ["xid-79", "storm", "api-flaps", "drain-stuck", "node-deleted", "pre-cordoned"])
def test_in_the_middle_of_things_it_answers_and_the_json_is_as_described(scenario: str, until: float) -> None:
    patient = examined(scenario, until=until)
    assert set(patient.outcomes().values()) <= {"ok", "warn", "fail", "skip", "blind"}
    jsonschema.validate(as_json(patient), json.loads(assets.text("schemas/doctor.schema.json")))


def as_json(patient: Any) -> dict[str, Any]:
    import contextlib
    import io

    from nvsx.settings import load

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        _say_json(list(patient.results.values()), load({}, environ={}))
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_a_monitor_only_install_is_valid_and_explained() -> None:
    patient = examined("monitor-only")
    assert patient.outcome("components") == "ok"
    assert "monitors only" in patient.text("components")
    assert "no database is installed" in patient.text("events")
    assert "shows every fault that cordons" in patient.text("events")
    assert patient.text("breaker").startswith("none needed")
    assert "nothing here quarantines" in patient.text("fit")


def test_each_thing_is_looked_at_once() -> None:
    patient = examined()
    assert max(patient.asked.values()) == 1, patient.asked


def test_what_is_forbidden_fails_where_it_is_needed_and_hides_nothing_else() -> None:
    patient = examined(faults=[{"kind": "forbidden", "resources": ["nodes"]}])
    assert patient.outcome("rights") == "fail"
    assert "3 of 27 reads are forbidden" in patient.text("rights") or "reads are forbidden" in patient.text("rights")
    assert patient.results["rights"].finding.hint == "kubectl auth can-i get nodes -A"
    assert patient.outcome("gpu-nodes") == "blind"
    assert patient.outcome("held") == "skip"
    assert patient.text("held") == "not looked at: GPU nodes failed"
    assert patient.outcome("components") == "ok"
    assert patient.outcome("breaker") == "ok"


def test_rights_that_are_not_needed_only_say_what_is_lost() -> None:
    patient = examined(faults=[{"kind": "forbidden", "verbs": ["exec"]}])
    assert patient.outcome("rights") == "ok"
    assert "MongoDB is not read" in patient.text("rights")


def test_config_maps_that_may_not_be_listed_are_got_one_by_one() -> None:
    patient = examined(faults=[{"kind": "forbidden", "verbs": ["list"], "resources": ["configmaps"]}])
    assert patient.outcome("rights") == "fail"
    assert patient.text("breaker") == "CLOSED"
    assert "AllowCompletion" in patient.text("drain")


def test_config_maps_that_may_not_be_read_at_all_are_not_taken_for_absent() -> None:
    patient = examined(faults=[{"kind": "forbidden", "resources": ["configmaps"]}])
    assert patient.outcome("breaker") == "fail"
    assert patient.outcome("drain") == patient.outcome("repairs") == "warn"


def test_without_a_context_everything_behind_it_is_skipped_with_the_reason() -> None:
    patient = examined(connect_fails=NoContext("kubectl has no current context", hint="one of: --context a"))
    found = patient.outcomes()
    assert found == without_server("skip") | {"context": "blind"}
    assert {patient.text(name) for name, outcome in found.items() if outcome == "skip"} == {
        "not looked at: context failed"
    }
    assert patient.results["context"].finding.hint == "one of: --context a"
    assert exit_code(list(patient.results.values())) == 3


def test_a_server_that_hangs_is_given_up_and_is_blind() -> None:
    patient = examined(faults=[{"kind": "hang"}])
    assert patient.outcomes() == without_server()
    assert patient.elapsed_s == pytest.approx(15.0)


def test_a_slow_cluster_takes_as_long_as_its_slowest_chain() -> None:
    """Two seconds an answer: server, then nodes or workloads, then what one of them leads to."""
    patient = examined(faults=[{"kind": "latency"}], delay_s=2.0)
    assert patient.outcomes() == unusual()
    assert patient.elapsed_s == pytest.approx(patient.slowest_chain_s)
    assert patient.elapsed_s == pytest.approx(2.0 * (1 + 4))  # then 27 rights, eight at a time


def test_a_pod_list_that_looks_good_does_not_hide_a_deployment_that_is_not_ready() -> None:
    """One of two replicas runs and the other has failed: to a search for `Running` that is fine."""

    def break_it(world: Any) -> None:
        deployments = world.resources.named("deployments")
        world.patch(deployments, "fault-quarantine", "nvsentinel", {"spec": {"replicas": 2}})

    patient = examined(change=break_it)
    assert patient.outcome("components") == "fail"
    assert "fault-quarantine 1/2" in patient.text("components")
    assert patient.results["components"].finding.hint == "kubectl -n nvsentinel get pods"
    assert exit_code(list(patient.results.values())) == 1


@pytest.mark.parametrize(
    ("status", "spec", "kind", "ready"),
    [
        ({"readyReplicas": 1}, {"replicas": 1}, "deployments", True),
        ({"readyReplicas": 1}, {"replicas": 2}, "deployments", False),
        ({}, {"replicas": 1}, "deployments", False),
        ({}, {"replicas": 0}, "deployments", False),  # scaled to nothing: installed, and does not work
        ({"numberReady": 0, "desiredNumberScheduled": 0}, {}, "daemonsets", True),  # no node wants DCGM 3
        ({"numberReady": 5, "desiredNumberScheduled": 6}, {}, "daemonsets", False),
        ({"readyReplicas": 3}, {"replicas": 3}, "statefulsets", True),
    ],
)
def test_readiness_is_what_the_controller_counts(status: Any, spec: Any, kind: str, ready: bool) -> None:
    thing = {"metadata": {"name": "x", "labels": {"app.kubernetes.io/name": "x"}}, "spec": spec, "status": status}
    assert component(kind, thing).is_ready is ready


def test_gpu_nodes_without_a_monitor_are_counted() -> None:
    def unmonitored(world: Any) -> None:
        status = {"status": {"desiredNumberScheduled": 4, "numberReady": 4}}
        world.patch(world.resources.named("daemonsets"), "gpu-health-monitor-dcgm-4.x", "nvsentinel", status)

    patient = examined(change=unmonitored)
    assert patient.outcome("monitors") == "warn"
    assert "2 of 6 GPU nodes" in patient.text("monitors")
    assert "gpu-health-monitor-dcgm-4.x 4/4" in patient.results["monitors"].finding.details


def test_a_cluster_without_gpu_labels_fails() -> None:
    def strip(world: Any) -> None:
        nodes = world.resources.named("nodes")
        for node in world.list(nodes_path()).objects:
            world.patch(nodes, node["metadata"]["name"], "", {"metadata": {"labels": {"nvidia.com/gpu.present": None}}})

    def nodes_path() -> Any:
        from nvsx.doctor.ground import NODES

        return NODES

    patient = examined(change=strip)
    assert patient.outcome("gpu-nodes") == "fail"
    assert patient.results["gpu-nodes"].finding.hint.endswith("get nodes -L nvidia.com/gpu.present")


def test_opted_out_nodes_are_named() -> None:
    def opt_out(world: Any) -> None:
        label = {"metadata": {"labels": {"nvsentinel.dgxc.nvidia.com/managed": "false"}}}
        world.patch(world.resources.named("nodes"), "gke-ml-pool-a100-2mvd", "", label)

    assert "1 opted out (fancy-bison)" in examined(change=opt_out).text("held")


def test_another_namespace_is_looked_into_and_found_empty() -> None:
    patient = examined(flags={"--namespace": "elsewhere"})
    assert patient.outcome("components") == "fail"
    assert "NVSentinel is not in the namespace elsewhere" in patient.text("components")
    assert "daemonsets -A" in patient.results["components"].finding.hint


def set_config(name: str, text: str) -> Any:
    def change(world: Any) -> None:
        world.patch(world.resources.named("configmaps"), name, "nvsentinel", {"data": {"config.toml": text}})

    return change


def test_a_map_to_a_kind_that_the_server_does_not_serve_fails() -> None:
    text = '[remediationActions."RESTART_BM"]\napiGroup = "ops.example.com"\nversion = "v1"\nkind = "Fix"\n'
    patient = examined(change=set_config("fault-remediation", text))
    assert patient.outcome("repairs") == "fail"
    assert "asks for Fix, which the server does not serve" in patient.text("repairs")


def test_settings_that_are_no_toml_are_said_and_guessed_around() -> None:
    patient = examined(change=set_config("node-drainer", "mode = = 1"))
    assert patient.outcome("drain") == "warn"
    assert "cannot be read" in patient.text("drain")


def test_runbooks_that_give_drains_less_than_they_may_take_are_named() -> None:
    text = 'deleteAfterTimeoutMinutes = 2000\n[[userNamespaces]]\nname = "*"\nmode = "DeleteAfterTimeout"\n'
    patient = examined(change=set_config("node-drainer", text))
    assert "*: DeleteAfterTimeout (2000 min)" in patient.text("drain")
    assert any("gives drains 1d0h" in line for line in patient.results["fit"].finding.details)


def test_postgresql_is_explained_and_not_asked() -> None:
    def change(world: Any) -> None:
        body = {"data": {"DATASTORE_PROVIDER": "postgresql"}}
        world.patch(world.resources.named("configmaps"), "mongodb-config", "nvsentinel", body)

    patient = examined(change=change)
    assert patient.outcome("events") == "ok"
    assert "stored in postgresql" in patient.text("events")


def test_the_age_of_the_newest_event_is_told() -> None:
    assert examined().text("events") == "MongoDB answers; newest event 1d2h ago"


def test_a_database_that_refuses_leaves_the_node_stream_and_says_so() -> None:
    patient = examined(faults=[{"kind": "unauthorized", "verbs": ["exec"]}])
    assert patient.outcome("events") == "warn"
    assert "MongoDB cannot be read" in patient.text("events")
    assert "node stream alone" in patient.text("events")


def test_lint_errors_fail_with_the_first_of_them() -> None:
    broken = [
        Problem(Place("runbooks/a.yaml", 3, 1), "stages", "is missing"),
        Problem(Place("x"), "", "w", "", "warning"),
    ]
    patient = examined(problems=broken)
    assert patient.outcome("lint") == "fail"
    assert "runbooks/a.yaml:3:1: stages: is missing" in patient.text("lint")
    assert patient.results["lint"].finding.hint == "nvsx lint"


def test_hooks_are_content_when_what_they_require_is_set() -> None:
    patient = examined(variables={"SLACK_WEBHOOK_URL": "x", "PAGERDUTY_ROUTING_KEY": "y"})
    assert patient.outcome("hooks") == "ok"
    assert "SLACK_WEBHOOK_URL" in examined().text("hooks")


def test_drills_age() -> None:
    from tests.rehearsing import START

    assert examined(drills=lambda _: (START - 60.0, "xid-79")).outcome("drills") == "ok"
    assert "more than 90 days" in examined(drills=lambda _: (START - 9e6, "xid-79")).text("drills")


def test_checks_that_this_cluster_reports_reach_the_runbooks() -> None:
    patient = examined()
    assert patient.outcome("routing") == "ok"
    assert "10 of 10 runbooks" in patient.text("routing")


def test_runbooks_that_name_codes_alone_leave_other_faults_unanswered(tmp_path: Any) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "gpu-off-bus.yaml").write_text(assets.text("runbooks/gpu-off-bus.yaml"))
    patient = examined(project=tmp_path)
    assert patient.outcome("routing") == "warn"
    assert any(line.startswith("GpuMemWatch: ") for line in patient.results["routing"].finding.details)
    (folder / "unhandled-fault.yaml").write_text(assets.text("runbooks/unhandled-fault.yaml"))
    assert examined(project=tmp_path).outcome("routing") == "ok"


@pytest.mark.parametrize(
    ("skew_s", "outcome", "told"),
    [
        (0.6, "ok", "within 5 s"),
        (-30.0, "warn", "30.0s behind ours"),
        (30.0, "warn", "30.0s ahead of ours"),
        (-120.0, "fail", "evidence would be taken for old"),
    ],
)
def test_clocks_that_differ(skew_s: float, outcome: str, told: str) -> None:
    patient = examined(skew_s=skew_s)
    assert patient.outcome("clock") == outcome
    assert told in patient.text("clock")


@pytest.mark.parametrize(
    ("client", "latency_s", "outcome"),
    [
        ("v1.35.0", 0.1, "ok"),
        ("v1.32.4", 0.1, "warn"),
        ("v1.36.0-rc1", 0.1, "warn"),
        ("", 0.1, "ok"),
        ("v1.34.0", 3.0, "warn"),
    ],
)  # fmt: skip
def test_a_kubectl_too_far_from_the_server_and_a_slow_server(client: str, latency_s: float, outcome: str) -> None:
    assert examined(client=client, latency_s=latency_s).outcome("server") == outcome


def test_a_cluster_whose_faults_start_nothing_is_warned_of(tmp_path: Any) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    text = (
        "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: only-nic}\ntrigger: {checkNames: [EthernetStateCheck]}\n"
        "stages: [{id: detect, watch: [{kind: node-condition, type: EthernetStateCheck}]}]\n"
    )
    (folder / "only-nic.yaml").write_text(text)
    patient = examined(project=tmp_path)
    assert patient.outcome("routing") == "warn"
    assert "without a last resort some fatal faults start nothing" in patient.text("routing")
    assert patient.text("routing").startswith("0 of 1 runbook")


def test_every_failure_and_warning_ends_in_something_to_paste() -> None:
    for scenario in ("breaker-tripped", "unreachable", "drain-failed", "monitor-only"):
        for result in examined(scenario).results.values():
            if result.finding.outcome in ("warn", "fail"):
                assert result.finding.hint, result
                assert "{" not in result.finding.hint


def test_the_table_is_in_order_and_every_check_needs_what_is_there() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen
        assert check.hint
        assert check.id not in seen
        seen.add(check.id)


def test_the_line_for_cron_names_the_first_failure() -> None:
    line = _in_one_line(list(examined("breaker-tripped").results.values()))
    assert line.startswith("nvsx doctor: ")
    assert "1 failed: breaker: TRIPPED" in line
    assert "\n" not in line


def test_how_long_drains_may_take() -> None:
    assert Drain((DrainMode("*", "AllowCompletion"),)).unbounded
    assert Drain((DrainMode("a", "Immediate"),)).longest_s == 600.0
    assert Drain((DrainMode("a", "Immediate"), DrainMode("*", "DeleteAfterTimeout")), 90).longest_s == 5400.0


def test_an_installation_that_may_not_be_read_knows_nothing() -> None:
    install = Install("ns", (Component("fault-quarantine", "fault-quarantine", "deployments", 1, 1),), None)
    assert (install.breaker, install.drain(), install.repairs()) == (None, None, None)
    assert ok("x").hint == ""
    assert isinstance(Forbidden("x"), Exception)
