"""Runs of a time, and nvsx's own calls, as the statistics want them, from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.app.records.owncalls import about, shown_calls
from nvsx.app.records.reporting import fault_of, readings_of
from nvsx.reporting.fleet import CallFacts, RunFacts
from nvsx.watches.clockwork import TOTAL, instants, phases
from nvsx.watches.moments import FAULT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nvsx.ledger import Reader, RunRow

_MOST = 1_000_000


def runs_since(reader: Reader, since: float) -> tuple[RunFacts, ...]:
    """Every run that was made since a time (epoch seconds), drills left out, the oldest first."""
    facts = reader.facts(since)
    rows = reader.runs(limit=_MOST, since=since)
    return tuple(_facts(row, facts.get(row.id, {})) for row in reversed(rows) if not row.drill)


def calls_since(reader: Reader, directory: Path, since: float) -> tuple[CallFacts, ...]:
    """Every call that nvsx made of its own accord since a time (epoch seconds), the oldest first."""
    shown = shown_calls(reader, directory, reader.alarms(limit=_MOST, since=since)[::-1])
    return tuple(
        CallFacts(one.alarm.at, one.alarm.kind, one.alarm.hook, about(one.alarm), one.alarm.outcome, len(one.unknown))
        for one in shown
    )


def _facts(row: RunRow, facts: Mapping[str, Any]) -> RunFacts:
    found = instants(readings_of(facts))
    told = phases(found) if found else ()
    total = next((phase for phase in told if phase.name == TOTAL), None)
    fault = found.get(FAULT)
    fault_at = fault.at if fault else 0.0
    # Runs of several runbooks about one fault are one incident; without a fault, the ledger tells them apart.
    incident = f"fault {int(fault_at)}" if fault_at else f"incident {row.incident}" if row.incident else row.id
    return RunFacts(
        run_id=row.id,
        runbook=row.runbook,
        node=row.node,
        alias=row.alias,
        source=row.source,
        status=row.status,
        created=row.created,
        began=row.began,
        ended=row.ended,
        fault_at=fault_at,
        codes=fault_of(facts).codes,
        phases=told,
        mttr_s=total.seconds if total and not total.skewed else None,
        incident=incident,
    )
