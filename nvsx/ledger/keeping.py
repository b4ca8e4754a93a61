"""The ledger's smaller writes: owners, claims, incidents, silences, drills, retention. Each within a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.ledger import ringing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from nvsx.config import Silence

CANCELLED = "cancelled"


def register(connection: sqlite3.Connection, owner: str, pid: int, start_time: str, what: str) -> None:
    connection.execute("INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, 0)", (owner, pid, start_time, what))


def beat(connection: sqlite3.Connection, owner: str, now: float) -> None:
    """The owner lives: what comes after the last of these is downtime."""
    connection.execute("UPDATE owners SET alive = ? WHERE id = ?", (now, owner))


def take(connection: sqlite3.Connection, run_id: str, owner: str) -> None:
    connection.execute("UPDATE runs SET owner = ? WHERE id = ? AND ended = 0", (owner, run_id))


def claim(connection: sqlite3.Connection, run_id: str, owner: str, is_dead: Callable[[str], bool]) -> bool:
    """Own a run that nobody living owns; nobody else can claim it meanwhile."""
    row = connection.execute("SELECT owner FROM runs WHERE id = ? AND ended = 0", (run_id,)).fetchone()
    if row is None or (row[0] and not is_dead(row[0])):
        return False
    connection.execute(
        "UPDATE runs SET alive = max(alive, (SELECT alive FROM owners WHERE id = ?)) WHERE id = ?"
        " AND EXISTS (SELECT 1 FROM owners WHERE id = ?)",
        (row[0], run_id, row[0]),
    )
    take(connection, run_id, owner)
    return True


def give_up(connection: sqlite3.Connection, owner: str, now: float) -> None:
    """Unfinished runs of an owner who leaves are anybody's."""
    connection.execute("UPDATE runs SET owner = '', alive = ? WHERE owner = ? AND ended = 0", (now, owner))
    connection.execute("DELETE FROM owners WHERE id = ?", (owner,))


def cancel(connection: sqlite3.Connection, run_id: str, by: str, now: float) -> None:
    connection.execute(
        "UPDATE runs SET cancelled = ?, cancelled_by = ? WHERE id = ? AND ended = 0 AND cancelled = 0",
        (now, by, run_id),
    )


def close_incident(connection: sqlite3.Connection, incident: int, now: float) -> None:
    connection.execute("UPDATE incidents SET closed = ? WHERE id = ? AND closed = 0", (now, incident))


def incident_news(connection: sqlite3.Connection, incident: int, now: float, session: str) -> None:
    connection.execute(
        "UPDATE incidents SET news = max(news, ?), session = CASE session WHEN '' THEN ? ELSE session END WHERE id = ?",
        (now, session, incident),
    )


def set_cursor(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (name, value))


def remember_drill(connection: sqlite3.Connection, runbook: str, at: float, scenario: str) -> None:
    connection.execute("INSERT OR REPLACE INTO drills VALUES (?, ?, ?)", (runbook, at, scenario))


def add_silence(connection: sqlite3.Connection, silence: Silence, now: float) -> int:
    made = connection.execute(
        "INSERT INTO silences (made, until, until_text, start, node, selector, runbook, why, by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            now,
            silence.until,
            silence.until_text,
            silence.start,
            silence.node,
            silence.selector,
            silence.runbook,
            silence.why,
            silence.by,
        ),
    )
    return int(made.lastrowid or 0)


def remove_silence(connection: sqlite3.Connection, number: int, now: float) -> bool:
    done = connection.execute(
        "UPDATE silences SET removed = ? WHERE id = ? AND removed = 0 AND until > ?", (now, number, now)
    )
    return done.rowcount == 1


def prune(connection: sqlite3.Connection, before: float, owners: set[str]) -> int:
    """Forget what ended before a time. What an open incident or an unfinished run needs stays, however old."""
    old = "(SELECT id FROM runs WHERE ended != 0 AND ended < ?)"
    connection.execute("DELETE FROM incidents WHERE closed != 0 AND closed < ?", (before,))
    for table in ("stages", "effects", "clauses", "events", "issued"):
        connection.execute(f"DELETE FROM {table} WHERE run_id IN {old}", (before,))  # noqa: S608 - names from above
    count = connection.execute("DELETE FROM runs WHERE ended != 0 AND ended < ?", (before,)).rowcount
    ringing.prune(connection, before)
    connection.execute("DELETE FROM decisions WHERE at < ?", (before,))
    connection.execute("DELETE FROM deliveries WHERE at < ?", (before,))
    connection.execute("DELETE FROM evidence WHERE at < ? AND incident NOT IN (SELECT id FROM incidents)", (before,))
    connection.execute("DELETE FROM sender_keys WHERE incident NOT IN (SELECT id FROM incidents)")
    connection.execute("DELETE FROM silences WHERE until < ?", (before,))
    connection.execute("DELETE FROM texts WHERE sha NOT IN (SELECT text_sha FROM runs)")
    for (owner,) in connection.execute("SELECT id FROM owners").fetchall():
        if owner not in owners:
            connection.execute("DELETE FROM owners WHERE id = ?", (owner,))
    return int(count)
