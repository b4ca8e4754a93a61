"""`kubectl exec` for the simulator's API server: commands run on this machine, in the environment of a container.

kubectl speaks WebSocket (v5.channel.k8s.io) from 1.30 on, and SPDY/3.1 before; both are served: four channels, a
command, its exit code.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import parse_qs, urlsplit

from nvsx.sim.status import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.sim.apiserver.http1 import HttpRequest

STDIN, STDOUT, STDERR, ERROR = range(4)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SUBPROTOCOL = "v5.channel.k8s.io"
_STREAM_PROTOCOL = "v4.channel.k8s.io"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_CLOSED = 255  # v5's own channel: the channel in its one byte has ended
_PIECE = 16 << 10


class Link(Protocol):
    """A connection with channels."""

    async def receive(self) -> bytes:
        """The next piece of stdin; b"" when it or the connection has ended."""
        ...

    async def send(self, channel: int, data: bytes) -> None: ...

    async def end(self) -> None: ...


class Exec:
    """Takes over the connections of `kubectl exec`. `asked` are the commands that came."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.asked: list[list[str]] = []
        self.spoken: list[str] = []  # by which protocol each came

    async def __call__(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = parse_qs(urlsplit(request.target).query)
        argv, with_stdin = query.get("command", []), query.get("stdin") == ["true"]
        if not request.path.endswith("/exec") or not argv:
            raise BadRequest(f"no command can be run by {request.path}")
        link: Link
        if request.upgrade == "websocket":
            link = await WebSocket.accept(request, reader, writer)
        else:
            link = await Spdy.accept(reader, writer, streams=2 + sum(name in query for name in ("stdout", "stderr")))
        self.asked.append(argv)
        self.spoken.append(request.upgrade)
        with suppress(OSError, asyncio.IncompleteReadError):
            await link.send(ERROR, await self._run(link, argv, with_stdin=with_stdin))
            await link.end()

    async def _run(self, link: Link, argv: list[str], *, with_stdin: bool) -> bytes:
        """Run a command between the channels; the Status that tells how it ended."""
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, env=dict(self.env), stdin=pipe if with_stdin else nothing, stdout=pipe, stderr=pipe
            )
        except OSError:
            return _failure("InternalError", f'exec: "{argv[0]}": executable file not found in $PATH')
        assert process.stdout
        assert process.stderr
        feeding = asyncio.ensure_future(_feed(link, process.stdin)) if process.stdin else None
        try:
            await asyncio.gather(_pump(process.stdout, link, STDOUT), _pump(process.stderr, link, STDERR))
            code = await process.wait()
        finally:
            if feeding:
                feeding.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 0:
            return json.dumps({"metadata": {}, "status": "Success"}).encode()
        cause = {"reason": "ExitCode", "message": str(code)}
        return _failure("NonZeroExitCode", f"command terminated with non-zero exit code: {code}", causes=[cause])


def _failure(reason: str, message: str, **details: object) -> bytes:
    status = {"metadata": {}, "status": "Failure", "reason": reason, "message": message, "details": details}
    return json.dumps(status).encode()


