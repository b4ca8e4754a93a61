"""The one thread that writes: many who wait share one COMMIT, and each is told only when it is on the disk."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import EnvironmentUnusable
from nvsx.ledger.opening import connect
from nvsx.ledger.troubles import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Work = Callable[[sqlite3.Connection], Any]
    Tell = Callable[[Any, Exception | None], None]

MOST_PER_COMMIT = 512
MOST_LATER = 20_000
"""Lines for which nobody waits that are kept until the next commit; what is more is counted and dropped."""

LATER_S = 0.25
_OWED_S = 1.0


def _nobody(_result: Any, _failure: Exception | None) -> None:
    """Nobody waits."""


class Job(NamedTuple):
    """Something to write. `tell` is called with its result or failure, in the writer's thread; `owed`: it has already
    happened, so a failure to write it is made up for later, and `tell` is called again then.
    """

    work: Work
    tell: Tell = _nobody
    owed: bool = False


class Writer:
    """Commits work in the order in which it was given. `close` commits all that is left."""

    def __init__(self, path: Path, inode: int) -> None:
        self._path = path
        self._inode = inode
        self._connection = connect(path)
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        self._later: list[Work] = []
        self._owed: list[Job] = []
        self._closing = False
        self._beat: tuple[float, Work] | None = None
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def submit(self, job: Job) -> None:
        """Do a job in the next transaction, and tell when that is durable.

        It cannot be cancelled: who stops waiting for a journal entry has still asked for it.
        """
        with self._changed:
            if self._closing:
                raise EnvironmentUnusable(f"the ledger {self._path} is closed")
            self._jobs.append(job)
            self._awake()

    def later(self, work: Work) -> None:
        """Have `work` done within a moment; nobody waits, and when the disk is too slow it is dropped."""
        with self._changed:
            if self._closing or len(self._later) >= MOST_LATER:
                self.dropped += 1
                return
            self._later.append(work)
            if len(self._later) == 1:
                self._awake()

    def every(self, seconds: float, work: Work) -> None:
        """Have `work` done at least that often, with whatever else there is to do."""
        with self._changed:
            self._beat = (seconds, work)
            self._awake()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._connection.close()

    def _awake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    if not self._changed.wait(self._pause()):
                        break
                jobs, self._jobs = self._jobs[:MOST_PER_COMMIT], self._jobs[MOST_PER_COMMIT:]
                later, self._later = self._later, []
                last = self._closing and not self._jobs
            if jobs or later or self._owed or self._beat:
                self._commit(jobs, later)
            if last:
                return

    def _pause(self) -> float | None:
        """How long nothing needs to be written; None: until something comes."""
        if self._later:
            return LATER_S
        if self._owed:
            return _OWED_S
        return self._beat[0] if self._beat else None

    def _commit(self, jobs: Sequence[Job], later: Sequence[Work]) -> None:
        owed, self._owed = self._owed, []
        done: list[tuple[Job, Any, Exception | None]] = []
        try:
            self._refuse_if_moved()
            self._connection.execute("BEGIN IMMEDIATE")
            done = [self._try(job) for job in (*owed, *jobs)]
            for work in later:
                self._try(Job(work))
            if self._beat:
                self._try(Job(self._beat[1]))
            self.settle()
        except Exception as error:  # whoever waits must be told, whatever it is: this thread has no successor
            self._undo()
            self._owed = [job for job in (*owed, *jobs) if job.owed]
            with self._changed:
                self._later = [*later, *self._later]
                self.dropped += len(self._later[MOST_LATER:])
                del self._later[MOST_LATER:]
            done = [(job, None, explained(self._path, error)) for job in jobs]
        for job, result, failure in done:
            job.tell(result, failure)

    def settle(self) -> None:
        """The moment at which everything of this transaction becomes durable."""
        self._connection.execute("COMMIT")

    def _try(self, job: Job) -> tuple[Job, Any, Exception | None]:
        """Do one job; where it fails by itself, the others go on without it."""
        connection = self._connection
        result, failure = None, None
        connection.execute("SAVEPOINT job")
        try:
            result = job.work(connection)
        except sqlite3.OperationalError:
            raise  # the disk, not the job
        except Exception as error:  # handed to the one who waits for it
            connection.execute("ROLLBACK TO job")
            failure = explained(self._path, error) if isinstance(error, sqlite3.DatabaseError) else error
        connection.execute("RELEASE job")
        return job, result, failure

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _refuse_if_moved(self) -> None:
        """What is written to a file that is no longer there is forgotten at the next start."""
        try:
            if os.stat(self._path).st_ino == self._inode:  # noqa: PTH116 - at every commit
                return
        except OSError:
            pass
        raise EnvironmentUnusable(
            f"the ledger {self._path} was moved, deleted or replaced while nvsx uses it",
            hint="put it back, or stop every nvsx that uses it and start again",
        )
