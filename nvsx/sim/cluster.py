"""The Cluster port on a World, in process: what the engine reads in demo, drill and test."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from nvsx.errors import Forbidden, NotFound, TimedOut
from nvsx.ports import ApiPath, Listing, LogLine, WatchEvent
from nvsx.sim import discovery
from nvsx.sim.status import NotSimulated
from nvsx.sim.world import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from nvsx.ports import Conversation, Object
    from nvsx.sim.podlogs import Line
    from nvsx.sim.world import World

_ENDED = frozenset({"Succeeded", "Failed"})
_HINT = "this is the simulated cluster: the scenario did that"


class SimulatedCluster:
    """Reads of a World. Each passes the reaction chain first, and gives up after `patience_s` as a real client does."""

    def __init__(self, world: World, *, patience_s: float = 30.0, bookmark_s: float = 60.0) -> None:
        self.world = world
        self._patience_s = patience_s
        self._bookmark_s = bookmark_s

    async def identity(self) -> str:
        """UID of kube-system; the context's name where that is forbidden or missing."""
        try:
            namespace = await self.get("/api/v1/namespaces/kube-system")
        except (Forbidden, NotFound):
            return self.world.context
        return str(namespace["metadata"]["uid"])

    async def get(self, url: str) -> Object:
        """The object, list or discovery document at a raw path."""
        if discovery.is_discovery(url):
            return await self._ask(Request("get")) or discovery.discover(self.world, url)
        target = discovery.target(self.world, url)
        answer = await self._ask(target.request("get" if target.name else "list"))
        if answer is not None:
            return answer
        if target.name:
            return self.world.get(target.resource, target.name, target.path.namespace)
        listing = self.world.list(target.path)
        return discovery.list_document(target.resource, listing.objects, listing.version)

    async def list(self, path: ApiPath) -> Listing:
        """All objects of `path`, in one page."""
        answer = await self._ask(_request("list", path))
        if answer is not None:
            return Listing(answer["items"], answer["metadata"]["resourceVersion"])
        return self.world.list(path)

    async def watch(self, path: ApiPath, version: str) -> AsyncGenerator[WatchEvent, None]:
        """Every change after `version`, with a bookmark after each silent minute."""
        await self._ask(_request("watch", path))
        delivery = _request("deliver", path)
        stream = self.world.watch(path, version)
        try:
            while True:
                try:
                    async with asyncio.timeout(self._bookmark_s):
                        event = await stream.next()
                except TimeoutError:
                    if not stream.idle:
                        continue
                    event = self._bookmark(path)
                if event is None:
                    return
                await self.world.consult(delivery)
                yield event
        finally:
            self.world.unwatch(stream)

    async def logs(
        self, namespace: str, *, selector: str = "", pod: str = "", since: float = 0.0
    ) -> AsyncGenerator[LogLine, None]:
        """Lines of the pods that exist now, as `kubectl logs -f` does; ends when they have ended."""
        await self._ask(Request("logs", "pods", "", namespace, pod))
        pods = self.world.resources.at("", "v1", "pods")
        if pod:
            chosen = [self.world.get(pods, pod, namespace)]
        else:
            chosen = self.world.list(ApiPath("v1", "pods", namespace=namespace, label_selector=selector)).objects
        names = [(thing["metadata"]["namespace"], thing["metadata"]["name"]) for thing in chosen]
        async with aclosing(self.world.logs.follow(names, since, lambda: self._any_running(names))) as lines:
            async for where, name, line in lines:
                yield _log_line(where, name, line)

    async def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """Refused: there is nothing in a simulated container to run a command."""
        raise self._no_exec(namespace, pod, argv)

    def converse(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> Conversation:
        """Refused likewise; documents of the World are read through `SimulatedDatabase`."""
        raise self._no_exec(namespace, pod, argv)

    def _no_exec(self, namespace: str, pod: str, argv: Sequence[str]) -> NotSimulated:
        return NotSimulated(
            f"the simulated cluster does not run commands in pods ({namespace}/{pod}: {' '.join(argv[:1])})", hint=_HINT
        )

    async def _ask(self, request: Request) -> Object | None:
        try:
            async with asyncio.timeout(self._patience_s):
                return await self.world.consult(request)
        except TimeoutError:
            raise TimedOut(f"the API server gave no answer in {self._patience_s:g}s", hint=_HINT) from None

    def _bookmark(self, path: ApiPath) -> WatchEvent:
        resource = self.world.resources.at(path.group, path.version, path.resource)
        version = str(self.world.version)
        return WatchEvent(
            "BOOKMARK",
            {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {"resourceVersion": version}},
        )

    def _any_running(self, names: Sequence[tuple[str, str]]) -> bool:
        pods = self.world.resources.at("", "v1", "pods")
        for namespace, name in names:
            try:
                phase = self.world.get(pods, name, namespace).get("status", {}).get("phase", "")
            except NotFound:
                continue
            if phase not in _ENDED:
                return True
        return False


def _request(verb: str, path: ApiPath) -> Request:
    return Request(verb, path.resource, path.group, path.namespace)


def _log_line(namespace: str, pod: str, line: Line) -> LogLine:
    return LogLine(f"{namespace}/{pod}", line.text, line.time)
