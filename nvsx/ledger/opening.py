"""Opens the ledger's file, or makes it: a file that is foreign, damaged, newer or gone is refused, never replaced."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from nvsx.clock import RealClock
from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import examining, troubles
from nvsx.ledger.schema import APPLICATION_ID, migrate, refuse_other_format

if TYPE_CHECKING:
    from pathlib import Path

FILE = "ledger.db"
LOCK = "ledger.lock"
"""Held shared by everyone who has the ledger open, and alone by who makes, checks or migrates it. It outlives a lost
ledger and holds its name, so that an empty memory is never taken for the old one."""

BUSY_S = 15.0
"""How long one process waits for another's transaction."""

WHOLLY_EXAMINED = 8 << 20
"""Bytes: as much is examined whole at every start, in some 10 to 40 ms; of a larger file what runs rest on."""

_PATIENCE_S = 10.0
_HEAD = b"SQLite format 3\0"
_CLOCK = RealClock()  # locks are waited for in real time, whatever the story's clock says


class Opened:
    """An open ledger file: its path, the lock that is held, and the mode for files beside it. `seen_whole`: all of it
    was examined just now.
    """

    def __init__(self, directory: Path) -> None:
        """Make or check the file. Raises EnvironmentUnusable for everything that is wrong with it."""
        troubles.refuse_network_file_system(directory)
        self.path = directory / FILE
        self.mode = _mode(directory)
        self.seen_whole = False
        self._lock = _open_lock(directory, self.path, self.mode)
        try:
            alone = _lock(self._lock, self.path)
            if alone and not self.path.exists():
                self._make(directory)
            self._check(alone=alone)
            if not os.pread(self._lock, 1, 0):
                os.pwrite(self._lock, f"{self.path.name} was made; this file says so should it vanish\n".encode(), 0)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            self.inode = self.path.stat().st_ino
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise troubles.unwritable(self.path, error) from error
            if isinstance(error, sqlite3.Error):
                raise troubles.explained(self.path, error) from error
            if isinstance(error, UnicodeDecodeError):  # in the words of the check itself
                raise troubles.damaged(self.path, "a text in it is not UTF-8") from error
            raise

    def close(self) -> None:
        os.close(self._lock)

    def _make(self, directory: Path) -> None:
        """Make the file under another name and link it when it is whole: nobody ever sees half a ledger."""
        leftover = directory / f"{FILE}-wal"
        trace = leftover if leftover.exists() else directory / LOCK
        if trace is leftover or os.pread(self._lock, 1, 0):
            raise troubles.vanished(self.path, trace)
        fresh = directory / f"{FILE}.{secrets.token_hex(4)}.new"
        try:
            os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, self.mode))
            fresh.chmod(self.mode)
            connection = sqlite3.connect(fresh, isolation_level=None)
            try:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                migrate(connection, self.path, alone=True)
            finally:
                connection.close()
            _sync(fresh)
            os.link(fresh, self.path)
            _sync(directory)
        finally:
            fresh.unlink(missing_ok=True)

    def _check(self, *, alone: bool) -> None:
        """Refuse what is not a whole ledger of a format this nvsx knows; migrate an older one."""
        try:
            with self.path.open("rb") as file:
                head = file.read(100)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise troubles.vanished(self.path, self.path.with_name(LOCK)) from None
        if head[:16] != _HEAD:
            known = bool(os.pread(self._lock, 1, 0))
            raise troubles.damaged(self.path, "its head is not SQLite's") if known else troubles.foreign(self.path)
        if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
            raise troubles.foreign(self.path)
        connection = connect(self.path)
        try:
            if alone:  # who has it open already has examined it
                self.seen_whole = size <= WHOLLY_EXAMINED
                found = examining.whole(connection) if self.seen_whole else examining.living(connection)
                if found:
                    raise troubles.damaged(self.path, found)
            migrate(connection, self.path, alone=alone)
        finally:
            connection.close()


def readable(directory: Path) -> bool:
    """Whether there is a ledger that this nvsx can read; False where there never was one. Raises EnvironmentUnusable
    for one that is gone, foreign, damaged, or of another format.
    """
    path, trace = directory / FILE, directory / LOCK
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        if trace.exists() and trace.stat().st_size:
            raise troubles.vanished(path, trace) from None
        return False
    except OSError as error:
        raise troubles.unreadable(path, error) from error
    if head[:16] != _HEAD or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise troubles.damaged(path, "its head is not a ledger's") if trace.exists() else troubles.foreign(path)
    connection = connect(path, writing=False)
    try:
        refuse_other_format(connection, path)
    finally:
        connection.close()
    return True


def connect(path: Path, *, writing: bool = True) -> sqlite3.Connection:
    """A connection, in autocommit mode, that any thread may use."""
    if writing:
        connection = _connect(path, "mode=rw")
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    connection = _connect(path, "mode=ro")
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.OperationalError:
        # Where nothing can be written, SQLite cannot make the memory that readers and writers share. Whoever finds
        # the ledger closed and its directory read-only reads it as a file that does not change.
        connection.close()
        if os.path.exists(f"{path}-wal"):  # noqa: PTH110 - a name beside, not a path below
            raise
        connection = _connect(path, "mode=ro&immutable=1")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(os.fspath(path))}?{how}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
    )


def _mode(directory: Path) -> int:
    """0660 in a directory that a group shares, so that the person on call sees the daemon's runs; else 0600."""
    try:
        return 0o660 if directory.stat().st_mode & 0o020 else 0o600
    except OSError as error:
        raise troubles.unwritable(directory / FILE, error) from error


def _open_lock(directory: Path, path: Path, mode: int) -> int:
    file = directory / LOCK
    try:
        made = not file.exists()
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        if made:
            os.fchmod(handle, mode)
        return handle
    except OSError as error:
        raise troubles.unwritable(path, error) from error


def _lock(handle: int, path: Path) -> bool:
    """Take the lock: True if nobody else has the ledger open, so that it may be made, checked and migrated."""
    give_up = _CLOCK.monotonic() + _PATIENCE_S
    import threading

    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return kind == fcntl.LOCK_EX
            except BlockingIOError:
                continue
        if _CLOCK.monotonic() > give_up:
            raise EnvironmentUnusable(
                f"another process has been making or checking the ledger {path} for too long",
                hint=f"see which: lsof {path.with_name(LOCK)}",
            )
        threading.Event().wait(0.01)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
