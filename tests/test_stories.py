"""The engine's stories, on virtual time: what a run says for what a cluster shows."""

from __future__ import annotations

import signal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from nvsx.engine.patterns import TooSlow, search
from nvsx.errors import Exit, Forbidden, Unreachable
from nvsx.events import Hook, Note, Prerequisite, Watch
from nvsx.journal import EffectEnded, EffectIntended, RunEnded
from tests.story import (
    NODE,
    T0,
    Story,
    blind,
    condition,
    delete_node,
    label,
    node_patch,
    quarantine,
    reboot,
    release,
)

if TYPE_CHECKING:
    from nvsx.sim.world import World

CHAIN = """
hooks: {onFailure: run-failed, onBlind: run-blind, onReminder: remind, finally: run-done}
stages:
  - id: preflight
    hook: ready
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError, errorCode: "79"}]
    hook: detected
  - id: quarantine
    watch: [{kind: nvsentinel-state, state: quarantined}]
  - id: drain
    watch: [{kind: nvsentinel-state, state: drain-succeeded}]
  - id: remediate
    watch:
      - {kind: nvsentinel-state, state: remediating}
      - {kind: crd, group: janitor.dgxc.nvidia.com, resource: rebootnodes, version: v1alpha1}
    hook: rebooting
    hooks: {onFailure: not-rebooting}
  - id: recover
    watch: [{kind: node-condition, type: SysLogsXIDError, status: "False"}]
    hook: recovered
    hooks: {onTimeout: not-recovered}
  - id: postmortem
    action: {script: collect}
"""


def healing(body: str = CHAIN) -> Story:
    """The good day: 2 s to the fault, 3 s cordon, 10 s drained, 10.005 s CR, 400 s back."""
    return (
        Story(body)
        .at("2s", condition("SysLogsXIDError", code="79"))
        .at("3s", quarantine(at=T0 + 2))
        .at("4s", label("draining"))
        .at("10s", label("drain-succeeded"))
        .at("10.1s", label("remediating"))
        .at("10105ms", reboot(), label("remediation-succeeded"))
        .at("390s", condition("SysLogsXIDError", "False"))
        .at("402s", release())
    )


def test_the_good_day_passes_stage_by_stage_and_tells_the_true_time_to_repair() -> None:
    story = healing().run()
    assert story.stages == [
        "preflight pass 0.0",
        "detect pass 2.0",
        "quarantine pass 1.0",
        "drain pass 7.0",
        "remediate pass 0.1",
        "recover pass 391.9",
        "postmortem pass 0.0",
    ]
    assert story.hooks == ["ready", "detected", "rebooting", "remind", "remind", "recovered", "collect", "run-done"]
    assert story.finish.verdict == "PASSED"
    assert story.finish.exit_code == Exit.DONE
    assert story.finish.mttr_s == pytest.approx(400.0)
    assert story.env("recovered")["NVSX_INCIDENT_MS"] == "400000"
    assert not any(story.stage(stage).inferred for stage in ("detect", "quarantine", "drain", "remediate"))


def test_every_hook_gets_one_incident_key_and_each_its_own_idempotency_key() -> None:
    story = healing().run()
    keys = {story.env(script)["NVSX_INCIDENT_KEY"] for script in ("detected", "rebooting", "recovered", "collect")}
    assert len(keys) == 1
    assert keys.pop().startswith("nvsx/")
    assert story.env("recovered")["NVSX_IDEMPOTENCY_KEY"] == "20260821-100000-0001/recover/onSuccess"


def test_another_run_that_starts_late_gives_the_same_incident_key() -> None:
    early = healing().run().env("recovered")["NVSX_INCIDENT_KEY"]
    late = Story(CHAIN).since(20)
    late.at("0s", quarantine(at=T0 + 2), condition("SysLogsXIDError", code="79", since=T0 + 2))
    late.at("1s", label("drain-succeeded"), reboot(), label("remediation-succeeded"))
    late.at("9s", condition("SysLogsXIDError", "False"), release()).run()
    assert late.env("recovered")["NVSX_INCIDENT_KEY"] == early


