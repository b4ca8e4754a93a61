"""Where one HTTP/1.1 request ends and the next begins: decided strictly, so that no proxy can see it otherwise.

Pure and incremental: bytes in as they come, whole requests out. What two readers could understand in two ways (bare
line feeds, two lengths, a length beside chunks, folded headers) is refused. Rules: RFC 9112.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
_HEADER = re.compile(rb"(%s):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)" % _TOKEN)
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LONGEST_CHUNK_LINE = 256
_LONGEST_TRAILER = 8192


class FramingLimits(NamedTuple):
    """Bytes of one request, and header lines."""

    head: int = 32 * 1024
    headers: int = 100
    body: int = 1 << 20


class Unframed(Exception):
    """The bytes are no request that can be taken, and nobody knows where the next one begins."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Whole(NamedTuple):
    """A complete request: its head as it came (request line, headers, empty line) and its body without chunks."""

    method: str
    head: bytes
    body: bytes


class Framer:
    """Takes a connection's bytes apart. `feed` what came, then `next` until it gives None."""

    def __init__(self, limits: FramingLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0  # bytes of it in which no head ends
        self._head = b""  # "" while the head is not complete
        self._method = ""
        self._body = bytearray()
        self._left = 0  # bytes of the body, or of the present chunk, that are still to come
        self._chunked = False
        self._trailer = 0  # bytes of the trailer so far; -1 before the last chunk
        self.expects_continue = False  # the client waits for a go before it sends the body

    @property
    def begun(self) -> bool:
        """Whether a part of a request is there."""
        return bool(self._head or self._buffer.strip(b"\r\n"))

    @property
    def waiting(self) -> int:
        """Bytes that came after the present request, or are not understood yet."""
        return len(self._buffer)

    @property
    def in_body(self) -> bool:
        return bool(self._head)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Whole | None:
        """The next complete request; None while more must come. Raises Unframed."""
        if not self._head and not self._read_head():
            return None
        if not (self._read_chunks() if self._chunked else self._read_length()):
            return None
        whole = Whole(self._method, self._head, bytes(self._body))
        self._head = b""
        self._body.clear()
        self.expects_continue = False
        return whole

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: an empty line before a request is passed over
            del self._buffer[:2]
        since = max(0, self._scanned - 3)
        end = self._buffer.find(b"\r\n\r\n", since)
        if (end if end >= 0 else len(self._buffer)) > self._limits.head:
            raise Unframed(431, "the head of the request is too long")
        if _BARE_LINE_FEED.search(self._buffer, since, end if end >= 0 else len(self._buffer)):
            raise Unframed(400, "a line of the head does not end with CR LF")
        if end < 0:
            self._scanned = len(self._buffer)
            return False
        head = bytes(self._buffer[: end + 4])
        lines = head[:-4].split(b"\r\n")
        self._method, version = _request_line(lines[0])
        self._understand(_headers(lines[1:], self._limits.headers), version)
        self._head = head
        del self._buffer[: end + 4]
        self._scanned = 0
        return True

    def _understand(self, headers: list[tuple[bytes, bytes]], version: int) -> None:
        """What the headers say of the body."""

        def of(name: bytes) -> list[bytes]:
            return [value for key, value in headers if key == name]

        hosts, lengths, codings, expected = of(b"host"), of(b"content-length"), of(b"transfer-encoding"), of(b"expect")
        if len(hosts) > 1 or (version == 1 and not hosts):
            raise Unframed(400, "the request needs one Host header")
        if codings and lengths:
            raise Unframed(400, "both Content-Length and Transfer-Encoding")
        if codings:
            if version == 0:
                raise Unframed(400, "Transfer-Encoding in HTTP/1.0")
            if [coding.lower() for coding in codings] != [b"chunked"]:
                raise Unframed(501, "the only Transfer-Encoding is chunked")
        if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
            raise Unframed(400, "Content-Length is not one number")
        if lengths and (len(lengths[0]) > 18 or int(lengths[0]) > self._limits.body):
            raise Unframed(413, f"the body is longer than {self._limits.body} bytes")
        if expected and [text.lower() for text in expected] != [b"100-continue"]:
            raise Unframed(417, "Expect can only be 100-continue")
        self._chunked = bool(codings)
        self._left = int(lengths[0]) if lengths else 0
        self._trailer = -1
        self.expects_continue = bool(expected) and version == 1 and (self._chunked or self._left > 0)

    def _read_length(self) -> bool:
        self._move(min(self._left, len(self._buffer)))
        return not self._left

    def _read_chunks(self) -> bool:
        while self._trailer < 0:
            if self._left > 2:  # a chunk's own bytes; the two that are left are its CR LF
                self._move(min(self._left - 2, len(self._buffer)))
                if self._left > 2:
                    return False
            if self._left:
                if len(self._buffer) < 2:
                    return False
                if self._buffer[:2] != b"\r\n":
                    raise Unframed(400, "a chunk does not end where it says")
                del self._buffer[:2]
                self._left = 0
            line = self._line(_LONGEST_CHUNK_LINE)
            if line is None:
                return False
            self._begin_chunk(line)
        return self._read_trailer()

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK.fullmatch(line)
        if not match:
            raise Unframed(400, "a chunk has no length")
        size = int(match[1], 16)
        if len(self._body) + size > self._limits.body:
            raise Unframed(413, f"the body is longer than {self._limits.body} bytes")
        if size:
            self._left = size + 2
        else:
            self._trailer = 0

    def _read_trailer(self) -> bool:
        """Trailer fields are passed over: nothing that nvsx reads may come after the body."""
        while True:
            line = self._line(_LONGEST_TRAILER)
            if line is None:
                return False
            if not line:
                return True
            self._trailer += len(line)
            if self._trailer > _LONGEST_TRAILER or not _HEADER.fullmatch(line):
                raise Unframed(400, "the trailer is not one")

    def _line(self, longest: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, longest + 2)
        part = self._buffer[:longest] if end < 0 else self._buffer[:end]
        if b"\n" in part or (end < 0 and len(self._buffer) > longest):
            raise Unframed(400, "a line of the chunked body does not end with CR LF, or is too long")
        if end < 0:
            return None
        del self._buffer[: end + 2]
        return bytes(part)

    def _move(self, count: int) -> None:
        self._body += self._buffer[:count]
        del self._buffer[:count]
        self._left -= count


def _request_line(line: bytes) -> tuple[str, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise Unframed(400, "the request line is not one")
    if match[3] != b"1":
        raise Unframed(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    return match[1].decode("ascii"), min(int(match[4]), 1)


def _headers(lines: list[bytes], most: int) -> list[tuple[bytes, bytes]]:
    if len(lines) > most:
        raise Unframed(431, f"more than {most} headers")
    found = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if not match:
            raise Unframed(400, "a header is not one")
        found.append((match[1].lower(), match[2].rstrip(b" \t")))
    return found
