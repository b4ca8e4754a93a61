"""One ApiPath followed for ever: a list, then a watch that is resumed, relisted and probed, whatever the server does.

Three duties, one method each, so that each can be read alone: `_watch` makes one call and keeps an eye on silence,
`_follow` keeps calling from the last version seen until only a list can help, `run` never ends.
What is known is kept in `objects`; every difference is handed to a `Receiver` in the order in which it was learnt.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nvsx.cluster.projection import project
from nvsx.cluster.sight import Backoff, Sight
from nvsx.errors import ClusterError, Expired, Forbidden, Garbled, NotFound

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from nvsx.clock import Clock
    from nvsx.cluster.discovery import Versions
    from nvsx.ports import ApiPath, Cluster, Object, WatchEvent

TURN_S = 0.05
"""How long a burst of changes keeps everybody else in the loop waiting."""
SILENCE_S = 75.0
"""Servers send a bookmark about every minute; after this much silence the stream is looked after."""

WORTH_S = 5.0
"""A watch that stayed open this long, or brought anything, was worth it: the next follows at once."""

FUTILE = 3
"""After so many watches in a row that brought nothing although reads work, list again."""

SPACING_S = 0.5
"""A watch that ended sooner, though it brought something, is not opened again before this has passed."""

SLICE = 250
"""Listed objects taken before the loop gets its turn."""

POLL_S = (2.0, 10.0)
POLL_WATCH_AGAIN_S = 600.0


class Change(NamedTuple):
    """One object before and after: `old` is None for an addition; `new` for a deletion, `old` being its last state."""

    key: str
    new: Object | None
    old: Object | None


class Receiver(Protocol):
    """Who is told. None of these may raise."""

    def changed(self, change: Change) -> None:
        """One object changed; `Stream.objects` already says so."""
        ...

    async def listed(self, changes: list[Change]) -> None:
        """A list has completed; `Stream.objects` is exactly that list, `changes` lead to it from what was known."""
        ...

    def sight_changed(self) -> None:
        """`Stream.sight.blind` changed."""
        ...


class Stream:
    """Follows `path` and tells `receiver`; `versions` knows what to write where the path names no version.

    Whoever makes a Stream runs `run()` as a task and cancels it to end it.
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, path: ApiPath, receiver: Receiver, *, rng: random.Random,
        versions: Versions, note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.path = path
        self.objects: dict[str, Object] = {}
        self.has_listed = False
        self.sight = Sight(clock, receiver.sight_changed)
        self._cluster = cluster
        self._clock = clock
        self._receiver = receiver
        self._versions = versions
        self._asked = path
        self._note = note
        self._backoff = Backoff(rng)
        self._version = ""  # where a watch goes on; "" means that a list is needed
        self._began = 0.0  # when the present attempt to look began
        self._heard = 0.0  # when the present watch last brought something, else when it was opened
        self._brought = False
        self._futile = 0
        self._noted_polling = False

    async def run(self) -> None:
        """For ever: look, follow, and after trouble wait and begin again where the last event left off."""
        try:
            while True:
                slow = False
                try:
                    await (self._probe() if self._version else self._list())
                    await self._follow()
                except ClusterError as error:
                    slow = isinstance(error, NotFound)
                    self._failed(error)
                except Exception as error:
                    # A dead stream would look like a quiet cluster: whatever breaks here must show as blindness.
                    what = f"following {self.path.resource} broke"
                    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})
                    self._version = ""
                    self._failed(Garbled(f"{what}: {type(error).__name__}: {error}"))
                await self._backoff.wait(slow=slow)
        finally:
            self.sight.close()

    async def _follow(self) -> None:
        """Watch from the last version seen, again and again; returns when it must be listed or probed first."""
        alive = True
        while alive:
            opened = self._heard = self._clock.monotonic()
            self._brought = False
            try:
                alive = await self._watch()
            except Expired:
                self._version = ""
                return
            except Forbidden:
                await self._poll()
                return
            finally:
                self._began = self._clock.monotonic()  # an error at the end of a watch is news, however old the watch
                self._count(worth=self._brought or self._began - opened >= WORTH_S)
            alive = alive and not self._futile
            if alive and self._began - opened < SPACING_S:
                await asyncio.sleep(SPACING_S)

    def _count(self, *, worth: bool) -> None:
        if worth:
            self._futile = 0
            self._backoff.reset()
            return
        self._futile += 1
        if self._futile >= FUTILE:
            self._version, self._futile = "", 0

    async def _watch(self) -> bool:
        """One call of the server's watch. True at its normal end, False when `_guard` gave it up."""
        limit = asyncio.timeout(None)
        guard = asyncio.get_running_loop().create_task(self._guard(limit), name=f"guard {self.path.resource}")
        try:
            async with limit, _closing(self._cluster.watch(self.path, self._version)) as events:
                turned = self._clock.monotonic()
                async for event in events:
                    self._heard = self._clock.monotonic()
                    if self._heard - turned >= TURN_S:
                        await asyncio.sleep(0)
                        turned = self._heard
                    self._brought = True
                    self._take(event)
        except TimeoutError:
            if not limit.expired():
                raise
            return False
        finally:
            guard.cancel()
            await asyncio.gather(guard, return_exceptions=True)
        return True

    async def _guard(self, limit: asyncio.Timeout) -> None:
        """Silence is normal, and a connection that died without a word looks the same: end the watch in that case.

        A watch whose server answers a read but that missed two bookmarks is opened anew as well; that loses nothing.
        """
        for may_wait in (True, False):
            due = self._clock.monotonic() + SILENCE_S
            while (left := due - self._clock.monotonic()) > 0:
                await asyncio.sleep(left)
                due = max(due, self._heard + SILENCE_S)
            try:
                await self._glance()
            except ClusterError as error:
                may_wait = False
                if not isinstance(error, NotFound):
                    self._failed(error)
            if not may_wait:
                limit.reschedule(asyncio.get_running_loop().time())
                return

    def _take(self, event: WatchEvent) -> None:
        found = event.object
        metadata = found.get("metadata") or {}
        self._version = metadata.get("resourceVersion") or self._version
        if self.sight.failing:
            self.sight.looked()
        if event.kind == "BOOKMARK":
            return
        key = key_of(found)
        old = self.objects.get(key)
        if event.kind == "DELETED":
            if old is not None:
                del self.objects[key]
                self._receiver.changed(Change(key, None, project(self.path.resource, found)))
            return
        if old is not None and _version_of(old) == metadata.get("resourceVersion", ""):
            return
        if old is not None and _uid_of(old) != _uid_of(found):
            del self.objects[key]
            self._receiver.changed(Change(key, None, old))
            old = None
        new = self.objects[key] = project(self.path.resource, found)
        self._receiver.changed(Change(key, new, old))

    async def _list(self) -> bool:
        """Look at everything and tell what differs from what was known; True if anything did."""
        self._began = self._clock.monotonic()
        self.path = await self._versions.resolve(self._asked)
        try:
            listing = await self._cluster.list(self.path)
        except NotFound as error:
            raise self._versions.not_served(self._asked, error) from error
        fresh: dict[str, Object] = {}
        for count, found in enumerate(listing.objects, 1):
            fresh[key_of(found)] = project(self.path.resource, found)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        changes = differences(self.objects, fresh)
        # From here to the receiver nothing waits: nobody can see a half-replaced set, which never was in the cluster.
        self.objects.clear()
        self.objects.update(fresh)
        self._version = listing.version
        self.has_listed = True
        self.sight.forget()
        await self._receiver.listed(changes)
        return bool(changes)

    async def _probe(self) -> None:
        """Make sure that the server lets us look, before a watch that could not tell it from silence."""
        try:
            await self._glance()
        except NotFound:
            await self._list()  # it is gone, or this server has no documents for lists: only a list can tell
        else:
            self.sight.looked()

    async def _glance(self) -> None:
        """The cheapest read of this path."""
        self._began = self._clock.monotonic()
        url = self.path.url
        await self._cluster.get(f"{url}{'&' if '?' in url else '?'}limit=1")

    async def _poll(self) -> None:
        """Lists instead of watches, where only `list` is allowed; after a while returns, to try a watch again."""
        until = self._clock.monotonic() + POLL_WATCH_AGAIN_S
        wait, longest = POLL_S
        await self._list()
        if not self._noted_polling:
            self._noted_polling = True
            self._note(
                f"watching {self.path.resource} is forbidden, listing is not: polling every {wait:.0f} to"
                f" {longest:.0f} s; states that last less than that are missed (grant the verb `watch`)"
            )
        while self._clock.monotonic() < until:
            await asyncio.sleep(wait)
            changed = await self._list()
            wait = POLL_S[0] if changed else min(wait * 1.5, longest)

    def _failed(self, error: ClusterError) -> None:
        self.sight.failed(error, since=self._began)


