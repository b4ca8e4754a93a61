"""What was decided in the past, and on what grounds: the ledger's answer to "why did it fire, or why did it not?"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import NotFoundHere

if TYPE_CHECKING:
    from nvsx.ledger import DecisionRow, EvidenceRow, Reader, RunRow

MOST = 20
"""Decisions about one node that are shown."""


class Past(NamedTuple):
    """Decisions, the newest first, each with the run it led to or belongs to; and what sources said, oldest first."""

    decisions: list[DecisionRow]
    runs: dict[str, RunRow]
    evidence: list[EvidenceRow]
    more: int = 0  # reports of the incident that were only counted


def past(reader: Reader, word: str) -> Past:
    """What is on record for a run's id, a node, an alias or `last`. Raises NotFoundHere where nothing is."""
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
    return Past(decisions, runs, evidence, max(0, counted - len(evidence)))


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
