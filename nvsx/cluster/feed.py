"""One stream and all who wait on it: changes are handed out here, in stream order, to everybody or by an index.

Callbacks run synchronously inside the stream: a waiter woken later could miss a state that lasted 5 ms.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Any

from nvsx.ports import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nvsx.cluster.stream import Change, Stream
    from nvsx.ports import ApiPath, Object

SLICE = 100
"""Callbacks after a list before the loop gets its turn: a fleet's list must not stall hooks and timers."""


class Subscription:
    """A wish to be told of changes, until `close()`. `seen` is what was last told."""

    __slots__ = ("_feed", "_on_change", "closed", "name", "objects", "seen", "value")

    def __init__(
        self, feed: Feed, value: str | None, objects: dict[str, Object], on_change: Callable[[Seen], None], name: str
    ) -> None:
        self.name = name
        self.value = value  # of the feed's index; None: everything
        self.objects = objects
        self.seen = Seen(objects, False)
        self.closed = False
        self._feed = feed
        self._on_change = on_change

    def close(self) -> None:
        """No more calls, from this moment on."""
        if not self.closed:
            self.closed = True
            self._feed.leave(self)

    def tell(self, seen: Seen) -> None:
        """Deliver, unless closed; a callback that raises is reported and does not hurt the stream."""
        if self.closed:
            return
        self.seen = seen
        try:
            self._on_change(seen)
        except Exception as error:
            self._feed.report(self, error)


class Feed:
    """Subscribers of one stream (`Receiver` of it). `index` is the dotted field whose value subscribers may name."""

    def __init__(
        self, path: ApiPath, index: str, *, on_empty: Callable[[Feed], None],
        on_error: Callable[[Subscription, Exception], None],
    ) -> None:  # fmt: skip
        self.path = path
        self.stream: Stream | None = None
        self.task: asyncio.Task[None] | None = None
        self.linger: asyncio.TimerHandle | None = None
        self.report = on_error
        self._on_empty = on_empty
        self._index = tuple(index.split(".")) if index else ()
        self._groups: dict[str, dict[str, Object]] = {}
        self._subscribers: dict[str | None, list[Subscription]] = {}

    def join(self, value: str | None, on_change: Callable[[Seen], None], name: str) -> Subscription:
        """Add a subscriber; it is told the present state before this returns, if there is one to tell."""
        assert self.stream is not None
        objects = self.stream.objects if value is None else self._groups.setdefault(value, {})
        subscription = Subscription(self, value, objects, on_change, name)
        self._subscribers.setdefault(value, []).append(subscription)
        if self.stream.has_listed or self.stream.sight.blind is not None:
            subscription.tell(self._seen(subscription))
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a subscriber; after the last one the stream may end."""
        value = subscription.value
        left = self._subscribers[value] = [one for one in self._subscribers.get(value, ()) if one is not subscription]
        if not left:
            del self._subscribers[value]
            if value is not None and not self._groups.get(value):
                self._groups.pop(value, None)
        if not self._subscribers:
            self._on_empty(self)

    @property
    def empty(self) -> bool:
        return not self._subscribers

    # The Receiver side.

    def changed(self, change: Change) -> None:
        for subscription, seen in self._deliveries(change, self._regroup(change), self._subscribers):
            subscription.tell(seen)

    async def listed(self, changes: list[Change]) -> None:
        # Everything is grouped first: each callback sees the set as the list had it, never one half-way to it.
        moves = [self._regroup(change) for change in changes]
        # Whoever joins while the loop has its turn is told the whole present state, so the rest is not for them.
        present = {value: list(subscriptions) for value, subscriptions in self._subscribers.items()}
        pairs = zip(changes, moves, strict=True)
        deliveries = (delivery for change, moved in pairs for delivery in self._deliveries(change, moved, present))
        marks = ((one, self._seen(one)) for subscriptions in present.values() for one in subscriptions)
        for count, (subscription, seen) in enumerate(chain(deliveries, marks), 1):
            subscription.tell(seen)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    def sight_changed(self) -> None:
        for subscription in self._everybody():
            subscription.tell(self._seen(subscription))

    def _everybody(self) -> list[Subscription]:
        return [one for group in self._subscribers.values() for one in group]

    def _seen(self, subscription: Subscription, changed: str = "", gone: Object | None = None) -> Seen:
        assert self.stream is not None
        return Seen(subscription.objects, self.stream.has_listed, self.stream.sight.blind, changed, gone)

    def _deliveries(
        self, change: Change, moved_from: str | None, to: Mapping[str | None, list[Subscription]]
    ) -> Iterator[tuple[Subscription, Seen]]:
        """Who is told what of one change: all, those of the object's index value, and those whose value it left."""
        key, new, old = change
        gone = old if new is None else None
        shown = new if new is not None else old
        for subscription in tuple(to.get(None, ())):
            yield subscription, self._seen(subscription, key, gone)
        if not self._index or shown is None:
            return
        for subscription in tuple(to.get(self._value(shown), ())):
            yield subscription, self._seen(subscription, key, gone)
        if moved_from is not None:
            for subscription in tuple(to.get(moved_from, ())):
                yield subscription, self._seen(subscription, key, old)

    def _regroup(self, change: Change) -> str | None:
        """Keep the groups in step; the value that the object left, if it has another one now."""
        if not self._index:
            return None
        key, new, old = change
        before = None if old is None else self._value(old)
        after = None if new is None else self._value(new)
        if before is not None and before != after:
            group = self._groups.get(before, {})
            group.pop(key, None)
            if not group and before not in self._subscribers:
                self._groups.pop(before, None)
        if new is not None and after is not None:
            self._groups.setdefault(after, {})[key] = new
        return before if after is not None and before != after else None

    def _value(self, found: Object) -> str:
        value: Any = found
        for part in self._index:
            value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, str) else ""
