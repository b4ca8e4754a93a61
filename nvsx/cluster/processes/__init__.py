"""The only door through which nvsx starts processes, and the place that leaves none of them behind."""

from __future__ import annotations

from nvsx.cluster.processes.family import GRACE_S, MARK_VARIABLE, find_marked, start_time
from nvsx.cluster.processes.run import Captured, Ended, capture, run_process
from nvsx.cluster.processes.spawn import CannotStart, end_marked, observing
from nvsx.cluster.processes.stream import LongProcess, open_stream

__all__ = [
    "GRACE_S",
    "MARK_VARIABLE",
    "CannotStart",
    "Captured",
    "Ended",
    "LongProcess",
    "capture",
    "end_marked",
    "find_marked",
    "observing",
    "open_stream",
    "run_process",
    "start_time",
]
