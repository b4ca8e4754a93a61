"""Styled text: spans with a style, lines of spans that are exactly as wide as they are asked to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.cells import clip, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Style(NamedTuple):
    """A colour of `nvsx.terminal.PALETTE` ("" for the terminal's own) and weight."""

    color: str = ""
    bold: bool = False
    italic: bool = False


class Span(NamedTuple):
    text: str
    style: Style = Style()


PLAIN = Style()
DIM = Style("dim")
GREY = Style("grey")
WHITE = Style("white", bold=True)
Row = tuple[Span, ...]
"""A line of the screen. Its spans hold printable text only."""


def row(*parts: Span | str) -> Row:
    """A line of spans; bare text has no style."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def row_width(line: Iterable[Span]) -> int:
    return sum(width(span.text) for span in line)


def fit(line: Sequence[Span], cells: int) -> Row:
    """The line cut or filled to exactly `cells`; a cut ends in an ellipsis."""
    total = row_width(line)
    if total <= cells:
        return (*line, Span(" " * (cells - total))) if total < cells else tuple(line)
    kept: list[Span] = []
    room = cells
    for span in line:
        size = width(span.text)
        if size < room:
            kept.append(span)
            room -= size
            continue
        cut = clip(span.text + "……", room)  # longer than the room, so that the cut is always marked
        kept.append(Span(cut, span.style))
        room -= width(cut)
        break
    return (*kept, Span(" " * room)) if room else tuple(kept)


def both_ends(left: Sequence[Span], right: Sequence[Span], cells: int) -> Row:
    """Two texts at the ends of a line; the left one yields where there is too little room."""
    size = row_width(right)
    if size >= cells:
        return fit(right, cells)
    return (*fit(left, cells - size), *right)


def centered(line: Sequence[Span], cells: int) -> Row:
    before = max(0, (cells - row_width(line)) // 2)
    return fit((Span(" " * before), *line), cells)


def boxed(lines: Iterable[Sequence[Span]], cells: int, title: str = "", style: Style = DIM) -> list[Row]:
    """Lines in a rounded frame, `cells` wide in all."""
    inner = cells - 4
    heading = f" {clip(title, inner - 2)} " if title else ""
    left = (cells - 2 - width(heading)) // 2
    right = cells - 2 - width(heading) - left
    top = row(Span("╭" + "─" * left, style), Span(heading, style._replace(bold=True)), Span("─" * right + "╮", style))
    edge, end = Span("│ ", style), Span(" │", style)
    body = [(edge, *fit(line, inner), end) for line in lines]
    return [top, *body, row(Span("╰" + "─" * (cells - 2) + "╯", style))]


def ruled(lines: Iterable[Sequence[Span]], cells: int, title: str, style: Style = DIM) -> list[Row]:
    """Lines under a heading in a rule: a panel where rows are dear."""
    heading = f"── {clip(title, max(1, cells - 6))} "
    top = row(Span(heading, style), Span("─" * (cells - width(heading)), style))
    return [fit(top, cells), *(fit((Span(" "), *line), cells) for line in lines)]
