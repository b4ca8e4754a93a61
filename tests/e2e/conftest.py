"""On which cluster these tests run: the simulator's API server, or (NVSX_E2E=real, `make e2e`) a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer, kubectls
from tests.servers.realkube import RECIPE, MirroredKube, RealKube, binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REAL = os.environ.get("NVSX_E2E", "") == "real"
# The simulator has nothing to be compared with, and no rights of accounts.
collect_ignore = [] if REAL else ["test_compare.py", "test_account.py"]


def pytest_sessionstart() -> None:
    """A run that was asked to use the real thing must not pass by skipping."""
    if REAL and len(binaries()) < 2:
        missing = ", ".join(sorted({"etcd", "kube-apiserver"} - set(binaries())))
        print(RECIPE, file=sys.stderr)
        pytest.exit(f"there is no {missing}", returncode=3)
    if REAL and not kubectls():
        pytest.exit("no kubectl on PATH", returncode=3)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path, float], KubeServer]]:
    """Makes clusters for scenarios: name, a directory, simulated seconds in a second."""
    if not kubectls():
        pytest.skip("no kubectl on PATH")
    if not REAL:
        yield lambda scenario, directory, speed: KubeServer(scenario, directory, speed=speed)
        return
    with RealKube(tmp_path_factory.mktemp("real")) as real:
        yield lambda scenario, directory, speed: MirroredKube(scenario, directory, real, speed=speed)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `nvsx manifest kubernetes` prints, in a file."""
    path = tmp_path_factory.mktemp("printed") / "nvsx.yaml"
    argv = [sys.executable, "-m", "nvsx", "manifest", "kubernetes"]
    path.write_bytes(subprocess.run(argv, cwd=CHECKOUT, capture_output=True, check=True).stdout)
    return path
