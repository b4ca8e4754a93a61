"""`nvsx help` and `--help`: the overview, one topic or one command, from tables and with next to no imports."""

from __future__ import annotations

from nvsx.arguments import global_flags_help, parser_for, suggest, usage_error
from nvsx.commands import COMMANDS
from nvsx.terminal import say
from nvsx.topics import TOPICS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from nvsx.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic or a command; without it the overview")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    return show([args.topic] if args.topic else [])


def show(words: Sequence[str]) -> int:
    """Print the overview, or what is known about the one topic or command named."""
    words = [word for word in words if word not in ("-h", "--help")]
    if not words:
        say(overview())
        return 0
    if len(words) > 1:
        usage_error(f"help takes one topic, not {len(words)}", hint="nvsx help")

    name = words[0]
    if name in TOPICS:
        say(TOPICS[name][1]())
    elif name in COMMANDS:
        say(command_help(name))
    else:
        near = suggest(name, [*TOPICS, *COMMANDS])
        hint = f"nvsx help {near[0]}" if near else f"nvsx help, or one of: {', '.join(TOPICS)}"
        usage_error(f"there is no topic or command {name!r}", hint=hint)
    return 0


def overview() -> str:
    """The text of `nvsx --help`."""
    lines = ["nvsx: runbooks around NVIDIA NVSentinel", "", "usage: nvsx COMMAND [ARGUMENT ...] [FLAG ...]"]
    heading = ""
    for name, (_, summary, group) in COMMANDS.items():
        if group != heading:
            lines += ["", f"{group}:"]
            heading = group
        lines.append(f"  {name:<12} {summary}")
    last = [
        "  nvsx COMMAND --help                one command",
        f"  nvsx help TOPIC                    {', '.join(TOPICS)}",
    ]
    return "\n".join([*lines, "", "flags of every command:", global_flags_help(), "", *last])


def command_help(name: str) -> str:
    """The text of `nvsx NAME --help`."""
    from importlib import import_module

    module, summary, _ = COMMANDS[name]
    parser = parser_for(name, summary)
    import_module(module).add_arguments(parser)
    return parser.format_help().rstrip("\n")
