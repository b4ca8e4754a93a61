"""Power loss: of every accepted incident, the disk knew before the sender was told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from nvsx.ledger import Ledger
from tests.trust.power import Disk, replay, traced

if TYPE_CHECKING:
    from pathlib import Path


def can_trace() -> bool:
    strace = shutil.which("strace")
    return bool(strace) and subprocess.run([str(strace), "-o", "/dev/null", "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not can_trace(), reason="no strace, or it may not trace"
)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    state = tmp_path / "state"
    state.mkdir()
    Ledger.open(state).close()
    return Disk(state)


@needs_strace
def test_what_was_told_was_on_the_disk(tmp_path: Path, disk: Disk) -> None:
    calls = traced(tmp_path, 15)
    forgetful = deepcopy(disk)
    found = replay(calls, disk)
    assert found == (30, [], [])
    unsynced = replay([call for call in calls if call.name != "fdatasync"], forgetful)
    assert len(unsynced.lost) == 30, "a disk that is never told to sync knows nothing: the check can fail"


@needs_strace
def test_a_disk_that_fails_to_sync_is_not_believed(tmp_path: Path, disk: Disk) -> None:
    """EIO once: that answer is a refusal, all others are kept, and the next one is good again."""
    calls = traced(tmp_path, 15, "fdatasync:error=EIO:when=6")
    found = replay(calls, disk)
    assert found.lost == []
    assert found.refused
    assert "cannot be written: disk I/O error" in found.refused[0]
    assert found.answers + len(found.refused) == 30
    assert found.answers >= 15
