"""Command lines: the flags that every command takes, and a parser for the one command at hand that never exits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    Parser = argparse.ArgumentParser

COLORS = ("auto", "always", "never")

GLOBAL_FLAGS: dict[str, tuple[str, str]] = {
    # flag: (placeholder of its value, or "" for a switch; meaning)
    "--project": ("DIR", "project root: the directory that holds runbooks/"),
    "--context": ("CTX", "kubectl context"),
    "--namespace": ("NS", "NVSentinel's namespace (default nvsentinel)"),
    "--state-dir": ("DIR", "where runs are recorded"),
    "--env-file": ("FILE", "KEY=value lines for nvsx and its hooks (default nvsx.env in the project root)"),
    "--mongo-uri": ("URI", "NVSentinel's MongoDB, reached with the local mongosh"),
    "--color": ("|".join(COLORS), "colour (auto: on a terminal, unless NO_COLOR is set)"),
    "--verbose": ("", "-v: every command line that nvsx starts, every change of a watch"),
}
SHORT_FLAGS = {"-v": "--verbose"}


class ParserDone(Exception):
    """Parsing ended because help was printed."""


def split_flags(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take the global flags out of a command line, wherever they stand before `--`: (flags, the other words)."""
    flags: dict[str, str] = {}
    rest: list[str] = []
    pending = iter(words)
    for word in pending:
        if word == "--":
            rest += [word, *pending]
            break
        name, joined, value = word.partition("=")
        name = SHORT_FLAGS.get(name, name)
        if name not in GLOBAL_FLAGS:
            rest.append(word)
        elif not GLOBAL_FLAGS[name][0]:
            if joined:
                usage_error(f"{name} takes no value")
            flags[name] = "yes"
        else:
            flags[name] = _checked(name, value if joined else next(pending, ""))
    return flags, rest


def _checked(name: str, value: str) -> str:
    placeholder = GLOBAL_FLAGS[name][0]
    if not value or value.startswith("-"):
        usage_error(f"{name} needs a value: {name} {placeholder}")
    if name == "--mongo-uri" and ":" in value.rpartition("@")[0].partition("://")[2]:
        usage_error(
            "a password on a command line can be read by every user of this machine",
            hint="put NVSX_MONGO_URI=... into nvsx.env, or export it",
        )
    if name == "--color" and value not in COLORS:
        usage_error(f"--color is one of {', '.join(COLORS)}, not {value!r}")
    return value


HELP_CELLS = 78
"""How wide a command's help is: it fits the smallest terminal that anybody uses."""


def usage_error(message: str, hint: str = "nvsx --help") -> NoReturn:
    from nvsx.errors import UsageError

    raise UsageError(message, hint=hint)


def suggest(word: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known words that `word` was probably meant to be, best first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=limit, cutoff=0.6)


def parser_for(name: str, summary: str) -> Parser:
    """An argparse parser for `nvsx NAME` that raises UsageError and ParserDone where argparse would exit."""
    import argparse

    # nvsx speaks one language; argparse would look for translations of its own few words in every start.
    argparse._ = str  # type: ignore[attr-defined]

    class CommandParser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            usage_error(message, hint=f"{self.prog} --help")

        def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
            raise ParserDone

    def formatter(prog: str) -> argparse.HelpFormatter:
        # argparse makes one for every flag that is added; with a width it need not import what asks the terminal.
        return argparse.RawDescriptionHelpFormatter(prog, width=HELP_CELLS)

    parser = CommandParser(
        prog=f"nvsx {name}",
        description=summary[:1].upper() + summary[1:] + ".",
        formatter_class=formatter,
        allow_abbrev=False,
        epilog="global flags:\n" + global_flags_help(),
    )
    parser.color = False  # type: ignore[attr-defined,unused-ignore]  # Python 3.14 colours help by itself
    return parser


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words after the command's name; an unknown flag is answered with the nearest known one."""
    args, unknown = parser.parse_known_args(words)
    if not unknown:
        return args
    word = unknown[0]
    if not word.startswith("-"):
        usage_error(f"one argument too many: {word!r}", hint=f"{parser.prog} --help")
    known = [option for action in parser._actions for option in action.option_strings]
    near = suggest(word.partition("=")[0], [*known, *GLOBAL_FLAGS])
    usage_error(
        f"{parser.prog} has no flag {word}",
        hint=f"did you mean {near[0]}?" if near else f"{parser.prog} --help",
    )


def global_flags_help() -> str:
    """The global flags, one a line."""
    lines = []
    for flag, (placeholder, meaning) in GLOBAL_FLAGS.items():
        left = f"{flag} {placeholder}".rstrip()
        lines.append(f"  {left:<28} {meaning}" if len(left) <= 28 else f"  {left}\n{'':<31}{meaning}")
    return "\n".join(lines)
