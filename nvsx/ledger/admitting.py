"""Admission over the ledger: one transaction asks, decides and writes the answer down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.admission import (
    ATTACH,
    BY_HAND,
    DUPLICATE,
    IGNORE,
    POLL,
    QUEUE,
    REFUSE,
    START,
    Decision,
    Incident,
    by_hand,
    decide,
)
from nvsx.config import Silence
from nvsx.ledger import ringing
from nvsx.ledger.entries import keep_text
from nvsx.ledger.rows import Admitted, Evidence, Joined, NewRun

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from nvsx.admission import Occasion
    from nvsx.config import Limits
    from nvsx.ledger.rows import Ring

LONGEST_PAYLOAD = 64 * 1024
PAYLOADS_KEPT = 20
"""Raw payloads kept for one incident."""

REPORTS_KEPT = 1000
"""Reports of one incident that are kept one by one; what comes after is only counted."""

_INCIDENT = "SELECT id, node, runbook, run_id, opened, closed, session, run_ended, news FROM incidents"


class Case(NamedTuple):
    """An occasion with all that is written down about it."""

    occasion: Occasion
    cluster: str
    evidence: Evidence
    run: NewRun | None
    rule: str  # the `file:line` that chose the runbook
    considered: Sequence[Any]  # what routing found of every runbook


class SqlMemory:
    """What admission asks, answered from the transaction at hand."""

    def __init__(self, connection: sqlite3.Connection, cluster: str) -> None:
        self._connection = connection
        self._cluster = cluster

    def answered(self, source: str, delivery: str) -> str | None:
        row = self._one("SELECT run_id FROM deliveries WHERE source = ? AND delivery = ?", source, delivery)
        return None if row is None else str(row[0])

    def latest(self, node: str, runbook: str) -> Incident | None:
        where = "WHERE cluster = ? AND node = ? AND runbook = ? ORDER BY id DESC LIMIT 1"
        return self._incident(where, self._cluster, node, runbook)

    def on_node(self, node: str) -> Incident | None:
        where = "WHERE cluster = ? AND node = ? AND closed = 0 ORDER BY id DESC LIMIT 1"
        return self._incident(where, self._cluster, node)

    def with_key(self, source: str, key: str) -> Incident | None:
        where = "WHERE id = (SELECT incident FROM sender_keys WHERE cluster = ? AND source = ? AND key = ?)"
        return self._incident(where, self._cluster, source, key)

    def issued(self, key: str) -> Incident | None:
        return self._incident("WHERE id = (SELECT incident FROM issued WHERE key = ?)", key)

    def active(self, runbook: str) -> int:
        return self._count("AND runbook = ?", runbook)

    def waiting(self) -> int:
        return self._count("")

    def _count(self, more: str, *values: str) -> int:
        sql = f"SELECT count(*) FROM runs WHERE ended = 0 AND cluster = ? {more}"  # noqa: S608 - texts of this class
        return int(self._connection.execute(sql, (self._cluster, *values)).fetchone()[0])

    def _incident(self, where: str, *values: Any) -> Incident | None:
        row = self._one(f"{_INCIDENT} {where}", *values)
        return Incident(*row) if row else None

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return row


def admit(
    connection: sqlite3.Connection, case: Case, limits: Limits, silences: Sequence[Silence], *, stopping: bool,
    ring: Ring | None = None,
) -> Admitted:  # fmt: skip
    """Decide about an occasion and write down everything that follows. Within a transaction."""
    memory = SqlMemory(connection, case.cluster)
    known = (*silences, *standing_silences(connection, case.occasion.time))
    decision = decide(case.occasion, memory, limits, known, stopping=stopping)
    admitted = _write_down(connection, case, decision)
    if ring and decision.verdict == IGNORE:
        return admitted._replace(rung=ringing.ring(connection, ring, case.occasion.time))
    return admitted


def begin_by_hand(connection: sqlite3.Connection, case: Case, *, force: bool) -> Admitted:
    """Decide about a run that a person asked for. Within a transaction."""
    return _write_down(connection, case, by_hand(case.occasion, SqlMemory(connection, case.cluster), force=force))


def standing_silences(connection: sqlite3.Connection, now: float) -> list[Silence]:
    """Silences that were made by command and have neither passed nor been removed."""
    rows = connection.execute(
        "SELECT until, why, until_text, start, node, selector, runbook, by FROM silences"
        " WHERE removed = 0 AND until > ? ORDER BY id",
        (now,),
    )
    return [Silence(*row) for row in rows]


def _write_down(connection: sqlite3.Connection, case: Case, decision: Decision) -> Admitted:
    occasion = case.occasion
    run_id, incident = decision.run_id, decision.incident.id if decision.incident else 0
    if decision.verdict in (START, QUEUE):
        if case.run is None:
            raise ValueError(f"{occasion.runbook} may start, but no run was given")
        run_id, incident = _open(connection, case, case.run, decision)
    elif decision.verdict == ATTACH:
        connection.execute(
            "UPDATE incidents SET news = max(news, ?), session = CASE session WHEN '' THEN ? ELSE session END"
            " WHERE id = ?",
            (occasion.time, occasion.session, incident),
        )
    if occasion.delivery and _is_answer(decision, occasion):
        connection.execute(
            "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?)",
            (occasion.source, occasion.delivery, run_id, occasion.time),
        )
    written = 0
    is_known = decision.verdict == DUPLICATE and occasion.source == POLL  # a line for each sweep would bury the others
    if not is_known and _keep_evidence(connection, case, decision, run_id, incident):
        written = _keep_decision(connection, case, decision, run_id, incident)
    joined = _joined(connection, run_id) if decision.verdict in (ATTACH, DUPLICATE) else None
    return Admitted(decision, run_id, incident, written, joined=joined)


def _is_answer(decision: Decision, occasion: Occasion) -> bool:
    """Whether this is the answer to the same delivery for ever. What a sender says again, because it still goes on, may
    start a run once the silence is over or a runbook takes it; what nvsx itself reads again is no news of anything.
    """
    return decision.verdict != REFUSE and (decision.verdict != IGNORE or occasion.source == POLL)


def _joined(connection: sqlite3.Connection, run_id: str) -> Joined | None:
    row = connection.execute("SELECT runbook, node, incident_key FROM runs WHERE id = ?", (run_id,)).fetchone()
    return Joined._make(row) if row else None


def _open(connection: sqlite3.Connection, case: Case, run: NewRun, decision: Decision) -> tuple[str, int]:
    """A queued run and the incident it is for; a node's older incident of the same runbook is over with it."""
    occasion = case.occasion
    run_id = _free_id(connection, run.run_id)
    connection.execute(
        "UPDATE incidents SET closed = ? WHERE cluster = ? AND node = ? AND runbook = ? AND closed = 0",
        (occasion.time, case.cluster, occasion.node, occasion.runbook),
    )
    made = connection.execute(
        "INSERT INTO incidents (cluster, node, runbook, run_id, opened, session, news) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (case.cluster, occasion.node, occasion.runbook, run_id, occasion.time, occasion.session, occasion.time),
    )
    incident = int(made.lastrowid or 0)
    connection.execute(
        "INSERT INTO runs (id, created, runbook, text_sha, node, alias, cluster, source, incident, trigger)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run_id,
            occasion.time,
            run.runbook,
            keep_text(connection, run.runbook_text),
            run.target_node,
            run.target_alias,
            case.cluster,
            occasion.source,
            incident,
            json.dumps(dict(run.trigger)),
        ),
    )
    return run_id, incident


