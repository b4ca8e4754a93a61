"""Accounts from the ledger: what is on record of a run, put together with the events and files that are left of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.events import Finish, Hook, Note, Output, StageBegin, Start, Watch, from_wire
from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.model import STAGE_IDS
from nvsx.reporting.account import (
    Account,
    Artifact,
    EffectAccount,
    EvidenceAccount,
    Fault,
    Said,
    StageAccount,
    Writes,
)
from nvsx.watches.clockwork import instants, phases, skew
from nvsx.watches.moments import Reading, event_readings, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nvsx.events import RunEvent
    from nvsx.ledger import EffectRow, EvidenceRow, Reader, RunRecord

_PAGE = 1000
_LARGEST_HASHED = 64 << 20
_MOST_ARTIFACTS = 1000


def account_of(reader: Reader, word: str) -> Account:
    """The account of the run that a word means: its id, a node, an alias or `last`. Raises NotFoundHere."""
    record = reader.run(reader.find(word).id)
    return account(record, tuple(_events(reader, record.run.id)))


def account(record: RunRecord, events: Sequence[RunEvent]) -> Account:
    """One run, from what was written down for certain and from what it said, as far as that is left."""
    run, plan, facts = record.run, record.plan, record.facts
    told = _Told(events)
    readings = joined(readings_of(facts), _document_readings(record.evidence))
    found = instants(readings)
    artifact_dir = str(plan.get("artifact_dir", ""))
    finish = told.finish
    return Account(
        run_id=run.id,
        runbook=run.runbook,
        title=told.start.title if told.start else run.runbook,
        nickname=told.start.runbook_nickname if told.start else "",
        node=run.node,
        alias=run.alias,
        cluster=run.cluster,
        source=run.source,
        drill=run.drill,
        nvsx_version=str(plan.get("nvsx_version", "")),
        began=run.began or run.created,
        ended=run.ended,
        status=run.status,
        verdict=finish.verdict if finish else "",
        reason=finish.reason if finish else "",
        exit_code=run.exit_code,
        incident_key=run.incident_key or (finish.incident_key if finish else ""),
        fault=fault_of(facts),
        instants=tuple(found.values()),
        phases=phases(found) if found else (),
        skew_s=skew(readings),
        mttr_s=finish.mttr_s if finish else None,
        stages=tuple(_stages(record, told)),
        effects=tuple(_effects(record.effects, told)),
        evidence=tuple(
            EvidenceAccount(one.stage, told.clauses.get((one.stage, one.clause), f"clause {one.clause}"), one.detail,
                            one.version, one.at, one.inferred)
            for one in record.clauses
        ),
        said=tuple(Said(one.at, one.source, one.summary or f"{one.size} bytes") for one in record.evidence),
        warnings=tuple(told.warnings),
        artifact_dir=artifact_dir,
        artifacts=tuple(_artifacts(artifact_dir)),
        writes=_writes(finish),
        missing=tuple(_missing(record, told)),
    )  # fmt: skip


def readings_of(facts: Mapping[str, Any]) -> tuple[Reading, ...]:
    """What the facts of an incident, as the ledger keeps them, tell of its moments."""
    return tuple(Reading(*one) for one in facts.get("moments", ()) if len(one) == len(Reading._fields))


def fault_of(facts: Mapping[str, Any]) -> Fault:
    """What the facts of an incident tell of its fault."""
    return Fault(
        check=str(facts.get("first_check", "")),
        codes=tuple(facts.get("error_codes", ())),
        action=str(facts.get("action", "")),
        message=str(facts.get("message", "")),
        entities=tuple(facts.get("entities", ())),
        event_ids=tuple(facts.get("event_ids", ())),
    )


class _Told:
    """What a run said, sorted by what it was about."""

    def __init__(self, events: Iterable[RunEvent]) -> None:
        self.start: Start | None = None
        self.finish: Finish | None = None
        self.titles: dict[str, str] = {}
        self.clauses: dict[tuple[str, str], str] = {}
        self.warnings: list[tuple[float, str]] = []
        self.output: dict[tuple[str, str, int], list[str]] = {}  # by stage, origin and its number there
        self.seqs: list[int] = []
        self._begun: dict[tuple[str, str], int] = {}
        for event in events:
            self.seqs.append(event.seq)
            self._take(event)

    def _take(self, event: RunEvent) -> None:
        body = event.body
        if isinstance(body, Start):
            self.start = self.start or body
        elif isinstance(body, StageBegin):
            self.titles[body.stage] = body.title
        elif isinstance(body, Watch):
            self.clauses[body.stage, body.clause] = body.text
        elif isinstance(body, Hook):
            if body.phase == "begin" and body.attempt == 1:
                key = (body.stage, body.hook)
                self._begun[key] = self._begun.get(key, -1) + 1
        elif isinstance(body, Output):
            number = max(0, self._begun.get((body.stage, body.origin), 0))
            self.output.setdefault((body.stage, body.origin, number), []).append(body.text)
        elif isinstance(body, Note) and body.level != "info" and body.topic != "reminder":
            self.warnings.append((event.t, body.text))
        elif isinstance(body, Finish):
            self.finish = body


def _events(reader: Reader, run_id: str) -> Iterator[RunEvent]:
    last = -1
    while found := reader.events(run_id, last, _PAGE):
        for _, line in found:
            try:
                yield from_wire(json.loads(line))
            except (KeyError, TypeError, ValueError):
                continue  # of a newer nvsx
        last = found[-1][0]


def _stages(record: RunRecord, told: _Told) -> Iterator[StageAccount]:
    for row in sorted(record.stages, key=lambda row: STAGE_IDS.index(row.stage)):
        title = told.titles.get(row.stage, "")
        yield StageAccount(
            row.stage, title, row.began, row.decided or row.ended, row.status, row.elapsed, row.reason, row.inferred
        )


def _effects(rows: Sequence[EffectRow], told: _Told) -> Iterator[EffectAccount]:
    """Effects in the order in which they began, their attempts together."""
    attempts: dict[str, list[EffectRow]] = {}
    for row in rows:
        attempts.setdefault(row.key, []).append(row)
    numbers: dict[tuple[str, str], int] = {}
    for group in attempts.values():
        first, last = group[0], group[-1]
        origin = f"prerequisite {first.name}" if first.role == "prerequisite" else first.name
        number = numbers[first.stage, origin] = numbers.get((first.stage, origin), -1) + 1
        output = told.output.get((first.stage, origin, number), ())
        yield EffectAccount(
            first.stage, first.role, first.name, first.script, last.attempt, first.intended, last.ended, last.outcome,
            last.exit_code, last.detail, tuple(output),
        )  # fmt: skip


def _document_readings(evidence: Sequence[EvidenceRow]) -> Iterator[Reading]:
    """What documents of NVSentinel's database that were attached to the incident tell."""
    for one in evidence:
        try:
            data = json.loads(one.payload)
        except ValueError:
            continue
        event = from_document(data) if isinstance(data, dict) and "healthevent" in data else None
        if isinstance(event, HealthEvent):
            yield from event_readings(event)


def _artifacts(directory: str) -> Iterator[Artifact]:
    """The files that are left, each with the hash by which it can be told later."""
    root = Path(directory)
    files = (
        sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        if directory and root.is_dir()
        else []
    )
    for path in files[:_MOST_ARTIFACTS]:
        try:
            count = path.stat().st_size
            yield Artifact(path.relative_to(root).as_posix(), count, _hash(path) if count <= _LARGEST_HASHED else "")
        except OSError:
            yield Artifact(path.relative_to(root).as_posix(), 0, "")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _writes(finish: Finish | None) -> Writes | None:
    if finish is None:
        return None
    return Writes(finish.nvsx_cluster_writes, finish.action_cluster_writes, finish.refused_cluster_writes)


def _missing(record: RunRecord, told: _Told) -> Iterator[str]:
    """What a reader must not take for all there was."""
    if not told.seqs:
        yield "what the run said, and what its hooks printed: its events are gone"
    elif told.seqs != list(range(told.seqs[0], told.seqs[0] + len(told.seqs))):
        lost = told.seqs[-1] - told.seqs[0] + 1 - len(told.seqs)
        yield f"{lost} of the run's events, for which the disk was too slow"
    if not record.run.ended:
        yield "the end of the run, which has not come yet"
