"""What a report is made of, whichever form it takes: sections of facts, tables, lines and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Facts(NamedTuple):
    """Names with their values."""

    rows: Sequence[tuple[str, str]]


class Table(NamedTuple):
    """`tone` names a column whose words are statuses, and may be coloured; -1 for none."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    tone: int = -1


class Lines(NamedTuple):
    """What a program printed, under a heading of its own. `tone` is a status."""

    heading: str
    lines: Sequence[str]
    tone: str = ""


class Sentence(NamedTuple):
    text: str


class Timeline(NamedTuple):
    """Where the picture goes, in forms that have pictures."""


Block = Facts | Table | Lines | Sentence | Timeline


class Section(NamedTuple):
    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """A report. `badge` is its verdict in a few words, `tone` a status that says how it is meant."""

    title: str
    subtitle: str
    badge: str
    tone: str
    sections: Sequence[Section]
    footer: str


TONES = {
    # status or outcome: colour
    "pass": "green",
    "ok": "green",
    "fail": "red",
    "failed": "red",
    "timeout": "red",
    "unknown": "red",
    "blind": "yellow",
    "not_configured": "grey",
    "skipped": "grey",
    "running": "blue",
    "queued": "blue",
    "interrupted": "yellow",
    "cancelled": "yellow",
}
