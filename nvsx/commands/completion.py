"""`nvsx completion SHELL`: a script that knows commands and flags, and asks nvsx for the runbooks as one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx import shells
from nvsx.arguments import GLOBAL_FLAGS, SHORT_FLAGS, parser_for, usage_error
from nvsx.commands import COMMANDS
from nvsx.shells import Flag, Shape
from nvsx.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from nvsx.settings import Settings

SHELLS: dict[str, Callable[[dict[str, Shape], tuple[Flag, ...]], str]] = {
    "bash": shells.bash,
    "zsh": shells.zsh,
    "fish": shells.fish,
}
_VALUE_KINDS = {"DIR": "directories", "FILE": "files", "RUNBOOK": "runbooks", "CTX": "contexts"}

_INSTALL = """\
Load it once:    bash   source <(nvsx completion bash)
                 zsh    source <(nvsx completion zsh)      (after compinit)
                 fish   nvsx completion fish | source
or for good:     the same line in ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=tuple(SHELLS), help="which shell the script is for")
    parser.add_argument("--runbooks", action="store_true", help="only the names of the runbooks, as the scripts ask")
    parser.epilog = f"{_INSTALL}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    if args.runbooks:
        for name in runbook_names(settings):
            say(name)
        return 0
    if not args.shell:
        usage_error(f"which shell? one of {', '.join(SHELLS)}", hint="source <(nvsx completion bash)")
    say(SHELLS[args.shell](shapes(), global_flags()))
    return 0


def runbook_names(settings: Settings) -> list[str]:
    """Names for the completion of a RUNBOOK; a broken library completes to nothing rather than to an error."""
    from nvsx.catalog import Catalog
    from nvsx.errors import NvsxError

    try:
        return sorted(Catalog(settings.project).names())
    except (NvsxError, OSError):
        return []


def global_flags() -> tuple[Flag, ...]:
    """The flags of every command."""
    shorts = {long: short for short, long in SHORT_FLAGS.items()}
    return tuple(
        Flag((flag, *([shorts[flag]] if flag in shorts else [])), meaning, _value_kind(placeholder))
        for flag, (placeholder, meaning) in GLOBAL_FLAGS.items()
    )


def shapes() -> dict[str, Shape]:
    """What each command takes, read from the very parsers that will read it."""
    from importlib import import_module

    found = {}
    for name, (module, summary, _) in COMMANDS.items():
        parser = parser_for(name, summary)
        import_module(module).add_arguments(parser)
        words = _Words(*_words(parser))
        if name == "help":
            words = _Words(words.flags, [*_topics(), *COMMANDS])
        found[name] = Shape(summary, tuple(words.flags), tuple(dict.fromkeys(words.positionals)))
    return found


class _Words(NamedTuple):
    flags: list[Flag]
    positionals: list[str]  # words to offer, or "<runbooks>", "<files>", "<directories>"


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
    return f"<{_VALUE_KINDS.get(word) or _VALUE_KINDS.get(word.removesuffix('S')) or 'anything'}>"


def _topics() -> Iterable[str]:
    from nvsx.topics import TOPICS

    return TOPICS
