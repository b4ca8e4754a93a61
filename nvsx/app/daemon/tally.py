"""Counts what runs say, as figures for metrics: a sink beside the log."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, get_args

from nvsx.events import Finish, Hook, HookOutcome, StageEnd, Start
from nvsx.ledger import ALARM_KINDS
from nvsx.metrics import FAMILIES, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.events import RunEvent
    from nvsx.metrics import Figures

_STAGES = "nvsx_stage_duration_seconds"


class Tally:
    """Runs by outcome, stage durations, hooks by outcome; what was reported, by decision; and nvsx's own calls."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, ...]] = Counter()  # (source, verdict)
        self.unreadable = 0
        self.runs: Counter[tuple[str, ...]] = Counter()  # (runbook, status)
        self.calls = _noughts(ALARM_KINDS)  # (kind, outcome)
        self.calls_failed: Mapping[str, float] = {}  # kind -> when one last reached nobody, epoch seconds
        self._hooks = _noughts(("action", "hook"))  # (role, outcome)
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

    def call_ended(self, kind: str, outcome: str, now: float) -> None:
        """A call of nvsx's own has ended."""
        self.calls[kind, outcome] += 1
        if outcome != "ok":
            self.calls_failed = {**self.calls_failed, kind: now}

    def figures(self) -> Figures:
        """What was counted so far."""
        return {
            "nvsx_runs_total": {**self.runs},
            _STAGES: {**self._stages},
            "nvsx_hooks_total": {**self._hooks},
            "nvsx_calls_total": {**self.calls},
            "nvsx_call_last_failure_timestamp_seconds": {(kind,): at for kind, at in self.calls_failed.items()},
            "nvsx_admissions_total": {**self.decisions},
            "nvsx_events_unreadable_total": {(): self.unreadable},
        }


def _noughts(kinds: tuple[str, ...]) -> Counter[tuple[str, ...]]:
    """Counts by kind and outcome, there from the start: Prometheus sees no rise in a series that begins at 1."""
    return Counter(dict.fromkeys(product(kinds, get_args(HookOutcome)), 0))
