"""How long the built archive takes to start, as ratios to an empty Python, interleaved in one run; and its memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pexpect

ARCHIVE = Path(__file__).resolve().parents[2] / "nvsx.pyz"
COMMANDS = {
    "help": ["--help"],
    "version": ["version"],
    "list": ["list"],
    "show": ["show", "gpu-off-bus"],
    "lint": ["lint", "gpu-off-bus"],
}
ROUNDS = 15


def measure() -> dict[str, object]:
    """Medians: `ratio` of wall time to `python3 -c pass`, and peak resident memory in MB."""
    base = [sys.executable, "-c", "pass"]
    commands = {name: [sys.executable, str(ARCHIVE), *words] for name, words in COMMANDS.items()}
    times: dict[str, list[float]] = {name: [] for name in ("python", *commands, "shell")}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        times["python"].append(_run(base)[0])
        for name, argv in commands.items():
            seconds, megabytes = _run(argv)
            times[name].append(seconds)
            memory[name].append(megabytes)
        times["shell"].append(_first_prompt())
    empty = statistics.median(times["python"])
    return {
        "python_ms": round(empty * 1000, 1),
        "ratio": {name: round(statistics.median(times[name]) / empty, 2) for name in times if name != "python"},
        "peak_mb": {name: round(statistics.median(memory[name]), 1) for name in commands},
        "archive_mb": round(ARCHIVE.stat().st_size / 1e6, 2),
    }


def _first_prompt() -> float:
    """Seconds until the shell's prompt stands on a terminal."""
    began = time.perf_counter()
    child = pexpect.spawn(
        sys.executable, [str(ARCHIVE)], cwd="/", env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    )
    try:
        child.expect_exact("nvsx>")
        return time.perf_counter() - began
    finally:
        child.close(force=True)


_SPAWN = """
import os, sys, time
null = [(os.POSIX_SPAWN_OPEN, n, "/dev/null", os.O_RDWR, 0) for n in range(3)]
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, _, usage = os.wait4(pid, 0)
print(time.perf_counter() - began, usage.ru_maxrss / 1024)
"""


def _run(argv: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory of one process, from a directory where only the bundled runbooks are found.

    Started by a small Python of its own: a process inherits its parent's peak memory until it executes.
    """
    spawner = [sys.executable, "-I", "-S", "-c", _SPAWN, *argv]
    seconds, megabytes = subprocess.run(spawner, cwd="/", check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)
