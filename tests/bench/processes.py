"""What a process costs, as /proc has it."""

from __future__ import annotations

import os
from pathlib import Path


def processor_s(pid: int) -> float:
    """Processor time so far, of this process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int | str, which: str = "VmHWM") -> float:
    """Resident memory: its peak (VmHWM), or now (VmRSS)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{which}:"))
