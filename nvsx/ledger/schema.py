"""The ledger's tables, and how a ledger of an older nvsx becomes one of this nvsx.

SQLite as old as 3.26 (RHEL 8) must understand every statement: no STRICT, no RETURNING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID = 0x4E565358
"""`NVSX` in the file's head: `file ledger.db` shows it, and no foreign database is taken for a ledger."""

_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE texts (sha TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY, created REAL NOT NULL, began REAL NOT NULL DEFAULT 0, ended REAL NOT NULL DEFAULT 0,
        runbook TEXT NOT NULL, text_sha TEXT NOT NULL, node TEXT NOT NULL, alias TEXT NOT NULL DEFAULT '',
        cluster TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '', incident INTEGER NOT NULL DEFAULT 0,
        incident_key TEXT NOT NULL DEFAULT '', trigger TEXT NOT NULL DEFAULT '{}', plan TEXT NOT NULL DEFAULT '{}',
        status TEXT NOT NULL DEFAULT 'queued', exit_code INTEGER, hooks_failed INTEGER NOT NULL DEFAULT 0,
        drill INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', resumed INTEGER NOT NULL DEFAULT 0,
        alive REAL NOT NULL DEFAULT 0, facts TEXT NOT NULL DEFAULT '{}',
        cancelled REAL NOT NULL DEFAULT 0, cancelled_by TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX runs_open ON runs (ended, cluster, runbook) WHERE ended = 0",
    "CREATE INDEX runs_by_node ON runs (node, created)",
    "CREATE INDEX runs_by_time ON runs (created)",
    """CREATE TABLE stages (
        run_id TEXT NOT NULL, stage TEXT NOT NULL, began REAL NOT NULL DEFAULT 0, ended REAL NOT NULL DEFAULT 0,
        status TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', inferred INTEGER NOT NULL DEFAULT 0,
        elapsed REAL NOT NULL DEFAULT 0, decided REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (run_id, stage)) WITHOUT ROWID""",
    """CREATE TABLE effects (
        run_id TEXT NOT NULL, key TEXT NOT NULL, attempt INTEGER NOT NULL, stage TEXT NOT NULL DEFAULT '',
        role TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '', script TEXT NOT NULL DEFAULT '',
        intended REAL NOT NULL DEFAULT 0, started REAL NOT NULL DEFAULT 0, pid INTEGER NOT NULL DEFAULT 0,
        start_time TEXT NOT NULL DEFAULT '', ended REAL NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '',
        exit_code INTEGER, outputs TEXT NOT NULL DEFAULT '{}', missing TEXT NOT NULL DEFAULT '[]',
        detail TEXT NOT NULL DEFAULT '', PRIMARY KEY (run_id, key, attempt)) WITHOUT ROWID""",
    """CREATE TABLE clauses (
        run_id TEXT NOT NULL, stage TEXT NOT NULL, clause TEXT NOT NULL, at REAL NOT NULL, detail TEXT NOT NULL,
        version TEXT NOT NULL, inferred INTEGER NOT NULL, PRIMARY KEY (run_id, stage, clause)) WITHOUT ROWID""",
    """CREATE TABLE events (
        run_id TEXT NOT NULL, seq INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (run_id, seq)) WITHOUT ROWID""",
    """CREATE TABLE incidents (
        id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, node TEXT NOT NULL, runbook TEXT NOT NULL,
        run_id TEXT NOT NULL, opened REAL NOT NULL, closed REAL NOT NULL DEFAULT 0, session TEXT NOT NULL DEFAULT '',
        run_ended REAL NOT NULL DEFAULT 0, news REAL NOT NULL DEFAULT 0, evidence INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX incidents_by_node ON incidents (cluster, node, runbook, id)",
    "CREATE INDEX incidents_open ON incidents (closed, opened)",
    """CREATE TABLE sender_keys (
        cluster TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL, incident INTEGER NOT NULL,
        PRIMARY KEY (cluster, source, key)) WITHOUT ROWID""",
    "CREATE TABLE issued (key TEXT PRIMARY KEY, run_id TEXT NOT NULL, incident INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE deliveries (
        source TEXT NOT NULL, delivery TEXT NOT NULL, run_id TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (source, delivery)) WITHOUT ROWID""",
    "CREATE INDEX deliveries_by_time ON deliveries (at)",
    """CREATE TABLE evidence (
        id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, run_id TEXT NOT NULL, at REAL NOT NULL,
        about REAL NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL, summary TEXT NOT NULL,
        size INTEGER NOT NULL, payload BLOB NOT NULL)""",
    "CREATE INDEX evidence_by_incident ON evidence (incident)",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, cluster TEXT NOT NULL, source TEXT NOT NULL, node TEXT NOT NULL,
        runbook TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, rule TEXT NOT NULL,
        summary TEXT NOT NULL, run_id TEXT NOT NULL, incident INTEGER NOT NULL, considered TEXT NOT NULL)""",
    "CREATE INDEX decisions_by_node ON decisions (node, id)",
    "CREATE INDEX decisions_by_run ON decisions (run_id) WHERE run_id != ''",
    "CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE drills (runbook TEXT PRIMARY KEY, at REAL NOT NULL, scenario TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE silences (
        id INTEGER PRIMARY KEY, made REAL NOT NULL, until REAL NOT NULL, until_text TEXT NOT NULL, start REAL NOT NULL,
        node TEXT NOT NULL, selector TEXT NOT NULL, runbook TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL,
        removed REAL NOT NULL DEFAULT 0)""",
    """CREATE TABLE owners (
        id TEXT PRIMARY KEY, pid INTEGER NOT NULL, start_time TEXT NOT NULL, what TEXT NOT NULL,
        alive REAL NOT NULL DEFAULT 0) WITHOUT ROWID""",
)

