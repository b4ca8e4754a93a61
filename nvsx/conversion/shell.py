"""Shell text as commands: whole ones with the lines they stand on, and every simple command inside, however nested.

It has to be careful rather than complete: what it cannot read is never taken for harmless.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.conversion.scan import Unreadable, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.conversion.scan import Scan, Token

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=(.*)", re.DOTALL)
_FUNCTION = re.compile(r"(?:function\s+)?([A-Za-z_][\w.:-]*)\s*\(\s*\)|function\s+([A-Za-z_][\w.:-]*)")
_SUBSTITUTION = re.compile(r"\$\((?!\()|[<>]\(|`")
_SEPARATORS = ("&&", "||", ";", "&", "|", "|&", "\n", ";;", "(", ")")
_BETWEEN = ("\n", ";", "&&", "||", "&")
_REDIRECTIONS = (">", ">>", "<", "<<", "<<-", "<<<", ">&", "<&", "&>", "&>>", ">|")
_OPENERS = {"if": "fi", "for": "done", "while": "done", "until": "done", "select": "done", "case": "esac", "{": "}"}
_KEYWORDS = {*_OPENERS, *_OPENERS.values(), "then", "else", "elif", "do", "in", "!", "time", "[["}
_BEFORE_COMMAND = {"then", "else", "elif", "do", "if", "while", "until", "!", "time", "{"}
_DEEPEST = 12


class Unit(NamedTuple):
    """A whole command as it stands: simple, a pipeline, a loop, a function. `operator` is what joins it to the one
    before it, "" where nothing does. Lines count from 0; `start` and `end` are places in the text it was found in.
    """

    text: str
    first: int
    last: int
    operator: str
    start: int
    end: int


class Word(NamedTuple):
    """`text` is without quotes; `literal` is false where the shell would put something else into it."""

    raw: str
    text: str
    literal: bool


class Command(NamedTuple):
    """A simple command. `writes_file` says that its output goes to a file; `piped` that it reads what another said."""

    words: tuple[Word, ...]
    assignments: tuple[tuple[str, str], ...]  # name, raw value
    writes_file: bool = False
    piped: bool = False
    stdin: str = ""  # what a here-document or here-string gives it


def units(text: str) -> tuple[Unit, ...]:
    """The commands of a text, in order; comments and blank lines belong to none. Unreadable where one never ends."""
    scanned = scan(text)
    if not scanned.complete:
        raise Unreadable("a quote, a bracket or a here-document never ends")
    found: list[Unit] = []
    for group, operator in _groups(scanned.tokens):
        start, end = group[0].start, _end(group, scanned)
        found.append(_unit(text, start, end, operator))
    return tuple(found)


def joined(text: str, chain: Sequence[Unit]) -> Unit:
    """Commands that follow each other in a text as one."""
    return _unit(text, chain[0].start, chain[-1].end, chain[0].operator)


def _unit(text: str, start: int, end: int, operator: str) -> Unit:
    whole = text[start:end].rstrip()
    end = start + len(whole)
    return Unit(whole, text.count("\n", 0, start), text.count("\n", 0, end), operator, start, end)


def _end(group: Sequence[Token], scanned: Scan) -> int:
    """Where a command ends, with the here-documents that belong to it."""
    start, end = group[0].start, group[-1].end
    for heredoc in scanned.heredocs:
        if start <= heredoc.operator < end:
            following = (token.start for token in scanned.tokens if token.start >= heredoc.end)
            end = max(end, next(following, len(scanned.states)))
    return end


def _groups(tokens: Sequence[Token]) -> Iterator[tuple[list[Token], str]]:
    """The tokens of each whole command, with the operator before it."""
    group: list[Token] = []
    operator, nesting = "", _Nesting()
    for token in tokens:
        if nesting.deep or token.raw not in _BETWEEN or _is_function_head(group):
            nesting.take(token, group)
            group.append(token)
        elif token.raw == "\n" and (not group or group[-1].raw in ("|", "|&")):
            continue  # a blank line, or a line that goes on behind its operator
        else:
            group += [token] if token.raw == "&" else []
            if group:
                yield group, operator
            group, operator = [], token.raw if token.raw in ("&&", "||") else ""
    if nesting.deep:
        raise Unreadable(f"`{nesting.deep[-1]}` is missing")
    if group:
        yield group, operator


def _is_function_head(group: Sequence[Token]) -> bool:
    """`name()` with its body on the next line."""
    return bool(_FUNCTION.fullmatch(" ".join(token.raw for token in group)))


class _Nesting:
    """What has been opened by keywords and brackets and not been closed yet."""

    def __init__(self) -> None:
        self.deep: list[str] = []  # what closes each

    def take(self, token: Token, before: Sequence[Token]) -> None:
        if token.raw == "(" and token.kind == "op":
            if not self._in_case():
                self.deep.append(")")
        elif token.raw == ")" and token.kind == "op":
            if self.deep and self.deep[-1] == ")":
                self.deep.pop()
        elif token.kind == "word" and self._begins_command(before):
            if token.raw in _OPENERS:
                self.deep.append(_OPENERS[token.raw])
            elif self.deep and token.raw == self.deep[-1]:
                self.deep.pop()

    def _in_case(self) -> bool:
        return bool(self.deep) and self.deep[-1] == "esac"

    def _begins_command(self, before: Sequence[Token]) -> bool:
        if not before:
            return True
        last = before[-1]
        if last.kind != "word":
            return last.raw in _SEPARATORS
        return last.raw in _BEFORE_COMMAND or last.raw in ("done", "fi", "esac", "}")


def commands(text: str) -> tuple[Command, ...]:
    """Every simple command in a text, those in substitutions, loops and functions too; Unreadable as `units`."""
    return tuple(_commands(text, 0))


def _commands(text: str, depth: int) -> Iterator[Command]:
    scanned = scan(text)
    if not scanned.complete or depth > _DEEPEST:
        raise Unreadable("a quote, a bracket or a here-document never ends")
    piped = False
    simple: list[Token] = []
    for token in (*scanned.tokens, None):
        if token is None or (token.kind != "word" and token.raw in _SEPARATORS):
            yield from _simple(simple, scanned, depth, piped=piped)
            piped = token is not None and token.raw in ("|", "|&")
            simple = []
        else:
            simple.append(token)
    for heredoc in scanned.heredocs:
        if heredoc.expands:
            yield from _substituted(heredoc.body, depth)


def _simple(tokens: Sequence[Token], scanned: Scan, depth: int, *, piped: bool) -> Iterator[Command]:
    words: list[Word] = []
    assignments: list[tuple[str, str]] = []
    writes, stdin = False, ""
    pending = iter(_without_keywords(tokens))
    for token in pending:
        if token.kind == "op":
            target = next(pending, None)
            writes = writes or (token.raw.startswith((">", "&>")) and token.raw != ">&" and _is_file(target))
            if token.raw == "<<<" and target:
                stdin = bare(target.raw).text
            stdin = next((doc.body for doc in scanned.heredocs if doc.operator == token.start), stdin)
            if target:
                yield from _substituted(target.raw, depth)
            continue
        yield from _substituted(token.raw, depth)
        assigned = _ASSIGNMENT.fullmatch(token.raw)
        if assigned and not words:
            assignments.append((assigned[1], assigned[2]))
        else:
            words.append(bare(token.raw))
    if words or assignments:
        yield Command(tuple(words), tuple(assignments), writes, piped, stdin)


def _is_file(target: Token | None) -> bool:
    return target is not None and not target.raw.startswith("/dev/")


def _without_keywords(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens of a simple command without the words of the loop or branch around it."""
    rest = list(tokens)
    while rest and rest[0].kind == "word" and rest[0].raw in _KEYWORDS:
        keyword = rest.pop(0).raw
        if keyword in ("for", "select", "case"):
            yield from _looped(rest)
            return
        if keyword == "[[":
            return
    for at, token in enumerate(rest):
        # The descriptor of a redirection is no word: `2>file`.
        glued = at + 1 < len(rest) and rest[at + 1].raw in _REDIRECTIONS and rest[at + 1].start == token.end
        if not (token.kind == "word" and token.raw.isdigit() and glued):
            yield token


