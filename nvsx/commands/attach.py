"""`nvsx attach`: watch a run that another process runs, or see again how one went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.app.output import output_arguments, sink_for

if TYPE_CHECKING:
    import argparse

    from nvsx.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", default="", metavar="RUN",
        help="id, node, alias or `last` (default: the newest that runs, else the last)",
    )  # fmt: skip
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx.app.records.following import RunClock, choose_run, follow
    from nvsx.app.records.recorded import dead_owners, reader_of
    from nvsx.clock import RealClock

    reader = reader_of(settings.state_dir)
    try:
        row = choose_run(reader, args.run)
        clock = RealClock()
        of_run = RunClock(clock.now)
        sink = sink_for(args, settings, (lambda: row.ended) if row.ended else of_run.now)
        is_dead = dead_owners(reader, settings.state_dir)
        return asyncio.run(follow(reader, row, sink, is_dead, clock.now, saw=of_run.saw))
    finally:
        reader.close()
