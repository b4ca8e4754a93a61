"""The env file's small language: what bash would assign, read without starting bash and without expanding anything."""

from __future__ import annotations

import re

from nvsx.errors import DocumentInvalid, Place, Problem

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = " \t\r"
_ESCAPED_IN_DOUBLE_QUOTES = '"\\$`'


def parse_env(text: str, file: str) -> dict[str, str]:
    """The variables of `KEY=value` and `export KEY=value` lines, with quotes, comments and line ends as in bash.

    `$` stands for itself everywhere. Raises DocumentInvalid with the place of the first thing that is no assignment.
    """
    reader = _Reader(text.removeprefix("\ufeff"), file)
    found: dict[str, str] = {}
    while reader.skip_to_word():
        if reader.take("export"):
            continue
        name = reader.name()
        found[name] = reader.value()
    return found


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0

    def skip_to_word(self) -> bool:
        """Go past blanks, line ends and comments; false at the end of the file."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in _BLANK or char == "\n":
                self.at += 1
            else:
                return True
        return False

    def take(self, word: str) -> bool:
        """Go past `word` and the blanks after it, if that is what stands here."""
        end = self.at + len(word)
        if self.text[self.at : end] != word or self.text[end : end + 1] not in (" ", "\t"):
            return False
        self.at = end
        return True

    def name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if not match or self.text[match.end() : match.end() + 1] != "=":
            raise self.problem(
                self.at, "expected KEY=value", "put a value that contains blanks in quotes: KEY='two words'"
            )
        self.at = match.end() + 1
        return match.group()

    def value(self) -> str:
        """The value up to the next blank outside quotes."""
        parts: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in _BLANK or char == "\n":
                break
            self.at += 1
            if char == "'":
                parts.append(self.quoted("'"))
            elif char == '"':
                parts.append(self.quoted('"'))
            elif char == "\\":
                parts.append(self.escaped())
            elif char in ";&|<>()`":
                raise self.problem(self.at - 1, f"{char!r} needs quotes", "put the value in single quotes")
            elif char == "\0":
                raise self.problem(self.at - 1, "a NUL character cannot be part of a variable", "")
            else:
                parts.append(char)
        return "".join(parts)

    def escaped(self) -> str:
        """The character after a backslash outside quotes; an escaped line end is nothing."""
        char = self.text[self.at : self.at + 1]
        self.at += 1
        return "" if char == "\n" else char or "\\"

    def quoted(self, quote: str) -> str:
        opened = self.at - 1
        parts: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == quote:
                return "".join(parts)
            if char == "\0":
                raise self.problem(self.at - 1, "a NUL character cannot be part of a variable", "")
            following = self.text[self.at : self.at + 1]
            if quote == '"' and char == "\\" and following and following in _ESCAPED_IN_DOUBLE_QUOTES + "\n":
                char = "" if following == "\n" else following
                self.at += 1
            parts.append(char)
        raise self.problem(opened, f"this {quote} is never closed", f"close it, or write \\{quote} for the character")

    def problem(self, at: int, message: str, hint: str) -> DocumentInvalid:
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        problem = Problem(Place(self.file, line, column), "", message, hint)
        return DocumentInvalid("the env file cannot be read", (problem,))
