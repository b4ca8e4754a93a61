"""Patience: what cannot be written now, because the disk is full say, is tried until it can be. Nothing that was taken
on is given up for that, and no hook fails of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nvsx.app.daemon.log import Log

AGAIN_S = 5.0

_T = TypeVar("_T")


class Patience:
    """Shared by all runs and calls, so that one sentence is said for all that wait. `trouble` is why they do, or ""."""

    def __init__(self) -> None:
        self.trouble = ""

    async def until(self, attempt: Callable[[], Awaitable[_T]], log: Log) -> _T:
        """What `attempt` gives, as soon as the machine lets it. A right that is missing is not waited for."""
        try:
            return await attempt()
        except (EnvironmentUnusable, OSError) as error:
            if _is_forbidden(error):
                raise
            if not self.trouble:
                log.say(f"runs and calls wait until this can be done: {error}", topic="record", level="error")
            self.trouble = str(error)
        found = await self._again(attempt)
        if self.trouble:
            log.say("runs and calls go on", topic="record")
        self.trouble = ""
        return found

    async def _again(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            await asyncio.sleep(AGAIN_S)
            try:
                return await attempt()
            except (EnvironmentUnusable, OSError) as error:
                self.trouble = str(error)


def _is_forbidden(error: Exception) -> bool:
    return isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError)
