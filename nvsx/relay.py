"""Relay: calls from other threads into an event loop, where those that come together share one wake-up.

`call_soon_threadsafe` costs a system call and a turn of the loop each time. Under load that is more than the work.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Relay:
    """May be used from any thread. Calls are made in the loop, in the order in which they were asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._due = False

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Have it called soon. RuntimeError where the loop has ended."""
        self._calls.append((function, args))
        if self._due:
            return
        self._due = True  # before the wake-up: the loop may turn at once
        try:
            self.loop.call_soon_threadsafe(self._make)
        except RuntimeError:
            self._due = False
            raise

    def _make(self) -> None:
        self._due = False  # first of all: what is asked for from here on wakes the loop again
        for _ in range(len(self._calls)):
            function, args = self._calls.popleft()
            try:
                function(*args)
            except Exception as error:  # of this call alone
                context = {"message": f"a call from another thread: {function}", "exception": error}
                self.loop.call_exception_handler(context)
