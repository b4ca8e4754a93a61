"""Container logs followed for ever, for everybody who wants the same pods."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nvsx.cluster.sight import Backoff, Sight
from nvsx.errors import ClusterError, Forbidden, Garbled
from nvsx.ports import ApiPath

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from nvsx.clock import Clock
    from nvsx.ports import Cluster, LogLine

NEW_PODS_S = 15.0
"""A follower sees only pods that existed when it began; so often it is compared with those that exist now."""

KEPT_LINES = 2000
"""Lines kept for subscribers who come later; one who wants older ones gets a follower of its own."""

OVERLAP_S = 60.0
"""A new following begins this much before the newest line, because pods' lines do not arrive in one order."""

WORTH_S = 5.0


class LogSubscription:
    """A wish to be told of log lines, until `close()`."""

    __slots__ = ("_feed", "_on_blind", "_on_line", "closed", "since")

    def __init__(
        self, feed: LogFeed, since: float, on_line: Callable[[LogLine], None],
        on_blind: Callable[[ClusterError | None], None],
    ) -> None:  # fmt: skip
        self.since = since
        self.closed = False
        self._feed = feed
        self._on_line = on_line
        self._on_blind = on_blind

    def close(self) -> None:
        """No more calls, from this moment on."""
        if not self.closed:
            self.closed = True
            self._feed.leave(self)

    def tell(self, line: LogLine) -> None:
        if not self.closed and (not line.time or line.time >= self.since):
            try:
                self._on_line(line)
            except Exception as error:
                self._feed.report(error)

    def tell_blind(self, blind: ClusterError | None) -> None:
        if not self.closed:
            try:
                self._on_blind(blind)
            except Exception as error:
                self._feed.report(error)


class LogFeed:
    """One follower and its subscribers. Every line is given once, though each new following begins with an overlap."""

    def __init__(
        self, cluster: Cluster, clock: Clock, namespace: str, selector: str, pod: str, since: float, *,
        rng: random.Random, on_empty: Callable[[LogFeed], None], on_error: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self.task: asyncio.Task[None] | None = None
        self.report = on_error
        self._cluster = cluster
        self._clock = clock
        self._of = (namespace, selector, pod)
        self._since = since
        self._dropped_until = float("-inf")
        self._on_empty = on_empty
        self._backoff = Backoff(rng)
        self._sight = Sight(clock, self._sight_changed)
        self._kept: deque[LogLine] = deque()
        self._newest = 0.0
        self._recent: deque[tuple[float, LogLine]] = deque()  # by arrival, with the newest time at that moment
        self._known: set[LogLine] = set()
        self._subscribers: list[LogSubscription] = []

    def covers(self, since: float) -> bool:
        """A subscriber who wants lines since `since` can be served completely."""
        return since >= self._since and since > self._dropped_until

    def join(
        self, since: float, on_line: Callable[[LogLine], None], on_blind: Callable[[ClusterError | None], None]
    ) -> LogSubscription:
        """Add a subscriber and tell it at once what is known already."""
        subscription = LogSubscription(self, since, on_line, on_blind)
        self._subscribers.append(subscription)
        if self._sight.blind is not None:
            subscription.tell_blind(self._sight.blind)
        for line in tuple(self._kept):
            subscription.tell(line)
        return subscription

    def leave(self, subscription: LogSubscription) -> None:
        """Remove a subscriber; after the last one the follower may end."""
        self._subscribers = [one for one in self._subscribers if one is not subscription]
        if not self._subscribers:
            self._on_empty(self)

    async def run(self) -> None:
        """For ever: follow until the end, and again from the last line."""
        try:
            while True:
                began = self._clock.monotonic()
                try:
                    await self._follow()
                except ClusterError as error:
                    self._sight.failed(error, since=self._clock.monotonic())
                except Exception as error:
                    broken = Garbled(f"following logs broke: {type(error).__name__}: {error}")
                    self._sight.failed(broken, since=self._clock.monotonic())
                if self._clock.monotonic() - began >= WORTH_S:
                    self._backoff.reset()
                await self._backoff.wait()
        finally:
            self._sight.close()

    async def _follow(self) -> None:
        """One following of the logs, ended early when there is a pod that it cannot include."""
        namespace, selector, pod = self._of
        known = await self._pods()
        self._sight.looked()
        reader = asyncio.get_running_loop().create_task(self._read(), name=f"read logs {namespace} {selector or pod}")
        try:
            while not reader.done():
                await asyncio.wait({reader}, timeout=NEW_PODS_S)
                if not reader.done() and await self._pods() - known:
                    return
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _pods(self) -> set[str]:
        """uids of the pods that have a log to follow; none where listing pods is forbidden."""
        namespace, selector, pod = self._of
        by_name = f"metadata.name={pod}" if pod else ""
        path = ApiPath("v1", "pods", namespace=namespace, field_selector=by_name, label_selector=selector)
        try:
            listing = await self._cluster.list(path)
        except Forbidden:
            return set()
        pods = [found for found in listing.objects if found.get("status", {}).get("phase") != "Pending"]
        return {str(found.get("metadata", {}).get("uid", "")) for found in pods}

    async def _read(self) -> None:
        namespace, selector, pod = self._of
        since = max(self._since, self._newest - OVERLAP_S)
        lines = self._cluster.logs(namespace, selector=selector, pod=pod, since=since)
        try:
            async for line in lines:
                if self._sight.failing:
                    self._sight.looked()
                self._take(line)
        finally:
            aclose = getattr(lines, "aclose", None)
            if aclose is not None:
                await aclose()

    def _take(self, line: LogLine) -> None:
        if line.time:
            if line in self._known:
                return
            self._remember(line)
        self._kept.append(line)
        if len(self._kept) > KEPT_LINES:
            dropped = self._kept.popleft()
            self._dropped_until = max(self._dropped_until, dropped.time or self._clock.now())
        for subscription in tuple(self._subscribers):
            subscription.tell(line)

    def _remember(self, line: LogLine) -> None:
        """Know `line` again for as long as a new following could repeat it."""
        self._newest = max(self._newest, line.time)
        self._known.add(line)
        self._recent.append((self._newest, line))
        while self._recent[0][0] < self._newest - 2 * OVERLAP_S:
            self._known.discard(self._recent.popleft()[1])

    def _sight_changed(self) -> None:
        for subscription in tuple(self._subscribers):
            subscription.tell_blind(self._sight.blind)
