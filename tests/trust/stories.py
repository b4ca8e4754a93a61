"""T9 as a measurement: random stories of reports, runs, silences and restarts; nvsx's admission against the model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

CHECKOUT = Path(__file__).resolve().parents[2]
BATCH = 500
"""Stories of one process: they share a ledger, which grows."""

_TOLD = re.compile(r"(\d+) passing, (\d+) failing")


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust stories`: so many of up to 40 steps each."""
    began = time.monotonic()
    good = bad = 0
    for number in range(-(-count // BATCH)):
        found = _played(min(BATCH, count - number * BATCH), args.seed + number)
        good, bad = good + found[0], bad + found[1]
    return {"stories": good, "disagreed": bad, "seconds": round(time.monotonic() - began)}


def _played(count: int, seed: int) -> tuple[int, int]:
    """How many stories went as the model has it, and how many did not."""
    options = ["-n0", "--timeout=0", "--hypothesis-show-statistics", f"--hypothesis-seed={seed}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "tests/test_admission_model.py"],
        cwd=CHECKOUT, env={**os.environ, "NVSX_TRUST_SEQUENCES": str(count)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = _TOLD.findall(done.stdout)
    good, bad = sum(int(good) for good, _ in told), sum(int(bad) for _, bad in told)
    if not told or (done.returncode != 0) != (bad > 0):
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return good, bad


def passed(figures: dict[str, object]) -> bool:
    return figures["stories"] != 0 and figures["disagreed"] == 0