def test_a_state_that_lasts_five_milliseconds_while_a_hook_runs_is_seen() -> None:
    body = CHAIN.replace(
        "state: remediating}", 'state: remediating}\n      - {kind: node, field: metadata.labels.flash, expect: "on"}'
    )
    story = healing(body).process("detected", takes_s=20)
    story.at("10.1s", node_patch(metadata={"labels": {"flash": "on"}}))
    story.at("10105ms", node_patch(metadata={"labels": {"flash": None}}))
    story.run()
    assert story.stage("remediate").status == "pass"
    assert story.stage("detect").elapsed_s == pytest.approx(2.0)
    # Decided while the detect hook still ran, so these stages took no time of their own.
    assert story.stage("drain").elapsed_s == 0


def test_a_node_that_never_recovers_times_out_without_a_success_hook() -> None:
    story = healing()
    story._changes = [change for change in story._changes if change[0] < 300]
    story.run()
    assert story.stage("recover").status == "timeout"
    assert "SysLogsXIDError=True" in story.stage("recover").reason
    assert story.hooks.count("not-recovered") == 1
    assert story.hooks.count("run-failed") == 1
    assert "recovered" not in story.hooks
    assert story.stages[-1] == "postmortem pass 0.0"
    assert story.finish.verdict == "TIMED OUT at recover"
    assert (story.finish.exit_code, story.finish.mttr_s) == (Exit.FAILED, None)
    assert story.finish.total_s > 2400


def test_healthy_but_still_cordoned_is_not_recovered() -> None:
    story = healing()
    story._changes = [change for change in story._changes if change[0] < 400]
    story.run()
    assert story.stage("recover").status == "timeout"
    assert "still cordoned" in story.stage("recover").reason


def test_a_node_cordoned_before_the_incident_recovers_without_being_uncordoned() -> None:
    story = Story(CHAIN)
    story.world.patch(story.world.resources.named("nodes"), NODE, "", {"spec": {"unschedulable": True}})
    for time, change in healing()._changes:
        story.at(f"{time * 1000:.0f}ms", change)
    story.at("402001ms", node_patch(spec={"unschedulable": True})).run()
    assert story.stage("recover").status == "pass"


def test_unreachable_from_the_start_ends_blind_and_never_met() -> None:
    story = Story(CHAIN).at("0s", blind(Unreachable("connection refused", hint="kubectl cluster-info"))).run()
    assert story.stages[:2] == ["preflight pass 0.0", "detect blind 120.0"]
    assert story.finish.verdict == "BLIND at detect"
    assert story.finish.exit_code == Exit.BLIND
    # Once when the wait had been blind for a minute, once when the stage was given up.
    assert story.hooks == ["ready", "run-blind", "run-blind", "collect", "run-done"]
    assert not any(watch.state == "met" for watch in story.of(Watch))
    assert "connection refused" in story.stage("detect").reason
    assert "kubectl cluster-info" in story.stage("detect").reason


def test_a_forbidden_resource_blinds_only_the_clauses_that_need_it() -> None:
    story = healing().at("0s", blind(Forbidden("rebootnodes is forbidden"), resource="rebootnodes")).run()
    assert story.stage("drain").status == "pass"
    assert story.stage("remediate").status == "blind"
    assert "forbidden" in story.stage("remediate").reason


def test_blindness_that_ends_is_forgotten() -> None:
    story = healing()
    undo: list[object] = []

    async def fail(request: object) -> None:
        raise Unreachable("connection refused")

    story.at(
        "20s", lambda world: undo.append(world.react(fail)), lambda world: world.cut(lambda r: True, lambda r: None)
    )
    story.at("100s", lambda world: undo[0]())  # type: ignore[operator]
    story.run()
    assert story.finish.verdict == "PASSED"
    assert any(watch.state == "blind" for watch in story.of(Watch))


def test_a_deleted_node_ends_the_run_at_once() -> None:
    story = healing().at("20s", delete_node)
    story._changes = [change for change in story._changes if change[0] < 300]
    story.run()
    assert story.stage("recover").status == "fail"
    assert story.stage("recover").reason == f"node {NODE} was deleted"
    assert story.finish.total_s < 30


