"""What each command takes, read from the very parsers that will read it: for completion scripts and for the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.arguments import GLOBAL_FLAGS, SHORT_FLAGS, parser_for
from nvsx.shells import Flag, Shape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

VALUE_KINDS = {
    "DIR": "directories",
    "FILE": "files",
    "WHAT": "files",
    "RUNBOOK": "runbooks",
    "CTX": "contexts",
    "NODE": "nodes",
}
"""Placeholders of values, and the kind of thing that stands there; every other placeholder is `<anything>`."""


def global_flags() -> tuple[Flag, ...]:
    """The flags of every command."""
    shorts = {long: short for short, long in SHORT_FLAGS.items()}
    return tuple(
        Flag((flag, *([shorts[flag]] if flag in shorts else [])), meaning, _value_kind(placeholder))
        for flag, (placeholder, meaning) in GLOBAL_FLAGS.items()
    )


def read_shapes(commands: Mapping[str, tuple[str, str, str]], topics: Iterable[str]) -> dict[str, Shape]:
    """The shape of every command of the table; `topics` are what `help` takes besides commands."""
    from importlib import import_module

    found = {}
    for name, (module, summary, _) in commands.items():
        parser = parser_for(name, summary)
        import_module(module).add_arguments(parser)
        words = _Words(*_words(parser))
        if name == "help":
            words = _Words(words.flags, [*topics, *commands])
        found[name] = Shape(summary, tuple(words.flags), tuple(dict.fromkeys(words.positionals)))
    return found


class _Words(NamedTuple):
    flags: list[Flag]
    positionals: list[str]  # words to offer, and kinds in angle brackets


def _words(parser: argparse.ArgumentParser) -> tuple[list[Flag], list[str]]:
    import argparse

    flags: list[Flag] = []
    positionals: list[str] = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        if action.option_strings:
            takes = "" if action.nargs == 0 else _takes(action)
            flags.append(Flag(tuple(action.option_strings), action.help or "", takes))
        elif isinstance(action, argparse._SubParsersAction):
            positionals += action.choices
            for inner in action.choices.values():
                inner_flags, inner_positionals = _words(inner)
                flags += [flag for flag in inner_flags if flag.names not in [other.names for other in flags]]
                positionals += inner_positionals
        elif action.choices:
            positionals += [str(choice) for choice in action.choices]
        else:
            kind = _value_kind(_placeholder(action))
            positionals += [kind] if kind != "<anything>" else []
    return flags, positionals


def _takes(action: argparse.Action) -> str:
    if action.choices:
        return "|".join(str(choice) for choice in action.choices)
    return _value_kind(_placeholder(action))


def _placeholder(action: argparse.Action) -> str:
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()


def _value_kind(placeholder: str) -> str:
    """How a value is completed: "" for a switch, `a|b`, or a kind in angle brackets."""
    if not placeholder or "|" in placeholder:
        return placeholder
    word = placeholder.partition(".")[0]
    return f"<{VALUE_KINDS.get(word) or VALUE_KINDS.get(word.removesuffix('S')) or 'anything'}>"
