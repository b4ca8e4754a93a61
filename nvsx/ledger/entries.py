"""Journal entries as rows: each may come twice (a retry after a full disk, a resumed run) and changes nothing then."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from nvsx.journal import (
    EffectEnded,
    EffectIntended,
    EffectStarted,
    EvidenceSeen,
    IncidentSeen,
    RunBegan,
    RunEnded,
    StageBegan,
    StageEnded,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from nvsx.journal import Entry


def write(connection: sqlite3.Connection, entry: Entry, owner: str) -> None:
    """Write one entry. `owner` is who runs the run."""
    if isinstance(entry, RunBegan):
        _run_began(connection, entry, owner)
    else:
        _WRITERS[type(entry)](connection, entry)


def keep_text(connection: sqlite3.Connection, text: str) -> str:
    """Keep a runbook's text, once however many runs used it; returns the hash that names it."""
    sha = hashlib.sha256(text.encode()).hexdigest()
    connection.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (sha, text))
    return sha


def _run_began(connection: sqlite3.Connection, entry: RunBegan, owner: str) -> None:
    sha = keep_text(connection, entry.runbook_text)
    source = str(entry.trigger.get("source", ""))
    trigger, plan = json.dumps(entry.trigger), json.dumps(entry.plan)
    drill = bool(entry.plan.get("drill"))
    connection.execute(
        "INSERT OR IGNORE INTO runs (id, created, runbook, text_sha, node, cluster, source, trigger, drill)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.run_id, entry.at, entry.runbook, sha, entry.target_node, entry.cluster, source, trigger, drill),
    )
    # A run that goes on after a restart began when it began; it is told once more only what it is told now.
    connection.execute(
        "UPDATE runs SET resumed = resumed + (began != 0), began = CASE WHEN began THEN began ELSE ? END,"
        " alias = ?, plan = ?, status = 'running', owner = ? WHERE id = ? AND ended = 0",
        (entry.at, str(entry.plan.get("target_alias", "")), plan, owner, entry.run_id),
    )


def _intended(connection: sqlite3.Connection, entry: EffectIntended) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO effects (run_id, key, attempt, stage, role, name, script, intended)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (entry.run_id, entry.key, entry.attempt, entry.stage, entry.role, entry.name, entry.script, entry.at),
    )
    if entry.incident_key:
        connection.execute(
            "INSERT OR IGNORE INTO issued SELECT ?, id, incident FROM runs WHERE id = ?",
            (entry.incident_key, entry.run_id),
        )
        connection.execute(
            "UPDATE runs SET incident_key = ? WHERE id = ? AND incident_key != ?",
            (entry.incident_key, entry.run_id, entry.incident_key),
        )


def _started(connection: sqlite3.Connection, entry: EffectStarted) -> None:
    connection.execute(
        "UPDATE effects SET started = ?, pid = ?, start_time = ? WHERE run_id = ? AND key = ? AND attempt = ?",
        (entry.at, entry.pid, entry.start_time, entry.run_id, entry.key, entry.attempt),
    )


def _ended(connection: sqlite3.Connection, entry: EffectEnded) -> None:
    known = (entry.run_id, entry.key, entry.attempt)
    connection.execute("INSERT OR IGNORE INTO effects (run_id, key, attempt) VALUES (?, ?, ?)", known)
    connection.execute(
        "UPDATE effects SET ended = ?, outcome = ?, exit_code = ?, outputs = ?, missing = ?, detail = ?"
        " WHERE run_id = ? AND key = ? AND attempt = ?",
        (
            entry.at,
            entry.outcome,
            entry.exit_code,
            json.dumps(entry.outputs),
            json.dumps(entry.missing),
            entry.detail,
            *known,
        ),
    )


def _seen(connection: sqlite3.Connection, entry: EvidenceSeen) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO clauses VALUES (?, ?, ?, ?, ?, ?, ?)",
        (entry.run_id, entry.stage, entry.clause, entry.at, entry.detail, entry.version, entry.inferred),
    )


def _stage_began(connection: sqlite3.Connection, entry: StageBegan) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO stages (run_id, stage, began) VALUES (?, ?, ?)", (entry.run_id, entry.stage, entry.at)
    )


def _stage_ended(connection: sqlite3.Connection, entry: StageEnded) -> None:
    connection.execute("INSERT OR IGNORE INTO stages (run_id, stage) VALUES (?, ?)", (entry.run_id, entry.stage))
    connection.execute(
        "UPDATE stages SET ended = ?, status = ?, reason = ?, inferred = ?, elapsed = ?, decided = ?"
        " WHERE run_id = ? AND stage = ?",
        (
            entry.at,
            entry.status,
            entry.reason,
            entry.inferred,
            entry.elapsed_s,
            entry.decided_at,
            entry.run_id,
            entry.stage,
        ),
    )


def _incident_seen(connection: sqlite3.Connection, entry: IncidentSeen) -> None:
    connection.execute("UPDATE runs SET facts = ? WHERE id = ?", (json.dumps(entry.facts), entry.run_id))


def _run_ended(connection: sqlite3.Connection, entry: RunEnded) -> None:
    connection.execute(
        "UPDATE runs SET ended = ?, status = ?, exit_code = ?, hooks_failed = ?, owner = '' WHERE id = ? AND ended = 0",
        (entry.at, entry.status, entry.exit_code, entry.hooks_failed, entry.run_id),
    )
    connection.execute(
        "UPDATE incidents SET run_ended = ? WHERE run_id = ? AND run_ended = 0", (entry.at, entry.run_id)
    )


_WRITERS: dict[type[Entry], Callable[[sqlite3.Connection, Entry], None]] = {
    EffectIntended: _intended,  # type: ignore[dict-item]
    EffectStarted: _started,  # type: ignore[dict-item]
    EffectEnded: _ended,  # type: ignore[dict-item]
    EvidenceSeen: _seen,  # type: ignore[dict-item]
    StageBegan: _stage_began,  # type: ignore[dict-item]
    StageEnded: _stage_ended,  # type: ignore[dict-item]
    IncidentSeen: _incident_seen,  # type: ignore[dict-item]
    RunEnded: _run_ended,  # type: ignore[dict-item]
}
