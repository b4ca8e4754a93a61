"""`nvsx manifest`: what it prints is taken by the tools it is for, and grants the reads that nvsx makes and no more."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nvsx.app.manifests.host import Host, cron, systemd
from nvsx.app.manifests.kubernetes import DATABASE, kubernetes
from nvsx.catalog import read_runbook
from nvsx.doctor.reading import of_runbooks
from nvsx.errors import UsageError
from nvsx.rights import READS
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host("/opt/nvsx.pyz", "/srv/nvsx", "/var/lib/nvsx", "/usr/bin")
CODE = [path for path in sorted((CHECKOUT / "nvsx").rglob("*.py")) if not {"sim", "_vendor"} & set(path.parts)]


def manifest(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvsx", "manifest", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


def objects(text: str) -> dict[tuple[str, str], Any]:
    """By kind and namespace."""
    found = list(yaml.safe_load_all(text))
    return {(each["kind"], each["metadata"].get("namespace", "")): each for each in found}


# Kubernetes.


def test_every_object_is_one_that_kubernetes_knows() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for each in yaml.safe_load_all(manifest("kubernetes").stdout):
        for version in ("1.27", "1.37"):
            validate.validate(each, version, strict=True)


def test_one_replica_that_nobody_starts_a_second_time() -> None:
    spec = objects(kubernetes("nvsentinel", "nvsx:1", (), "1"))["Deployment", "nvsx"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert volumes == {mount["name"] for mount in container["volumeMounts"]}
    claims = [
        volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claims == ["nvsx-state"]


def test_secrets_are_named_and_never_written() -> None:
    text = kubernetes("nvsentinel", "nvsx:1", (), "1")
    assert ("Secret", "nvsx") not in objects(text)
    assert "secretName: nvsx-webhook" in text
    assert "secretRef" in text


def test_rights_go_to_the_namespace_of_nvsentinel_as_it_is_called_here() -> None:
    done = manifest("kubernetes", "--namespace", "gpu-health", "--image", "registry.example/team/nvsx@sha256:0123")
    found = objects(done.stdout)
    assert ("Role", "gpu-health") in found
    assert found["RoleBinding", "gpu-health"]["subjects"] == [
        {"kind": "ServiceAccount", "name": "nvsx", "namespace": "nvsx"}
    ]
    (container,) = found["Deployment", "nvsx"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/team/nvsx@sha256:0123"
    assert "--namespace=gpu-health" in container["args"]


@pytest.mark.parametrize("image", ["", "-x", "a b", "x\ny: z", "$(id)"])
def test_an_image_that_is_none(image: str) -> None:
    done = manifest("kubernetes", f"--image={image}")
    assert done.returncode == (0 if not image else 2)


def test_rights_are_reads() -> None:
    for each in yaml.safe_load_all(manifest("kubernetes").stdout):
        for rule in each.get("rules") or []:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
            assert not {"*", "secrets", "pods/exec"} & set(rule["resources"])


def read_in_code() -> set[tuple[str, str]]:
    """(group, resource) of every path that stands in nvsx's code: of ApiPath calls, and of URLs written out."""
    found = set()
    for path in CODE:
        root = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(root):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ApiPath":
                _, resource, *group = node.args
                if isinstance(resource, ast.Constant):
                    constant = group[0].value if group and isinstance(group[0], ast.Constant) else ""
                    found.add((str(constant), str(resource.value)))
            if isinstance(node, ast.JoinedStr | ast.Constant):
                text = ast.unparse(node)
                for resource in re.findall(r"/api/v1/namespaces/\{[^/]+\}/(\w+)", text):
                    found.add(("", resource))
                if re.search(r"/api/v1/namespaces/kube-system", text):
                    found.add(("", "namespaces"))
    return found


def test_the_rights_are_the_reads_that_stand_in_the_code() -> None:
    granted = {(right.group, right.resource.partition("/")[0]) for right in (*READS, *DATABASE)}
    named = {kind for kind in granted if kind[0] in ("apps", "janitor.dgxc.nvidia.com")}  # in tables, not in paths
    code = "".join(path.read_text("utf-8") for path in CODE if path.name != "rights.py")
    assert read_in_code() - named == granted - named
    assert [resource for _, resource in named if f'"{resource}"' not in code] == []


