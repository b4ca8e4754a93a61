"""What the webhook shows of runs and nvsx's own calls, read from the ledger alone: no cluster is needed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.app.records.openruns import shown_runs
from nvsx.app.records.owncalls import call_data, shown_calls
from nvsx.errors import NotFoundHere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.ledger import Ledger, RunRow


def list_of_runs(ledger: Ledger, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
    """The newest runs first, each as `nvsx runs --output json` has it."""
    return _shown(ledger, ledger.runs(limit=limit, unfinished=unfinished))


def list_of_calls(ledger: Ledger, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
    """The newest of nvsx's own calls first, each as `nvsx runs --output json` has it."""
    return call_data(shown_calls(ledger, ledger.directory, ledger.alarms(limit=limit, unfinished=unfinished)))


def one_run(ledger: Ledger, run_id: str) -> Mapping[str, object] | None:
    """One run with its stages, hooks and decisions; None where there is none with this id."""
    try:
        record = ledger.run(run_id)
    except NotFoundHere:
        return None
    shown = dict(_shown(ledger, [record.run])[0])
    shown["stages"] = [stage._asdict() for stage in record.stages]
    shown["effects"] = [
        {key: value for key, value in effect._asdict().items() if key not in ("pid", "start_time")}
        for effect in record.effects
    ]
    shown["decisions"] = [
        {"at": one.at, "source": one.source, "verdict": one.verdict, "reason": one.reason, "rule": one.rule}
        for one in record.decisions
    ]
    return shown


def _shown(ledger: Ledger, rows: list[RunRow]) -> list[dict[str, object]]:
    return [
        {**one.run._asdict(), "status": one.status, "unknown": list(one.unknown)}
        for one in shown_runs(ledger, ledger.directory, rows)
    ]
