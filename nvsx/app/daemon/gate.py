"""The gate between the daemon's runs and their effects: so many processes at once, and none any more when it stops."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.app.daemon.patience import Patience
from nvsx.journal import EffectEnded, EffectIntended

if TYPE_CHECKING:
    from nvsx.app.daemon.log import Log
    from nvsx.events import RunEvent
    from nvsx.journal import Entry
    from nvsx.ports import Journal, Sink

_Effect = tuple[str, str, int]  # run, key, attempt


class Gate:
    """Shared by all runs. An effect waits here before it is journalled, so that what is journalled really starts."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.patience = Patience()
        self._taken = 0  # by effects under way, and by those that were let in just now
        self._waiting: deque[asyncio.Future[None]] = deque()  # empty whenever a slot is free
        self._under_way: set[_Effect] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.stopping = False
        self.shut = False

    @property
    def running(self) -> int:
        """Processes of prerequisites, hooks and actions that are under way."""
        return len(self._under_way)

    async def stop(self, grace_s: float) -> bool:
        """Let no effect begin any more, and wait for those under way; whether all of them ended.

        Afterwards nothing that runs say or want written down gets through: they are as if killed, and go on from their
        journal when nvsx starts again. An effect that did not end in time is thereby `unknown`.
        """
        self.stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        self.shut = True
        return not self._under_way

    async def enter(self, effect: _Effect) -> None:
        """Wait for a slot, first come first served; for ever, once the gate is stopping."""
        if self._taken < self.slots:
            self._taken += 1
        else:
            await self._turn()
        if self.stopping:
            self._give_back()
            await asyncio.Event().wait()
        self._under_way.add(effect)
        self._idle.clear()

    def leave(self, effect: _Effect) -> None:
        """Give the slot back."""
        if effect in self._under_way:
            self._under_way.remove(effect)
            self._give_back()
        if not self._under_way:
            self._idle.set()

    def resize(self, slots: int) -> None:
        """Let so many at once from now on. Where they were more, those under way are not disturbed."""
        self.slots = slots
        self._let_in()

    async def _turn(self) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # let in and cancelled in one moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._taken < self.slots:
            first = self._waiting.popleft()
            if not first.done():
                self._taken += 1
                first.set_result(None)


class GatedJournal:
    """A run's journal behind the gate. An effect waits until its intent can be written down."""

    def __init__(self, gate: Gate, journal: Journal, log: Log) -> None:
        self._gate = gate
        self._journal = journal
        self._log = log

    async def append(self, entry: Entry) -> None:
        if isinstance(entry, EffectIntended):
            await self._intend(entry)
        elif isinstance(entry, EffectEnded):
            await self._end(entry)
        elif not self._gate.shut:
            await self._journal.append(entry)

    async def _intend(self, entry: EffectIntended) -> None:
        effect = (entry.run_id, entry.key, entry.attempt)

        async def intend() -> None:
            await self._gate.enter(effect)
            try:
                await self._journal.append(entry)
            except BaseException:
                self._gate.leave(effect)
                raise

        await self._gate.patience.until(intend, self._log)

    async def _end(self, entry: EffectEnded) -> None:
        try:
            if not self._gate.shut:
                await self._journal.append(entry)
        finally:
            self._gate.leave((entry.run_id, entry.key, entry.attempt))


class GatedSink:
    """Where runs say what they do; they share it, so that the end of one closes nothing."""

    def __init__(self, gate: Gate, *sinks: Sink) -> None:
        self._gate = gate
        self._sinks = sinks

    def emit(self, event: RunEvent) -> None:
        if not self._gate.shut:
            for sink in self._sinks:
                sink.emit(event)

    def close(self) -> None: ...