def new_node(world: World) -> object:
    """The node is deleted, and a sound one of that name joins before anybody has had a turn."""
    nodes = world.resources.named("nodes")
    sound = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    world.delete(nodes, NODE)
    return world.create(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {}, "status": {"conditions": [sound]}}
    )


SHORT = """
stages:
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError, errorCode: "79"}]
  - id: drain
    watch: [{kind: nvsentinel-state, state: drain-succeeded}]
    hook: drained
  - id: recover
    watch: [{kind: node-condition, type: SysLogsXIDError, status: "False"}]
"""


def replaced(*, action: int = 24) -> Story:
    """A drained node in whose place comes a new one with its name."""
    story = Story(SHORT).at("0s", condition("SysLogsXIDError", code="79"))
    return story.at("5s", quarantine(action=action), label("drain-succeeded")).at("20s", new_node)


def test_a_new_node_under_the_same_name_is_no_recovery() -> None:
    story = replaced().run()
    assert story.stage("recover").status == "fail"
    assert story.stage("recover").reason.startswith(
        f"node {NODE} was deleted, and a new one with its name joined at 2026-"
    )
    assert story.finish.verdict == "FAILED at recover"
    assert story.finish.total_s < 30


def test_a_new_node_that_came_while_a_hook_ran_is_no_recovery() -> None:
    story = replaced().process("drained", takes_s=25).run()
    assert story.finish.verdict == "FAILED at recover"


def test_a_node_whose_replacement_was_ordered_may_come_under_the_same_name_and_that_is_said() -> None:
    story = replaced(action=25).run()
    assert story.finish.verdict == "PASSED"
    details = [watch.detail for watch in story.of(Watch) if watch.state == "met" and watch.stage == "recover"]
    assert "a new node has the name, as the replacement was ordered" in " ".join(details)


def test_a_node_that_does_not_exist_is_said_at_once() -> None:
    story = Story(CHAIN, node="gpu-node-l").run()
    assert story.stage("detect").reason == "there is no node gpu-node-l in this cluster"
    assert story.finish.total_s < 1


def test_no_target_node_is_blind_not_absent() -> None:
    story = Story(CHAIN, node="").run()
    assert story.stage("detect").status == "blind"
    assert "no target node is known" in story.stage("detect").reason


@pytest.mark.parametrize(
    ("state", "stage"), [("drain-failed", "drain"), ("remediation-failed", "remediate")], ids=["drain", "remediation"]
)
def test_a_terminal_label_ends_the_stage_without_waiting(state: str, stage: str) -> None:
    story = Story(CHAIN)
    for time, change in healing()._changes:
        if time < 10:
            story.at(f"{time * 1000:.0f}ms", change)
    story.at("10s", label(state)).run()
    assert story.stage(stage).status == "fail"
    assert state in story.stage(stage).reason
    assert "RESTART_BM" in story.stage(stage).reason
    assert story.finish.total_s < 11
    assert story.hooks.count("run-failed") == 1


def test_yesterdays_reboot_of_the_node_and_todays_of_another_prove_nothing() -> None:
    story = healing()
    story._changes = [change for change in story._changes if change[0] < 10.1]
    story.world.create(
        {
            "apiVersion": "janitor.dgxc.nvidia.com/v1alpha1",
            "kind": "RebootNode",
            "metadata": {"name": f"maintenance-{NODE}-{'a' * 24}", "creationTimestamp": "2026-08-20T09:00:00Z"},
            "spec": {"nodeName": NODE},
        }
    )
    story.at("5s", reboot("b" * 24, node="gpu-node-2")).at("11s", label("remediating")).run()
    assert story.stage("remediate").status == "timeout"
    assert "(1 older)" in story.stage("remediate").reason


