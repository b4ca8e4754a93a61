"""Who still watches a cluster: a page about what nobody will see the end of any more is closed, and it is said why."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.app.daemon.cases import BREAKER
from nvsx.app.daemon.watch import DEGRADED, KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvsx.app.daemon.alarms import Alarms

ENDING = (KEY, DEGRADED, BREAKER)
"""Topics that have an end, which only who polls can see."""

SWEPT_S = 3600.0
"""Sweeps of cron hold nothing in between: they count as given up when none was heard of for this long."""


class Vigil:
    """A lock that everybody holds who polls a cluster on one state directory; the kernel frees it with its process.
    `scope` is whose memory of calls they share.
    """

    def __init__(self, directory: Path, scope: str) -> None:
        self.scope = scope
        name = hashlib.sha256(scope.encode()).hexdigest()[:16]
        self._file = directory / f"watching-{name}.lock"
        self._handle: int | None = None

    def keep(self) -> None:
        """Hold it as one of those who watch. Where that cannot be, an end may be told too early, and no more."""
        with suppress(OSError):
            self._handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_SH)  # alone, it is held for a moment only

    def is_kept(self) -> bool:
        """Whether somebody living holds it; also where that cannot be told."""
        try:
            handle = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def leave(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


async def end_unwatched(alarms: Alarms, vigil: Vigil, swept: Callable[[], bool], now: float) -> None:
    """Tell of the end of what people were called for and nobody watches now. `swept`: the last who polled was a sweep,
    which comes again by itself. Raises EnvironmentUnusable where it cannot be written down.
    """
    left = {topic: heard for topic, heard in alarms.heard(vigil.scope).items() if topic in ENDING}
    if not left or vigil.is_kept():
        return
    comes_again = swept()
    for topic, heard in left.items():
        if not comes_again or not now - SWEPT_S < heard <= now:
            await alarms.abandon(vigil.scope, topic)
