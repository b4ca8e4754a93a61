"""`nvsx run RUNBOOK`: one runbook against one node of the current cluster."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nvsx.app.output import dwells, output_arguments, sink_for

if TYPE_CHECKING:
    import argparse

    from nvsx.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbook", metavar="RUNBOOK", nargs="?", default="", help="name or nickname, see `nvsx list`")
    parser.add_argument("--target-node", default="", metavar="NODE", help="name or alias of the node")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and seen; reads only")
    parser.add_argument(
        "--since", type=_duration, metavar="TIME", help="count evidence from this long ago, such as 15m"
    )
    parser.add_argument("--drill", action="store_true", help="run the baseline and inject stages too")
    parser.add_argument("--resume", default="", metavar="ID", help="go on with a run whose process died")
    parser.add_argument("--force", action="store_true", help="even where one is under way on that node")
    parser.add_argument("--yes", action="store_true", help="do not ask for the node's name before a drill")
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio
    from shutil import rmtree

    from nvsx import assets
    from nvsx.app.live import Request, Session, run_live
    from nvsx.catalog import Catalog
    from nvsx.clock import RealClock
    from nvsx.errors import UsageError

    if bool(args.resume) == bool(args.runbook):
        raise UsageError(
            "name either a runbook, or a run with --resume", hint="nvsx run RUNBOOK, or: nvsx run --resume ID"
        )
    if args.resume:
        return _resume(args, settings)
    runbook = Catalog.for_settings(settings).load(args.runbook)
    if args.drill:
        _confirm_drill(args)
    assets.preload()
    clock = RealClock()
    session = Session(settings, clock, random.Random())  # noqa: S311 - a run's id, not a secret
    sink = (lambda: sink_for(args, settings, clock.now)) if not args.dry_run else None
    request = Request(runbook, args.target_node, args.since, drill=args.drill, dwell=dwells(args), force=args.force)
    if sink is None:
        from nvsx.app.dryrun import dry_run
        from nvsx.terminal import say

        try:
            say("\n".join(asyncio.run(dry_run(request, session))))
        finally:
            rmtree(session.places.run_dir, ignore_errors=True)
        return 0
    return asyncio.run(run_live(request, session, sink))


def _resume(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx import assets
    from nvsx.app.live import Session
    from nvsx.app.resuming import resume_live
    from nvsx.clock import RealClock

    assets.preload()
    clock = RealClock()
    session = Session(settings, clock, random.Random())  # noqa: S311 - a directory's name, not a secret
    return asyncio.run(resume_live(args.resume, session, lambda: sink_for(args, settings, clock.now)))


def _confirm_drill(args: argparse.Namespace) -> None:
    """A drill breaks a real node: only the one that was named, and only when its name is typed again."""
    import sys

    from nvsx.errors import Refused, UsageError

    if not args.target_node:
        raise UsageError("a drill needs an explicit --target-node", hint="nvsx run RUNBOOK --drill --target-node NODE")
    if args.yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused("a drill on a real cluster must be confirmed", hint="add --yes")
    print(f"The drill injects a fault into {args.target_node}. Type its name to go on: ", end="", file=sys.stderr)
    if sys.stdin.readline().strip() != args.target_node:
        raise Refused("the name does not match: nothing was done", hint="nvsx run RUNBOOK --dry-run")


def _duration(text: str) -> float:
    from argparse import ArgumentTypeError

    from nvsx.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
