"""`nvsx cancel`: end a run that another process runs; its postmortem still runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from nvsx.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id, node, alias or `last`, see `nvsx runs --unfinished`")


def run(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx.app.records.recorded import cancel, ledger_of
    from nvsx.errors import Exit
    from nvsx.terminal import say

    with ledger_of(settings.state_dir) as ledger:
        row, asked = asyncio.run(cancel(ledger, args.run))
    if asked:
        say(f"run {row.id} is asked to end, its postmortem first; see it: nvsx attach {row.id}")
    else:
        say(f"run {row.id} is cancelled; nobody was running it, so no postmortem ran")
    return Exit.DONE
