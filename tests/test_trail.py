"""The trail: what a run tells of NVSentinel's chain, whatever its stages wait for, and never what was not seen."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nvsx.errors import Unreachable
from nvsx.events import Chain, RunEvent, from_wire, to_wire
from nvsx.sinks.text import TextLines
from tests.story import NODE, T0, Story, blind, condition, label, node_patch, quarantine, reboot, release
from tests.test_stories import healing

LITTLE_WATCHED = """
stages:
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError}]
  - id: recover
    watch: [{kind: node-condition, type: Ready}]
"""


def chain(story: Story) -> list[Chain]:
    return [event.body for event in story.events if isinstance(event.body, Chain)]


def short(story: Story) -> list[tuple[str, str, str]]:
    return [(told.topic, told.text, told.tone) for told in chain(story)]


def test_a_run_that_watches_little_tells_the_whole_chain() -> None:
    story = healing(LITTLE_WATCHED)
    story.at("100s", condition("Ready", "Unknown"), node_patch(status={"nodeInfo": {"bootID": "boot-a"}}))
    story.at("300s", condition("Ready", "True"), node_patch(status={"nodeInfo": {"bootID": "boot-b"}}))
    story.run()
    assert short(story) == [
        ("condition", "SysLogsXIDError=True, error code 79, RESTART_BM", "bad"),
        ("cordon", "cordoned by NVSentinel", "bad"),
        ("state", "quarantined", "work"),
        ("state", "draining", "work"),
        ("state", "drain-succeeded", "work"),
        ("state", "remediating", "work"),
        ("repair", "RebootNode SignalSent=absent", "work"),
        ("state", "remediation-succeeded", "work"),
        ("node", "Ready=Unknown (KubeletReady)", "bad"),
        ("node", "booted anew (boot ID boot-a)", "work"),
        ("node", "Ready=True", "good"),
        ("node", "booted anew (boot ID boot-b)", "work"),
        ("condition", "SysLogsXIDError=False", "good"),
        ("cordon", "can be scheduled again, by NVSentinel", "good"),
        ("recovery", "NVSentinel released the node, and the fault is gone", "good"),
    ]


def test_each_change_has_the_moment_at_which_it_was_seen() -> None:
    story = healing()
    story.run()
    at = {told.text: told.at - T0 for told in chain(story)}
    assert at["draining"] == pytest.approx(4, abs=0.1)
    assert at["RebootNode SignalSent=absent"] == pytest.approx(10.105, abs=0.1)
    assert at["SysLogsXIDError=False"] == pytest.approx(390, abs=0.1)


def test_what_was_there_before_has_the_clusters_time_or_none() -> None:
    story = Story(LITTLE_WATCHED).at(
        "0s", condition("SysLogsXIDError", code="79", since=T0 - 600), quarantine(at=T0 - 600), label("draining")
    )
    story.at("2s", condition("SysLogsXIDError", "False"), release())
    story.run()
    first = {told.text: told for told in chain(story)}
    assert first["SysLogsXIDError=True, error code 79, RESTART_BM"].at == T0 - 600
    assert first["draining"].at == 0.0


def test_a_healthy_node_tells_nothing() -> None:
    story = Story(LITTLE_WATCHED)
    story.run()
    assert chain(story) == []


def test_taints_of_the_cluster_itself_are_not_the_chains() -> None:
    usual = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    kubernetes = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    applied = {"key": "nvidia.com/gpu-error", "value": "fatal", "effect": "NoSchedule"}
    story = healing(LITTLE_WATCHED)
    story.at("0s", node_patch(spec={"taints": [usual]}))
    story.at("3100ms", node_patch(spec={"taints": [usual, kubernetes, applied]}))
    story.at("401s", node_patch(spec={"taints": [usual]}))
    story.run()
    assert [(told.subject, told.text) for told in chain(story) if told.topic == "taint"] == [
        ("nvidia.com/gpu-error", "nvidia.com/gpu-error=fatal:NoSchedule"),
        ("nvidia.com/gpu-error", "nvidia.com/gpu-error is gone"),
    ]


def test_blindness_ends_the_telling_and_is_told_itself() -> None:
    story = healing(LITTLE_WATCHED)
    story.at("5s", blind(Unreachable("connection refused")))
    story.run()
    told = short(story)
    assert told[-1] == ("sight", "cannot look: connection refused", "blind")
    assert ("state", "drain-succeeded", "work") not in told


@pytest.mark.parametrize("verbose", [False, True])
def test_the_text_tells_all_of_it_on_demand_and_that_people_must_come_always(verbose: bool) -> None:
    story = Story(LITTLE_WATCHED)
    story.at("1s", condition("SysLogsXIDError", code="79"), quarantine(at=T0 + 1))
    story.at("2s", label("drain-failed"))
    story.run()
    lines = TextLines(verbose=verbose, table=False)
    text = "\n".join(line for event in story.events for line in lines.draw(event))
    assert "people: the drain failed, and nothing follows by itself" in text
    assert ("state: drain-failed" in text) is verbose


def test_on_the_wire_it_is_valid_and_comes_back_whole() -> None:
    schema = json.loads((Path(__file__).parent.parent / "schemas/event.schema.json").read_text("utf-8"))
    story = healing()
    story.run()
    told = [event for event in story.events if isinstance(event.body, Chain)]
    assert told
    for event in told:
        wire = to_wire(event)
        jsonschema.validate(wire, schema)
        back = from_wire(json.loads(json.dumps(wire)))
        assert isinstance(back, RunEvent)
        assert to_wire(back) == wire


def test_the_pods_of_a_drain_are_named_where_the_run_sees_the_nodes_events() -> None:
    def waits(world):  # type: ignore[no-untyped-def]
        return world.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{NODE}-x1", "namespace": "default"},
                "involvedObject": {"kind": "Node", "name": NODE},
                "type": "NodeDraining",
                "reason": "AwaitingPodCompletion",
                "message": "Waiting for following pods to finish: [default/train-0]",
                "lastTimestamp": "2026-08-21T10:00:05Z",
            }
        )

    watching = "  - id: drain\n    watch: [{kind: node-event, reason: AwaitingPodCompletion}]\n"
    for body, expected in (
        (LITTLE_WATCHED.replace("  - id: recover", watching + "  - id: recover"), ["waits for default/train-0"]),
        (LITTLE_WATCHED, []),
    ):
        story = healing(body).at("5s", waits)
        story.run()
        assert [told.text for told in chain(story) if told.topic == "drain"] == expected


def test_maintenance_objects_keep_their_own_time() -> None:
    story = healing(LITTLE_WATCHED).at("0s", reboot("0123456789abcdef01234567", node="another-node"))
    story.run()
    (repair,) = [told for told in chain(story) if told.topic == "repair"]
    assert repair.subject == f"maintenance-{NODE}-66f0a1b2c3d4e5f601020304"
    assert repair.since == int(T0 + 10)
