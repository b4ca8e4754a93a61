"""The log lines of simulated pods, kept with their times and followed as they are written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection

    from nvsx.clock import Clock
    from nvsx.errors import ClusterError


class Line(NamedTuple):
    """One line of a container's log, with its place in the order of all lines of the world."""

    number: int
    time: float
    container: str
    text: str


class PodLogs:
    """Logs by (namespace, pod)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, str], list[Line]] = {}
        self._count = 0
        self._changed = asyncio.Event()
        self._followers: set[_Follower] = set()

    def append(self, namespace: str, pod: str, text: str, container: str = "", time: float | None = None) -> None:
        """Write a line now, or with an earlier `time` when the past is being set up."""
        self._count += 1
        when = self._clock.now() if time is None else time
        self._lines.setdefault((namespace, pod), []).append(Line(self._count, when, container, text))
        self.wake()

    def lines(self, namespace: str, pod: str) -> tuple[Line, ...]:
        return tuple(self._lines.get((namespace, pod), ()))

    def drop(self, namespace: str, pod: str) -> None:
        """Forget the log of a deleted pod; whoever follows it is told."""
        self._lines.pop((namespace, pod), None)
        self.wake()

    def wake(self) -> None:
        """Let followers look again for lines, and whether their pods still run."""
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self, failure: ClusterError | None) -> None:
        """End every running follow, with a failure or silently."""
        for follower in self._followers:
            follower.ended = True
            follower.failure = failure
        self.wake()

    async def follow(
        self, pods: Collection[tuple[str, str]], since: float, running: Callable[[], bool]
    ) -> AsyncGenerator[tuple[str, str, Line], None]:
        """Lines of `pods` (namespace, name) from `since` on, old ones first, until none is `running` any more."""
        follower = _Follower()
        self._followers.add(follower)
        last = 0
        try:
            while True:
                changed = self._changed
                fresh = sorted(
                    (line.number, namespace, pod, line)
                    for namespace, pod in pods
                    for line in self._lines.get((namespace, pod), ())
                    if line.number > last and line.time >= since
                )
                last = max(last, self._count)
                for _, namespace, pod, line in fresh:
                    yield namespace, pod, line
                if follower.ended:
                    if follower.failure:
                        raise follower.failure
                    return
                if not fresh:
                    if not running():
                        return
                    await changed.wait()
        finally:
            self._followers.discard(follower)


class _Follower:
    """A running follow, so that a fault can end it."""

    def __init__(self) -> None:
        self.ended = False
        self.failure: ClusterError | None = None
