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

    from nvsx.app.following import choose_run, follow
    from nvsx.app.recorded import dead_owners, reader_of
    from nvsx.clock import RealClock

    reader = reader_of(settings.state_dir)
    try:
        row = choose_run(reader, args.run)
        clock = RealClock()
        sink = sink_for(args, settings, (lambda: row.ended) if row.ended else clock.now)
        return asyncio.run(follow(reader, row, sink, dead_owners(reader, settings.state_dir), clock.now))
    finally:
        reader.close()
