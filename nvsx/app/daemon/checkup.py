"""The ledger is examined as a whole while the daemon works: damage that no start has seen is told, and calls people."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.errors import NvsxError

if TYPE_CHECKING:
    from nvsx.app.daemon.alarms import Alarms
    from nvsx.app.daemon.runs import Tools

EVERY_S = 86400.0
NAME = "examined"
TOPIC = "ledger"


class Checkup:
    """Of one daemon or sweep. `damage` is what was found, "" while nothing is known to be wrong."""

    def __init__(self, tools: Tools, alarms: Alarms, cluster: str) -> None:
        self.damage = ""
        self._tools = tools
        self._alarms = alarms
        self._key = f"{TOPIC}@{cluster}"

    async def work(self) -> None:
        """Examine it after a start that has seen only a part of it, and then every day, until cancelled."""
        if not self._tools.ledger.seen_whole:
            await self.examine()
        while True:
            await asyncio.sleep(EVERY_S)
            await self.examine()

    async def sweep(self) -> None:
        """The same for sweeps, which are too many for each to do it."""
        last = 0.0
        with suppress(ValueError):
            last = float(self._tools.ledger.cursor(NAME))
        if not self._tools.ledger.seen_whole and not 0.0 <= self._tools.clock.now() - last < EVERY_S:
            await self.examine()

    async def examine(self) -> None:
        tools = self._tools
        try:
            await tools.ledger.examine()
        except NvsxError as error:
            self.damage = error.message
            tools.log.say(f"{error.message}; {error.hint}", topic="record", level="error")
            with suppress(NvsxError):  # the ledger cannot even take that
                await self._alarms.ring(self._alarms.news(TOPIC, "onFailure", error.message, key=self._key))
            return
        self.damage = ""
        with suppress(NvsxError):  # the disk: it is examined again
            await tools.ledger.set_cursor(NAME, str(tools.clock.now()))
