"""The Clock port: time is a parameter of everything that waits.

Waiting itself goes through asyncio (`asyncio.sleep`, `asyncio.timeout_at`, `loop.call_at`), whose time *is* the loop's.
So a clock is two readings (wall and monotonic) plus the loop that makes them true: the real one, or a simulated loop
that jumps to its next timer while nothing outside the process is under way.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class Clock(Protocol):
    """What the engine may know of time."""

    def now(self) -> float:
        """Wall time, epoch seconds; may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump back; equal to the running loop's `time()`."""
        ...

    def holding(self) -> Any:
        """Context manager: a process or thread outside the loop is at work, so simulated time must not jump."""
        ...


class RealClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    @contextmanager
    def holding(self) -> Iterator[None]:
        yield


class SimulatedClock:
    """Simulated time: runs `speed` times faster than real time, or jumps (`speed=inf`), but passes at real speed
    while anything is held: a hook that sleeps one second takes one second of the story.
    """

    def __init__(self, *, start: float, speed: float = float("inf")) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed!r}")
        self.speed = speed
        self._start = start
        self._passed = 0.0
        self._holds = 0
        self._read = 0.0  # the machine's clock when `_passed` was last brought up to it, while held
        self._waiting = (0.0, 0.0)  # the machine's clock when a wait began, and its simulated length

    def now(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        if self._holds:
            read = time.monotonic()
            self._passed += read - self._read
            self._read = read
        return self._passed

    def glance(self) -> float:
        """Wall time for a display, from any thread: it also moves while the loop waits for its next timer."""
        read, (began, length) = time.monotonic(), self._waiting
        if self._holds:
            return self._start + self._passed + max(0.0, read - self._read)
        waited = min((read - began) * self.speed, length) if length else 0.0
        return self._start + self._passed + waited

    @contextmanager
    def holding(self) -> Iterator[None]:
        if not self._holds:
            self._read = time.monotonic()
        self._holds += 1
        try:
            yield
        finally:
            self.monotonic()
            self._holds -= 1

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """`asyncio.run` on this clock's time."""
        with asyncio.Runner(loop_factory=lambda: _SimulatedLoop(self)) as runner:
            return runner.run(main)

    def pass_time(self, select: Callable[[float | None], Any], timeout: float | None) -> Any:
        """Wait for descriptors or for the loop's next timer, `timeout` simulated seconds away (None: no timer)."""
        if self._holds:
            return select(timeout)  # `monotonic` follows the machine's clock meanwhile
        ready = select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return select(None)
        if self.speed == float("inf"):
            self._passed += timeout
            return ready
        began = time.monotonic()
        self._waiting = (began, timeout)
        ready = select(timeout / self.speed)
        self._waiting = (0.0, 0.0)
        # A wait that ran its whole length must reach its timer, whatever the machine's scheduler added or rounded.
        self._passed += (time.monotonic() - began) * self.speed if ready else timeout
        return ready


class _SimulatedSelector(selectors.DefaultSelector):
    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        return self._clock.pass_time(super().select, timeout)


class _SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(_SimulatedSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()
