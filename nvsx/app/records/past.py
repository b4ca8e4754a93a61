"""What was decided in the past, and on what grounds: the ledger's answer to "why did it fire, or why did it not?"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.records.owncalls import shown_calls
from nvsx.errors import NotFoundHere

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.app.records.owncalls import ShownCall
    from nvsx.ledger import DecisionRow, EvidenceRow, Reader, RunRow

MOST = 20
"""Decisions about one node that are shown."""


class Past(NamedTuple):
    """Decisions, the newest first, each with the run it led to or belongs to; and what sources said, oldest first."""

    decisions: list[DecisionRow]
    runs: dict[str, RunRow]
    evidence: list[EvidenceRow]
    more: int = 0  # reports of the incident that were only counted
    calls: tuple[ShownCall, ...] = ()  # nvsx's own, the newest first


def past(reader: Reader, word: str, directory: Path) -> Past:
    """What is on record for a run's id, a node, an alias or `last`, or for a call of nvsx's own. Raises NotFoundHere
    where nothing is.
    """
    own = reader.alarm(word)
    if own:
        return Past([], {}, [], calls=tuple(shown_calls(reader, directory, [own])))
    decisions = _decisions(reader, word)
    runs = {}
    for run_id in {one.run_id for one in decisions if one.run_id}:
        try:
            runs[run_id] = reader.find(run_id)
        except NotFoundHere:
            continue  # forgotten by age
    incident = next((one.incident for one in decisions if one.incident), 0)
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
    about_node = reader.decisions(node=word, limit=MOST)
    if about_node:
        return about_node
    run = reader.find(word)
    if word in (run.node, run.alias):
        return reader.decisions(node=run.node, limit=MOST)
    return reader.decisions(run_id=run.id, limit=MOST)
