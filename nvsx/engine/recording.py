"""Recorder: keeps the run's record, in the journal and in the report file that hooks can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.engine.effects import write_report
from nvsx.errors import NvsxError
from nvsx.events import Note

if TYPE_CHECKING:
    from nvsx.engine.history import PastStage
    from nvsx.engine.plan import Plan
    from nvsx.engine.telling import Teller
    from nvsx.journal import Entry, StageEnded
    from nvsx.ports import Journal


class Recorder:
    """Records what has happened. A journal that cannot be written is said once and does not end the run."""

    def __init__(self, plan: Plan, journal: Journal, teller: Teller) -> None:
        self._journal = journal
        self._teller = teller
        self._path = Path(plan.run_dir) / "report.json"
        self._report: dict[str, Any] = {
            "run_id": plan.run_id,
            "cluster": plan.cluster,
            "runbook": plan.runbook.name,
            "runbook_nickname": plan.runbook.nickname,
            "target_node": plan.target_node,
            "target_alias": plan.target_alias,
            "drill": plan.drill,
            "stages": [],
        }
        self._complained = False

    async def record(self, entry: Entry) -> None:
        try:
            await self._journal.append(entry)
        except (NvsxError, OSError) as error:
            self._complain(f"not recorded: {error}")

    async def stage_ended(self, entry: StageEnded) -> None:
        await self.record(entry)
        facts = asdict(entry)
        del facts["run_id"]
        self._report["stages"].append({**facts, "elapsed_s": round(entry.elapsed_s, 3)})
        self.report()

    def recall(self, stage: str, past: PastStage, at: float) -> None:
        """A stage that ended before nvsx was killed belongs into the report file, and is in the journal already."""
        self._report["stages"].append(
            {"at": at, "stage": stage, "status": past.status, "reason": past.reason, "inferred": past.inferred,
             "decided_at": past.decided_at, "elapsed_s": round(past.elapsed_s, 3)}
        )  # fmt: skip
        self.report()

    def report(self, **facts: Any) -> None:
        """Add facts to the report file and write it."""
        self._report.update(facts)
        try:
            write_report(self._path, self._report)
        except OSError as error:
            self._complain(f"{self._path} was not written: {error}")

    def _complain(self, text: str) -> None:
        if not self._complained:
            self._complained = True
            self._teller.say(Note("record", text, level="error"))