def key_of(found: Object) -> str:
    """`namespace/name`, or `name` in cluster scope."""
    metadata = found.get("metadata") or {}
    name, namespace = metadata.get("name", ""), metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else str(name)


def differences(known: dict[str, Object], fresh: dict[str, Object]) -> list[Change]:
    """What leads from `known` to `fresh`: deletions, then additions and modifications in the list's order.

    An object whose uid changed was deleted and made again in between: that is both.
    """
    changes = [
        Change(key, None, old) for key, old in known.items() if key not in fresh or _uid_of(old) != _uid_of(fresh[key])
    ]
    for key, new in fresh.items():
        old = known.get(key)
        if old is None or _uid_of(old) != _uid_of(new):
            changes.append(Change(key, new, None))
        elif _version_of(old) != _version_of(new) or (not _version_of(new) and old != new):
            changes.append(Change(key, new, old))
    return changes


def _version_of(found: Object) -> Any:
    return (found.get("metadata") or {}).get("resourceVersion", "")


def _uid_of(found: Object) -> Any:
    return (found.get("metadata") or {}).get("uid", "")


@asynccontextmanager
async def _closing(events: AsyncIterator[WatchEvent]) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Ends the iterator with us: a watch left to the garbage collector would keep its process."""
    try:
        yield events
    finally:
        aclose = getattr(events, "aclose", None)
        if aclose is not None:
            await aclose()
