"""Whether the daemon sees: its blindness is an alarm like any other, and its heartbeat stops while it sees nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nvsx.durations import format_duration
from nvsx.triggers.healthsource import SourceState

if TYPE_CHECKING:
    from nvsx.app.daemon.core import Daemon
    from nvsx.config import Heartbeat
    from nvsx.errors import ClusterError

STEADY_S = 600.0
"""Blindness that comes back within this time after it had ended is the same one: nobody is called again."""

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
        self._saw_at = 0.0
        self._degraded = ""

    @property
    def blind(self) -> bool:
        return bool(self.blind_since)

    def changed(self, state: SourceState) -> None:
        """The sight has changed: say it, and call people when nothing is seen any more."""
        self.state = state
        now = self._daemon.tools.clock.now()
        if state.blind and not self.blind_since:
            self.blind_since = now
            self._goes_blind(state, now)
        elif not state.blind and self.blind_since:
            lasted = format_duration(max(0.0, now - self.blind_since))
            self.blind_since, self._saw_at = 0.0, now
            # What happened meanwhile and is over is only recorded; what goes on is run for.
            self._daemon.intake.looking_since = now
            self._daemon.tools.log.say(f"nvsx sees the cluster again, after {lasted}", topic="recovered")
        self._tell_degraded(state)

    def steady(self) -> None:
        """The sight is good, and a blindness from now on is a new one (a sweep ends so)."""
        self._daemon.alarms.forget(KEY)
        if not self.state.degraded:
            self._daemon.alarms.forget(DEGRADED)

    def _goes_blind(self, state: SourceState, now: float) -> None:
        why = "; ".join(_why(what, error) for what, error in _lost(state))
        self._daemon.tools.log.say(f"nvsx is blind: {why}", topic="blind", level="error")
        if self._saw_at and now - self._saw_at >= STEADY_S:
            self._daemon.alarms.forget(KEY)
        if self._daemon.alarms.is_new(KEY):
            key = f"{KEY}@{self._daemon.ground.cluster}"
            self._daemon.desk.call("onBlind", f"nvsx cannot see the cluster: {why}", key=key, status="blind")

    def _tell_degraded(self, state: SourceState) -> None:
        lost = "; ".join(_why(what, error) for what, error in _lost(state)) if state.degraded else ""
        if bool(lost) != bool(self._degraded):
            if lost and (self._daemon.alarms.is_new(DEGRADED) or not self._daemon.options.sweeps):
                self._daemon.tools.log.warn(f"one way of seeing faults is lost: {lost}", topic="blind")
            elif not lost and not state.blind:
                self._daemon.tools.log.say("both ways of seeing faults work again", topic="recovered")
        self._degraded = lost

    async def beat(self) -> None:
        """Send the sign of life, as `nvsx.yaml` has it, for as long as nvsx sees and can write down what it decides."""
        while True:
            heartbeat = self._daemon.project.config.heartbeat
            if heartbeat and not self.blind and not self._daemon.intake.trouble and await self._send(heartbeat):
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
