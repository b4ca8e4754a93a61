"""The simulator's API server: enough of Kubernetes on loopback that the real kubectl works against a World."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from nvsx.errors import ClusterError, Garbled, NvsxError, Unreachable
from nvsx.httpd.framing import Unframed
from nvsx.sim import discovery
from nvsx.sim.apiserver import http1
from nvsx.sim.apiserver.http1 import Answer, HttpRequest
from nvsx.sim.apiserver.reading import Reading, encoded
from nvsx.sim.apiserver.streaming import BOOKMARK_S, Streaming
from nvsx.sim.apiserver.writing import write
from nvsx.sim.status import STATUS, BadRequest, NotSimulated, TooManyRequests, status_object

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path
    from types import TracebackType

    from nvsx.sim.world import World

    Upgrade = Callable[[HttpRequest, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DRIP_BYTES = 32
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


class ApiServer:
    """Serves `world` on 127.0.0.1 while it is entered: `async with ApiServer(world) as server`.

    `port` 0 takes a free one and keeps it, so that a server that is entered again is the same server restarted.
    `listening` is a socket that listens already, whichever network it is in. `tls` serves https; `upgrade` takes over
    connections that ask for another protocol (exec). `asked` are the requests that came, as `METHOD target`, oldest
    first.
    """

    def __init__(
        self, world: World, *, port: int = 0, tls: ssl.SSLContext | None = None, bookmark_s: float = BOOKMARK_S,
        upgrade: Upgrade | None = None, listening: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.world = world
        self.port = port
        self._listening = listening
        self.asked: list[str] = []
        self._tls = tls
        self._upgrade = upgrade
        self._reading = Reading(world)
        self._streaming = Streaming(world, self._reading, bookmark_s=bookmark_s)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def write_kubeconfig(self, path: Path, *, authority: str = "") -> None:
        """A kubeconfig with one context, the world's, that leads here. `authority`: file of the CA, for `tls`."""
        context = self.world.context
        cluster = {"server": self.url} | ({"certificate-authority": authority} if authority else {})
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "clusters": [{"name": context, "cluster": cluster}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "users": [{"name": context, "user": {"token": "simulated"}}],
            "current-context": context,
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    async def __aenter__(self) -> ApiServer:
        if self._listening:
            self._server = await asyncio.start_server(self._welcome, sock=self._listening, ssl=self._tls)
        else:
            self._server = await asyncio.start_server(self._welcome, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop as a killed server does: nobody is told anything."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection in a task of our own: asyncio reports each of its own that is cancelled as a failure."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests = http1.Requests(reader)
            while (request := await requests.next()) is not None:
                self.asked.append(f"{request.method} {request.target}")
                if not await self._exchange(request, reader, writer):
                    break
        except Unframed as bad:
            answer = Answer(bad.status, f"{bad.reason}\n".encode(), "text/plain")
            writer.write(http1.head(answer, keep=False) + answer.body)
        except OSError:
            pass  # the client is gone
        except Unreachable:
            http1.reset(writer)
        finally:
            writer.close()

    async def _exchange(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True if the connection can take another. Unreachable where it is to break off."""
        try:
            if request.upgrade and self._upgrade:
                target = discovery.target(self.world, request.target)
                await self.world.consult(target.request(target.subresource))
                self.world.get(target.resource, target.name, target.path.namespace)
                await self._upgrade(request, reader, writer)
                return False
            pieces = self._pieces(request)
            if pieces is not None:
                await self._stream(pieces, request, reader, writer)
                return False
            answer = await self._answer(request)
        except NvsxError as refusal:
            answer = refused(refusal)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{request.target} failed", "exception": error}
            )
            answer = refused(NvsxError(f"{type(error).__name__}: {error}"))
        await self._send(http1.head(answer, keep=True) + answer.body, request, writer)
        return True

    async def _answer(self, request: HttpRequest) -> Answer:
        if request.method in ("GET", "HEAD"):
            answer = await self._reading.answer(request)
            return answer if request.method == "GET" else answer._replace(body=b"")
        try:
            reviewed = await self._reading.review(request)
            return reviewed or await write(self.world, request)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadRequest(f"the body is no object that can be handled: {error!r}") from error

    def _pieces(self, request: HttpRequest) -> AsyncGenerator[bytes, None] | None:
        """The body of an answer that goes on; None for any other."""
        if request.method != "GET" or discovery.is_discovery(request.target):
            return None
        target = discovery.target(self.world, request.target)
        if target.subresource == "log":
            return self._streaming.logs(target)
        if target.subresource not in ("", "status"):
            raise NotSimulated(f"the simulator's API server does not do {target.subresource}")
        if target.query.get("watch") in ("1", "true"):
            return self._streaming.watch(request, target)
        return None

    async def _stream(
        self, pieces: AsyncGenerator[bytes, None], request: HttpRequest, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        """Send pieces as they come, until they or the client have ended."""
        async with aclosing(pieces):
            first = await anext(pieces)  # refusals come before the first piece
            sending = asyncio.ensure_future(self._send_pieces(first, pieces, request, writer))
            leaving = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                for one in (sending, leaving):
                    one.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send_pieces(
        self, first: bytes, pieces: AsyncGenerator[bytes, None], request: HttpRequest, writer: asyncio.StreamWriter
    ) -> None:
        kind = "text/plain" if request.path.endswith("/log") else "application/json"
        writer.write(http1.stream_head(kind))
        if first:
            await self._send(http1.chunk(first), request, writer)
        await writer.drain()
        async for piece in pieces:
            await self._send(http1.chunk(piece), request, writer)
        writer.write(http1.chunk(b""))
        await writer.drain()

    async def _send(self, data: bytes, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        delay_s = self._drip(request)
        size = DRIP_BYTES if delay_s else len(data)
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            if delay_s:
                await asyncio.sleep(delay_s)

    def _drip(self, request: HttpRequest) -> float:
        """Seconds between two small pieces, where a fault lets answers drip."""
        if discovery.is_discovery(request.target):
            return 0.0
        with suppress(ClusterError):
            target = discovery.target(self.world, request.target)
            verb = "watch" if "watch" in target.query else "get" if target.name else "list"
            return self.world.drip_s(target.request("logs" if target.subresource == "log" else verb))
        return 0.0


def refused(refusal: NvsxError) -> Answer:
    """A refusal as the server says it; raises what no server says but a broken connection."""
    if isinstance(refusal, Garbled):
        return Answer(200, _HTML, "text/html")
    if isinstance(refusal, Unreachable) and type(refusal) not in STATUS:
        raise refusal
    status = status_object(refusal)
    retry_s = refusal.retry_s if isinstance(refusal, TooManyRequests) else 0
    return Answer(status["code"], encoded(status), retry_s=retry_s)
