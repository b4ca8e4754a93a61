"""Power loss: of every accepted incident, the disk knew before the sender was told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.trust.power import replay, traced

if TYPE_CHECKING:
    from pathlib import Path


def can_trace() -> bool:
    strace = shutil.which("strace")
    return bool(strace) and subprocess.run([str(strace), "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux") or not can_trace(), reason="no strace, or it may not trace")
def test_what_was_told_was_on_the_disk(tmp_path: Path) -> None:
    calls = traced(tmp_path, 15)
    found = replay(calls, tmp_path / "state", tmp_path)
    assert found.answers == 30
    assert found.lost == []
    unsynced = replay([call for call in calls if call.name != "fdatasync"], tmp_path / "state", tmp_path)
    assert len(unsynced.lost) == 30, "a disk that is never told to sync knows nothing: the check can fail"
