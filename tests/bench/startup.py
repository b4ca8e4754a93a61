"""What starting nvsx.pyz costs: its size, times as multiples of `python3 -c pass`, and peak memory."""

from __future__ import annotations

import os
import statistics
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ARCHIVE = ROOT / "nvsx.pyz"
PYTHON: str = getattr(sys, "_base_executable", sys.executable)  # a virtual environment's own start-up is no part of it
ROUNDS = 15

COMMANDS = {
    # command: (its target as a multiple of Python's own start, its target for peak memory in MB; None: no target)
    "--help": (2.5, 12),
    "version": (2.5, None),
    "list": (5.5, 16),
    "show gpu-off-bus": (5.5, None),
    "lint": (12, 24),
}


def archive() -> dict[str, Any]:
    """Size of the file."""
    with zipfile.ZipFile(ARCHIVE) as file:
        entries = len(file.namelist())
    return {"bytes": ARCHIVE.stat().st_size, "bytes_target": 4_000_000, "entries": entries, "entries_target": 1_000}


def ratios() -> dict[str, Any]:
    """Medians of interleaved runs, divided by that of a Python that does nothing."""
    commands = {"pass": [PYTHON, "-c", "pass"]} | {name: nvsx(name) for name in COMMANDS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(run(command)[0])
    base = statistics.median(times["pass"])
    result: dict[str, Any] = {"python": PYTHON, "python_ms": round(base * 1000, 1)}
    for name, (target, _) in COMMANDS.items():
        result[name] = {"ratio": round(statistics.median(times[name]) / base, 2), "target": target}
    return result


def memory() -> dict[str, Any]:
    """Peak resident memory of one run each, in MB."""
    result: dict[str, Any] = {"python_mb": round(run([PYTHON, "-c", "pass"])[1], 1)}
    for name, (_, target) in COMMANDS.items():
        if target:
            result[name] = {"mb": round(run(nvsx(name))[1], 1), "target": target}
    return result


def nvsx(command: str) -> list[str]:
    return [PYTHON, str(ARCHIVE), *command.split()]


def run(command: list[str]) -> tuple[float, float]:
    """Run a command once: (seconds, peak resident memory in MB)."""
    started = time.perf_counter()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    os.close(null)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024
