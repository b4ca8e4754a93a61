"""Frames as bytes for a terminal: only what differs from the frame before, and colours as deep as it has them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cells import clusters, width
from nvsx.terminal import PALETTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.deck.styled import Row, Style

ENTER = b"\033[?1049h\033[?25l\033[?7l\033[2J"
"""The other screen, no cursor, no wrapping at the right edge, empty."""
LEAVE = b"\033[0m\033[?7h\033[?25h\033[?1049l"
ASK_SYNC = b"\033[?2026$p"
"""Whether the terminal can take a frame at once (DECRQM); it answers `ESC [ ? 2026 ; N $ y`, 1 or 2 for yes."""
HAS_SYNC = (b"\033[?2026;1$y", b"\033[?2026;2$y")
BEGIN_SYNC, END_SYNC = b"\033[?2026h", b"\033[?2026l"

SIXTEEN = {
    "green": 32,
    "yellow": 33,
    "red": 31,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "grey": 37,
    "dim": 90,
    "white": 97,
}
"""The palette where there are 16 colours."""
ONE_CELL = dict(zip("→…·●○◆✗✓▓░─│╭╮╰╯", ">~-*o@x+#.-|++++", strict=True))
"""What stands for the deck's own signs where the locale has only ASCII: one cell for one cell."""

_SHORTEST_JUMP = 6
"""Unchanged cells between two changes that are cheaper to skip than to write again."""


class Cell(NamedTuple):
    """One column. The second column of a wide character has no text."""

    text: str
    style: Style


class Cells(NamedTuple):
    """A line as cells; `sure` where every terminal agrees on their widths."""

    cells: tuple[Cell, ...]
    sure: bool


class Painter:
    """Remembers what the screen shows. `depth` is 24, 8, 4 (16 colours) or 0 (none)."""

    def __init__(self, *, depth: int, encoding: str = "utf-8", ascii_only: bool = False) -> None:
        self._depth = depth
        self._encoding = encoding
        self._ascii_only = ascii_only
        self._shown: list[Row] = []
        self._columns = 0
        self._codes: dict[Style, str] = {}
        self.sync = False

    def forget(self) -> None:
        """The screen was lost: the next frame is painted whole."""
        self._shown = []

    def paint(self, frame: Sequence[Row], columns: int) -> bytes:
        """The bytes that turn the frame before into this one; nothing if they are equal."""
        whole = len(frame) != len(self._shown) or columns != self._columns
        parts = ["\033[2J"] if whole else []
        before: Sequence[Row] = [()] * len(frame) if whole else self._shown
        for number, (line, old) in enumerate(zip(frame, before, strict=True), 1):
            if line != old:
                parts += self._changes(number, _cells(old), _cells(line))
        self._shown, self._columns = list(frame), columns
        if not parts:
            return b""
        data = "".join(parts).encode(self._encoding, "replace")
        return BEGIN_SYNC + data + END_SYNC if self.sync else data

    def _changes(self, number: int, before: Cells, after: Cells) -> Iterator[str]:
        old, new = before.cells, after.cells
        for start, end in _runs(old, new) if before.sure and after.sure else [(0, len(new))]:
            yield f"\033[{number};{start + 1}H{self._styled(new[start:end], start + 1)}"

    def _styled(self, cells: Sequence[Cell], column: int) -> str:
        text, current = "", ""
        for number, cell in enumerate(cells, column):
            code = self._code(cell.style)
            if code != current:
                text += f"\033[0{code}m"
                current = code
            text += self._shape(cell.text, number)
        return f"{text}\033[0m" if current else text

    def _shape(self, text: str, column: int) -> str:
        """The bytes of one cell. A character of which terminals may think differently gets its room cleared first,
        and the cursor is put behind it whatever the terminal made of it.
        """
        if _is_sure(text):
            return ONE_CELL.get(text, text) if self._ascii_only else text
        size = width(text)
        shown = "?" + " " * (size - 1) if self._ascii_only else text
        return f"{' ' * size}\033[{column}G{shown}\033[{column + size}G"

    def _code(self, style: Style) -> str:
        code = self._codes.get(style)
        if code is None:
            code = self._codes[style] = sgr(style, self._depth)
        return code


def sgr(style: Style, depth: int) -> str:
    """The parameters of a style behind a reset, as `;1;38;5;79`; "" for the terminal's own look."""
    codes = ";1" if style.bold else ""
    if style.italic:
        codes += ";3"
    if not style.color or not depth:
        return codes
    (red, green, blue), nearest = PALETTE[style.color]
    if depth == 4:
        return f"{codes};{SIXTEEN[style.color]}"
    return f"{codes};38;2;{red};{green};{blue}" if depth == 24 else f"{codes};38;5;{nearest}"


@lru_cache(maxsize=512)
def _cells(line: Row) -> Cells:
    """A line's cells. Remembered, because output that scrolls shows the same lines again, only higher."""
    cells: list[Cell] = []
    for span in line:
        if span.text.isascii():
            cells += [Cell(char, span.style) for char in span.text]
            continue
        for cluster, size in clusters(span.text):
            cells.append(Cell(cluster, span.style))
            if size == 2:
                cells.append(Cell("", span.style))
    return Cells(tuple(cells), all(_is_sure(cell.text) for cell in cells))


def _is_sure(text: str) -> bool:
    """Whether every terminal gives this cell one column."""
    return text.isascii() or text in ONE_CELL


def _runs(old: Sequence[Cell], new: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    """The columns that differ, as ranges; near ones are joined."""
    start = end = -1
    for column, cell in enumerate(new):
        if column < len(old) and old[column] == cell:
            continue
        if start >= 0 and column - end >= _SHORTEST_JUMP:
            yield start, end
            start = -1
        if start < 0:
            start = column
        end = column + 1
    if start >= 0:
        yield start, end