async def _feed(link: Link, stdin: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while data := await link.receive():
            stdin.write(data)
            await stdin.drain()
    stdin.close()


async def _pump(output: asyncio.StreamReader, link: Link, channel: int) -> None:
    while data := await output.read(_PIECE):
        await link.send(channel, data)


class WebSocket:
    """RFC 6455, a byte for the channel before each message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def accept(
        cls, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> WebSocket:
        if _SUBPROTOCOL not in request.headers.get("sec-websocket-protocol", ""):
            raise BadRequest(f"only {_SUBPROTOCOL} is spoken here")
        digest = hashlib.sha1((request.headers["sec-websocket-key"] + _GUID).encode()).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"
            b"Sec-WebSocket-Protocol: " + _SUBPROTOCOL.encode() + b"\r\n\r\n"
        )
        await writer.drain()
        return cls(reader, writer)

    async def receive(self) -> bytes:
        while True:
            operation, data = await self._frame()
            if operation == _CLOSE or data[:2] == bytes([_CLOSED, STDIN]):
                return b""
            if operation == _PING:
                await self._write(_PONG, data)
            elif operation == _BINARY and data[:1] == bytes([STDIN]) and len(data) > 1:
                return data[1:]

    async def send(self, channel: int, data: bytes) -> None:
        await self._write(_BINARY, bytes([channel]) + data)

    async def end(self) -> None:
        await self._write(_CLOSE, struct.pack(">H", 1000))

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self._reader.readexactly(4) if second & 0x80 else bytes(4)
        data = await self._reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))

    async def _write(self, operation: int, data: bytes) -> None:
        size = len(data)
        head = bytes([size]) if size < 126 else struct.pack(">BH", 126, size)
        self._writer.write(bytes([0x80 | operation]) + head + data)
        await self._writer.drain()


class Spdy:
    """SPDY/3.1 as far as kubectl goes: it opens a stream for each channel and names it in a header."""

    SYN_STREAM, SYN_REPLY, PING, GOAWAY = 1, 2, 6, 7
    FIN = 1
    CHANNELS: ClassVar = {b"stdin": STDIN, b"stdout": STDOUT, b"stderr": STDERR, b"error": ERROR}

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._streams: dict[int, int] = {}  # channel -> stream

    @classmethod
    async def accept(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, streams: int) -> Spdy:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n"
            b"X-Stream-Protocol-Version: " + _STREAM_PROTOCOL.encode() + b"\r\n\r\n"
        )
        await writer.drain()
        link = cls(reader, writer)
        while ERROR not in link._streams or len(link._streams) < streams - (STDIN not in link._streams):
            await link._frame()
        return link

    async def receive(self) -> bytes:
        while True:
            stream, flags, data = await self._frame()
            if stream == self._streams.get(STDIN) and data:
                return data
            if stream == self._streams.get(STDIN) and flags & self.FIN:
                return b""

    async def send(self, channel: int, data: bytes) -> None:
        await self._data(self._streams[channel], 0, data)

    async def end(self) -> None:
        for stream in self._streams.values():
            await self._data(stream, self.FIN, b"")

    async def _frame(self) -> tuple[int, int, bytes]:
        """One frame: (stream, flags, data) of a data frame, stream 0 for those that are dealt with here."""
        word, rest = struct.unpack(">II", await self._reader.readexactly(8))
        flags, data = rest >> 24, await self._reader.readexactly(rest & 0xFFFFFF)
        if not word & 0x80000000:
            return word, flags, data
        kind = word & 0xFFFF
        if kind == self.SYN_STREAM:
            await self._opened(int.from_bytes(data[:4], "big"), self._headers(data[10:]))
        elif kind == self.PING:
            await self._control(self.PING, data)
        elif kind == self.GOAWAY:
            raise asyncio.IncompleteReadError(b"", None)
        return 0, 0, b""

    async def _opened(self, stream: int, headers: dict[bytes, bytes]) -> None:
        self._streams[self.CHANNELS[headers[b"streamtype"]]] = stream
        nothing = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        await self._control(self.SYN_REPLY, struct.pack(">I", stream) + nothing)

    def _headers(self, block: bytes) -> dict[bytes, bytes]:
        plain = self._inflate.decompress(block)
        texts, at = [], 4
        while at < len(plain):
            size = int.from_bytes(plain[at : at + 4], "big")
            texts.append(plain[at + 4 : at + 4 + size])
            at += 4 + size
        return dict(zip(texts[::2], texts[1::2], strict=True))

    async def _control(self, kind: int, data: bytes) -> None:
        self._writer.write(struct.pack(">HHI", 0x8003, kind, len(data)) + data)
        await self._writer.drain()

    async def _data(self, stream: int, flags: int, data: bytes) -> None:
        self._writer.write(struct.pack(">II", stream, flags << 24 | len(data)) + data)
        await self._writer.drain()


_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow"
    " authorization cache-control connection content-base content-encoding content-language content-length"
    " content-location content-md5 content-range content-type date etag expect expires from host if-match"
    " if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma"
    " proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie"
    " keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TEXT.encode()
)
"""What SPDY/3 compresses headers with (draft-mbelshe-httpbis-spdy-00, 2.6.10.1)."""
