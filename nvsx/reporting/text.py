"""A report as text for a terminal or a mail, no wider than what it is asked to be, tables apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nvsx.cells import pad, printable, width, wrap
from nvsx.reporting.blocks import TONES, Facts, Lines, Section, Sentence, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.reporting.blocks import Block, Page

    class Paint(Protocol):
        """Colours a text, or leaves it alone: `nvsx.terminal.Paint`."""

        def __call__(self, text: str, color: str = "", *, bold: bool = False) -> str: ...


LINES_SHOWN = 12
"""How much of an output is shown: its end, where the reason usually stands."""


def text(page: Page, *, cells: int = 100, paint: Paint | None = None) -> str:
    """The report, lines ended by newlines."""
    paint = paint or _plain
    badge = paint(printable(page.badge), _tone(page.tone), bold=True)
    lines = [f"{paint(printable(page.title), 'white', bold=True)}   {badge}", printable(page.subtitle)]
    for section in page.sections:
        lines += ["", paint(section.title, "cyan", bold=True), *_section(section, cells, paint)]
    return "\n".join([*lines, "", paint(printable(page.footer), "grey"), ""])


def _section(section: Section, cells: int, paint: Paint) -> Iterator[str]:
    for block in section.blocks:
        yield from _block(block, cells, paint)


def _block(block: Block, cells: int, paint: Paint) -> Iterator[str]:
    if isinstance(block, Facts):
        column = max(width(name) for name, _ in block.rows)
        for name, value in block.rows:
            yield from _hanging(paint(pad(name, column), "grey"), column, value, cells)
    elif isinstance(block, Table):
        yield from _table(block, cells, paint)
    elif isinstance(block, Lines):
        yield f"  {paint(printable(block.heading), _tone(block.tone))}"
        left_out = len(block.lines) - LINES_SHOWN
        if left_out > 0:
            yield paint(f"    │ … {left_out} more lines before these", "grey")
        yield from (f"    {paint('│', 'grey')} {printable(line, keep=chr(9))}" for line in block.lines[-LINES_SHOWN:])
    elif isinstance(block, Sentence):
        yield from _hanging("", 0, block.text, cells)


def _hanging(label: str, column: int, value: str, cells: int) -> Iterator[str]:
    """A value beside its label, further lines below its beginning."""
    indent = "  " + (" " * (column + 2) if column else "")
    room = max(24, cells - len(indent))
    first, *rest = wrap(printable(value), room) or [""]
    yield f"  {label}  {first}" if column else f"  {first}"
    yield from (f"{indent}{line}" for line in rest)


def _table(table: Table, cells: int, paint: Paint) -> Iterator[str]:
    """Columns that line up; the last one goes on below itself where it is long."""
    rows = [[printable(cell) for cell in row] for row in table.rows]
    heads = list(table.headings)
    columns = [max(width(line[index]) for line in [heads, *rows]) for index in range(len(heads) - 1)]
    before = sum(columns) + 2 * len(columns)
    yield "  " + paint(_line(heads, columns), "grey")
    for row in rows:
        first, *rest = wrap(row[-1], max(24, cells - before - 2)) or [""]
        drawn = [pad(cell, size) for cell, size in zip(row, columns, strict=False)]
        if table.tone >= 0:
            drawn[table.tone] = paint(drawn[table.tone], _tone(row[table.tone]))
        yield f"  {'  '.join([*drawn, first])}".rstrip()
        yield from (f"  {' ' * before}{line}" for line in rest)


def _line(cells: Sequence[str], columns: Sequence[int]) -> str:
    return "  ".join([*(pad(cell, size) for cell, size in zip(cells, columns, strict=False)), cells[-1]]).rstrip()


def _plain(text: str, color: str = "", *, bold: bool = False) -> str:
    return text


def _tone(status: str) -> str:
    return TONES.get(status, "")
