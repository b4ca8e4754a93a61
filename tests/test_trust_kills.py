"""The kill sweep in small: `NVSX_TRUST_KILLS` random kills (40), and some of the journal's kill points."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.rehearsing import CHECKOUT

KILLS = int(os.environ.get("NVSX_TRUST_KILLS", "40"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leftovers are found in /proc")
@pytest.mark.timeout(120 + KILLS)
def test_nothing_is_lost_and_nothing_is_repeated() -> None:
    points = "all" if KILLS >= 1000 else "few"
    command = [sys.executable, "-m", "tests.trust", "kills", "--count", str(KILLS), "--points", points]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    found = json.loads(done.stdout)["kills"]
    assert done.returncode == 0
    assert found["points"]["good"]
    assert found["random"]["good"]
    assert found["random"]["kills"] == KILLS
    assert found["random"]["incidents"] > 0
