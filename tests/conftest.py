"""Fixtures that many tests share: the archive is built once a session, whatever the number of workers."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.archives import ROOT, build

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """A directory with the pinned wheels: what an earlier build left behind, so that no test asks the network."""
    wheels: Path = build().WHEELHOUSE
    try:
        build().wheels(wheels)
    except build().BuildError as error:
        pytest.skip(f"{error}; `python3 build.py` fetches them")
    return wheels


@pytest.fixture(scope="session")
def pyz(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """nvsx.pyz, built from this checkout for every Python at hand."""
    return _built("all", wheelhouse, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def sources_pyz(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """nvsx.pyz without any bytecode: what a Python sees that build.py did not know."""
    return _built("none", wheelhouse, tmp_path_factory, worker_id)


def _built(pythons: str, wheelhouse: Path, factory: pytest.TempPathFactory, worker_id: str) -> Path:
    shared = factory.getbasetemp() if worker_id == "master" else factory.getbasetemp().parent
    target = shared / f"archive-{pythons}" / "nvsx.pyz"
    with (shared / f"archive-{pythons}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            command = [sys.executable, str(ROOT / "build.py"), "--wheels", str(wheelhouse), "--output", str(target)]
            if pythons != "all":
                command += ["--pythons", pythons]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stdout + done.stderr
    return target
