"""When trouble in looking becomes blindness, and how long to wait before looking again: one rule for every source."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from nvsx.clock import Clock
    from nvsx.errors import ClusterError

GRACE_S = 5.0
"""A source that could not be reached for this long is blind; an error that lasts by its nature is blind at once."""


class Sight:
    """Whether one source can be looked at; `changed` is called when it goes blind, says why anew, or sees again."""

    def __init__(self, clock: Clock, changed: Callable[[], None]) -> None:
        self.blind: ClusterError | None = None
        self._clock = clock
        self._changed = changed
        self._since: float | None = None
        self._last: ClusterError | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def failing(self) -> bool:
        """The last look failed, whether or not that has lasted long enough to be blindness."""
        return self._since is not None

    def failed(self, error: ClusterError, *, since: float) -> None:
        """A look failed that began at `since` (monotonic): a hang counts from its beginning."""
        self._last = error
        if self._since is None:
            self._since = since
        left = self._since + GRACE_S - self._clock.monotonic()
        if error.lasting or left <= 0 or self.blind is not None:
            self._go_blind()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left, self._go_blind)

    def looked(self) -> None:
        """A look succeeded."""
        if self.forget():
            self._changed()

    def forget(self) -> bool:
        """As `looked`, without telling: True when it was blind and the caller tells it together with what it saw."""
        was_blind = self.blind is not None
        self.close()
        self._since = self._last = self.blind = None
        return was_blind

    def close(self) -> None:
        """No more calls."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_blind(self) -> None:
        self.close()
        known, self.blind = self.blind, self._last
        # The same kind of trouble is told once: its text may hold a port or a time that differs with every attempt.
        if self.blind is not None and (known is None or known.code != self.blind.code):
            self._changed()


class Backoff:
    """Waits between attempts that bring nothing: none before the first, then doubling with jitter up to about 10 s."""

    FIRST_S = 0.5
    LONGEST_S = 10.0
    SLOW_S = 45.0

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.attempts = 0

    def reset(self) -> None:
        """The last attempt was worth it."""
        self.attempts = 0

    async def wait(self, *, slow: bool = False) -> None:
        """Wait before the next attempt; `slow` where only somebody's hand can change the outcome."""
        length = min(self.LONGEST_S, self.FIRST_S * 2.0 ** min(self.attempts - 1, 10)) if self.attempts else 0.0
        self.attempts += 1
        if slow:
            length = self.SLOW_S
        await asyncio.sleep(length * (0.75 + self._rng.random() / 4))
