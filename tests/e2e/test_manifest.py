"""`nvsx manifest kubernetes`, given to the real kubectl on a cluster, simulated or real."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kube import KubeServer


@pytest.fixture(scope="module")
def kube(
    clusters: Callable[[str, Path, float], KubeServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeServer]:
    with clusters("quiet", tmp_path_factory.mktemp("manifest"), 1.0) as kube:
        yield kube


def kubectl(kube: KubeServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *words], env=kube.admin_env, capture_output=True, text=True, check=False)


def outcomes(kube: KubeServer, *words: str) -> set[str]:
    """What became of the objects: `created`, `unchanged`."""
    done = kubectl(kube, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 11, done.stdout
    return {line.partition(" ")[2] for line in lines}


def test_every_object_is_taken_and_the_second_time_there_is_nothing_to_do(kube: KubeServer, manifest: Path) -> None:
    assert outcomes(kube, "apply", "--dry-run=client", "-f", str(manifest)) == {"created (dry run)"}
    assert outcomes(kube, "apply", "--validate=strict", "-f", str(manifest)) == {"created"}
    assert outcomes(kube, "apply", "-f", str(manifest)) == {"unchanged"}
    assert outcomes(kube, "apply", "--dry-run=server", "-f", str(manifest)) == {"unchanged (server dry run)"}
    assert kubectl(kube, "diff", "-f", str(manifest)).stdout == ""