def test_a_late_start_passes_on_what_later_traces_prove_and_says_inferred() -> None:
    story = Story(CHAIN).since(900)
    nodes = story.world.resources.named("nodes")
    story.world.patch(
        nodes,
        NODE,
        "",
        {
            "metadata": {
                "labels": {"dgxc.nvidia.com/nvsentinel-state": "remediation-succeeded"},
                "annotations": {
                    "quarantineHealthEvent": '[{"checkName":"SysLogsXIDError","errorCode":["79"],'
                    f'"id":"{"c" * 24}","generatedTimestamp":{{"seconds":{int(T0) - 600},"nanos":0}}}}]'
                },
            },
            "spec": {"unschedulable": True},
        },
    )
    reboot("c" * 24)(story.world)
    condition("SysLogsXIDError", "False", since=T0 - 60)(story.world)
    story.at("30s", release()).run()
    assert story.stage("detect").inferred
    assert not story.stage("drain").inferred
    assert story.finish.verdict == "PASSED"
    assert story.finish.mttr_s == pytest.approx(630.0)


HOLD = """
stages:
  - id: detect
    watch:
      - CLAUSE
"""


def one_clause(clause: str) -> Story:
    return Story(HOLD.replace("CLAUSE", clause))


def test_for_counts_only_an_unbroken_time() -> None:
    story = one_clause("{kind: node-condition, type: Hot, for: 10s}")
    story.at("1s", condition("Hot")).at("8s", condition("Hot", "False")).at("20s", condition("Hot")).run()
    assert story.stages == ["detect pass 30.0"]


def test_absent_is_met_only_by_a_look_that_found_nothing() -> None:
    story = one_clause("{kind: taint, key: broken, absent: true}")
    story.world.patch(
        story.world.resources.named("nodes"),
        NODE,
        "",
        {"spec": {"taints": [{"key": "broken", "effect": "NoSchedule"}]}},
    )
    story.at("7s", node_patch(spec={"taints": None})).run()
    assert story.stages == ["detect pass 7.0"]
    unseen = one_clause("{kind: taint, key: broken, absent: true}").at("0s", blind(Forbidden("no"))).run()
    assert unseen.stage("detect").status == "blind"


def test_any_of_takes_the_first_that_holds_and_is_blind_before_it_is_unmet() -> None:
    clause = "{anyOf: [{kind: node-condition, type: A}, {kind: node-event, reason: Bad}]}"
    story = one_clause(clause).at("0s", blind(Forbidden("no events"), resource="events")).at("4s", condition("A")).run()
    assert story.stages == ["detect pass 4.0"]
    never = one_clause(clause).at("0s", blind(Forbidden("no events"), resource="events")).run()
    assert never.stage("detect").status == "blind"


def test_clauses_of_recover_must_hold_together() -> None:
    body = """
stages:
  - id: recover
    watch:
      - {kind: node, field: metadata.labels.a, expect: "1"}
      - {kind: node, field: metadata.labels.b, expect: "1"}
"""
    story = Story(body).at("1s", node_patch(metadata={"labels": {"a": "1"}}))
    story.at("2s", node_patch(metadata={"labels": {"a": "0", "b": "1"}}))
    story.at("9s", node_patch(metadata={"labels": {"a": "1"}})).run()
    assert story.stages == ["recover pass 9.0"]


def test_a_log_line_is_remembered_even_if_it_comes_before_its_stage() -> None:
    body = """
stages:
  - id: detect
    watch: [{kind: node-condition, type: A}]
  - id: recover
    watch: [{kind: training-log, pod: train-0, namespace: ml, pattern: "step \\\\d+"}]
"""
    story = Story(body)
    story.world.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "train-0", "namespace": "ml"},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running"},
        }
    )
    story.at("1s", lambda world: world.logs.append("ml", "train-0", "step 7 loss 0.1"))
    story.at("5s", condition("A")).at("6s", condition("A", "False")).run()
    assert story.stage("recover").status == "pass"
    assert story.finish.total_s == pytest.approx(6.0)


