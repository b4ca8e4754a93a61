"""Server: many connections, one thread, which has a loop of its own and so answers whatever else nvsx is doing.

Connections cost no thread, and their bytes are read and written as they come, so idle, slow and silent clients keep
nobody waiting. Workers would only wait for the disk, so there are none: who answers awaits.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import EnvironmentUnusable
from nvsx.httpd.connection import Connection, Deadlines
from nvsx.httpd.exchange import Caller, Exchange, Written, refusal
from nvsx.httpd.framing import FramingLimits
from nvsx.httpd.message import json_answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from nvsx.httpd.framing import Whole
    from nvsx.httpd.message import Answer, Request

_BACKLOG = 1024
_HANDSHAKE_S = 10.0
_FEWEST = 16
"""Connections that are taken however few descriptors there are."""
_ACCEPTS_IN_A_ROW = 64
_OTHER_DESCRIPTORS = 256
"""Kept for what is no connection: the ledger, pipes of hooks and of kubectl."""
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Bounds(NamedTuple):
    """How much is taken at once."""

    connections: int = 1200
    framing: FramingLimits = FramingLimits()
    deadlines: Deadlines = Deadlines()


class Server:
    """`application` answers requests, `on_defect` hears of its exceptions; both are called in the server's thread.

    What would block the thread (a disk, a long computation) is to be awaited, not done.
    """

    def __init__(
        self,
        application: Callable[[Request], Awaitable[Answer]],
        on_defect: Callable[[Exception], None],
        bounds: Bounds | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._application = application
        self._on_defect = on_defect
        self._bounds = bounds = bounds or Bounds()
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Future[None]] = []
        self._connections: set[Connection] = set()
        self._stopping = False
        self.refused = 0  # connections closed because too many were open
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._turn, name="nvsx-http", daemon=True)

    @property
    def open(self) -> int:
        """Connections, those included that are still shaking hands."""
        return len(self._connections)

    def start(self, host: str, port: int) -> list[tuple[str, int]]:
        """Listen, and answer from now on; the addresses. EnvironmentUnusable where the port cannot be had."""
        try:
            self._sockets = _listeners(host, port)
        except OSError as error:
            raise EnvironmentUnusable(
                f"cannot listen on {host} port {port}: {error.strerror or error}", hint=_hint(error, port)
            ) from error
        room = _descriptors(self._bounds.connections + _OTHER_DESCRIPTORS) - _OTHER_DESCRIPTORS
        self._bounds = self._bounds._replace(connections=min(self._bounds.connections, max(_FEWEST, room)))
        self._thread.start()
        return [each.getsockname()[:2] for each in self._sockets]

    def stop(self, grace_s: float) -> None:
        """Accept nothing more, let what is under way be answered for `grace_s` at most, and end. Blocks that long."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._begin_stop, grace_s)
            self._thread.join(grace_s + 5)
        elif not self._loop.is_closed():  # never started
            self._loop.close()

    # Everything below runs in the server's own thread.

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._report)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    def _report(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        if isinstance(problem, Exception) and not isinstance(problem, OSError):
            self._on_defect(problem)

    async def _serve(self) -> None:
        for listener in self._sockets:
            self._accepting.append(asyncio.ensure_future(self._accept(listener)))
        await self._done.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # so that their ends are heard

    def _begin_stop(self, grace_s: float) -> None:
        self._stopping = True
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        for connection in list(self._connections):
            connection.close_when_idle()
        self._loop.call_later(grace_s, self._done.set)
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._stopping and not self._connections:
            self._done.set()

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        count = 0
        while not self._stopping:
            try:
                accepted, address = await self._loop.sock_accept(listener)
            except OSError as error:
                if self._stopping:
                    return
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._make_room()
                    await asyncio.sleep(0.05)
                continue  # the client went before it was accepted
            self._welcome(accepted, address[0])
            count += 1
            if count % _ACCEPTS_IN_A_ROW == 0:
                await asyncio.sleep(0)  # those who are here already come first

    def _welcome(self, accepted: socket.socket, address: str) -> None:
        if self.open >= self._bounds.connections and not self._make_room():
            self.refused += 1
            with accepted, suppress(OSError):
                if not self._tls:
                    accepted.setblocking(False)
                    accepted.send(refusal(503, "too many connections"))
            return
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(
            Caller(address, self._tls is not None),
            self._answer,
            self._ended,
            self._bounds.framing,
            self._bounds.deadlines,
        )
        connection.waiting_since = self._loop.time()
        self._connections.add(connection)
        connection.opening = asyncio.ensure_future(self._open(connection, accepted))
        # A task that is cancelled before its first step does nothing, not even that.
        connection.opening.add_done_callback(lambda done: accepted.close() if done.cancelled() else None)

    async def _open(self, connection: Connection, accepted: socket.socket) -> None:
        handshake_s = _HANDSHAKE_S if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:
            accepted.close()
            self._ended(connection)
        except asyncio.CancelledError:
            self._ended(connection)
            raise

    def _make_room(self) -> bool:
        """End the connection that has kept nvsx waiting the longest; whether there was one."""
        waiting = [each for each in self._connections if each.waiting_since]
        if not waiting:
            return False
        longest = min(waiting, key=lambda each: each.waiting_since)
        self._connections.discard(longest)
        longest.abort()
        return True

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._end_if_over()

    def _answer(self, whole: Whole, caller: Caller) -> asyncio.Future[Written]:
        return asyncio.ensure_future(self._exchange(Exchange(whole, caller)))

    async def _exchange(self, exchange: Exchange) -> Written:
        """Let the application answer. Of an exception the client is told that there was one, and nothing of it."""
        request, answer = exchange.request, exchange.refused
        if request is not None:
            try:
                answer = await self._application(request)
            except Exception as error:
                self._on_defect(error)
                reason = "a defect of nvsx; it was reported to its operator"
                answer = json_answer(500, {"status": "error", "reason": reason})
        return exchange.written(answer or json_answer(400, {"status": "invalid"}), last=self._stopping)


def _listeners(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`; with port 0, one port for all of them."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = sockets[0].getsockname()[1] if port == 0 and len(sockets) > 1 else address[1]
            listener.bind((address[0], taken, *address[2:]))
            listener.listen(_BACKLOG)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _descriptors(wanted: int) -> int:
    """How many descriptors the process may have, after asking for so many: 1,024 is what most are started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    return wanted if soft == resource.RLIM_INFINITY else soft


def _hint(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"ss -ltnp 'sport = :{port}' shows who has it; or nvsx serve --port with another one"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root: nvsx serve --port 8080"
    return "--host takes an address of this machine: 127.0.0.1, 0.0.0.0, ::"
