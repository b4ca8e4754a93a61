"""HTTP/1.1 as the API server speaks it: whole answers, streams in chunks, upgrades, and connections that break off.

On asyncio streams in the loop that owns the World: a thread for each connection would see it half changed, and would
stand outside its clock. `nvsx.httpd` serves what can be answered at once; watches cannot.
"""

from __future__ import annotations

import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from nvsx.httpd.framing import Framer, FramingLimits, Unframed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

LIMITS = FramingLimits(head=64 << 10, body=8 << 20)
_PIECE = 64 << 10
_TLS_HELLO = b"\x16"
_ABORT = struct.pack("ii", 1, 0)  # linger on, for no time: the peer gets a reset instead of an end


class HttpRequest(NamedTuple):
    """One request. Header names are in lower case, the last of several wins."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query, True).items()}

    @property
    def upgrade(self) -> str:
        """The protocol that the client wants to change to, in lower case; "" for none."""
        return self.headers.get("upgrade", "").lower()


class Answer(NamedTuple):
    """A whole answer. `retry_s` becomes a Retry-After."""

    status: int
    body: bytes
    kind: str = "application/json"
    retry_s: int = 0


class Requests:
    """The requests of one connection, one after the other."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._framer = Framer(LIMITS)

    async def next(self) -> HttpRequest | None:
        """The next request; None when the client has ended the connection. Unframed for what is none."""
        while (whole := self._framer.next()) is None:
            data = await self._reader.read(_PIECE)
            if not data:
                return None
            if data[:1] == _TLS_HELLO and not self._framer.begun:
                raise Unframed(400, "TLS where plain HTTP is spoken")
            self._framer.feed(data)
        line, *rest = whole.head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
        return HttpRequest(whole.method, line.split(" ")[1], headers, whole.body)


def head(answer: Answer, *, keep: bool) -> bytes:
    """The head of a whole answer."""
    lines = [f"Content-Length: {len(answer.body)}", f"Connection: {'keep-alive' if keep else 'close'}"]
    if answer.retry_s:
        lines.append(f"Retry-After: {answer.retry_s}")
    return _head(answer.status, answer.kind, lines)


def stream_head(kind: str) -> bytes:
    """The head of an answer whose length is not known; its body comes in `chunk`s and the connection ends with it."""
    return _head(200, kind, ["Transfer-Encoding: chunked", "Connection: close"])


def _head(status: int, kind: str, lines: list[str]) -> bytes:
    top = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return "\r\n".join((top, f"Content-Type: {kind}", *lines, "", "")).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A piece of a streamed body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection as a crash does, not as a server does that has finished."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()
