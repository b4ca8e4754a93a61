"""The flagship runbook with its real hooks on the simulated chain: the good day and the bad ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from nvsx import documents
from nvsx.app.rehearsal import simulation
from nvsx.app.scripts import ProjectScripts
from nvsx.catalog import Catalog
from nvsx.clock import SimulatedClock
from nvsx.errors import Exit
from tests.rehearsing import CHECKOUT, START, Told, project, rehearse_runbook

STAGES = ["preflight", "detect", "quarantine", "drain", "remediate", "recover", "postmortem"]


@pytest.fixture(scope="module")
def event_schema() -> dict:
    return json.loads((CHECKOUT / "schemas/event.schema.json").read_text())


def assert_lines_validate(wire: list[dict], schema: dict) -> None:
    for line in wire:
        text = json.dumps(line)
        assert not documents.problems(documents.read_yaml(text, "event"), schema), text


@pytest.mark.parametrize("seed", range(4))
def test_the_good_day(tmp_path: Path, event_schema: dict, seed: int) -> None:
    told = rehearse_runbook(tmp_path, seed=seed)
    assert told.rehearsed is not None
    director = told.rehearsed.director
    assert list(told.statuses.items()) == [(stage, "pass") for stage in STAGES]
    assert told.finish.verdict == "PASSED"
    # The true time to repair is the scenario's own: from the fault as the monitor saw it to NVSentinel's release.
    released = next(
        e.t for e in told.events if getattr(e.body, "text", "").startswith("node released") and e.body.state == "met"
    )
    assert told.finish.mttr_s == pytest.approx(released - director.fault_time, abs=0.05)
    assert [name for name, outcome in told.hooks() if outcome != "ok"] == []
    assert_lines_validate(told.wire, event_schema)
    assert [line["seq"] for line in told.wire] == list(range(len(told.wire)))


def test_the_page_that_is_opened_is_the_page_that_is_resolved(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path)
    assert told.rehearsed is not None
    pages = [json.loads(m.body) for m in told.rehearsed.messages if "pagerduty" in m.url]
    assert [page["event_action"] for page in pages] == ["trigger", "resolve"]
    assert {page["dedup_key"] for page in pages} == {told.finish.incident_key}


def test_the_evidence_is_collected_with_few_calls(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path)
    artifacts = Path(told.finish.artifact_dir)
    names = {path.name for path in artifacts.iterdir()}
    assert {"node.json", "node-events.json", "reboots.json", "components.log", "health-event.txt", "run.json"} <= names
    assert told.finish.artifact_count == len(names)
    node = json.loads((artifacts / "node.json").read_text())
    assert node["metadata"]["name"] == told.rehearsed.director.node  # type: ignore[union-attr]
    assert "failed" not in (artifacts / "collect.log").read_text()
    assert "79" in (artifacts / "health-event.txt").read_text()
    calls = (artifacts / "collect.log").read_text().splitlines()
    assert len(calls) == 8


def test_a_node_that_never_recovers(tmp_path: Path, event_schema: dict) -> None:
    told = rehearse_runbook(tmp_path, scenario="never-recovers")
    assert told.statuses["recover"] == "fail"
    assert "NodeReady=False (Timeout)" in told.finish.reason
    assert told.statuses["postmortem"] == "pass"
    assert told.finish.exit_code == Exit.FAILED
    assert told.hooks().count(("onFailure", "ok")) == 1
    assert told.rehearsed is not None
    said = " ".join(message.body for message in told.rehearsed.messages)
    assert "back in service" not in said
    assert '"resolve"' not in said
    assert_lines_validate(told.wire, event_schema)


def test_a_reader_that_fails_throughout(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, scenario="unreachable")
    # The prerequisites fail as well, but a check through the same dead API server says nothing of the cluster.
    assert told.statuses["preflight"] == "blind"
    assert told.finish.verdict.startswith("BLIND at preflight")
    assert told.finish.exit_code == Exit.BLIND
    assert told.hooks()[0] == ("onBlind", "ok")
    assert not any(line.get("state") == "met" for line in told.wire)


def test_a_hook_that_fails_thrice(tmp_path: Path) -> None:
    text = """\
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine, nickname: calm-otter, title: Mine}
hooks: {onFailure: fail.sh}
stages:
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError}]
    hook: bad.sh
    retry: {attempts: 3, backoff: 10ms}
