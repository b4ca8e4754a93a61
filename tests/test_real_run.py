"""`nvsx run` of the built archive on the simulator's API server through the real kubectl, from fault to recovery."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nvsx.ledger import Ledger
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from pathlib import Path

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl on PATH")
SPEED = 40.0

COUNTING = """#!/bin/sh
case $PATH in *guard-*) who=script ;; *) who=nvsx ;; esac
printf '%s %s\\n' "$who" "$*" >>'LOG'
exec 'KUBECTL' "$@"
"""
"""A kubectl that notes who called it (a guard stands before scripts only) and how, then is the real one."""


class Ran(NamedTuple):
    code: int
    events: list[dict[str, Any]]
    text: str
    calls: list[str]  # nvsx's own
    script_calls: list[str]


def run(pyz: Path, home: Path, kube: KubeServer, *arguments: str) -> Ran:
    programs, log = home / "programs", home / "calls"
    programs.mkdir()
    wrapper = programs / "kubectl"
    wrapper.write_text(COUNTING.replace("LOG", str(log)).replace("KUBECTL", str(KUBECTL)))
    wrapper.chmod(0o700)
    env = kube.env
    env |= {"PATH": f"{programs}:{env['PATH']}", "NVSX_STATE_DIR": str(home / "state"), "LC_ALL": "C.UTF-8"}
    command = [str(pyz), "run", *arguments]
    done = subprocess.run(
        command, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    calls = log.read_text().splitlines()
    return Ran(
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        done.stderr,
        [call.removeprefix("nvsx ") for call in calls if call.startswith("nvsx ")],
        [call.removeprefix("script ") for call in calls if call.startswith("script ")],
    )


def check_calls(calls: list[str]) -> None:
    """Reads only: the context, the cluster's identity, and for each resource a list and a watch; eight in all."""
    assert all(call.startswith(("get --raw /", "config view ")) for call in calls), calls
    starts = Counter(call.partition("?")[0] for call in calls if "?" in call)
    watches = Counter(call.partition("?")[0] for call in calls if "watch=1" in call)
    assert set(watches.values()) == {1}, "one long-lived process a resource"
    assert all(count <= 2 for count in starts.values()), calls
    assert len(calls) <= 8, calls


def test_the_flagship_with_a_list_and_a_watch_for_each_resource(pyz: Path, tmp_path: Path) -> None:
    with KubeServer("xid-79", tmp_path, speed=SPEED) as kube:
        kube.play()
        ran = run(pyz, tmp_path, kube, "gpu-off-bus", "--target-node", kube.director.node, "--no-dwell")
    assert ran.code == 0, ran.text
    finish = ran.events[-1]
    assert finish["ok"]
    assert finish["nvsx_cluster_writes"] == 0
    stages = {event["stage"]: event["status"] for event in ran.events if event["event"] == "stage_end"}
    assert set(stages.values()) == {"pass"}
    check_calls(ran.calls)
    assert ran.script_calls, "the runbook's own scripts looked at the cluster, too"
    reader = Ledger.reader(tmp_path / "state")
    assert reader is not None
    assert reader.cursor("pruned"), "a bastion without a daemon forgets what is old, too"
    reader.close()