def test_a_pattern_that_never_ends_blinds_its_clause_and_nothing_else() -> None:
    body = """
stages:
  - id: detect
    timeout: 30s
    watch:
      - {kind: log, selector: app=x, namespace: ml, pattern: "(a+)+$"}
      - {kind: log, selector: app=x, namespace: ml, pattern: "hello"}
"""
    story = Story(body)
    pod = {"metadata": {"name": "train-0", "namespace": "ml", "labels": {"app": "x"}}, "status": {"phase": "Running"}}
    story.world.create({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "main"}]}, **pod})
    story.at("1s", lambda world: world.logs.append("ml", "train-0", "a" * 5000 + "!"))
    story.at("2s", lambda world: world.logs.append("ml", "train-0", "hello")).run()
    assert story.stages == ["detect blind 30.0"]
    assert "the pattern takes too long on one line" in story.stage("detect").reason
    assert "story.yaml:" in story.stage("detect").reason
    watched = [e for e in story.events if getattr(e.body, "event", "") == "watch" and e.body.state == "met"]
    assert [e.body.text for e in watched] == ["log of ml/app=x matches /hello/"]


def test_a_search_is_bounded_and_its_timer_is_put_away() -> None:
    with pytest.raises(TooSlow):
        search("(a+)+$", "a" * 8192 + "!", limit_s=0.05)
    assert search("b$", "aaab")
    assert not search("c", "aaab")
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL


PREREQUISITES = """
prerequisites:
  - {name: quarantine runs, check: "get pods", expect: "EXPECT"}
hooks: {onFailure: run-failed}
stages:
  - id: preflight
    hook: ready
    hooks: {onFailure: not-ready}
  - id: postmortem
    action: {script: collect}
"""


@pytest.mark.parametrize(
    ("expect", "output", "good"),
    [
        ("Running", "a Running\n", True),
        ("Running", "a Pending\n", False),
        (">=2", "3\n", True),
        (">=2", "1\n", False),
        ("==0", "0 pods\n", True),
        ("<=2", "3\n", False),
        (">=1", "none\n", False),
        ("", "whatever\n", True),
    ],
)
def test_prerequisites_are_really_checked(expect: str, output: str, good: bool) -> None:
    story = Story(PREREQUISITES.replace("EXPECT", expect)).process("get pods", output=output).run()
    assert [p.ok for p in story.of(Prerequisite)] == [good]
    assert story.stage("preflight").status == ("pass" if good else "fail")
    assert ("ready" in story.hooks, "not-ready" in story.hooks) == (good, not good)
    assert "collect" in story.hooks
    assert story.finish.exit_code == (Exit.DONE if good else Exit.FAILED)
    if not good:
        assert output.strip() in story.stage("preflight").reason


def test_a_prerequisite_that_fails_where_nothing_can_be_seen_is_blind_not_failed() -> None:
    story = Story(PREREQUISITES.replace("EXPECT", "Running")).process("get pods", exit_codes=(1,))
    story.at("0s", blind(Unreachable("connection refused"))).run()
    assert story.stage("preflight").status == "blind"
    assert story.finish.exit_code == Exit.BLIND


def test_prerequisites_without_a_preflight_stage_get_one() -> None:
    body = (
        "prerequisites: [{name: x, check: probe}]\nstages: [{id: detect, watch: [{kind: node-condition, type: A}]}]\n"
    )
    story = Story(body).process("probe", exit_codes=(1,), output="no route").run()
    assert story.stages == ["preflight fail 0.0", "detect skipped 0.0"]
    assert "no route" in story.stage("preflight").reason


ACTION = """
stages:
  - id: detect
    action: {script: act, args: ["$NVSX_TARGET_NODE", "${NVSX_STAGE}", "$NVSX_STAGED", "$HOME"]}
    expect: ["done"]
    timeout: 10s
    hook: good
    hooks: {onFailure: bad, onTimeout: late, finally: always}
    retry: {attempts: 2, backoff: 1s}
"""


@pytest.mark.parametrize(
    ("process", "status", "hooks"),
    [
        ({"output": "all done"}, "pass", ["act", "good", "always"]),
        ({"output": "all do"}, "fail", ["act", "bad", "always"]),
        ({"output": "done", "exit_codes": (7,)}, "fail", ["act", "act", "bad", "always"]),
        ({"output": "done", "exit_codes": (7, 0)}, "pass", ["act", "act", "good", "always"]),
        ({"output": "done", "takes_s": 60}, "timeout", ["act", "late", "always"]),
    ],
    ids=["passes", "expect-missing", "fails-twice", "second-attempt", "too-slow"],
)
def test_an_actions_outcome_decides_the_stage_and_its_hooks(process: dict, status: str, hooks: list[str]) -> None:
    story = Story(ACTION).process("act", **process).run()
    assert story.stage("detect").status == status
    assert story.hooks == hooks


