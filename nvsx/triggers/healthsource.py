"""Health events from the nodes and, where it answers, from the database, as one stream: each event is told once.

The nodes are always watched: they show every fault that cordons and need no right to a database. The database adds
events that do not cordon. Losing one of the two is `degraded`, losing both is blind.
"""

from __future__ import annotations

import asyncio
from array import array
from contextlib import asynccontextmanager
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cluster.sight import Backoff, Sight
from nvsx.errors import ClusterError
from nvsx.health import EXECUTE
from nvsx.healthevents import Rejection, from_annotation, from_conditions, from_document
from nvsx.healthevents.cursor import Cursor, Reading
from nvsx.healthevents.ejson import identifier, moment
from nvsx.healthevents.known import Known
from nvsx.ports import ApiPath
from nvsx.triggers.stored import PAGE, Page, late, onward

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from nvsx.clock import Clock
    from nvsx.cluster.view import View
    from nvsx.health import HealthEvent
    from nvsx.ports import Database, Object, Seen

READ_AGAIN = 5000
"""Ids of known events that are read again with each look, lest one was stored late among them. What is more is counted,
and read only where there is another number.
"""

_ORDER = {"createdAt": 1, "_id": 1}
NODES = ApiPath("v1", "nodes")


class Told(NamedTuple):
    """An event, and whether its node was already held for it when nvsx first looked (see `--adopt`)."""

    event: HealthEvent
    present: bool = False


class SourceState(NamedTuple):
    """Why either way cannot be looked at now; None: it can. `database` stays None where none is asked."""

    nodes: ClusterError | None = None
    database: ClusterError | None = None
    with_database: bool = True

    @property
    def blind(self) -> bool:
        return self.nodes is not None and (self.database is not None or not self.with_database)

    @property
    def degraded(self) -> bool:
        return not self.blind and (self.nodes is not None or self.database is not None)


