"""`nvsx doctor` as people start it: real kubectl, real bash, its exit codes, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from nvsx import assets
from nvsx.cluster.verbs import read_only
from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer
from tests.servers.mongo import MongoServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    with KubeServer("quiet", tmp_path_factory.mktemp("kube")) as kube:
        yield kube


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one runbook, so that lint is quick."""
    root = tmp_path_factory.mktemp("small")
    (root / "runbooks/hooks").mkdir(parents=True)
    (root / "runbooks/only.yaml").write_text(RUNBOOK)
    hook = root / "runbooks/hooks/told.sh"
    hook.write_text("#!/bin/sh\n# nvsx: requires SLACK_WEBHOOK_URL\necho told\n")
    hook.chmod(0o755)
    Small.root = root
    return root


class Small:
    root: Path


RUNBOOK = """\
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: only, nickname: bold-newt, title: A runbook}
trigger: {unhandled: true}
prerequisites:
  - {name: janitor, check: kubectl get pods -n "$NVSX_NAMESPACE" -l app.kubernetes.io/name=janitor, expect: Running}
  - {name: nodes, check: kubectl get nodes --no-headers | wc -l, expect: ">=8"}
stages:
  - id: detect
    watch: [{kind: node-condition, type: SysLogsXIDError}]
    hook: hooks/told.sh
"""


def doctor(
    home: Path, env: Mapping[str, str], *words: str, project: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(CHECKOUT),
        "NVSX_STATE_DIR": str(home / "state"), "TMPDIR": str(home), **env,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "nvsx", "doctor", "--project", str(project or Small.root), *words],
        env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, json.loads(assets.text("schemas/doctor.schema.json")))
    assert answer["exit_code"] == done.returncode
    return {check["id"]: check for check in answer["checks"]}


@needs_kubectl
def test_on_a_healthy_cluster_with_reads_only_and_nothing_left_behind(kube: KubeServer, tmp_path: Path) -> None:
    done = doctor(tmp_path, kube.env | {"HOME": str(tmp_path)}, "-v", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = outcomes(done)
    assert {name for name, check in found.items() if check["outcome"] in ("fail", "skip")} == set()
    assert found["prerequisites"]["text"] == "2 prerequisites of 1 runbook met now"
    assert found["rights"]["text"] == "27 of 27 reads allowed"
    started = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("+ kubectl ")]
    for words in started:
        read_only(words[1:])
    assert 20 < len(started) < 50
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {".kube"}, "no state directory, no temporary file; the cache is kubectl's"


@needs_kubectl
def test_the_table_has_a_row_for_every_check_and_ends_in_what_to_do(kube: KubeServer, tmp_path: Path) -> None:
    done = doctor(tmp_path, kube.env | {"HOME": str(tmp_path)})
    lines = done.stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:4] == [
        "this machine", "cluster", "NVSentinel", "runbooks",
    ]  # fmt: skip
    assert lines[-1].split(",")[0].endswith(" ok")
    assert lines[-2].strip() == "nvsx drill only"
    assert "\033" not in done.stdout


@needs_kubectl
def test_a_cluster_that_forbids_everything_is_blind_not_well(tmp_path: Path) -> None:
    from nvsx.sim.faults import fault

    with KubeServer("quiet", tmp_path) as kube:
        kube.do(lambda: fault(kube.world, {"kind": "forbidden"}).begin())
        done = doctor(tmp_path, kube.env | {"HOME": str(tmp_path)}, "--output", "json")
    assert done.returncode == 3
    found = outcomes(done)
    assert not any(found[name]["outcome"] == "ok" for name in ("server", "rights", "gpu-nodes", "components"))


