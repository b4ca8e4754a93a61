"""The account of `nvsx manifest kubernetes` on a real API server: it may read what nvsx reads, and write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nvsx.rights import EVERYWHERE, INSTALLATION, READS
from tests.e2e.test_manifest import kubectl

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
    with clusters("quiet", tmp_path_factory.mktemp("account"), 1.0) as kube:
        yield kube


def test_the_account_may_read_what_nvsx_reads_and_write_nothing(kube: KubeServer, manifest: Path) -> None:
    assert kubectl(kube, "apply", "-f", str(manifest)).returncode == 0

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
