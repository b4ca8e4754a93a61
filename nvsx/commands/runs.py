"""`nvsx runs`: the runs on record, the newest first; below them what nvsx itself called people for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from nvsx.app.records.openruns import ShownRun
    from nvsx.app.records.owncalls import ShownCall
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_COLORS = {
    "pass": "green",
    "running": "cyan",
    "queued": "cyan",
    "skipped": "grey",
    "blind": "yellow",
    "orphaned": "red",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unfinished", action="store_true", help="only those that have not ended")
    parser.add_argument("--node", default="", metavar="NODE", help="only those of this node (name or alias)")
    parser.add_argument("--runbook", default="", metavar="NAME", help="only those of this runbook")
    parser.add_argument("--since", type=_duration, metavar="TIME", help="only those of this long, such as 7d or 12h")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most this many (default 50)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.records.openruns import shown_runs
    from nvsx.app.records.owncalls import call_lines, shown_calls
    from nvsx.clock import RealClock
    from nvsx.errors import Exit, UsageError
    from nvsx.ledger import Ledger
    from nvsx.terminal import paint_for, say

    if args.limit < 1:
        raise UsageError("--limit is a number from 1 on", hint="nvsx runs --limit 50")
    now = RealClock().now()
    since = now - args.since if args.since is not None else 0.0
    reader = Ledger.reader(settings.state_dir)
    found: Sequence[ShownRun] = ()
    calls: Sequence[ShownCall] = ()
    if reader:
        try:
            asked = reader.runs(
                limit=args.limit, node=args.node, runbook=args.runbook, since=since, unfinished=args.unfinished
            )
            found = shown_runs(reader, settings.state_dir, asked)
            if not args.runbook:  # they belong to no runbook
                own = reader.alarms(limit=args.limit, node=args.node, since=since, unfinished=args.unfinished)
                calls = shown_calls(reader, settings.state_dir, own)
        finally:
            reader.close()
    if args.output == "json":
        _say_json(found, calls)
        return Exit.DONE
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    for line in (*_drawn(found, now, paint, args, settings), *call_lines(calls, now, paint)):
        say(line)
    return Exit.DONE


def _drawn(
    found: Sequence[ShownRun], now: float, paint: Paint, args: argparse.Namespace, settings: Settings
) -> Iterator[str]:
    from nvsx.cells import printable
    from nvsx.durations import format_duration
    from nvsx.terminal import is_terminal, size, table

    if not found:
        narrowed = args.unfinished or args.node or args.runbook or args.since is not None
        what = "no run like that is recorded" if narrowed else "no run is recorded yet"
        yield f"{what} in {settings.state_dir}"
        return
    rows = []
    for one in found:
        run = one.run
        began = run.began or run.created
        took = format_duration(max(0.0, (run.ended or now) - began))
        rows.append(
            (run.id, printable(run.runbook), printable(run.alias or run.node or "-"), one.status, took,
             f"{format_duration(max(0.0, now - began))} ago", printable(run.source or "-"))
        )  # fmt: skip
    cells = size()[0] if is_terminal(1) else 0
    heading, *lines = table(("RUN", "RUNBOOK", "NODE", "STATUS", "TOOK", "BEGAN", "BY"), rows, cells=cells).split("\n")
    yield paint(heading, "grey")
    for one, line in zip(found, lines, strict=True):
        yield paint(line, _COLORS.get(one.status, "red"))
    orphans = [one.run.id for one in found if one.status == "orphaned"]
    if orphans:
        yield paint(f"{len(orphans)} orphaned: the process is gone; go on with: nvsx run --resume {orphans[0]}", "red")


def _say_json(found: Sequence[ShownRun], calls: Sequence[ShownCall]) -> None:
    import json

    from nvsx.app.records.owncalls import call_data
    from nvsx.terminal import say

    runs = [{**one.run._asdict(), "status": one.status, "unknown": list(one.unknown)} for one in found]
    say(json.dumps({"v": 1, "runs": runs, "calls": call_data(calls)}, ensure_ascii=False, indent=2))


def _duration(text: str) -> float:
    from argparse import ArgumentTypeError

    from nvsx.durations import parse_duration

    try:
        days = text.removesuffix("d")
        return float(days) * 86400 if days != text and days.isdigit() else parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
