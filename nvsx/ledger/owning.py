"""Who runs a run: a lock that the kernel frees when its process dies, and keeps while it is only paused."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.cluster.processes import start_time
from nvsx.ledger.troubles import unwritable

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = "owners"
PRIVATE = 0o600
"""The mode of files in a directory that no group shares."""


class Owner:
    """This process as an owner of runs. Its lock file is made when it first claims one."""

    def __init__(self, directory: Path, mode: int) -> None:
        self.id = f"{os.getpid()}-{secrets.token_hex(6)}"
        self.pid = os.getpid()
        self.start_time = start_time(self.pid)
        self._directory = directory / DIRECTORY
        self._mode = mode
        self._lock: int | None = None

    @property
    def holds(self) -> bool:
        return self._lock is not None

    def hold(self) -> None:
        """Take the lock. Raises EnvironmentUnusable where no lock file can be made."""
        if self.holds:
            return
        file = self._directory / self.id
        try:
            with suppress(FileExistsError):
                self._directory.mkdir(mode=0o700)
                if self._mode != PRIVATE:
                    self._directory.chmod(0o770)  # whatever the umask says
            # Locked under another name first: whoever sees the name sees the lock.
            fresh = self._directory / f".{self.id}"
            self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT, self._mode)
            os.fchmod(self._lock, self._mode)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fresh.rename(file)
        except OSError as error:
            if self._lock is not None:  # it would keep this very process from trying again
                os.close(self._lock)
                self._lock = None
            raise unwritable(file, error) from error

    def release(self) -> None:
        if self._lock is not None:
            (self._directory / self.id).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def is_dead(directory: Path, owner: str, pid: int = 0, started: str = "") -> bool:
    """Whether an owner is gone. Where its lock file is missing, the process table answers: a deleted directory must
    not make a living owner's runs free.
    """
    try:
        handle = os.open(directory / DIRECTORY / owner, os.O_RDONLY)
    except FileNotFoundError:
        return not pid or start_time(pid) != started
    except OSError:
        return False  # another user's: it cannot be told, and two owners are worse than none
    try:
        # Shared, so that two who ask at once do not take each other for the owner.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def sweep(directory: Path, keep: set[str]) -> None:
    """Remove lock files of dead owners that own nothing any more."""
    try:
        files = [file for file in (directory / DIRECTORY).iterdir() if file.name not in keep and file.name[0] != "."]
    except OSError:
        return
    for file in files:
        if is_dead(directory, file.name):
            with suppress(OSError):  # somebody else sweeps, too, and a leftover harms nobody
                file.unlink()
