"""A Cluster that does what a test wrote down: answers and streams as literal tuples, the last one for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nvsx.errors import ClusterError, NotFound
from nvsx.ports import Listing, LogLine, WatchEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nvsx.ports import ApiPath, Object

HANG = "hang"
"""In a script: nothing more comes, and the connection stays open."""


def thing(name: str, version: int, uid: str = "", **more: Any) -> Object:
    """An object of no particular kind."""
    return {"metadata": {"name": name, "resourceVersion": str(version), "uid": uid or name}, **more}


def added(name: str, version: int, **more: Any) -> WatchEvent:
    return WatchEvent("ADDED", thing(name, version, **more))


def modified(name: str, version: int, **more: Any) -> WatchEvent:
    return WatchEvent("MODIFIED", thing(name, version, **more))


def deleted(name: str, version: int, **more: Any) -> WatchEvent:
    return WatchEvent("DELETED", thing(name, version, **more))


def bookmark(version: int) -> WatchEvent:
    return WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def listing(version: int, *objects: Object) -> Listing:
    return Listing(list(objects), str(version))


class ScriptedCluster:
    """`lists`, `watches`, `logs_` and `gets` are consumed one by one; the last entry of each stays.

    A watch or log script is a tuple of items: something to deliver, a number of seconds to wait, an error to raise, or
    HANG. `gets` holds documents or errors. `calls` records what was asked, as (method, argument, time).
    """

    def __init__(
        self, lists: Sequence[Any] = (listing(1),), watches: Sequence[Sequence[Any]] = ((HANG,),),
        gets: Sequence[Any] = ({},), logs: Sequence[Sequence[Any]] = ((HANG,),),
    ) -> None:  # fmt: skip
        self.lists, self.watches, self.gets, self.log_scripts = list(lists), list(watches), list(gets), list(logs)
        self.documents: dict[str, Any] = {}
        self.calls: list[tuple[str, Any, float]] = []
        self.open = 0

    def asked(self, method: str) -> list[Any]:
        return [argument for name, argument, _ in self.calls if name == method]

    def _note(self, method: str, argument: Any) -> None:
        self.calls.append((method, argument, round(asyncio.get_running_loop().time(), 3)))

    async def identity(self) -> str:
        return "scripted"

    async def get(self, url: str) -> Object:
        self._note("get", url)
        answer = self.documents[url] if url in self.documents else _next(self.gets)
        found: Object = await _answer(answer)
        return found

    async def list(self, path: ApiPath) -> Listing:
        self._note("list", path)
        found: Listing = await _answer(_next(self.lists))
        return found

    async def watch(self, path: ApiPath, version: str) -> AsyncIterator[WatchEvent]:
        self._note("watch", version)
        async for item in self._play(_next(self.watches)):
            yield item

    async def logs(
        self, namespace: str, *, selector: str = "", pod: str = "", since: float = 0.0
    ) -> AsyncIterator[LogLine]:
        self._note("logs", since)
        async for item in self._play(_next(self.log_scripts)):
            yield item

    async def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        raise NotFound("no pods here")

    async def _play(self, script: Sequence[Any]) -> AsyncIterator[Any]:
        self.open += 1
        try:
            for item in script:
                if item == HANG:
                    await asyncio.Event().wait()
                elif isinstance(item, (int, float)):
                    await asyncio.sleep(item)
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield item
        finally:
            self.open -= 1


def _next(script: list[Any]) -> Any:
    return script.pop(0) if len(script) > 1 else script[0]


async def _answer(answer: Any) -> Any:
    if answer == HANG:
        await asyncio.sleep(15)
        raise ClusterError("no answer within 15 s")
    if isinstance(answer, Exception):
        raise answer
    return answer
