"""Reads a page of instructions: its sections, the blocks of code in them, and commands that stand in the prose.

Markdown as people and wikis write it: fenced and indented blocks, blocks in lists, both kinds of headings, and the
`{code}` of a Confluence export. Every line of the page keeps its number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{3,})\s*$")
_FENCE = re.compile(r"(\s*(?:[-*+>]\s+|\d+[.)]\s+)*)(`{3,}|~{3,})\s*([^`]*)$")
_CONFLUENCE = re.compile(r"\s*\{(code|noformat)(?::([^}]*))?\}\s*$")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_INDENTED = re.compile(r"(?: {4}|\t)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*_`]{1,3}")


class Block(NamedTuple):
    """A block of code. `first` is the number of its first line; `indent` is what was taken off each line."""

    first: int
    language: str
    lines: tuple[str, ...]
    inline: bool = False

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


SHELL_LANGUAGES = frozenset(
    {"bash", "sh", "shell", "zsh", "ksh", "console", "terminal", "shell-session", "shellsession", "cmd"}
)
_UNLABELLED = frozenset({"", "text", "txt", "plain", "none", "plaintext"})


def may_be_shell(block: Block) -> bool:
    """Whether a block's language is a shell's, or is not said."""
    return block.language in SHELL_LANGUAGES or block.language in _UNLABELLED


class Section(NamedTuple):
    """A heading and what stands below it up to the next one. `path` are the headings above it, outermost first."""

    title: str
    level: int
    first: int
    last: int
    path: tuple[str, ...]
    blocks: tuple[Block, ...]
    prose: str


class Page(NamedTuple):
    title: str
    sections: tuple[Section, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for section in self.sections for block in section.blocks)


def read_page(text: str) -> Page:
    """The page in a text. What comes before the first heading is a section without a title."""
    reader = _Reader(text.splitlines())
    reader.read()
    sections = reader.sections
    title = next((section.title for section in sections if section.level == 1), "")
    title = title or next((section.title for section in sections if section.title), "")
    return Page(title, tuple(section for section in sections if section.title or section.blocks or section.prose))


class _Open:
    """The section that is being read."""

    def __init__(self, title: str, level: int, first: int, path: tuple[str, ...]) -> None:
        self.title, self.level, self.first, self.path = title, level, first, path
        self.blocks: list[Block] = []
        self.prose: list[str] = []


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self.sections: list[Section] = []
        self.open = _Open("", 0, 1, ())

    def read(self) -> None:
        if self.lines and self.lines[0].strip() == "---":
            self.at = next((at + 1 for at, line in enumerate(self.lines[1:], 1) if line.strip() == "---"), 0)
        while self.at < len(self.lines):
            if not (self.fence() or self.confluence() or self.heading() or self.indented()):
                self.text()
        self.close(len(self.lines))

    def fence(self) -> bool:
        found = _FENCE.match(self.lines[self.at])
        if not found:
            return False
        mark, language = found[2], found[3].split()[0].strip("{}.").lower() if found[3].split() else ""
        closing = re.compile(rf"\s*{mark[0]}{{{len(mark)},}}\s*$")
        self.block(language, closing, len(found[1].expandtabs(4)))
        return True

    def confluence(self) -> bool:
        found = _CONFLUENCE.match(self.lines[self.at])
        if not found:
            return False
        language = (found[2] or "").split("|")[0].removeprefix("language=").lower()
        self.block(language, re.compile(rf"\s*\{{{found[1]}\}}\s*$"), 0)
        return True

    def block(self, language: str, closing: re.Pattern[str], indent: int) -> None:
        """A block up to the line that closes it, or to the end of the page."""
        self.at += 1
        first, lines = self.at + 1, []
        while self.at < len(self.lines) and not closing.match(self.lines[self.at]):
            lines.append(_without_indent(self.lines[self.at], indent))
            self.at += 1
        self.at += 1
        self.open.blocks.append(Block(first, language, tuple(lines)))

    def heading(self) -> bool:
        line = self.lines[self.at]
        found = _HEADING.match(line)
        following = self.lines[self.at + 1] if self.at + 1 < len(self.lines) else ""
        if found:
            self.begin(found[2], len(found[1]))
            self.at += 1
            return True
        if line.strip() and not _LIST_ITEM.match(line) and "|" not in line and _UNDERLINE.match(following):
            self.begin(line, 1 if following.strip()[0] == "=" else 2)
            self.at += 2
            return True
        return False

    def begin(self, title: str, level: int) -> None:
        self.close(self.at)
        above = [section for section in self.sections if section.title]
        path: list[str] = []
        deepest = level
        for section in reversed(above):
            if section.level < deepest:
                path.insert(0, section.title)
                deepest = section.level
        self.open = _Open(_LINK.sub(r"\1", title).strip(), level, self.at + 1, tuple(path))

    def indented(self) -> bool:
        before = self.lines[self.at - 1] if self.at else ""
        line = self.lines[self.at]
        if before.strip() or not line.strip() or not _INDENTED.match(line) or self.in_list():
            return False
        first, lines = self.at + 1, []
        while self.at < len(self.lines) and (_INDENTED.match(self.lines[self.at]) or not self.lines[self.at].strip()):
            lines.append(_without_indent(self.lines[self.at], 4))
            self.at += 1
        while lines and not lines[-1].strip():
            lines.pop()
        self.open.blocks.append(Block(first, "", tuple(lines)))
        return True

    def in_list(self) -> bool:
        """Whether an indented line belongs to an item of a list above it, and is prose."""
        for line in reversed(self.lines[: self.at]):
            if line.strip() and not line[:1].isspace():
                return bool(_LIST_ITEM.match(line))
        return False

    def text(self) -> None:
        line = self.lines[self.at]
        self.open.prose.append(line)
        for found in _INLINE.finditer(line):
            self.open.blocks.append(Block(self.at + 1, "", (found[2].strip(),), inline=True))
        self.at += 1

    def close(self, last: int) -> None:
        opened = self.open
        prose = "\n".join(opened.prose).strip()
        self.sections.append(
            Section(opened.title, opened.level, opened.first, last, opened.path, tuple(opened.blocks), prose)
        )


def _without_indent(line: str, indent: int) -> str:
    expanded = line.expandtabs(4) if line[:indent].strip(" ") else line
    return expanded[min(indent, len(expanded) - len(expanded.lstrip(" "))) :]
