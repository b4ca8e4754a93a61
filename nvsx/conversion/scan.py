"""Reads shell text character by character: what is quoted, which words and operators there are, where things nest."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPERATORS = ("&&", "||", ";;", "|&", "&>>", "&>", "<<<", "<<-", "<<", ">>", ">|", "<&", ">&", "<(", ">(")
_META = set(" \t\n;&|<>()")
_DELIMITER = re.compile(r"<<-?[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|<>()'\"\\])+)")

PLAIN, SINGLE, DOUBLE, COMMENT, BODY, LITERAL_BODY = " ", "'", '"', "#", "h", "H"
"""What a character stands in: nothing, a quote, a comment, a here-document that expands, one that does not."""


class Unreadable(ValueError):
    """A quote, a bracket or a here-document that never ends."""


class Token(NamedTuple):
    """A `word`, an `op` or a `newline`; `start` and `end` are places in the text."""

    kind: str
    raw: str
    start: int
    end: int


class Heredoc(NamedTuple):
    """The body of a here-document, and where its operator stands."""

    operator: int
    body: str
    expands: bool
    start: int
    end: int


class Scan(NamedTuple):
    """`states` has a sign for each character of the text, as above. `complete` is false where something never ends."""

    states: str
    tokens: tuple[Token, ...]
    heredocs: tuple[Heredoc, ...]
    complete: bool


def scan(text: str) -> Scan:
    """Read a text to its end; never fails, `complete` tells whether everything that was opened is closed."""
    scanner = _Scanner(text)
    scanner.run()
    return Scan("".join(scanner.states), tuple(scanner.tokens), tuple(scanner.heredocs), scanner.complete)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.states = [PLAIN] * len(text)
        self.tokens: list[Token] = []
        self.heredocs: list[Heredoc] = []
        self.pending: list[tuple[int, str, bool, bool]] = []  # operator, delimiter, expands, tabs may be stripped
        self.complete = True

    def run(self) -> None:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\n":
                self.newline()
            elif char in " \t\r":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                self.comment()
            elif char in _META:
                self.operator()
            else:
                self.word()
        self.complete = self.complete and not self.pending

    def newline(self) -> None:
        self.tokens.append(Token("newline", "\n", self.at, self.at + 1))
        self.at += 1
        for operator, delimiter, expands, strips in self.pending:
            self.body(operator, delimiter, expands=expands, strips=strips)
        self.pending = []

    def body(self, operator: int, delimiter: str, *, expands: bool, strips: bool) -> None:
        start = self.at
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end
            line = self.text[self.at : end]
            if (line.lstrip("\t") if strips else line).rstrip("\r") == delimiter:
                break
            self.at = end + 1
        else:
            self.complete = False
        body_end = min(self.at, len(self.text))
        for place in range(start, body_end):
            self.states[place] = BODY if expands else LITERAL_BODY
        self.heredocs.append(Heredoc(operator, self.text[start:body_end], expands, start, body_end))
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end  # the delimiter's own line end ends the command

    def comment(self) -> None:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        for place in range(self.at, end):
            self.states[place] = COMMENT
        self.at = end

    def operator(self) -> None:
        found = next((op for op in _OPERATORS if self.text.startswith(op, self.at)), self.text[self.at])
        if found in ("<(", ">("):
            self.word()
            return
        if self.text.startswith("((", self.at) and self.arithmetic():
            return
        if found in ("<<", "<<-"):
            delimiter = _DELIMITER.match(self.text, self.at)
            if delimiter:
                raw = delimiter[1]
                quoted = bool(set(raw) & set("'\"\\"))
                self.pending.append((self.at, re.sub(r"['\"\\]", "", raw), not quoted, found == "<<-"))
        self.tokens.append(Token("op", found, self.at, self.at + len(found)))
        self.at += len(found)

    def arithmetic(self) -> bool:
        """`((…))` is a word of its own: a shift in it is no here-document."""
        end = self.text.find("))", self.at)
        if end < 0 or "\n" in self.text[self.at : end]:
            return False
        self.tokens.append(Token("word", self.text[self.at : end + 2], self.at, end + 2))
        self.at = end + 2
        return True

    def word(self) -> None:
        start = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in _META and not self.text.startswith(("<(", ">("), self.at):
                break
            if not self.quoted(char):
                self.at += 1
        self.tokens.append(Token("word", self.text[start : self.at], start, self.at))

    def quoted(self, char: str) -> bool:
        """Go past whatever begins here with a sign of its own; false for an ordinary character."""
        following = self.text[self.at + 1 : self.at + 2]
        if char == "\\":
            self.at += 2
        elif char == "'" or (char == "$" and following == "'"):
            self.single(escapes=char == "$")
        elif char == '"':
            self.double()
        elif char == "`":
            self.backquoted()
        elif (char == "$" and following in ("(", "{")) or (char in "<>" and following == "("):
            self.nested(")" if following == "(" else "}")
        else:
            return False
        return True

    def single(self, *, escapes: bool) -> None:
        start = self.at
        self.at += 2 if escapes else 1
        while self.at < len(self.text) and self.text[self.at] != "'":
            self.at += 2 if escapes and self.text[self.at] == "\\" else 1
        self.ended("'")
        self.mark(start, SINGLE)

    def double(self) -> None:
        start = self.at
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            char, following = self.text[self.at], self.text[self.at + 1 : self.at + 2]
            if char == "\\":
                self.at += 2
            elif char == "`":
                self.backquoted()
            elif char == "$" and following in ("(", "{"):
                self.nested(")" if following == "(" else "}")
            else:
                self.at += 1
        self.ended('"')
        self.mark(start, DOUBLE)

    def backquoted(self) -> None:
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != "`":
            self.at += 2 if self.text[self.at] == "\\" else 1
        self.ended("`")

    def nested(self, closing: str) -> None:
        """`$(…)`, `${…}` or `<(…)`, with everything that may be quoted or nested in it."""
        self.at += 2
        depth = 1
        opening = "(" if closing == ")" else "{"
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == closing:
                depth -= 1
                if not depth:
                    break
            if not self.quoted(char):
                depth += char == opening
                self.at += 1
        self.ended(closing)

    def ended(self, sign: str) -> None:
        if self.text[self.at : self.at + 1] != sign:
            self.complete = False
            self.at = len(self.text)
            return
        self.at += 1

    def mark(self, start: int, state: str) -> None:
        """Everything since `start`, but for what is quoted in its own way already."""
        for place in range(start, min(self.at, len(self.text))):
            if self.states[place] == PLAIN:
                self.states[place] = state
