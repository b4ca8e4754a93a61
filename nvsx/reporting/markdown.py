"""A report as Markdown, for tickets and wikis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.cells import printable
from nvsx.reporting.blocks import Facts, Lines, Sentence, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.reporting.blocks import Block, Page

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown(page: Page) -> str:
    """The report. Nothing that hooks printed or the cluster said can become markup."""
    lines = [f"# {_plain(page.title)}: {_plain(page.badge)}", "", _plain(page.subtitle)]
    for section in page.sections:
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            drawn = list(_block(block))
            lines += ["", *drawn] if drawn else []
    return "\n".join([*lines, "", f"*{_plain(page.footer)}*", ""])


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Facts):
        yield from _rows(("", ""), block.rows)
    elif isinstance(block, Table):
        yield from _rows(block.headings, block.rows)
    elif isinstance(block, Lines):
        yield f"**{_plain(block.heading)}**"
        if block.lines:
            printed = [printable(line, keep="\t") for line in block.lines]
            fence = "`" * max(3, 1 + max(len(run) for line in [*printed, ""] for run in re.findall("`*", line)))
            yield from ("", f"{fence}text", *printed, fence)
    elif isinstance(block, Sentence):
        yield _plain(block.text)


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(headings)
    yield "|" + "---|" * len(headings)
    yield from (_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", printable(text))
