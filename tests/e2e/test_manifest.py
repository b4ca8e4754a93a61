"""`nvsx manifest kubernetes`, given to the real kubectl on a cluster, simulated or real."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nvsx.rights import EVERYWHERE, INSTALLATION, READS
from tests.e2e.conftest import REAL
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kube import KubeServer

ACCOUNT = "system:serviceaccount:nvsx:nvsx"
WRITES = (
    "patch nodes",
    "update nodes",
    "delete pods",
    "create pods/eviction",
    "create rebootnodes.janitor.dgxc.nvidia.com",
)
HIDDEN = ("get secrets", "list secrets", "create pods/exec")


@pytest.fixture(scope="module")
def kube(
    clusters: Callable[[str, Path, float], KubeServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeServer]:
    with clusters("quiet", tmp_path_factory.mktemp("manifest"), 1.0) as kube:
        yield kube


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("printed") / "nvsx.yaml"
    argv = [sys.executable, "-m", "nvsx", "manifest", "kubernetes"]
    path.write_bytes(subprocess.run(argv, cwd=CHECKOUT, capture_output=True, check=True).stdout)
    return path


def kubectl(kube: KubeServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *words], env=kube.admin_env, capture_output=True, text=True, check=False)


def outcomes(kube: KubeServer, *words: str) -> set[str]:
    """What became of the objects: `created`, `unchanged`."""
    done = kubectl(kube, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 11, done.stdout
    return {line.partition(" ")[2] for line in lines}


def test_every_object_is_taken_once_and_the_second_time_there_is_nothing_to_do(kube: KubeServer, file: Path) -> None:
    assert outcomes(kube, "apply", "--dry-run=client", "-f", str(file)) == {"created (dry run)"}
    assert outcomes(kube, "apply", "--validate=strict", "-f", str(file)) == {"created"}
    assert outcomes(kube, "apply", "-f", str(file)) == {"unchanged"}
    assert outcomes(kube, "apply", "--dry-run=server", "-f", str(file)) == {"unchanged (server dry run)"}
    assert kubectl(kube, "diff", "-f", str(file)).stdout == ""


@pytest.mark.skipif(not REAL, reason="the simulator has no rights of accounts: make e2e")
def test_the_account_may_read_what_nvsx_reads_and_write_nothing(kube: KubeServer, file: Path) -> None:
    assert kubectl(kube, "apply", "-f", str(file)).returncode == 0

    def may(words: str, namespace: str) -> bool:
        where = ["-n", namespace] if namespace else ["-A"]
        return kubectl(kube, "auth", "can-i", *words.split(), f"--as={ACCOUNT}", *where).stdout.strip() == "yes"

    for right in READS:
        if "create" in right.verbs:
            continue  # the database by exec is granted on demand
        name = f"{right.resource}.{right.group}" if right.group else right.resource
        place = {EVERYWHERE: "", INSTALLATION: "nvsentinel"}.get(right.scope, right.scope)
        for verb in right.verbs:
            assert may(f"{verb} {name}", place), f"{verb} {name} in {place or 'all namespaces'}"
    for words in (*WRITES, *HIDDEN):
        for place in ("", "nvsentinel", "default", "nvsx"):
            assert not may(words, place), f"{words} in {place or 'all namespaces'}"
