"""`nvsx demo`: the flagship runbook on the simulated cluster; needs no cluster, no kubectl and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.app.output import dwells, output_arguments, simulation_arguments, sink_for

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from nvsx.messages import Message
    from nvsx.settings import Settings

DEFAULT_SPEED = 30.0
FLAGSHIP = "gpu-off-bus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbook", nargs="?", default=FLAGSHIP, help=f"runbook to run (default {FLAGSHIP})")
    parser.add_argument(
        "--scenario", default="xid-79", metavar="S", help="what happens to the cluster (default xid-79)"
    )
    simulation_arguments(parser, DEFAULT_SPEED)
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.rehearsal.drill import play
    from nvsx.catalog import Catalog

    played = play(
        settings,
        Catalog.for_settings(settings).load(args.runbook),
        args.scenario,
        sink=lambda now: sink_for(args, settings, now),
        speed=args.speed,
        seed=args.seed,
        drill=False,
        dwell=dwells(args),
    )
    if args.output not in ("jsonl", "quiet"):
        from nvsx.terminal import warn

        warn(f"  its report: nvsx report --state-dir {played.base}")
    _keep_messages(played.rehearsed.messages, played.base, told=args.output not in ("jsonl", "quiet"))
    return int(played.rehearsed.outcome.exit_code)


def _keep_messages(messages: list[Message], base: Path, *, told: bool) -> None:
    """What hooks would have sent, as a file; one line about it, so that the verdict stays on a small screen."""
    from nvsx.terminal import warn

    if not messages:
        return
    file = base / "messages.txt"
    file.write_text("".join(f"{m.method} {m.url}\n{m.body}\n\n" for m in messages), encoding="utf-8")
    if told:
        count = f"{len(messages)} message{'' if len(messages) == 1 else 's'}"
        warn(f"  nothing left this machine; {count} would have been sent: {file}")