def _looped(rest: Sequence[Token]) -> Iterator[Token]:
    """`for x in A B`: nothing is started, but A and B may have substitutions in them."""
    for token in rest:
        if _SUBSTITUTION.search(token.raw):
            yield token._replace(raw=f"_={token.raw}")


def _substituted(raw: str, depth: int) -> Iterator[Command]:
    """The commands in the substitutions of a word or of a here-document."""
    for inner in substitutions(raw):
        yield from _commands(inner, depth + 1)


def substitutions(raw: str) -> Iterator[str]:
    """What stands in `$(…)`, `<(…)` and backquotes, outermost only; single quotes hide them."""
    at = 0
    states = scan(raw).states
    while found := _SUBSTITUTION.search(raw, at):
        start = found.end()
        if states[found.start()] == "'" or raw[found.start() - 1 : found.start()] == "\\":
            at = start
            continue
        end = raw.find("`", start) if found[0] == "`" else _closing(raw, start)
        if end < 0:
            raise Unreadable("a substitution never ends")
        yield raw[start:end].replace("\\`", "`") if found[0] == "`" else raw[start:end]
        at = end + 1


def _closing(raw: str, start: int) -> int:
    """Where the bracket that is open at `start` is closed."""
    depth, quote = 1, ""
    at = start
    while at < len(raw):
        char = raw[at]
        if char == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
            if not depth:
                return at
        at += 1
    return -1


def bare(raw: str) -> Word:
    """A word without its quotes; what would be expanded stays as it is written, and is not literal."""
    text: list[str] = []
    literal, quote = True, ""
    at = 0
    while at < len(raw):
        char = raw[at]
        following = raw[at + 1 : at + 2]
        if quote == "'":
            quote = "" if char == "'" else quote
            text.append("" if char == "'" else char)
        elif char == "\\":
            text.append("" if following == "\n" else following)
            at += 1
        elif char == '"':
            quote = "" if quote else char
        elif char == "'" and not quote:
            quote = char
        elif char == "$" and following == "'" and not quote:
            literal = False  # escapes could spell anything
            text.append("$")
        else:
            literal = literal and char not in "$`" and not (not quote and char in "*?[{~")
            text.append(char)
        at += 1
    return Word(raw, "".join(text), literal)


def function_name(text: str) -> str:
    """The name of the function that a command defines, "" where it defines none."""
    found = _FUNCTION.match(text)
    return (found[1] or found[2]) if found else ""