def test_what_runbooks_watch_is_granted_too() -> None:
    runbook = read_runbook(
        b"""
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: x, title: x}
stages:
  - id: detect
    watch:
      - {kind: log, namespace: training, selector: app=x, pattern: NCCL}
      - anyOf:
          - {kind: crd, group: example.com, resource: repairs, version: v1}
          - {kind: crd, group: janitor.dgxc.nvidia.com, resource: rebootnodes, version: v1alpha1}
          - {kind: training-log, pod: job-0, pattern: x}
  - id: drain
    watch:
      - {kind: log, namespace: nvsentinel, selector: app=y, pattern: x}
      - {kind: pod-event, namespace: training, reason: Killing}
""",
        "x.yaml",
    )
    found = objects(kubernetes("nvsentinel", "nvsx:1", of_runbooks([runbook], "nvsentinel"), "1"))
    granted = {
        (namespace, rule["apiGroups"][0], resource, tuple(rule["verbs"]))
        for (kind, namespace), each in found.items()
        if kind in ("Role", "ClusterRole")
        for rule in each["rules"]
        for resource in rule["resources"]
    }
    assert granted >= {
        ("", "example.com", "repairs", ("list", "watch")),
        ("training", "", "pods/log", ("get",)),
        ("training", "", "pods", ("get", "list", "watch")),
        ("training", "", "events", ("list", "watch")),
        ("default", "", "pods/log", ("get",)),
        ("nvsentinel", "", "pods", ("get", "list", "watch")),
    }
    resources = [resource for rule in found["Role", "nvsentinel"]["rules"] for resource in rule["resources"]]
    assert sorted(set(resources)) == sorted(resources), "granted twice"


def test_the_rules_that_are_commented_out_are_rules() -> None:
    text = kubernetes("nvsentinel", "nvsx:1", (), "1")
    taken_in = re.sub(r"(?m)^  # (?=(- | ) )", "  ", re.sub(r"(?m)^  # - ", "  - ", text))
    rules = objects(taken_in)["Role", "nvsentinel"]["rules"]
    assert ["pods/exec"] in [rule["resources"] for rule in rules]
    assert ["secrets"] in [rule["resources"] for rule in rules]


# systemd.


@pytest.fixture
def program(tmp_path: Path) -> Path:
    place = tmp_path / "with space & 100%"
    place.mkdir()
    path = place / "nvsx.pyz"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(program: Path, tmp_path: Path) -> None:
    unit = tmp_path / "nvsx.service"
    unit.write_text(systemd(HOST._replace(program=str(program), project=str(program.parent))))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "nvsx.service" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_the_unit_ends_nvsx_first_and_what_is_left_after_it() -> None:
    unit = systemd(HOST)
    for line in ("Type=exec", "KillMode=mixed", "TimeoutStopSec=60", "NoNewPrivileges=yes", "StateDirectory=nvsx"):
        assert f"\n{line}\n" in unit
    assert "/srv/nvsx/nvsx.env (root:nvsx, chmod 640)" in unit


# cron.


def test_the_line_starts_what_it_says(program: Path, tmp_path: Path) -> None:
    """As cron reads it: `%` ends the command unless escaped, the rest goes to sh."""
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"${0%/*}/said"\n')
    text = cron(HOST._replace(program=str(program), project="/srv/50% off; rm -rf x"))
    (line,) = [each for each in text.splitlines() if each.startswith("* ")]
    command = line.removeprefix("* * * * * ")
    assert not re.search(r"(?<!\\)%", command)
    subprocess.run(["sh", "-c", command.replace("\\%", "%")], check=True, cwd=tmp_path)
    said = (program.parent / "said").read_text().splitlines()
    assert said == [
        *["serve", "--mode", "poll", "--once", "--project", "/srv/50% off; rm -rf x"],
        *["--state-dir", "/var/lib/nvsx", "--output", "text"],
    ]
    assert "flock" not in command


def test_a_word_of_the_host_is_put_in_once() -> None:
    assert "--project /srv/PROGRAM " in cron(HOST._replace(project="/srv/PROGRAM"))


def test_what_cannot_stand_in_a_file_is_refused() -> None:
    for write in (cron, systemd):
        with pytest.raises(UsageError):
            write(HOST._replace(project="/srv/a\nExecStartPre=/bin/evil"))


# The command.


@pytest.mark.parametrize("target", ["cron", "systemd", "kubernetes"])
def test_it_prints_and_does_nothing_else(target: str) -> None:
    done = manifest(target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("#")


def test_a_target_that_there_is_not() -> None:
    done = manifest("helm")
    assert done.returncode == 2
    assert "kubernetes" in done.stderr
    assert manifest("cron", "--image", "x").returncode == 2
