"""How fast nvsx takes what a hook prints, against `cat` taking the same, and how much memory that costs."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import time

from nvsx.clock import RealClock
from nvsx.cluster.processes import run_process
from nvsx.engine.masks import Masker
from nvsx.engine.output import OutputLines

MEGABYTES = 100
SHAPES = {
    "lines": f"head -c {MEGABYTES}000000 /dev/zero | tr '\\0' 'x' | fold -w 99",
    "one_line": f"head -c {MEGABYTES}000000 /dev/zero | tr '\\0' 'x'",
}


def measure() -> dict[str, object]:
    """MB/s for 100 MB in lines and in one line; `of_cat` is the share of what `cat >/dev/null` takes of the same."""
    figures: dict[str, object] = {}
    for shape, script in SHAPES.items():
        plain = _seconds_of_cat(script)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        size = asyncio.run(_taken(script))
        seconds = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        figures[shape] = {
            "mb_per_s": round(size / 1e6 / seconds, 1),
            "of_cat": round(plain / seconds, 2),
            "memory_growth_mb": round(grown, 1),
        }
    return figures


async def _taken(script: str) -> int:
    lines = OutputLines(Masker({"a-secret-that-is-not-there"}), ("never printed",))
    ended = await run_process(
        ["bash", "-c", script],
        env=dict(os.environ),
        cwd="/",
        timeout_s=120,
        clock=RealClock(),
        on_output=lines.feed,
    )
    lines.end()
    assert ended.exit_code == 0
    return ended.output_bytes


def _seconds_of_cat(script: str) -> float:
    began = time.perf_counter()
    subprocess.run(["bash", "-c", f"{{ {script}; }} | cat >/dev/null"], check=True)
    return time.perf_counter() - began
