"""How the ledger's file is examined: a small one whole before anything else, of a large one first what runs rest on.

SQLite finds a flipped byte in a table's tree or in an index only where it is asked to: a run that is in the file and
not in an index would never go on, and nobody would hear of it.
"""

from __future__ import annotations

import sqlite3

BULK = frozenset(("decisions", "deliveries", "events", "evidence"))
"""Tables that nothing which must go on rests on; they are nearly all of a large ledger."""

_ONE_TABLE = (3, 33)
"""SQLite from this version on examines one table with its indexes; for older ones a table's name means all of them."""


def whole(connection: sqlite3.Connection) -> str:
    """What is wrong anywhere in the file, "" where nothing is. 100 MB take a second or two."""
    return _asked(connection, "PRAGMA integrity_check(1)")


def living(connection: sqlite3.Connection) -> str:
    """What is wrong with the tables of which runs and calls go on after a start, "" where nothing is: a few dozen ms
    where `whole` takes a second.
    """
    if sqlite3.sqlite_version_info < _ONE_TABLE:
        return _asked(connection, "PRAGMA quick_check(1)")
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    asked = (_asked(connection, f'PRAGMA integrity_check("{name}")') for (name,) in tables if name not in BULK)
    return next((problem for problem in asked if problem), "")


def _asked(connection: sqlite3.Connection, pragma: str) -> str:
    found = str(connection.execute(pragma).fetchone()[0])
    return "" if found == "ok" else found.strip().splitlines()[-1]
