"""Turns: what many runs want to do at once is done a few at a time, so that what the cluster tells is heard first."""

from __future__ import annotations

import asyncio


class Turns:
    """Lets `at_once` of those who wait go on while the loop turns, in the order in which they came."""

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)

    async def take(self) -> None:
        """Wait for a turn."""
        async with self._places:
            await asyncio.sleep(0)
