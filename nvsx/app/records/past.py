"""What was decided in the past, and on what grounds: the ledger's answer to "why did it fire, or why did it not?"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.records.owncalls import shown_calls
from nvsx.errors import NotFoundHere
from nvsx.names import alias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nvsx.app.records.owncalls import ShownCall
    from nvsx.ledger import DecisionRow, EvidenceRow, Reader, RunRow

MOST = 20
"""Decisions that are shown; those that are alike and follow each other count as one."""

LOOKED_AT = 5000
"""Decisions that are read for them."""


class Decided(NamedTuple):
    """A decision, the newest of those that were made in the same way one after another."""

    row: DecisionRow
    times: int
    since: float  # when the oldest of them was made


class Past(NamedTuple):
    """Decisions, the newest first, each with the run it led to or belongs to; and what sources said, oldest first."""

    decisions: list[Decided]
    runs: dict[str, RunRow]
    evidence: list[EvidenceRow]
    more: int = 0  # reports of the incident that were only counted
    calls: tuple[ShownCall, ...] = ()  # nvsx's own, the newest first


def past(reader: Reader, word: str, directory: Path) -> Past:
    """What is on record for a run's id, a node, an alias, a source or `last`, or for a call of nvsx's own. Raises
    NotFoundHere where nothing is.
    """
    own = reader.alarm(word)
    if own:
        return Past([], {}, [], calls=tuple(shown_calls(reader, directory, [own])))
    decisions = _folded(_decisions(reader, word))[:MOST]
    runs = {}
    for run_id in {one.row.run_id for one in decisions if one.row.run_id}:
        try:
            runs[run_id] = reader.find(run_id)
        except NotFoundHere:
            continue  # forgotten by age
    incident = next((one.row.incident for one in decisions if one.row.incident), 0)
    evidence = reader.evidence(incident=incident) if incident else []
    counted = next((one.evidence for one in reader.incidents(open=False) if one.id == incident), 0)
    calls = shown_calls(reader, directory, reader.alarms(node=word, limit=MOST))
    return Past(decisions, runs, evidence, max(0, counted - len(evidence)), tuple(calls))


def _decisions(reader: Reader, word: str) -> list[DecisionRow]:
    if word == "last":
        found = reader.decisions(limit=1)
        if not found:
            raise NotFoundHere("no decision is recorded yet", hint="nvsx run RUNBOOK")
        return found
    found = reader.decisions(node=word, limit=LOOKED_AT) or reader.decisions(source=word, limit=LOOKED_AT)
    if found:
        return found
    for node in reader.nodes():
        if alias(node) == word:
            return reader.decisions(node=node, limit=LOOKED_AT)
    run = reader.find(word)
    if word in (run.node, run.alias):
        return reader.decisions(node=run.node, limit=LOOKED_AT)
    return reader.decisions(run_id=run.id, limit=LOOKED_AT)


def _folded(decisions: Sequence[DecisionRow]) -> list[Decided]:
    """Decisions with those that are alike as one: what is heard of again each minute would bury how it began."""
    folded: list[Decided] = []
    for row in decisions:
        last = folded[-1] if folded else None
        if last and _kind(last.row) == _kind(row):
            folded[-1] = last._replace(times=last.times + 1, since=row.at)
        else:
            folded.append(Decided(row, 1, row.at))
    return folded


def _kind(row: DecisionRow) -> tuple[str, ...]:
    return row.source, row.node, row.verdict, row.run_id, row.runbook, row.reason
