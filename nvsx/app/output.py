"""The output flags that run, demo and drill share, and the sink they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from nvsx.ports import Sink
    from nvsx.settings import Settings

MODES = ("auto", "deck", "plain", "text", "jsonl", "quiet")


def output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        choices=MODES,
        default="auto",
        help="auto: the deck on a terminal, else JSON lines (text on stderr)",
    )
    parser.add_argument("--plain", action="store_const", dest="output", const="plain", help="same as --output plain")
    parser.add_argument("--no-dwell", action="store_false", dest="dwell", help="no pauses for an audience")


def simulation_arguments(parser: argparse.ArgumentParser, speed: float) -> None:
    """How the simulated cluster behaves, for demo and drill."""
    parser.add_argument(
        "--speed",
        type=_speed,
        default=speed,
        metavar="N",
        help=f"the cluster's time runs N times faster (default {speed:g}); hooks run in real time",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="repeat it exactly: same times, order and names")


def dwells(args: argparse.Namespace) -> bool:
    """Whether to pause for an audience: only where somebody watches the deck."""
    from nvsx.terminal import is_terminal

    return bool(args.dwell) and args.output in ("auto", "deck") and is_terminal(1)


def sink_for(args: argparse.Namespace, settings: Settings, now: Callable[[], float]) -> Sink:
    """The sink for the chosen output. `now` is the run's wall time, for the deck's clocks."""
    from nvsx.sinks.choose import Look, choose

    look = Look(
        color=settings.color,
        deep_color=settings.deep_color,
        few_colors=settings.few_colors,
        now=now,
        verbose=settings.verbose,
    )
    return choose(args.output, look)


def _speed(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a speed; give a number above 0, such as 30")
    return speed