def _free_id(connection: sqlite3.Connection, wanted: str) -> str:
    """`wanted`, or one more than the last id of its second: in a burst, two runs may draw the same number."""
    if not connection.execute("SELECT 1 FROM runs WHERE id = ?", (wanted,)).fetchone():
        return wanted
    base, dash, _ = wanted.rpartition("-")
    within = (f"{base}-", f"{base}.")  # every id that begins with `base-`
    last = connection.execute("SELECT max(id) FROM runs WHERE id BETWEEN ? AND ?", within).fetchone()[0] if dash else ""
    tail = last.rpartition("-")[2]
    if len(tail) == 4 and tail != "ffff" and all(sign in "0123456789abcdef" for sign in tail):
        return f"{base}-{int(tail, 16) + 1:04x}"
    count = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    return f"{wanted}.{count:x}"


def _keep_evidence(connection: sqlite3.Connection, case: Case, decision: Decision, run_id: str, incident: int) -> bool:
    """Keep what the source said about an incident. False where so much was said before that it is only counted."""
    occasion = case.occasion
    refused_by_hand = occasion.source == BY_HAND and decision.verdict == ATTACH
    if refused_by_hand or decision.verdict not in (START, QUEUE, ATTACH):
        return True
    if occasion.key:
        connection.execute(
            "INSERT OR REPLACE INTO sender_keys VALUES (?, ?, ?, ?)",
            (case.cluster, occasion.source, occasion.key, incident),
        )
    connection.execute("UPDATE incidents SET evidence = evidence + 1 WHERE id = ?", (incident,))
    count = connection.execute("SELECT evidence FROM incidents WHERE id = ?", (incident,)).fetchone()[0]
    if count > REPORTS_KEPT:
        return False
    payload = case.evidence.payload
    connection.execute(
        "INSERT INTO evidence (incident, run_id, at, about, source, key, summary, size, payload)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            incident,
            run_id,
            occasion.time,
            occasion.about,
            occasion.source,
            occasion.key,
            case.evidence.summary,
            len(payload),
            payload[:LONGEST_PAYLOAD] if count <= PAYLOADS_KEPT else b"",
        ),
    )
    return True


def _keep_decision(connection: sqlite3.Connection, case: Case, decision: Decision, run_id: str, incident: int) -> int:
    occasion = case.occasion
    made = connection.execute(
        "INSERT INTO decisions (at, cluster, source, node, runbook, verdict, reason, rule, summary, run_id, incident,"
        " considered) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            occasion.time,
            case.cluster,
            occasion.source,
            occasion.node,
            occasion.runbook,
            decision.verdict,
            decision.reason,
            case.rule,
            case.evidence.summary,
            run_id,
            incident,
            json.dumps([list(one) for one in case.considered]),
        ),
    )
    return int(made.lastrowid or 0)
