"""Whether the daemon sees: its blindness is an alarm like any other, and its heartbeat stops while it sees nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.app.daemon.intake import AGAIN_S
from nvsx.durations import format_duration
from nvsx.errors import NvsxError
from nvsx.triggers.healthsource import SourceState

if TYPE_CHECKING:
    from nvsx.app.daemon.core import Daemon
    from nvsx.config import Heartbeat
    from nvsx.errors import ClusterError

STEADY_S = 600.0
"""Blindness that comes back within this time after it had ended is the same one: nobody is called again, and only after
it are people told that it is over.
"""

URL_TIMEOUT_S = 10.0
KEY = "blind"
DEGRADED = "degraded"


class Watch:
    """The daemon's own sight and sign of life."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.state = SourceState()
        self.blind_since = 0.0  # epoch seconds, 0.0 while it sees
        self.last_beat = 0.0
        self._saw_at = 0.0  # since when it sees without a gap, epoch seconds
        self._owed = ""  # why people must be called, until that is written down
        self._degraded = ""
        self._news = asyncio.Event()

    @property
    def blind(self) -> bool:
        return bool(self.blind_since)

    def changed(self, state: SourceState) -> None:
        """The sight has changed: say it, and call people when nothing is seen any more."""
        self.state = state
        self._news.set()
        now = self._daemon.tools.clock.now()
        if state.blind and not self.blind_since:
            self.blind_since = now
            self._goes_blind(state)
        elif not state.blind and self.blind_since:
            lasted = format_duration(max(0.0, now - self.blind_since))
            self.blind_since, self._saw_at, self._owed = 0.0, now, ""
            # What happened meanwhile and is over is only recorded; what goes on is run for.
            self._daemon.intake.looking_since = now
            self._daemon.tools.log.say(f"nvsx sees the cluster again, after {lasted}", topic="recovered")
        self._tell_degraded(state)

    async def mind(self) -> None:
        """Call people when nothing is seen any more, and tell them when that is over for good, until cancelled."""
        await self._daemon.fleet.looked.wait()
        while True:
            with suppress(NvsxError):  # the disk: it is tried again
                await self.settle()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._news.wait()
            self._news.clear()

    async def settle(self) -> None:
        """Do what the sight asks for now, durably. Raises EnvironmentUnusable where that cannot be written down."""
        now = self._daemon.tools.clock.now()
        self._saw_at = min(self._saw_at, now) or (now if self._sees else 0.0)
        if self._is_over(now):
            await self._resolve()
        if self._owed:
            await self._call()
        if self._daemon.options.sweeps:
            await self._settle_degraded()

    @property
    def _sees(self) -> bool:
        """Whether something was looked at: that nothing is known to be wrong is not yet sight."""
        fleet = self._daemon.fleet
        return not self.blind and bool((fleet.listed and fleet.blind is None) or self._daemon.source.looked)

    def _is_over(self, now: float) -> bool:
        """Whether the last blindness is: another one from now on is a new one. A sweep does not wait for that."""
        until = self.blind_since or now
        steady_s = 0.0 if self._daemon.options.sweeps else STEADY_S
        return bool(self._saw_at) and until - self._saw_at >= steady_s

    def _pause(self) -> float | None:
        """How long there is nothing to do if the sight stays as it is; None: for ever."""
        if self._owed:
            return AGAIN_S
        if self.blind or not self._daemon.alarms.rung(KEY):
            return None
        due = self._saw_at + STEADY_S - self._daemon.tools.clock.now() if self._saw_at else 0.0
        return max(AGAIN_S, due)

    async def _resolve(self) -> None:
        since = self._daemon.alarms.called_at(KEY)
        lasted = f", after {format_duration(max(0.0, self._saw_at - since))}" if since else ""
        await self._daemon.alarms.resolve(KEY, f"nvsx sees the cluster again{lasted}")

    async def _call(self) -> None:
        alarms = self._daemon.alarms
        key = f"{KEY}@{self._daemon.ground.cluster}"
        await alarms.ring(alarms.news(KEY, "onBlind", self._owed, key=key, status="blind"))
        self._owed = ""

    async def _settle_degraded(self) -> None:
        """Of what lasts over many sweeps, one says so."""
        alarms, state = self._daemon.alarms, self.state
        if state.degraded:
            if await alarms.ring(alarms.quiet_news(DEGRADED)):
                self._daemon.tools.log.warn(f"one way of seeing faults is lost: {self._degraded}", topic="blind")
        elif self._sees:
            await alarms.resolve(DEGRADED, "")

    def _goes_blind(self, state: SourceState) -> None:
        why = "; ".join(_why(what, error) for what, error in _lost(state))
        self._daemon.tools.log.say(f"nvsx is blind: {why}", topic="blind", level="error")
        self._owed = f"nvsx cannot see the cluster: {why}"

    def _tell_degraded(self, state: SourceState) -> None:
        lost = "; ".join(_why(what, error) for what, error in _lost(state)) if state.degraded else ""
        if bool(lost) != bool(self._degraded):
            if lost and not self._daemon.options.sweeps:
                self._daemon.tools.log.warn(f"one way of seeing faults is lost: {lost}", topic="blind")
            elif not lost and not state.blind:
                self._daemon.tools.log.say("both ways of seeing faults work again", topic="recovered")
        self._degraded = lost

    async def beat(self) -> None:
        """Send the sign of life, as `nvsx.yaml` has it, for as long as nvsx sees and can write down what it decides."""
        while True:
            heartbeat = self._daemon.project.config.heartbeat
            if heartbeat and not self.blind and not self._daemon.trouble and await self._send(heartbeat):
                self.last_beat = self._daemon.tools.clock.now()
            await asyncio.sleep(heartbeat.every_s if heartbeat else 60.0)

    async def _send(self, heartbeat: Heartbeat) -> bool:
        if heartbeat.hook:
            return await self._daemon.alarms.beat(heartbeat.hook)
        try:
            with self._daemon.tools.clock.holding():
                await asyncio.to_thread(_fetch, heartbeat.url)
        except (OSError, ValueError) as error:
            self._daemon.tools.log.warn(f"the heartbeat did not get through: {error}")
            return False
        return True


def _fetch(url: str) -> None:
    from urllib.request import urlopen

    with urlopen(url, timeout=URL_TIMEOUT_S) as answer:  # noqa: S310 - the schema allows http and https only
        answer.read(1024)


def _lost(state: SourceState) -> list[tuple[str, ClusterError]]:
    ways = (("nodes", state.nodes), ("NVSentinel's database", state.database))
    return [(what, error) for what, error in ways if error is not None]


def _why(what: str, error: ClusterError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"{what}: {error.message}{hint}"
