"""The output flags that run, demo and drill share, and the sink they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from nvsx.ports import Sink
    from nvsx.settings import Settings

MODES = ("auto", "deck", "plain", "text", "jsonl", "quiet")


def output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", choices=MODES, default="auto", help="auto: text on a terminal, else JSON lines on stdout"
    )
    parser.add_argument("--plain", action="store_const", dest="output", const="plain", help="same as --output plain")
    parser.add_argument("--no-dwell", action="store_false", dest="dwell", help="no pauses for an audience")


def sink_for(args: argparse.Namespace, settings: Settings) -> Sink:
    """The sink for the chosen output; dwelling makes sense only where somebody watches live."""
    from nvsx.sinks.choose import Look, choose
    from nvsx.terminal import is_terminal

    args.dwell = args.dwell and args.output in ("auto", "deck") and is_terminal(1)
    look = Look(color=settings.color, deep_color=settings.deep_color, verbose=settings.verbose)
    return choose(args.output, look)
