"""The API server's answers that go on: watches with bookmarks, and the logs of pods."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import ClusterError, Expired, NotFound, Unreachable
from nvsx.sim.apiserver.reading import encoded, wants_table
from nvsx.sim.status import BadRequest, Torn, status_object
from nvsx.sim.tokens import TIME_FORMS
from nvsx.sim.world import Request
from nvsx.watches.nvsentinel import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nvsx.ports import Object
    from nvsx.sim.apiserver.http1 import HttpRequest
    from nvsx.sim.apiserver.reading import Reading
    from nvsx.sim.discovery import Target
    from nvsx.sim.podlogs import Line
    from nvsx.sim.world import Watch, World

BOOKMARK_S = 60.0
_LONGEST_WATCH_S = 3600.0
_ENDED = frozenset({"Succeeded", "Failed"})


class Streaming:
    """Streams of one world, as pieces of a body. What goes wrong before the first piece is a status, not a piece."""

    def __init__(self, world: World, reading: Reading, *, bookmark_s: float = BOOKMARK_S) -> None:
        self._world = world
        self._reading = reading
        self._bookmark_s = bookmark_s

    async def watch(self, request: HttpRequest, target: Target) -> AsyncGenerator[bytes, None]:
        """One event a line. Raises before its first piece if the watch is refused; Unreachable where it breaks off."""
        await self._world.consult(target.request("watch"))
        version = target.query.get("resourceVersion", "")
        try:
            watch = self._world.watch(target.path, version)
        except Expired as expired:
            # A real server has accepted the watch by the time it finds out.
            yield encoded({"type": "ERROR", "object": status_object(expired)})
            return
        try:
            yield b""
            async with aclosing(self._events(request, target, watch)) as events:
                async for event in events:
                    yield encoded(event)
        except Torn:
            yield encoded({"type": "MODIFIED", "object": self._bookmark(target)})[:40]
            raise
        except Unreachable:
            raise
        except ClusterError as failure:
            yield encoded({"type": "ERROR", "object": status_object(failure)})
        finally:
            self._world.unwatch(watch)

    async def _events(self, request: HttpRequest, target: Target, watch: Watch) -> AsyncGenerator[Object, None]:
        table, version = wants_table(request), ""
        delivery = target.request("deliver")
        loop = asyncio.get_running_loop()
        ends = loop.time() + float(target.query.get("timeoutSeconds") or _LONGEST_WATCH_S)
        bookmarks = target.query.get("allowWatchBookmarks") in ("true", "1")
        while (left := ends - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, self._bookmark_s)):
                    event = await watch.next()
            except TimeoutError:
                # Only where nothing waits: a bookmark promises that all before it has been sent.
                if bookmarks and watch.idle and left > self._bookmark_s:
                    yield {"type": "BOOKMARK", "object": self._bookmark(target)}
                continue
            if event is None:
                return
            await self._world.consult(delivery)
            thing = event.object
            if table:
                version = str(thing["metadata"]["resourceVersion"])
                thing = self._reading.shown(request, target.resource, [thing], version)
            yield {"type": event.kind, "object": thing}

    def _bookmark(self, target: Target) -> Object:
        resource = target.resource
        metadata = {"resourceVersion": str(self._world.version), "creationTimestamp": None}
        return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}

    async def logs(self, target: Target) -> AsyncGenerator[bytes, None]:
        """The lines of one container, as `kubectl logs` wants them."""
        world, namespace, name = self._world, target.path.namespace, target.name
        await world.consult(Request("logs", "pods", "", namespace, name))
        wanted = _wanted_lines(target, world.clock.now())
        _check_container(world.get(target.resource, name, namespace), wanted.container)
        yield b""
        kept = [line for line in world.logs.lines(namespace, name) if wanted.has(line)]
        first = kept[-wanted.tail].number if 0 < wanted.tail < len(kept) else 0
        if wanted.tail == 0 and kept:
            first = kept[-1].number + 1
        if not wanted.follow:
            for line in kept:
                if line.number >= first:
                    yield wanted.text(line)
            return
        following = world.logs.follow([(namespace, name)], wanted.since, lambda: self._runs(target))
        try:
            async with aclosing(following) as lines:
                async for _, _, line in lines:
                    if line.number >= first and wanted.has(line):
                        yield wanted.text(line)
        except Unreachable:
            raise
        except ClusterError:
            return  # there is no other way to end a log that has begun

    def _runs(self, target: Target) -> bool:
        try:
            pod = self._world.get(target.resource, target.name, target.path.namespace)
        except NotFound:
            return False
        return pod.get("status", {}).get("phase", "") not in _ENDED


class _Wanted(NamedTuple):
    """Which lines of a log, and how. `tail` below 0 means all."""

    container: str
    since: float
    tail: int
    follow: bool
    stamped: bool

    def has(self, line: Line) -> bool:
        return line.time >= self.since and (not self.container or line.container in ("", self.container))

    def text(self, line: Line) -> bytes:
        stamp = f"{TIME_FORMS['micros'](line.time)[:-1]}000Z " if self.stamped else ""
        return f"{stamp}{line.text}\n".encode()


def _wanted_lines(target: Target, now: float) -> _Wanted:
    query = target.query
    if query.get("previous") == "true":
        raise BadRequest(f'previous terminated container in pod "{target.name}" not found')
    since = parse_time(query["sinceTime"]) if "sinceTime" in query else 0.0
    if "sinceSeconds" in query:
        since = now - int(query["sinceSeconds"])
    return _Wanted(
        query.get("container", ""),
        since,
        int(query.get("tailLines", "-1")),
        query.get("follow") == "true",
        query.get("timestamps") == "true",
    )


def _check_container(pod: Object, container: str) -> None:
    names = [one["name"] for one in pod.get("spec", {}).get("containers", ())]
    name = pod["metadata"]["name"]
    if container and container not in names:
        raise BadRequest(f"container {container} is not valid for pod {name}")
    if not container and len(names) > 1:
        raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    if pod.get("status", {}).get("phase") == "Pending":
        raise BadRequest(f'container "{container or names[0]}" in pod "{name}" is waiting to start: ContainerCreating')
