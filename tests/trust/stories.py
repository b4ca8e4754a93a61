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
_TOLD = re.compile(r"(\d+) passing, (\d+) failing")


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust stories`: so many of up to 40 steps each."""
    began = time.monotonic()
    options = ["-n0", "--timeout=0", "--hypothesis-show-statistics", f"--hypothesis-seed={args.seed}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "tests/test_admission_model.py"],
        cwd=CHECKOUT, env={**os.environ, "NVSX_TRUST_SEQUENCES": str(count)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = _TOLD.findall(done.stdout)
    if not told:
        raise RuntimeError(f"pytest told of no stories: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {
        "stories": sum(int(good) for good, _ in told),
        "disagreed": sum(int(bad) for _, bad in told),
        "exit_code": done.returncode,
        "seconds": round(time.monotonic() - began),
    }


def passed(figures: dict[str, object]) -> bool:
    return figures["stories"] != 0 and figures["disagreed"] == 0 and figures["exit_code"] == 0
