"""Turns what a process prints into lines that are safe to show and small enough to keep.

Of a megabyte the first half is shown as it comes, of the rest the last half is kept, and one line tells how much was
left out. `expect` is looked for in all of it, as printed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nvsx.engine.masks import Masker

LIMIT = 1 << 20
LINE_LIMIT = 8 << 10
LINE_COST = 16
"""What a line costs at least, in bytes: an endless `yes ''` must not become half a million events."""

_SMALL = 1 << 16  # bytes; smaller chunks are gathered


class OutputLines:
    """Feed it chunks, take lines. Sizes are bytes; `limit` is divided evenly between head and tail.

    Of a line with carriage returns the last segment is kept, as a terminal would show it. Tabs stay tabs; other control
    characters, and those that turn the direction of text, become visible (`\\x1b`). Invalid UTF-8 becomes U+FFFD.
    """

    def __init__(self, masker: Masker, expect: Sequence[str] = (), *, limit: int = LIMIT) -> None:
        self.found: set[str] = {text for text in expect if not text}
        self.total_bytes = 0
        self.omitted_bytes = 0  # cut from long lines, and after `end` what was left out between head and tail
        self.omitted_lines = 0
        self._masker = masker
        self._wanted = {text: text.encode("utf-8", "surrogateescape") for text in expect if text}
        self._overlap = b""
        self._head_left = limit // 2
        self._tail = _Tail(limit - limit // 2)
        self._line = _Line(LINE_LIMIT + masker.reach + 8)  # 8: the cut may fall into a character
        self._in_head = True

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` completes, while the head lasts."""
        self.total_bytes += len(chunk)
        if self._wanted:
            self._search(chunk)
        if not self._in_head:
            self._tail.add(chunk)
            return []
        return self._feed_head(chunk)

    def end(self) -> list[str]:
        """The rest: the line that was not ended, or a note of what is left out and the last lines."""
        if self._in_head:
            return [self._show(self._line)] if self._line.size else []
        raw_lines, whole = self._tail.lines()
        shown: list[str] = []
        budget = self._tail.capacity
        while budget > 0 and len(raw_lines) > (0 if whole else 1):
            line = _Line(self._line.keep)
            line.add(raw_lines.pop())
            shown.append(self._show(line))
            budget -= _cost(shown[-1])
        gap = self._tail.dropped_bytes + sum(map(len, raw_lines)) + len(raw_lines)
        gap_lines = self._tail.dropped_lines + len(raw_lines)
        if raw_lines and not shown:
            text = raw_lines[0].decode("utf-8", "replace")
            # Its beginning is lost, perhaps in a secret: as much as could be the rest of one is not shown.
            start = max(self._masker.reach, len(text) - LINE_LIMIT)
            shown.append(_visible(self._masker.mask(text, start)))
            gap -= min(gap, len(text[start:].encode()))
        if not gap:
            return shown[::-1]
        self.omitted_bytes += gap
        self.omitted_lines += gap_lines
        return [f"… {_size(gap)} in {gap_lines:,} lines left out here …", *shown[::-1]]

    def _search(self, chunk: bytes) -> None:
        text = self._overlap + chunk
        met = {wanted for wanted, raw in self._wanted.items() if raw in text}
        self.found |= met
        for wanted in met:
            del self._wanted[wanted]
        overlap = max((len(raw) for raw in self._wanted.values()), default=1) - 1
        self._overlap = text[-overlap:] if overlap else b""

    def _feed_head(self, chunk: bytes) -> list[str]:
        lines = []
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            self._line.add(chunk[begin:end])
            begin = end + 1
            lines.append(self._show(self._line))
            self._line.clear()
            self._head_left -= _cost(lines[-1])
            if self._head_left <= 0:
                self._in_head = False
                self._tail.add(chunk[begin:])
                return lines
        self._line.add(chunk[begin:])
        return lines

    def _show(self, line: _Line) -> str:
        text = line.kept.decode("utf-8", "replace")
        if line.size <= LINE_LIMIT:
            return _visible(self._masker.mask(text))
        # Masked before it is cut, and cut by what was printed: no part of a secret may show at the cut.
        over = line.size - LINE_LIMIT
        self.omitted_bytes += over
        stop = len(line.kept[:LINE_LIMIT].decode("utf-8", "replace"))
        return f"{_visible(self._masker.mask(text, stop=stop))}… (+{over:,} bytes)"


class _Line:
    """A line as it grows: its last segment, of which the first `keep` bytes are kept."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.kept = b""
        self.size = 0
        self._returned = False  # a carriage return came last: what follows begins the line anew

    def add(self, piece: bytes) -> None:
        body = piece.rstrip(b"\r")
        if body:
            if self._returned or b"\r" in body:
                self.clear()
                body = body.rpartition(b"\r")[2]
            self.size += len(body)
            self.kept += body[: self.keep - len(self.kept)]
        if piece:
            self._returned = piece.endswith(b"\r")

    def clear(self) -> None:
        self.kept = b""
        self.size = 0
        self._returned = False


class _Tail:
    """The last `capacity` bytes, and somewhat more: whole chunks are dropped, never searched for lines."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.dropped_bytes = 0
        self.dropped_lines = 0
        self._chunks: deque[bytearray | bytes] = deque()
        self._size = 0
        self._cut_in_line = False

    def add(self, chunk: bytes) -> None:
        if not chunk:
            return
        last = self._chunks[-1] if self._chunks else b""
        if isinstance(last, bytearray) and len(last) + len(chunk) <= _SMALL:
            last += chunk  # many small writes must not cost an object each
        else:
            self._chunks.append(bytearray(chunk) if len(chunk) < _SMALL else chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= self.capacity:
            self._drop(self._chunks.popleft())

    def lines(self) -> tuple[list[bytes], bool]:
        """Its lines without their ends, and whether the first one is there from its beginning."""
        lines = b"".join(self._chunks).split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines, not self._cut_in_line

    def _drop(self, chunk: bytes | bytearray) -> None:
        self._size -= len(chunk)
        self.dropped_bytes += len(chunk)
        self.dropped_lines += chunk.count(b"\n")
        self._cut_in_line = not chunk.endswith(b"\n")


def _visible(text: str) -> str:
    return text if text.isprintable() else text.translate(_VISIBLE)


def _cost(line: str) -> int:
    return max(len(line.encode("utf-8", "replace")) + 1, LINE_COST)


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"


def _escapes() -> Iterable[tuple[int, str]]:
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        if code != ord("\t"):
            yield code, f"\\x{code:02x}"
    # Line and paragraph separators, and what turns or hides text.
    for code in (0x061C, 0xFEFF, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)):
        yield code, f"\\u{code:04x}"


_VISIBLE = dict(_escapes())
