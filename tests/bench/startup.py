"""How long the built archive takes to start, as ratios to an empty Python, interleaved in one run; and its memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ARCHIVE = Path(__file__).resolve().parents[2] / "nvsx.pyz"
COMMANDS = {
    "help": ["--help"],
    "version": ["version"],
    "list": ["list"],
    "show": ["show", "gpu-off-bus"],
    "lint": ["lint"],
}
ROUNDS = 15


def measure() -> dict[str, object]:
    """Medians: `ratio` of wall time to `python3 -c pass`, and peak resident memory in MB."""
    base = [sys.executable, "-c", "pass"]
    commands = {name: [sys.executable, str(ARCHIVE), *words] for name, words in COMMANDS.items()}
    times: dict[str, list[float]] = {name: [] for name in ("python", *commands)}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        times["python"].append(_run(base)[0])
        for name, argv in commands.items():
            seconds, megabytes = _run(argv)
            times[name].append(seconds)
            memory[name].append(megabytes)
    empty = statistics.median(times["python"])
    return {
        "python_ms": round(empty * 1000, 1),
        "ratio": {name: round(statistics.median(times[name]) / empty, 2) for name in commands},
        "peak_mb": {name: round(statistics.median(memory[name]), 1) for name in commands},
        "archive_mb": round(ARCHIVE.stat().st_size / 1e6, 2),
    }


def _run(argv: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory of one process, from a directory where only the bundled runbooks are found."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.perf_counter() - began, usage.ru_maxrss / 1024
