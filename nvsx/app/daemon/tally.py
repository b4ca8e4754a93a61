"""Counts what runs say, as figures for metrics: a sink beside the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nvsx.events import Finish, Hook, StageEnd, Start
from nvsx.metrics import FAMILIES, Histogram

if TYPE_CHECKING:
    from nvsx.events import RunEvent
    from nvsx.metrics import Figures

_STAGES = "nvsx_stage_duration_seconds"


class Tally:
    """Runs by outcome, stage durations, hooks by outcome; and what was reported, by decision."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, ...]] = Counter()  # (source, verdict)
        self.unreadable = 0
        self.runs: Counter[tuple[str, ...]] = Counter()  # (runbook, status)
        self._hooks: Counter[tuple[str, ...]] = Counter()  # (role, outcome)
        self._stages: dict[tuple[str, ...], Histogram] = {}
        self._runbooks: dict[str, str] = {}  # of the runs that go on

    def emit(self, event: RunEvent) -> None:
        body = event.body
        if isinstance(body, Start):
            self._runbooks[event.run_id] = body.runbook
        elif isinstance(body, StageEnd) and body.status != "skipped":
            histogram = self._stages.setdefault((body.stage, body.status), Histogram(FAMILIES[_STAGES].bounds))
            histogram.observe(body.elapsed_s)
        elif isinstance(body, Hook) and body.phase == "end":
            self._hooks["action" if body.hook == "action" else "hook", body.outcome] += 1
        elif isinstance(body, Finish):
            self.runs[self._runbooks.pop(event.run_id, ""), body.status] += 1

    def close(self) -> None: ...

    def figures(self) -> Figures:
        """What was counted so far."""
        return {
            "nvsx_runs_total": {**self.runs},
            _STAGES: {**self._stages},
            "nvsx_hooks_total": {**self._hooks},
            "nvsx_admissions_total": {**self.decisions},
            "nvsx_events_unreadable_total": {(): self.unreadable},
        }