def test_a_hook_that_fails_thrice_leaves_the_stage_passed_and_the_run_failed() -> None:
    body = CHAIN.replace("hook: recovered", "hook: recovered\n    retry: {attempts: 3, backoff: 2s}")
    story = healing(body).process("recovered", exit_codes=(1,)).run()
    assert story.stage("recover").status == "pass"
    assert story.finish.verdict == "PASSED, 1 HOOK FAILED"
    assert (story.finish.exit_code, story.finish.hooks_failed, story.finish.ok) == (Exit.FAILED, 1, False)
    attempts = [one for one in story.started if one.script == "recovered"]
    assert [one.env["NVSX_ATTEMPT"] for one in attempts] == ["1", "2", "3"]
    assert len({one.env["NVSX_IDEMPOTENCY_KEY"] for one in attempts}) == 1
    assert [b.at - a.at for a, b in pairwise(attempts)] == pytest.approx([2.0, 4.0])
    assert story.hooks.count("run-failed") == 1


def test_exit_status_78_is_not_configured_and_no_failure() -> None:
    story = healing().process("recovered", exit_codes=(78,)).run()
    outcomes = [hook.outcome for hook in story.of(Hook) if hook.script == "recovered" and hook.phase == "end"]
    assert outcomes == ["not_configured"]
    assert story.finish.exit_code == Exit.DONE


def test_what_a_hook_puts_out_is_seen_by_later_hooks_and_journalled() -> None:
    story = healing().process("detected", writes="ticket=GPU-7\nnot a pair\n9bad=x\n").run()
    assert story.env("recovered")["NVSX_OUT_DETECT_TICKET"] == "GPU-7"
    ended = [entry for entry in story.journal.entries if isinstance(entry, EffectEnded) and entry.outputs]
    assert [entry.outputs for entry in ended] == [{"NVSX_OUT_DETECT_TICKET": "GPU-7"}]


def test_hooks_get_reads_and_actions_get_writes() -> None:
    story = healing().run()
    assert story.env("recovered")["PATH"].startswith("/read:")
    assert story.env("collect")["PATH"].startswith("/write:")


def test_every_effect_is_journalled_before_it_starts_and_after_it_ends() -> None:
    story = healing().run()
    entries = [e for e in story.journal.entries if isinstance(e, EffectIntended | EffectEnded)]
    assert len(entries) == 2 * len(story.started)
    assert all(
        isinstance(a, EffectIntended) and a.key == b.key for a, b in zip(entries[::2], entries[1::2], strict=True)
    )
    assert isinstance(story.journal.entries[-1], RunEnded)


def test_an_effect_that_cannot_be_journalled_does_not_start() -> None:
    story = healing()

    class FullDisk:
        async def append(self, entry: object) -> None:
            if isinstance(entry, EffectIntended) and entry.script == "recovered":
                raise OSError("No space left on device")

    story.journal = FullDisk()  # type: ignore[assignment]
    story.run()
    assert "recovered" not in [one.script for one in story.started]
    assert story.finish.hooks_failed == 1


def test_a_sink_that_breaks_does_not_touch_the_run() -> None:
    story = healing()
    seen = story.events

    def emit(event: object) -> None:
        seen.append(event)  # type: ignore[arg-type]
        raise BrokenPipeError

    story.emit = emit  # type: ignore[method-assign]
    story.run()
    assert story.finish.verdict == "PASSED"


def test_reminders_come_after_1_5_15_minutes_then_each_hour() -> None:
    story = healing()
    story._changes = [change for change in story._changes if change[0] < 9]
    story.run()
    assert [one.at - 3 for one in story.started if one.script == "remind"][:5] == pytest.approx(
        [60, 300, 900, 3600, 7200]
    )
    assert "drain-succeeded" in story.env("remind")["NVSX_WAITING_FOR"]
    assert story.of(Note)[0].text.startswith("drain has waited 1m00s of at most 1d0h for: ")
    assert story.stage("drain").status == "timeout"
    assert story.stage("drain").elapsed_s == pytest.approx(86400)


