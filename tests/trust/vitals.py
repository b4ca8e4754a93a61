"""What a daemon holds while it lives (descriptors, threads, processes, memory), and whether that stays as it is."""

from __future__ import annotations

import statistics
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Life = Sequence["Vitals"]


class Vitals(NamedTuple):
    """One look at a daemon. `processes` are those below it, memory is its own."""

    descriptors: int
    threads: int
    processes: int
    memory_mb: float
    wal_kb: float


RISES = {
    # a figure of Vitals: how much more of it is nothing yet, and which part of what there was
    "descriptors": (3.0, 0.0),
    "threads": (2.0, 0.0),
    "processes": (2.0, 0.0),
    "memory_mb": (4.0, 0.1),
}
LEAST_LOOKS = 100
"""Of fewer nobody can tell what grows."""


def taken(pid: int, wal: Path) -> Vitals | None:
    """A daemon's vitals now; None if it has ended meanwhile."""
    place = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        return Vitals(
            descriptors=sum(1 for _ in (place / "fd").iterdir()),
            threads=int(status["Threads"]),
            processes=len(below(pid)),
            memory_mb=round(int(status["VmRSS"].split()[0]) / 1024, 1),
            wal_kb=round(wal.stat().st_size / 1024, 1) if wal.exists() else 0.0,
        )
    except (OSError, KeyError):
        return None


def below(pid: int) -> set[int]:
    """The processes that one has started, and those that these have."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def strays(mark: bytes, daemon: int) -> list[str]:
    """Command lines of processes with `mark` in their environment that are neither the daemon nor below it."""
    known = {daemon, *below(daemon)}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in known:
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found.append(words.decode("utf-8", "replace").strip())
    return found


def course(lives: Sequence[Life]) -> dict[str, object]:
    """For each figure: what is usual early and late, within lives and over all of them, its peak, and whether it is
    flat. "Usual" is a median: work under way comes and goes.
    """
    return {name: _course([[getattr(one, name) for one in life] for life in lives if life], name) for name in RISES}


def flat(found: dict[str, object]) -> bool:
    return all(isinstance(one, dict) and one["flat"] for one in found.values())


def _course(lives: list[list[float]], name: str) -> dict[str, object]:
    enough = sum(map(len, lives)) >= LEAST_LOOKS
    usual = [statistics.median(life) for life in lives]
    early, late = _thirds(usual)
    longest = max(lives, key=len)
    within = _thirds(longest[len(longest) // 5 :])  # what is made once, at the first occasion, is no growth
    return {
        "in_the_first_lives": early,
        "in_the_last_lives": late,
        "early_in_the_longest_life": within[0],
        "late_in_the_longest_life": within[1],
        "peak": max(max(life) for life in lives),
        "flat": _is_flat(name, early, late) and _is_flat(name, *within) if enough else "too short a time to tell",
    }


def _thirds(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first third and of the last one."""
    size = max(1, len(values) // 3)
    return round(statistics.median(values[:size]), 1), round(statistics.median(values[-size:]), 1)


def _is_flat(name: str, early: float, late: float) -> bool:
    least, part = RISES[name]
    return late - early <= max(least, part * early)


def size_kb(directory: Path) -> float:
    """What the files below a directory hold."""
    return round(sum(_sizes(directory.rglob("*"))) / 1024, 1)


def _sizes(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                yield path.stat().st_size
