"""A cluster of which one list is known already: what settled the target need not be asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nvsx.ports import ApiPath, Cluster, Conversation, Listing, LogLine, Object, WatchEvent


class Listed:
    """`cluster`, but for the first list of `path`, which is answered with `listing`.

    However old that is, nothing is missed: a watch goes on from its version, or is told to list again.
    """

    def __init__(self, cluster: Cluster, path: ApiPath, listing: Listing) -> None:
        self._cluster = cluster
        self._known: dict[ApiPath, Listing] = {path: listing}

    async def identity(self) -> str:
        return await self._cluster.identity()

    async def get(self, url: str) -> Object:
        return await self._cluster.get(url)

    async def list(self, path: ApiPath) -> Listing:
        return self._known.pop(path, None) or await self._cluster.list(path)

    def watch(self, path: ApiPath, version: str) -> AsyncIterator[WatchEvent]:
        return self._cluster.watch(path, version)

    def logs(self, namespace: str, *, selector: str = "", pod: str = "", since: float = 0.0) -> AsyncIterator[LogLine]:
        return self._cluster.logs(namespace, selector=selector, pod=pod, since=since)

    async def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        return await self._cluster.exec(namespace, pod, container, argv, stdin)

    def converse(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> Conversation:
        return self._cluster.converse(namespace, pod, container, argv)
