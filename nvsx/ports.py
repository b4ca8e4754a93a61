"""The ports that keep the engine free of the world: Cluster, Journal, Sink (the fourth, Clock, is in `nvsx.clock`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from nvsx.errors import ClusterError
    from nvsx.events import RunEvent
    from nvsx.journal import Entry

Object = dict[str, Any]
"""A Kubernetes object as JSON decodes it. Read-only by agreement: streams share one copy among all subscribers."""


class ApiPath(NamedTuple):
    """A list of objects of one resource, as the API server names it."""

    version: str  # "v1", or "" where it must be discovered from the group
    resource: str  # plural, e.g. "nodes"
    group: str = ""  # "" is the core group
    namespace: str = ""  # "" is cluster scope, or all namespaces
    field_selector: str = ""
    label_selector: str = ""

    @property
    def url(self) -> str:
        """The raw path with its selectors, ready for `kubectl get --raw`."""
        from urllib.parse import quote, urlencode

        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(self.namespace, safe='')}" if self.namespace else ""
        chosen = {"fieldSelector": self.field_selector, "labelSelector": self.label_selector}
        query = urlencode({key: value for key, value in chosen.items() if value})
        return f"{root}{scope}/{self.resource}" + (f"?{query}" if query else "")


class Listing(NamedTuple):
    """A completed list and the resource version from which a watch continues it."""

    objects: list[Object]
    version: str


class WatchEvent(NamedTuple):
    """One line of a watch. `kind` is ADDED, MODIFIED, DELETED or BOOKMARK; errors are raised, never delivered."""

    kind: str
    object: Object


class LogLine(NamedTuple):
    """One line of a container's log; `time` in epoch seconds, 0 where the server gave none."""

    pod: str  # "namespace/name"
    text: str
    time: float = 0.0


class Seen(NamedTuple):
    """What is known of one ApiPath right after one change of it.

    `objects` is the view's own mapping, keyed `namespace/name` (or `name` in cluster scope): read it now, keep nothing.
    """

    objects: Mapping[str, Object]
    listed: bool  # a list has completed, so absence means something
    blind: ClusterError | None = None  # why the path cannot be looked at now; the objects are then the last known ones
    changed: str = ""  # key of the object that changed, "" when the change is a list, a blindness or its end
    gone: Object | None = None  # the last state of the object, when this change is its deletion


class Cluster(Protocol):
    """Reads of one cluster. Every method raises a `ClusterError` when it could not look, and has no other failure."""

    async def identity(self) -> str:
        """UID of the kube-system namespace; the context's name where that is forbidden."""
        ...

    async def get(self, url: str) -> Object:
        """One document at a raw API path (an object, or discovery such as `/apis/GROUP`)."""
        ...

    async def list(self, path: ApiPath) -> Listing:
        """All objects at `path`, paged as needed."""
        ...

    def watch(self, path: ApiPath, version: str) -> AsyncIterator[WatchEvent]:
        """Changes after `version`, until the server ends the stream (normal: watch again from the last version seen).

        Raises `Expired` when `version` is too old: list again.
        """
        ...

    def logs(self, namespace: str, *, selector: str = "", pod: str = "", since: float = 0.0) -> AsyncIterator[LogLine]:
        """Follow the logs of the pods that `selector` or `pod` names, from `since` (epoch seconds)."""
        ...

    async def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """Run a read-only command in a container and return its stdout."""
        ...

    def converse(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> Conversation:
        """Start a read-only command in a container that answers what is written to it. Who starts it closes it."""
        ...


class Conversation(Protocol):
    """A running command that reads and writes; `nvsx.cluster.processes.LongProcess` is one."""

    async def read(self) -> bytes:
        """The next bytes of its stdout; b"" when that has ended."""
        ...

    async def write(self, data: bytes) -> None:
        """Write all of `data`. BrokenPipeError when it no longer reads."""
        ...

    async def wait(self) -> int | None:
        """Its exit code, None when a signal ended it."""
        ...

    async def close(self) -> None: ...

    @property
    def errors(self) -> str:
        """The end of its stderr."""
        ...


class Database(Protocol):
    """Reads of NVSentinel's database. Every method raises a `ClusterError` when it could not look."""

    async def find(
        self, collection: str, filter_: Mapping[str, Any], *, fields: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None, limit: int = 1000,
    ) -> list[Object]:  # fmt: skip
        """The first `limit` documents that match, as extended JSON. "" as collection means NVSentinel's health events.

        A database or collection that does not exist is NotFound, not an empty answer.
        """
        ...

    async def count(self, collection: str, filter_: Mapping[str, Any], *, limit: int = 0) -> int:
        """How many documents match; counting stops at `limit` (0: never)."""
        ...

    async def close(self) -> None: ...


class Journal(Protocol):
    """The run's memory across a crash. Awaited around every effect: if it fails, the effect does not start."""

    async def append(self, entry: Entry) -> None: ...


class Sink(Protocol):
    """Something that shows run events. It may fail or fall behind; the run goes on without it."""

    def emit(self, event: RunEvent) -> None: ...

    def close(self) -> None: ...
