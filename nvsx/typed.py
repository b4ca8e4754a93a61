"""A line typed into the shell: its words, the runbook in use filled in, and what may stand at its end.

Pure functions over the shapes of the commands, so that the shell knows every command without a word about any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.arguments import usage_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.shells import Flag, Shape


class Things(NamedTuple):
    """What a line can name, as far as it is known: nicknames and aliases by name."""

    runbooks: Mapping[str, str] = {}
    nodes: Mapping[str, str] = {}


class Offer(NamedTuple):
    """A word that may stand there, and what is said of it. `kind` is "files" or "directories" for a path."""

    word: str
    meaning: str = ""
    kind: str = ""


def words_of(line: str) -> list[str]:
    """The words of a line as a shell splits them; UsageError for a quote that is not closed."""
    import shlex

    try:
        return shlex.split(line)
    except ValueError:
        usage_error("a quote or a backslash is not closed", hint="close it, or put the word between other quotes")


def with_runbook(words: Sequence[str], shape: Shape, common: Sequence[Flag], runbook: str) -> list[str]:
    """The words of a command that takes a runbook, with the one in use put in where the line names none."""
    takes_one = shape.positionals == ("<runbooks>",)
    if not runbook or not takes_one or _positionals(words[1:], (*shape.flags, *common)):
        return list(words)
    return [words[0], runbook, *words[1:]]


def _positionals(words: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """The words that are neither flags nor their values; asking for help counts, for it needs no more."""
    valued = {name for flag in flags if flag.takes for name in flag.names}
    found: list[str] = []
    pending = iter(words)
    for word in pending:
        if word == "--":
            return [*found, *pending]
        if word in valued:
            next(pending, None)
        elif word in ("-h", "--help") or not word.startswith("-"):
            found.append(word)
    return found


def offers(
    line: str,
    shapes: Mapping[str, Shape],
    common: Sequence[Flag],
    things: Things,
    own: Mapping[str, tuple[str, str]],
) -> Iterator[Offer]:
    """What may stand for the last word of a line, which may be empty. `own` are the shell's own commands: what each
    takes (a kind in angle brackets, or "") and its meaning.
    """
    words = line.split()
    last = words.pop() if words and not line[-1].isspace() else ""
    for offer in _possible(words, last, shapes, common, things, own):
        if offer.kind or offer.word.startswith(last):
            yield offer


def _possible(
    words: Sequence[str],
    last: str,
    shapes: Mapping[str, Shape],
    common: Sequence[Flag],
    things: Things,
    own: Mapping[str, tuple[str, str]],
) -> Iterator[Offer]:
    if not words:
        yield from (Offer(name, shape.summary) for name, shape in shapes.items())
        yield from (Offer(name, meaning) for name, (_, meaning) in own.items())
        return
    if words[0] in own:
        yield from _of_kind(own[words[0]][0], things)
        return
    shape = shapes.get(words[0])
    if shape is None:
        return
    flags = (*shape.flags, *common)
    taken = next((flag.takes for flag in flags if words[-1] in flag.names), "")
    if taken:
        yield from _of_kind(taken, things)
    elif last.startswith("-"):
        yield from (Offer(max(flag.names, key=len), flag.meaning) for flag in flags)
    else:
        for word in shape.positionals:
            yield from _of_kind(word, things)


def _of_kind(kind: str, things: Things) -> Iterator[Offer]:
    """`<kind>`, or words with `|` between them."""
    if kind in ("<files>", "<directories>"):
        yield Offer("", kind=kind[1:-1])
    elif kind in ("<runbooks>", "<nodes>"):
        known = things.runbooks if kind == "<runbooks>" else things.nodes
        yield from (Offer(name, other) for name, other in known.items())
        yield from (Offer(other, name) for name, other in known.items() if other)
    elif not kind.startswith("<"):
        yield from (Offer(word) for word in kind.split("|") if word)
