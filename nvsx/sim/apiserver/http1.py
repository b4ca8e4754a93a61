"""HTTP/1.1 on asyncio streams, as much as a server needs whose answers come from the loop that owns the World.

`http.server` would put every connection on a thread of its own, away from the World and from its clock.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_HEAD = 64 << 10
LONGEST_BODY = 8 << 20
_TLS_HELLO = b"\x16"
_ABORT = struct.pack("ii", 1, 0)  # linger on, for no time: the peer gets a reset instead of an end


class BadHttp(Exception):
    """What came is no HTTP request that can be answered; the connection is of no more use."""


class HttpRequest(NamedTuple):
    """One request. Header names are in lower case; `path` is decoded piece by piece later, so it is kept as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def parts(self) -> list[str]:
        return [unquote(part) for part in self.path.strip("/").split("/")]

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


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request; None when the client has ended the connection. BadHttp for what is none."""
    try:
        first = await reader.read(1)
        if first == _TLS_HELLO:
            raise BadHttp("TLS where plain HTTP is spoken")
        head = first + await reader.readuntil(b"\r\n\r\n") if first else b""
    except asyncio.IncompleteReadError as ended:
        if ended.partial.strip():
            raise BadHttp("half a request") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadHttp("too long a head") from None
    if not head:
        return None
    line, *rest = head.decode("latin-1").split("\r\n")[:-2]
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadHttp(f"not HTTP/1.1: {line[:80]!r}")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadHttp(f"not a header: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    return HttpRequest(words[0], words[1], headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await _chunks(reader)
        length = int(headers.get("content-length") or 0)
        if not 0 <= length <= LONGEST_BODY:
            raise BadHttp("too long a body")
        return await reader.readexactly(length)
    except (ValueError, asyncio.IncompleteReadError) as error:
        raise BadHttp(f"half a body: {error}") from None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        if sum(map(len, pieces)) + size > LONGEST_BODY:
            raise BadHttp("too long a body")
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():
        pass  # trailers say nothing that is wanted
    return b"".join(pieces)


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