"""
    root = project(tmp_path / "root", text, {"bad.sh": "echo try $NVSX_ATTEMPT; exit 1", "fail.sh": "echo told"})
    base = tmp_path / "base"
    base.mkdir()
    told = rehearse_runbook(base, root=root, runbook="mine")
    assert told.finish.verdict == "PASSED, 1 HOOK FAILED"
    assert told.finish.exit_code == Exit.FAILED
    assert told.hooks() == [("onSuccess", "failed")] * 3 + [("onFailure", "ok")]
    assert [line for line in told.output().splitlines() if "try" in line] == ["try 1", "try 2", "try 3"]


def test_a_hook_that_writes_is_refused_and_an_action_that_writes_is_counted(tmp_path: Path) -> None:
    text = """\
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine, nickname: calm-otter, title: Mine}
stages:
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError}]
    hook: write.sh
  - id: postmortem
    action: {script: runbooks/label.sh, args: ["$NVSX_TARGET_NODE"]}
"""
    hooks = {
        "write.sh": 'kubectl -n default delete node "$NVSX_TARGET_NODE"; echo "status $?"; kubectl get nodes -o name',
        "label.sh": 'kubectl label node "$1" reviewed=yes',
    }
    root = project(tmp_path / "root", text, hooks)
    base = tmp_path / "base"
    base.mkdir()
    told = rehearse_runbook(base, root=root, runbook="mine")
    finish = told.finish
    assert (finish.nvsx_cluster_writes, finish.action_cluster_writes, finish.refused_cluster_writes) == (0, 1, 1)
    assert "status 77" in told.output()
    assert "action.script" in told.output()
    assert told.rehearsed is not None
    world = told.rehearsed.director.world
    node = world.get(world.resources.named("nodes"), told.rehearsed.director.node)
    assert node["metadata"]["labels"]["reviewed"] == "yes"


def test_a_secret_never_shows(tmp_path: Path) -> None:
    text = """\
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine, nickname: calm-otter, title: Mine}
stages:
  - id: preflight
    hook: leak.sh
"""
    root = project(tmp_path / "root", text, {"leak.sh": 'printf "a sec"; sleep 0.01; echo "ret-value-123 b"'})
    told = Told()
    clock = SimulatedClock(start=START)
    rehearsal = simulation.Rehearsal(
        runbook=Catalog(root).load("mine"),
        scenario="quiet",
        base=tmp_path,
        root=root,
        environment={"PATH": "/usr/bin:/bin"},
        secrets=frozenset({"secret-value-123"}),
    )
    clock.run(
        simulation.rehearse(rehearsal, clock=clock, sink=told, scripts=ProjectScripts(root), rng=random.Random(1))
    )
    assert "secret-value-123" not in json.dumps(told.wire)
    assert "a *** b" in told.output()


V02 = """\
apiVersion: nvsx/v1
kind: Runbook
metadata:
  name: mine
  nickname: rogue-moose
  title: "GPU fell off bus → self-heal"
  tags: [infra, nvsentinel, xid, remediation]
  estimatedDuration: 90s
prerequisites:
  - name: nvsentinel-control-plane
    check: "kubectl get pods -n nvsentinel"
    expect: "Running"
stages:
  - id: preflight
    hook: hooks/mine/preflight.sh
  - id: detect
    watch:
      - kind: node-condition
        type: SysLogsXIDError
        status: "True"
  - id: quarantine
    watch:
      - kind: node
        field: spec.unschedulable
        expect: "true"
  - id: remediate
    watch:
      - kind: crd
        group: janitor.dgxc.nvidia.com
        resource: rebootnodes
    hook: hooks/mine/on-remediate.sh
  - id: recover
    watch:
      - kind: node-condition
        type: SysLogsXIDError
        status: "False"
    hook: hooks/mine/on-recover.sh
"""


def test_a_runbook_written_for_v02_loads_and_runs(tmp_path: Path) -> None:
    say = 'set -euo pipefail; echo "$NVSX_STAGE $NVSX_RUNBOOK $NVSX_TARGET_NODE $NVSX_ELAPSED_MS $NVSX_PROJECT_ROOT"'
    hooks = {f"hooks/mine/{name}.sh": say for name in ("preflight", "on-remediate", "on-recover")}
    base = tmp_path / "base"
    base.mkdir()
    root = project(tmp_path / "root", V02, hooks)
    told = rehearse_runbook(base, root=root, runbook="rogue-moose")
    assert set(told.statuses.values()) == {"pass"}
    assert told.finish.verdict == "PASSED"
    assert told.output().count(f"mine {told.rehearsed.director.node}") == 3  # type: ignore[union-attr]