def test_dwell_waits_only_when_somebody_watches() -> None:
    body = CHAIN.replace("hook: recovered", "hook: recovered\n    dwell: 30s")
    assert healing(body).run().finish.total_s == pytest.approx(402.0)
    shown = Story(body, dwell=True)
    shown._changes = healing()._changes
    assert shown.run().finish.total_s == pytest.approx(432.0)


def test_narration_speaks_in_the_past_tense_with_true_values() -> None:
    body = CHAIN + 'narration: {recover: "{{targetAlias}} back after {{incidentElapsed}} ({{elapsed}})"}\n'
    story = healing(body).run()
    texts = [note.text for note in story.of(Note) if note.topic == "narration"]
    assert texts == ["brave-gazelle back after 6m40s (6m32s)"]
    story = healing(body)
    story._changes = story._changes[:2]
    assert not [note for note in story.run().of(Note) if note.topic == "narration"]


@pytest.mark.parametrize(
    ("time", "stage"),
    [("1s", "detect"), ("2500ms", "quarantine"), ("5s", "drain"), ("10102ms", "remediate"), ("50s", "recover")],
)
def test_an_interrupt_ends_the_stage_and_still_runs_the_postmortem(time: str, stage: str) -> None:
    story = healing().interrupt_at(time).run()
    assert story.stage(stage).status == "interrupted"
    assert story.stage("postmortem").status == "pass"
    assert story.finish.status == "interrupted"
    assert story.finish.exit_code == Exit.INTERRUPTED
    assert len(story.stages) == 7
    assert story.finish.reason == f"during {stage}"
    assert "run-failed" not in story.hooks


def test_an_interrupt_during_a_hook_ends_the_hook() -> None:
    story = healing().process("ready", takes_s=20).interrupt_at("1s").run()
    ended = [hook for hook in story.of(Hook) if hook.script == "ready" and hook.phase == "end"]
    assert [(hook.outcome, hook.detail) for hook in ended] == [("failed", "ended because the run was interrupted")]
    assert story.finish.exit_code == Exit.INTERRUPTED
    assert "collect" in story.hooks


def test_a_second_interrupt_gives_up_the_postmortem() -> None:
    story = healing().process("collect", takes_s=100).interrupt_at("1s", "20s").run()
    assert story.stage("postmortem").status == "interrupted"
    assert story.finish.total_s == pytest.approx(20.0)


def test_drill_stages_run_in_a_drill_only() -> None:
    body = (
        "stages: [{id: inject, action: {script: break-it}}, {id: detect, watch: [{kind: node-condition, type: A}]}]\n"
    )
    story = Story(body).at("1s", condition("A")).run()
    assert story.stages == ["inject skipped 0.0", "detect pass 1.0"]
    assert story.hooks == []
    drill = Story(body, drill=True).at("1s", condition("A")).run()
    assert drill.stages == ["inject pass 0.0", "detect pass 1.0"]
    assert drill.env("break-it")["NVSX_DRILL"] == "1"


def test_a_failed_postmortem_makes_the_exit_code_1_and_is_named() -> None:
    story = healing().process("collect", exit_codes=(2,)).run()
    assert story.finish.verdict == "PASSED, POSTMORTEM FAILED"
    assert story.finish.exit_code == Exit.FAILED
    assert story.finish.mttr_s == pytest.approx(400.0)


def test_arguments_expand_by_whole_name() -> None:
    from nvsx.engine.environment import expand

    values = {"NVSX_STAGE": "drain", "NVSX_TARGET_NODE": "n"}
    assert expand("$NVSX_STAGE/${NVSX_STAGE}x $NVSX_STAGE_DIR $HOMEPAGE ${HOME}", values) == (
        "drain/drainx $NVSX_STAGE_DIR $HOMEPAGE ${HOME}"
    )
