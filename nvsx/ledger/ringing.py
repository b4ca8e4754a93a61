"""Alarms in the ledger: that one is news, and what is to be called for it, are one step; one process calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.admission import FORGOTTEN_S
from nvsx.ledger.rows import Alarm, Rung

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from nvsx.ledger.rows import Ring

LONGEST_PAYLOAD = 64 * 1024
COLUMNS = ", ".join(Alarm._fields)


def ring(connection: sqlite3.Connection, news: Ring, now: float) -> Rung:
    """Write down an alarm, unless people were called for its topic lately; either way it was heard of now."""
    known = connection.execute(
        "SELECT 1 FROM rung WHERE scope = ? AND topic = ? AND heard >= ?", (news.scope, news.topic, now - FORGOTTEN_S)
    ).fetchone()
    if known:
        connection.execute("UPDATE rung SET heard = ? WHERE scope = ? AND topic = ?", (now, news.scope, news.topic))
        return Rung()
    alarm = _keep(connection, news.alarm)
    connection.execute("INSERT OR REPLACE INTO rung VALUES (?, ?, ?, ?)", (news.scope, news.topic, now, alarm))
    return Rung(new=True, alarm=alarm)


def resolve(connection: sqlite3.Connection, news: Ring) -> Rung:
    """Forget a topic that is over, and write down what is to be called for that, if people had been called for it.

    Nothing happens while the alarm itself has not ended: a page that is tried again must not come after its end.
    """
    row = connection.execute(
        "SELECT rung.alarm, alarms.ended FROM rung LEFT JOIN alarms ON alarms.id = rung.alarm"
        " WHERE scope = ? AND topic = ?",
        (news.scope, news.topic),
    ).fetchone()
    if row is None or row[1] == 0:
        return Rung()
    connection.execute("DELETE FROM rung WHERE scope = ? AND topic = ?", (news.scope, news.topic))
    return Rung(new=True, alarm=_keep(connection, news.alarm) if row[0] else "")


def remember(connection: sqlite3.Connection, scope: str, heard: Mapping[str, float]) -> None:
    """What an nvsx that kept this elsewhere had heard of."""
    rows = [(scope, topic, time) for topic, time in heard.items()]
    connection.executemany("INSERT OR IGNORE INTO rung (scope, topic, heard) VALUES (?, ?, ?)", rows)


def claim(connection: sqlite3.Connection, alarm: str, owner: str, is_dead: Callable[[str], bool]) -> bool:
    """Own an alarm that nobody living owns."""
    row = connection.execute("SELECT owner FROM alarms WHERE id = ? AND ended = 0", (alarm,)).fetchone()
    if row is None or (row[0] and not is_dead(row[0])):
        return False
    connection.execute("UPDATE alarms SET owner = ? WHERE id = ?", (owner, alarm))
    return True


def end(connection: sqlite3.Connection, alarm: str, outcome: str, now: float) -> None:
    connection.execute(
        "UPDATE alarms SET ended = ?, outcome = ?, owner = '' WHERE id = ? AND ended = 0", (now, outcome, alarm)
    )


def give_up(connection: sqlite3.Connection, owner: str) -> None:
    """Alarms of an owner who leaves are anybody's."""
    connection.execute("UPDATE alarms SET owner = '' WHERE owner = ? AND ended = 0", (owner,))


def prune(connection: sqlite3.Connection, before: float) -> None:
    """Forget alarms that ended before a time, and topics that nobody has heard of since."""
    connection.execute("DELETE FROM rung WHERE heard < ?", (before,))
    old = "SELECT id FROM alarms WHERE ended != 0 AND ended < ? AND id NOT IN (SELECT alarm FROM rung)"
    for table, column in (("effects", "run_id"), ("events", "run_id"), ("alarms", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({old})", (before,))  # noqa: S608 - names from above


def _keep(connection: sqlite3.Connection, alarm: Alarm | None) -> str:
    """Write an alarm down; its id, changed where that is taken."""
    if alarm is None:
        return ""
    number, wanted = 0, alarm.id
    while connection.execute("SELECT 1 FROM alarms WHERE id = ?", (wanted,)).fetchone():
        number += 1
        wanted = f"{alarm.id}.{number:x}"
    kept = alarm._replace(id=wanted, payload=alarm.payload[:LONGEST_PAYLOAD])
    marks = ", ".join("?" * len(kept))
    connection.execute(f"INSERT INTO alarms ({COLUMNS}) VALUES ({marks})", kept)  # noqa: S608 - names of a class
    return wanted