_ALARMS = (
    """CREATE TABLE alarms (
        id TEXT PRIMARY KEY, cluster TEXT NOT NULL, at REAL NOT NULL, hook TEXT NOT NULL, script TEXT NOT NULL,
        why TEXT NOT NULL, key TEXT NOT NULL, node TEXT NOT NULL, alias TEXT NOT NULL, status TEXT NOT NULL,
        runbook TEXT NOT NULL, payload BLOB NOT NULL, owner TEXT NOT NULL DEFAULT '', ended REAL NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    "CREATE INDEX alarms_open ON alarms (ended) WHERE ended = 0",
    """CREATE TABLE rung (
        scope TEXT NOT NULL, topic TEXT NOT NULL, heard REAL NOT NULL, alarm TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (scope, topic)) WITHOUT ROWID""",
)

MIGRATIONS: list[Sequence[str]] = [_FIRST, _ALARMS]
"""What makes a ledger of format N into one of format N + 1; the first makes an empty file a ledger."""

OLDEST_READABLE = 1
"""A ledger of this format can be read as it is, while the older nvsx that wrote it still runs."""

FIRST_WITH_ALARMS = 2


def migrate(connection: sqlite3.Connection, path: Path, *, alone: bool) -> None:
    """Bring a ledger to this nvsx's format, all of it or nothing. Raises EnvironmentUnusable for a newer ledger."""
    have, want = version(connection), len(MIGRATIONS)
    if have > want:
        raise _newer(path, have)
    if have == want:
        return
    if not alone:
        raise EnvironmentUnusable(
            f"the ledger {path} is in use by an older nvsx (format {have})", hint=f"stop it first: lsof {path}"
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {want}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_other_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise EnvironmentUnusable for a ledger that cannot be read as it is."""
    have = version(connection)
    if have > len(MIGRATIONS):
        raise _newer(path, have)
    if have < OLDEST_READABLE:
        raise EnvironmentUnusable(
            f"the ledger {path} is of an older nvsx (format {have})",
            hint="the next run of this nvsx brings it up to date: nvsx run RUNBOOK",
        )


def _newer(path: Path, have: int) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the ledger {path} was written by a newer nvsx (format {have}, this one reads {len(MIGRATIONS)})",
        hint="use that nvsx, or another directory: nvsx --state-dir DIR …",
    )


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
