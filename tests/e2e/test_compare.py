"""The simulator's answers and a real server's to nvsx's own command lines, field by field, of the same content."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import REAL
from tests.servers.realkube import MirroredKube

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kube import KubeServer

pytestmark = pytest.mark.skipif(not REAL, reason="compares with a real kube-apiserver: make e2e")
NODE = "gke-ml-pool-a100-8ksx"
REBOOTS = "/apis/janitor.dgxc.nvidia.com/v1alpha1/rebootnodes"

OWN = {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "remainingItemCount", "continue"}
"""What each server gives its own value; that both have one is compared."""

NOT_MIRRORED = {
    "ownerReferences",  # without a uid a real server takes none
    "template",  # of workloads: a real server wants one
    "namespaces.status",
}


def differences(simulated: Any, real: Any, path: str = "") -> Iterator[str]:
    """Where the simulator says something that the real server says otherwise, or not at all.

    A real server may say more: it fills in defaults, and the simulator shows what a scenario writes.
    """
    if isinstance(simulated, dict) and isinstance(real, dict):
        for key, value in simulated.items():
            if key in NOT_MIRRORED or (key == "status" and real.get("kind") == "Namespace"):
                continue
            if key not in real:
                if value not in (None, "", [], {}):
                    yield f"{path}.{key}: the real server has none"
            elif key in OWN:
                if type(value) is not type(real[key]):
                    yield f"{path}.{key}: {value!r}, not {real[key]!r}"
            else:
                yield from differences(value, real[key], f"{path}.{key}")
    elif isinstance(simulated, list) and isinstance(real, list):
        if len(simulated) != len(real):
            yield f"{path}: {len(simulated)} items, not {len(real)}"
        for number, (one, other) in enumerate(zip(simulated, real, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif simulated != real:
        yield f"{path}: {simulated!r}, not {real!r}"


@pytest.fixture(scope="module")
def kube(
    clusters: Callable[[str, Path, float], KubeServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MirroredKube]:
    with clusters("quiet", tmp_path_factory.mktemp("compared"), 1.0) as kube:
        assert isinstance(kube, MirroredKube)
        yield kube


def both(kube: MirroredKube, *words: str) -> tuple[Any, Any]:
    """The same kubectl command on the simulator and on the real server."""
    simulated, real = (
        subprocess.run(["kubectl", *words], env=env, capture_output=True, text=True, timeout=30)
        for env in (kube.simulated_env, kube.env)
    )
    return simulated, real


DOCUMENTS = {
    "identity": "/api/v1/namespaces/kube-system",
    "a page": "/api/v1/nodes?limit=3",
    "all nodes": "/api/v1/nodes?limit=500",
    "one node": f"/api/v1/nodes?fieldSelector=metadata.name%3D{NODE}&limit=500",
    "custom resources": f"{REBOOTS}?limit=500",
    "pods of a node": f"/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}&limit=500",
    "pods by label": "/api/v1/namespaces/nvsentinel/pods?labelSelector=app.kubernetes.io%2Fname%3Dfault-quarantine",
    "events": "/api/v1/events?fieldSelector=involvedObject.name%3Detl-nightly-5d2rk",
    "config maps": "/api/v1/namespaces/nvsentinel/configmaps",
    "a group": "/apis/janitor.dgxc.nvidia.com",
    "deployments": "/apis/apps/v1/namespaces/nvsentinel/deployments",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(kube: MirroredKube, name: str) -> None:
    simulated, real = both(kube, "get", "--raw", DOCUMENTS[name], "--request-timeout=15s")
    assert (simulated.returncode, real.returncode) == (0, 0), simulated.stderr + real.stderr
    assert simulated.stdout.count("\n") == real.stdout.count("\n"), "as many lines"
    assert list(differences(json.loads(simulated.stdout), json.loads(real.stdout))) == []


def test_the_resources_of_a_group(kube: MirroredKube) -> None:
    simulated, real = (json.loads(one.stdout) for one in both(kube, "get", "--raw", REBOOTS.rpartition("/")[0]))
    by_name = {one["name"]: one for one in real["resources"]}
    for one in simulated["resources"]:
        other = by_name[one["name"]]
        assert set(one["verbs"]) <= set(other["verbs"])
        assert [(key, other.get(key)) for key in one if key != "verbs"] == [
            (key, one[key]) for key in one if key != "verbs"
        ]


FAILURES = {
    "no such node": ("get", "--raw", "/api/v1/nodes/nope"),
    "no such group": ("get", "--raw", "/apis/g.example"),
    "no such type": ("get", "things"),
    "no such field": ("get", "nodes", "--field-selector", "spec.x=1"),
    "no such pod": ("logs", "--namespace=nvsentinel", "nope"),
    "too old a watch": ("get", "--raw", f"{REBOOTS}?watch=1&resourceVersion=1"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(kube: MirroredKube, name: str) -> None:
    kube.do(kube.world.forget)
    simulated, real = both(kube, *FAILURES[name])
    assert simulated.returncode == real.returncode
    assert _shape(simulated.stdout) == _shape(real.stdout)
    assert simulated.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]


def _shape(text: str) -> str:
    """Without the numbers of one server."""
    return re.sub(r"\d+", "N", text)


def test_a_watch(kube: MirroredKube) -> None:
    def watch(env: dict[str, str]) -> subprocess.Popen[str]:
        listed = subprocess.run(
            ["kubectl", "get", "--raw", "/api/v1/nodes?limit=1"], env=env, capture_output=True, text=True, check=True
        )
        version = json.loads(listed.stdout)["metadata"]["resourceVersion"]
        url = f"/api/v1/nodes?fieldSelector=metadata.name%3D{NODE}&watch=1&resourceVersion={version}"
        command = ["kubectl", "get", "--raw", f"{url}&allowWatchBookmarks=true"]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    processes = [watch(kube.simulated_env), watch(kube.env)]
    try:
        for change in ({"labels": {"x": "y"}}, {"annotations": {"example.com/x": "y"}}, {"labels": {"x": None}}):
            kube.patch_node(NODE, {"metadata": change})
            lines = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
            assert list(differences(*lines)) == []
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_rights(kube: MirroredKube) -> None:
    simulated, real = both(kube, "auth", "can-i", "list", "nodes")
    assert (simulated.stdout, simulated.returncode) == (real.stdout, real.returncode)
    allow = kube.forbid("list", resource="nodes")
    try:
        refuse = super(MirroredKube, kube).forbid("list", resource="nodes")
        simulated, real = both(kube, "get", "--raw", "/api/v1/nodes?limit=500")
        refuse()
    finally:
        allow()
    assert simulated.returncode == real.returncode == 1
    assert re.sub(r'User "[^"]+"', "User", simulated.stderr) == re.sub(r'User "[^"]+"', "User", real.stderr)
