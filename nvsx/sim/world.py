"""World: the API objects of a cluster that is not there, as its API server would show them.

Modelled: objects by resource and name, one resourceVersion for all, watches that replay what came after a version,
selectors, merge patches, custom resources by their CRD, pod logs, documents of NVSentinel's database, injected faults.

Not modelled: validation and defaulting (what a scenario writes is what is there), controllers of any kind (no garbage
collection by owner, no scheduler, no kubelet: a scenario writes their changes itself), finalizers and graceful
deletion, server-side apply and managedFields, `status` as a subresource of its own, quota, admission, RBAC (a refusal
is an injected fault), API priority, several served versions of one object. Pages (`continue`) and strategic merges are
the API server's.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from nvsx.errors import Expired, NotFound
from nvsx.ports import ApiPath, Listing, WatchEvent
from nvsx.sim.merging import copy_of, merged
from nvsx.sim.podlogs import PodLogs
from nvsx.sim.resources import CRDS, Catalog, Resource
from nvsx.sim.selectors import matcher
from nvsx.sim.status import AlreadyExists, BadRequest, Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nvsx.clock import Clock
    from nvsx.errors import ClusterError
    from nvsx.ports import Object

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # what the API server completes a generateName with


class Request(NamedTuple):
    """What a client asks: `verb` is get, list, watch, deliver (one event of a running watch), logs, exec or a write."""

    verb: str
    resource: str = ""  # plural, "" for discovery
    group: str = ""
    namespace: str = ""
    name: str = ""


if TYPE_CHECKING:
    Reactor = Callable[[Request], Awaitable[Object | None]]
    Objects = list[Object]


class Drip(NamedTuple):
    """Which answers come in drops, and the seconds between two."""

    covers: Callable[[Request], bool]
    delay_s: float


class Change(NamedTuple):
    """One write: what the object was (None: created) and what it became (None: deleted)."""

    version: int
    resource: Resource
    before: Object | None
    after: Object | None

    def seen_through(self, matches: Callable[[Object], bool]) -> WatchEvent | None:
        """The event that a watch with a selector shows of it; leaving the selection is a deletion, as in reality."""
        was = self.before is not None and matches(self.before)
        now = self.after is not None and matches(self.after)
        if now:
            assert self.after is not None
            return WatchEvent("MODIFIED" if was else "ADDED", copy_of(self.after))
        if not was:
            return None
        assert self.before is not None
        last: Object = copy_of(self.before)
        last["metadata"]["resourceVersion"] = str(self.version)
        return WatchEvent("DELETED", last)


class Watch:
    """The changes of one path in order, from some version on: iterate, then `close`. Nothing is ever skipped."""

    def __init__(self, request: Request, resource: Resource, matches: Callable[[Object], bool]) -> None:
        self.request = request
        self.resource = resource
        self._matches = matches
        self._waiting: deque[WatchEvent | ClusterError | None] = deque()
        self._arrived = asyncio.Event()

    def offer(self, change: Change) -> None:
        event = change.seen_through(self._matches) if change.resource == self.resource else None
        if event is not None:
            self.push(event)

    def push(self, item: WatchEvent | ClusterError | None) -> None:
        """Deliver an event, a failure, or the end (None)."""
        self._waiting.append(item)
        self._arrived.set()

    @property
    def idle(self) -> bool:
        return not self._waiting

    async def next(self) -> WatchEvent | None:
        """The next event; None at the end of the stream. Safe to cancel."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        item = self._waiting.popleft()
        if isinstance(item, Exception):
            raise item
        return item