@needs_kubectl
def test_a_server_that_is_gone(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "gone",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "gone", "context": {"cluster": "c", "user": ""}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    done = doctor(tmp_path, {"KUBECONFIG": str(tmp_path / "config")}, "--output", "json")
    found = outcomes(done)
    assert done.returncode == 3
    assert found["context"]["text"] == "gone"
    assert found["server"]["blind"]
    assert "refused" in found["server"]["text"]
    assert found["components"]["text"] == "not looked at: server failed"


@needs_kubectl
def test_no_context_at_all(tmp_path: Path) -> None:
    done = doctor(tmp_path, {"KUBECONFIG": str(tmp_path / "none")}, "--output", "quiet")
    assert done.returncode == 3
    assert done.stdout.count("\n") == 1
    assert "context: kubectl has no current context" in done.stdout


def test_no_kubectl_and_nothing_else_on_the_path(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    bash = shutil.which("bash")
    assert bash
    (programs / "bash").symlink_to(bash)
    done = doctor(tmp_path, {"PATH": str(programs)}, "--output", "json")
    found = outcomes(done)
    assert done.returncode == 3
    assert found["kubectl"]["blind"]
    assert found["context"]["outcome"] == "skip"
    assert found["tools"]["outcome"] == "warn"
    assert "curl is missing" in found["tools"]["text"]
    assert found["lint"]["outcome"] in ("ok", "warn")


def test_an_env_file_that_everybody_can_read_fails_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "open.env"
    file.write_text("SLACK_WEBHOOK_URL=https://hooks.example/secret-part\n")
    file.chmod(0o644)
    done = doctor(tmp_path, {}, "--output", "json", "--env-file", str(file))
    found = outcomes(done)
    assert found["env-file"]["outcome"] == "fail"
    assert found["env-file"]["hint"] == f"chmod 640 {file}"
    assert found["lint"]["outcome"] == "ok"
    assert "secret-part" not in done.stdout + done.stderr


def test_a_state_directory_that_cannot_be_written_fails(tmp_path: Path) -> None:
    done = doctor(tmp_path, {"NVSX_STATE_DIR": "/proc/nvsx"}, "--output", "json")
    state = outcomes(done)["state"]
    assert state["outcome"] == "fail"
    assert "--state-dir" in state["hint"]


UIS = """#!/usr/bin/env bash
echo "grafana       http://127.0.0.1:3000"
sleep 300 &
echo "pid $! $$"
wait
"""


@needs_kubectl
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_dashboards_are_forwarded_until_a_signal_and_nothing_is_left(
    kube: KubeServer, tmp_path: Path, number: signal.Signals
) -> None:
    project = tmp_path / "project"
    shutil.copytree(Small.root, project)
    (project / "scripts").mkdir()
    script = project / "scripts/port-forward-all.sh"
    script.write_text(UIS)
    script.chmod(0o755)
    environment = kube.env | {"HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nvsx", "doctor", "--open-uis", "--project", str(project)],
        env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout
    pids: list[int] = []
    for line in process.stdout:
        if line.startswith("pid "):
            pids = [int(word) for word in line.split()[1:]]
            break
    assert pids
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            break
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@needs_kubectl
def test_the_shipped_script_says_so_where_there_are_no_dashboards(kube: KubeServer, tmp_path: Path) -> None:
    done = doctor(tmp_path, kube.env | {"HOME": str(tmp_path)}, "--open-uis")
    assert done.returncode == 1
    assert "no service of this cluster is labelled" in done.stdout


@needs_kubectl
@pytest.mark.skipif(shutil.which("mongosh") is None, reason="no mongosh: npm install --global mongosh")
def test_the_database_of_an_address_is_really_asked(kube: KubeServer, tmp_path: Path) -> None:
    at = int(time.time()) - 7200
    document = {
        "_id": {"$oid": f"{at:08x}0000000000000001"}, "createdAt": {"$date": {"$numberLong": f"{at}000"}},
        "healthevent": {"nodename": "n", "checkname": "SysLogsXIDError", "isfatal": True, "errorcode": ["79"]},
    }  # fmt: skip
    with MongoServer({"HealthEventsDatabase": {"HealthEvents": [document]}}) as server:
        uri = f"mongodb://127.0.0.1:{server.port}/?directConnection=true"
        env = kube.env | {"HOME": str(tmp_path), "NVSX_MONGO_URI": uri}
        found = outcomes(doctor(tmp_path, env, "--output", "json"))
    assert found["events"]["text"] == "the MongoDB of NVSX_MONGO_URI answers; newest event 2h00m ago"
    assert "mongosh" in found["tools"]["text"]


@needs_kubectl
def test_ctrl_c_while_the_server_hangs_ends_every_kubectl(tmp_path: Path) -> None:
    from nvsx.sim.faults import fault

    with KubeServer("quiet", tmp_path) as kube:
        kube.do(lambda: fault(kube.world, {"kind": "hang"}).begin())
        environment = kube.env | {"HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), "DOCTORS": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "nvsx", "doctor", "--project", str(Small.root), "-v"],
            env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stderr
        assert any("kubectl version -o json" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped from the keyboard" in said
    assert "Traceback" not in said
    assert children(f"DOCTORS={tmp_path}") == []


def children(mark: str) -> list[str]:
    """Command lines of the processes that carry this in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
