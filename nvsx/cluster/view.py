"""What every run sees of the cluster: one stream per resource, however many clauses and runs wait on it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from nvsx.cluster.discovery import Versions
from nvsx.cluster.documentfeed import DocumentFeed
from nvsx.cluster.feed import Feed, Subscription
from nvsx.cluster.logfeed import LogFeed, LogSubscription
from nvsx.cluster.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from nvsx.clock import Clock
    from nvsx.errors import ClusterError
    from nvsx.ports import ApiPath, Cluster, Database, LogLine, Seen

LINGER_S = 10.0
"""A stream outlives its last subscriber this long: stages unsubscribe and subscribe again in a moment."""

_INDEXED = {("", "nodes"): "metadata.name", ("", "pods"): "spec.nodeName", ("", "events"): "involvedObject.name"}
"""(group, resource) -> the field by which a fleet-wide stream serves those who asked for one value of it."""


class View:
    """Shared streams of one cluster. Every method must be called inside the running loop.

    With `whole_fleet`, a path that selects one node (or the pods or events of one) is served from the stream of all of
    them, with one look-up per change; without, each path has its own stream, selected by the server.
    `on_note` is told, once each, what a user should know (polling instead of watching, a subscriber that failed).
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, *, whole_fleet: bool = False, rng: random.Random | None = None,
        on_note: Callable[[str], None] | None = None, database: Database | None = None,
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._clock = clock
        self._whole_fleet = whole_fleet
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._note = on_note or (lambda note: None)
        self._versions = Versions(cluster)
        self._feeds: dict[ApiPath, Feed] = {}
        self._log_feeds: dict[tuple[str, str, str], list[LogFeed]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._database = database
        self._closed = False

    def subscribe(self, path: ApiPath, on_change: Callable[[Seen], None], *, name: str = "") -> Subscription:
        """Call `on_change` for every change of `path` until the subscription is closed.

        It is called synchronously and in stream order: once per object version the stream delivers; after a list, once
        per object that differs from what was known (every object after the first list) and then once with
        `changed=""`, all of them with the complete new set in `objects`; on blindness and at its end. If the state is
        known already, it is called once with it *before this returns*. An exception it raises is reported and ignored.
        """
        assert not self._closed, "the view is closed"
        shared, value = self._share(path)
        feed = self._feeds.get(shared)
        if feed is None:
            feed = self._feeds[shared] = self._start(shared)
        if feed.linger is not None:
            feed.linger.cancel()
            feed.linger = None
        return feed.join(value, on_change, name)

    def follow_logs(
        self, namespace: str, selector: str, pod: str, since: float, on_line: Callable[[LogLine], None],
        on_blind: Callable[[ClusterError | None], None],
    ) -> LogSubscription:  # fmt: skip
        """Call `on_line` for every log line since `since` (epoch seconds) of the pods that `selector` or `pod` names.

        Pods that start later are followed too. `on_blind` is told of blindness and, with None, of its end. One process
        serves all who follow the same pods; a late subscriber gets the lines since its `since` before this returns.
        """
        assert not self._closed, "the view is closed"
        feeds = self._log_feeds.setdefault((namespace, selector, pod), [])
        feed = next((one for one in feeds if one.covers(since)), None)
        if feed is None:
            feed = LogFeed(self._cluster, self._clock, namespace, selector, pod, since, rng=self._rng,
                           on_empty=lambda one: self._end_logs(feeds, one), on_error=self._report_logs)  # fmt: skip
            feeds.append(feed)
            feed.task = self._spawn(feed.run(), f"logs {namespace} {selector or pod}")
        return feed.join(since, on_line, on_blind)

    def follow_documents(
        self, collection: str, filter_: str, enough: int, on_found: Callable[[int, ClusterError | None], None]
    ) -> DocumentFeed:
        """Call `on_found(count, blind)` when the number of matching documents, or the sight of them, has changed.

        `filter_` is extended JSON; counting stops at `enough`. One process serves all who ask.
        """
        assert not self._closed, "the view is closed"
        feed = DocumentFeed(self._database, self._clock, collection, filter_, enough, on_found, rng=self._rng)
        feed.start(self._spawn(feed.run(), f"documents {collection}"))
        return feed

    async def close(self) -> None:
        """End every stream and wait until it has ended; no callback is called afterwards."""
        self._closed = True
        for feed in self._feeds.values():
            if feed.linger is not None:
                feed.linger.cancel()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._database is not None:
            await self._database.close()
        self._feeds.clear()
        self._log_feeds.clear()

    def _share(self, path: ApiPath) -> tuple[ApiPath, str | None]:
        """The path whose stream serves `path`, and the index value to pick from it (None: all of it)."""
        field = _INDEXED.get((path.group, path.resource)) if self._whole_fleet else None
        if field is None or not path.field_selector:
            return path, None
        rest, value = [], None
        for term in path.field_selector.split(","):
            name, _, wanted = term.partition("=")
            if name == field and wanted and value is None:
                value = wanted.removeprefix("=")
            else:
                rest.append(term)
        return (path, None) if value is None else (path._replace(field_selector=",".join(rest)), value)

    def _start(self, path: ApiPath) -> Feed:
        index = _INDEXED.get((path.group, path.resource), "") if self._whole_fleet else ""
        feed = Feed(path, index, on_empty=self._lingers, on_error=self._report)
        feed.stream = Stream(
            self._cluster, self._clock, path, feed, rng=self._rng, versions=self._versions, note=self._note
        )
        feed.task = self._spawn(feed.stream.run(), f"watch {path.url}")
        return feed

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _lingers(self, feed: Feed) -> None:
        if not self._closed and feed.linger is None:
            feed.linger = asyncio.get_running_loop().call_later(LINGER_S, self._stop, feed)

    def _stop(self, feed: Feed) -> None:
        feed.linger = None
        if feed.empty and self._feeds.get(feed.path) is feed:
            del self._feeds[feed.path]
            if feed.task is not None:
                feed.task.cancel()

    def _end_logs(self, feeds: list[LogFeed], feed: LogFeed) -> None:
        if feed in feeds:
            feeds.remove(feed)
        if feed.task is not None:
            feed.task.cancel()

    def _report(self, subscription: Subscription, error: Exception) -> None:
        self._tell_bug(f"a watcher of the view failed ({subscription.name or 'unnamed'})", error)

    def _report_logs(self, error: Exception) -> None:
        self._tell_bug("a log watcher of the view failed", error)

    def _tell_bug(self, what: str, error: Exception) -> None:
        self._note(f"{what}: {type(error).__name__}: {error}")
        asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})