class World:
    """A cluster's objects; all handed in or out is a copy. `history`: how many changes a watch may be behind."""

    def __init__(self, clock: Clock, *, seed: int = 0, history: int = 10_000, context: str = "simulated") -> None:
        self.clock = clock
        self.context = context
        self.resources = Catalog()
        self.logs = PodLogs(clock)
        self.documents: dict[str, list[dict[str, Any]]] = {}
        self._random = random.Random(seed)  # noqa: S311 - identifiers of a simulation
        self._objects: dict[Resource, dict[tuple[str, str], Object]] = {}
        self._version = 1
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 1  # watches from an older version than this have expired
        self._watches: set[Watch] = set()
        self._reactors: list[Reactor] = []
        self._drips: list[Drip] = []
        self._trying = False

    # Reading

    @property
    def version(self) -> int:
        """The resourceVersion of the last write."""
        return self._version

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object; NotFound in the API server's words."""
        return copy_of(self._find(resource, name, namespace))

    def list(self, path: ApiPath) -> Listing:
        """The objects of `path`, by namespace and name, and the version from which a watch continues them."""
        return Listing([copy_of(thing) for thing in self.held(path)], str(self._version))

    def held(self, path: ApiPath) -> Objects:
        """The same objects themselves, for who only reads: a write puts a new object in the place of the old."""
        resource = self.resources.at(path.group, path.version, path.resource)
        matches = matcher(resource.plural, path.namespace, path.field_selector, path.label_selector)
        held = self._objects.get(resource, {})
        return [held[key] for key in sorted(held) if matches(held[key])]

    def watch(self, path: ApiPath, version: str) -> Watch:
        """What changes after `version` ("" or "0": all present objects first). Expired when `version` is forgotten.

        Close it with `unwatch`.
        """
        resource = self.resources.at(path.group, path.version, path.resource)
        matches = matcher(resource.plural, path.namespace, path.field_selector, path.label_selector)
        watch = Watch(Request("watch", resource.plural, resource.group, path.namespace), resource, matches)
        if version in ("", "0"):
            for thing in self.list(path).objects:
                watch.push(WatchEvent("ADDED", thing))
        else:
            self._replay(watch, _version_number(version))
        self._watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def _replay(self, watch: Watch, since: int) -> None:
        if since < self._forgotten:
            raise Expired(f"too old resource version: {since} ({self._forgotten})")
        for change in self._history:
            if change.version > since:
                watch.offer(change)

    def _find(self, resource: Resource, name: str, namespace: str) -> Object:
        key = (namespace if resource.namespaced else "", name)
        found = self._objects.get(resource, {}).get(key)
        if found is None:
            raise NotFound(f'{resource.qualified} "{name}" not found')
        return found

    # Writing

    def create(self, manifest: Object) -> Object:
        """Add an object; name (from generateName), uid, creationTimestamp and resourceVersion are filled in."""
        resource = self.resources.of(manifest)
        thing = copy_of(manifest)
        metadata = thing.setdefault("metadata", {})
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        if "name" not in metadata:
            if not metadata.get("generateName"):
                raise BadRequest("resource name may not be empty")
            metadata["name"] = metadata["generateName"] + self.token(5, SUFFIX_ALPHABET)
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self._objects.get(resource, {}):
            raise AlreadyExists(f'{resource.qualified} "{metadata["name"]}" already exists')
        metadata.setdefault("uid", str(UUID(int=self._random.getrandbits(128), version=4)))
        metadata.setdefault("creationTimestamp", rfc3339(self.clock.now()))
        self._commit(resource, key, None, thing)
        return copy_of(thing)

    def replace(self, manifest: Object) -> Object:
        """Put a whole new state; Conflict when the manifest carries another resourceVersion than the present one."""
        resource = self.resources.of(manifest)
        thing = copy_of(manifest)
        metadata = thing["metadata"]
        before = self._find(resource, metadata["name"], metadata.get("namespace", ""))
        kept = before["metadata"]
        if metadata.get("resourceVersion", kept["resourceVersion"]) != kept["resourceVersion"]:
            raise Conflict(
                f'Operation cannot be fulfilled on {resource.qualified} "{metadata["name"]}": the object has been '
                "modified; please apply your changes to the latest version and try again"
            )
        for given in ("uid", "creationTimestamp"):
            metadata[given] = kept[given]
        return self._update(resource, before, thing)

    def apply(self, manifest: Object) -> Object:
        """Create the object, or merge the manifest into what is there."""
        resource = self.resources.of(manifest)
        metadata = manifest.get("metadata", {})
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "default")
        try:
            self._find(resource, name, namespace)
        except NotFound:
            return self.create(manifest)
        return self.patch(resource, name, namespace, manifest)

    def patch(self, resource: Resource, name: str, namespace: str, body: Object) -> Object:
        """Apply a JSON merge patch (RFC 7386). A patch that changes nothing makes no new version."""
        return self.edit(resource, name, namespace, lambda thing: merged(thing, body))

    def edit(self, resource: Resource, name: str, namespace: str, change: Callable[[Object], Object]) -> Object:
        """Replace an object by what `change` makes of a copy of it, in one write."""
        before = self._find(resource, name, namespace)
        return self._update(resource, before, change(copy_of(before)))

    def delete(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """Remove an object at once, and return its last state."""
        before = self._find(resource, name, namespace)
        key = (before["metadata"].get("namespace", ""), name)
        self._commit(resource, key, before, None)
        if resource.plural == "pods" and not self._trying:
            self.logs.drop(*key)
        return before

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Writes in this block are answered as if they were done, and nothing comes of them."""
        chance = self._random.getstate()
        self._trying = True
        try:
            yield
        finally:
            self._trying = False
            self._random.setstate(chance)

    def token(self, length: int, alphabet: str = "0123456789abcdef") -> str:
        """A random word of this world, the same again for the same seed."""
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def _update(self, resource: Resource, before: Object, after: Object) -> Object:
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if after != before:
            metadata = before["metadata"]
            self._commit(resource, (metadata.get("namespace", ""), metadata["name"]), before, after)
        return copy_of(after)

    def _commit(self, resource: Resource, key: tuple[str, str], before: Object | None, after: Object | None) -> None:
        if self._trying:
            return
        self._version += 1
        held = self._objects.setdefault(resource, {})
        if after is None:
            del held[key]
        else:
            after["metadata"]["resourceVersion"] = str(self._version)
            held[key] = after
        if (resource.group, resource.plural) == CRDS:
            self.resources.learn(held.values())
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].version
        if resource.plural == "pods":
            self.logs.wake()
        change = Change(self._version, resource, before, after)
        self._history.append(change)
        for watch in self._watches:
            watch.offer(change)

    # Faults

    def react(self, reactor: Reactor) -> Callable[[], None]:
        """Put a reactor before all others: for each request it answers, raises, or returns None to let it pass.

        Returns what takes it away again.
        """
        self._reactors.insert(0, reactor)
        return lambda: self._reactors.remove(reactor)

    def drip(self, covers: Callable[[Request], bool], delay_s: float) -> Callable[[], None]:
        """Let answers to requests that are covered come in drops, for whom a wire carries them."""
        drip = Drip(covers, delay_s)
        self._drips.append(drip)
        return lambda: self._drips.remove(drip)

    def drip_s(self, request: Request) -> float:
        """Seconds between two drops of an answer to `request`; 0.0 where it flows."""
        return max((drip.delay_s for drip in self._drips if drip.covers(request)), default=0.0)

    async def consult(self, request: Request) -> Object | None:
        """Ask the reaction chain: the answer or the failure of the first reactor that handles `request`, else None."""
        for reactor in tuple(self._reactors):
            answer = await reactor(request)
            if answer is not None:
                return answer
        return None

    def cut(self, affected: Callable[[Request], bool], failure: Callable[[Request], ClusterError | None]) -> None:
        """End the running watches and log streams that match, with a failure or (None) silently as servers do."""
        for watch in self._watches:
            if affected(watch.request):
                watch.push(failure(watch.request))
        following = Request("logs", "pods")
        if affected(following):
            self.logs.cut(failure(following))

    def remembers(self, version: int) -> bool:
        """Whether what came after `version` can still be told."""
        return version >= self._forgotten

    def forget(self) -> None:
        """Drop the history: every version before the present one has expired."""
        self._history.clear()
        self._forgotten = self._version

    # Documents of NVSentinel's database

    def insert_document(self, collection: str, document: dict[str, Any]) -> None:
        self.documents.setdefault(collection, []).append(copy_of(document))

    def update_documents(self, collection: str, where: dict[str, Any], values: dict[str, Any]) -> int:
        """Set dotted fields of the documents whose dotted fields equal `where`; returns how many there were."""
        found = [
            document
            for document in self.documents.get(collection, ())
            if all(_dotted(document, path) == wanted for path, wanted in where.items())
        ]
        for document in found:
            for path, value in values.items():
                *parents, last = path.split(".")
                target = document
                for key in parents:
                    target = target.setdefault(key, {})
                target[last] = copy_of(value)
        return len(found)


def rfc3339(seconds: float) -> str:
    """An API time: UTC, whole seconds, cut off."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dotted(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _version_number(text: str) -> int:
    if not text.isdigit():
        raise BadRequest(f'Invalid value: "{text}": resourceVersion is not a number')
    return int(text)