class HealthEventSource:
    """Calls `on_event(Told)` in the loop for every event, `on_rejection` once for each unreadable one, and
    `on_state(SourceState)` when the sight changes. Keep `cursor` after each look to go on from there.

    `database` None watches the nodes only (`--events nodes`). An event that the annotation repeats later than the
    overlap after its document may be told again: admission counts it to the same incident.
    """

    def __init__(
        self, view: View, database: Database | None, clock: Clock, cursor: Cursor, *, poll_s: float,
        rng: random.Random, on_event: Callable[[Told], None], on_rejection: Callable[[Rejection], None],
        on_state: Callable[[SourceState], None],
    ) -> None:  # fmt: skip
        self.cursor = cursor
        self.state = SourceState(with_database=database is not None)
        self.looked = 0.0  # when the database was last read to its end, epoch seconds
        self._view = view
        self._database = database
        self._clock = clock
        self._poll_s = poll_s
        self._on_event, self._on_rejection, self._on_state = on_event, on_rejection, on_state
        self._backoff = Backoff(rng)
        self._sight = Sight(clock, lambda: self._tell_state(self.state._replace(database=self._sight.blind)))
        self._on_node: dict[str, frozenset[str]] = {}  # what each node shows now
        self._from_database = Known()  # what it told since the cursor's start
        self._listed = False
        self._rejected: set[Rejection] = set()
        self._unreadable = Known()  # documents that were rejected since then

    async def run(self) -> None:
        """Watch and poll until cancelled."""
        async with self.following():
            while self._database is not None:
                await self.poll()
                await asyncio.sleep(self._poll_s)
            await asyncio.Event().wait()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Tell what the nodes show while the body lasts."""
        subscription = self._view.subscribe(NODES, self._nodes_seen, name="health events")
        try:
            yield
        finally:
            subscription.close()
            self._sight.close()

    async def look(self) -> None:
        """One look into the database that ends with an answer: read to the end, or known to be out of sight."""
        while self._database is not None:
            await self.poll()
            if not self._sight.failing or self._sight.blind is not None:
                return

    async def poll(self) -> None:
        """One look into the database, page by page; a failure changes the state and loses nothing."""
        assert self._database is not None
        began = self._clock.monotonic()
        reading = Reading(self.cursor)
        try:
            await self._read(self._database, reading)
        except ClusterError as error:
            self._sight.failed(error, since=began)
            await self._backoff.wait(slow=error.lasting)
            return
        finally:
            self.cursor = reading.cursor(self._clock.now())
            self._from_database = self._from_database.since(self.cursor.start)
            self._unreadable = self._unreadable.since(self.cursor.start)
        self._backoff.reset()
        self.looked = self._clock.now()
        self._sight.looked()

    async def _read(self, database: Database, reading: Reading) -> None:
        """Every document from the cursor on. Only ids and times are read where most were told before."""
        begin, newest = reading.start, reading.newest(self._clock.now())
        if len(reading.seen) > READ_AGAIN:
            begin = newest
            known = reading.seen.stamps()
            if self._unreadable:
                known = array("q", merge(known, self._unreadable.stamps()))
            async for page in late(database, known, reading.start, newest):
                await self._tell(database, page, reading)
        async for page in onward(database, begin, new_from=newest):
            await self._tell(database, page, reading)
            reading.forget(self._clock.now())

    async def _tell(self, database: Database, page: Page, reading: Reading) -> None:
        """Tell of those events of a page that were not told before."""
        documents = [found for found in page.documents if not self._is_known(found, reading)]
        if documents and not page.whole:
            new = [found.get("_id") for found in documents]
            documents = await database.find("", {"_id": {"$in": new}}, sort=_ORDER, limit=PAGE)
        events = [event for event in map(self._decoded, documents) if event is not None]
        for event in reading.fresh(events):
            if not self._shown_on_node(event):
                self._on_event(Told(event))
            if _may_cordon(event):
                for key in _keys(event):
                    self._from_database.add(key, event.created_time)

    def _is_known(self, document: Object, reading: Reading) -> bool:
        id_, stored = identifier(document.get("_id")), moment(document.get("createdAt")) or 0.0
        return id_ is not None and (reading.seen.has(id_, stored) or self._unreadable.has(id_, stored))

    def _decoded(self, document: object) -> HealthEvent | None:
        found = from_document(document)
        if isinstance(found, Rejection):
            if found.id and isinstance(document, dict):
                self._unreadable.add(found.id, moment(document.get("createdAt")) or 0.0)
            self._reject(found)
            return None
        return found

    def _nodes_seen(self, seen: Seen) -> None:
        if seen.blind is not self.state.nodes:
            self._tell_state(self.state._replace(nodes=seen.blind))
        if seen.changed and seen.gone is None:
            self._node_seen(seen.objects[seen.changed])
        elif seen.gone is not None:
            self._on_node.pop(seen.changed, None)
        elif seen.listed and not self._listed:
            for name, node in seen.objects.items():
                if name not in self._on_node:  # the list was there before us, so nobody told of its nodes one by one
                    self._node_seen(node)
        self._listed = self._listed or (seen.listed and not seen.changed)

    def _node_seen(self, node: Object) -> None:
        name = str((node.get("metadata") or {}).get("name", ""))
        keys: set[str] = set()
        before = self._on_node.get(name, frozenset())
        for found in (*from_annotation(node), *from_conditions(node)):
            if isinstance(found, Rejection):
                self._reject(found)
                continue
            known = _keys(found)
            told = known & (before | keys) or any(key in self._from_database for key in known)
            repeated = told or found.id in self.cursor.seen
            keys |= known
            if not repeated:
                self._on_event(Told(found, present=not self._listed))
        self._on_node[name] = frozenset(keys)

    def _shown_on_node(self, event: HealthEvent) -> bool:
        return not _keys(event).isdisjoint(self._on_node.get(event.node, frozenset()))

    def _reject(self, rejection: Rejection) -> None:
        if rejection not in self._rejected and len(self._rejected) < 10_000:
            self._rejected.add(rejection)
            self._on_rejection(rejection)

    def _tell_state(self, state: SourceState) -> None:
        self.state = state
        self._on_state(state)


def _may_cordon(event: HealthEvent) -> bool:
    """Whether a node may come to show the event: what is healthy or only stored holds no node."""
    return not event.healthy and event.strategy == EXECUTE


def _keys(event: HealthEvent) -> frozenset[str]:
    """What tells that two sources mean one event: its id. A condition has none, but what it tells of its node agrees to
    the second; nodes that fail alike within one second are not one event.
    """
    fault = "\0".join((event.node, event.check, *event.error_codes, str(int(event.generated_time))))
    return frozenset([event.id] if event.id else []) | (frozenset([fault]) if event.fatal else frozenset())
