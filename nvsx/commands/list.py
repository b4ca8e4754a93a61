"""`nvsx list`: the runbooks at hand. A broken one stands in the table with its fault, and hides no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from nvsx.catalog import Catalog, Summary
    from nvsx.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="form of the answer (default table)"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.rehearsal.drills import last_drills
    from nvsx.catalog import Catalog

    catalog = Catalog.for_settings(settings)
    summaries = catalog.summaries()
    drills = last_drills(settings)
    if args.output == "json":
        _say_json(catalog, summaries, drills or {})
    else:
        _say_table(catalog, summaries, settings, drills)
    return 0


def _say_json(catalog: Catalog, summaries: tuple[Summary, ...], drills: Mapping[str, tuple[float, str]]) -> None:
    import json

    from nvsx.terminal import say

    answer = {
        "v": 1,
        "root": str(catalog.root) if catalog.root else None,
        "runbooks": [
            {**summary._asdict(), "tags": list(summary.tags), "last_drill": _drill(drills.get(summary.name))}
            for summary in summaries
        ],
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))


def _drill(found: tuple[float, str] | None) -> dict[str, Any] | None:
    return {"at": found[0], "scenario": found[1]} if found else None


def _say_table(
    catalog: Catalog,
    summaries: tuple[Summary, ...],
    settings: Settings,
    drills: Mapping[str, tuple[float, str]] | None,
) -> None:
    from nvsx.cells import printable
    from nvsx.terminal import is_terminal, paint_for, say, size, table

    if not summaries:
        say(f"no runbooks in {catalog.where}; what one looks like: nvsx help runbooks")
        return
    rows = [
        (
            summary.name,
            f"#{summary.nickname}" if summary.nickname else "",
            *(() if drills is None else (_day(drills.get(summary.name)),)),
            summary.title,
            ", ".join(summary.tags),
        )
        for summary in summaries
    ]
    harmless = [tuple(map(printable, row)) for row in rows]
    cells = size()[0] if is_terminal(1) else 0
    drilled = () if drills is None else ("LAST DRILL",)  # nobody rehearses here: no column of never
    heading, *lines = table(("NAME", "NICKNAME", *drilled, "TITLE", "TAGS"), harmless, cells=cells).split("\n")
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    say(paint(heading, "grey"))
    for summary, line in zip(summaries, lines, strict=True):
        say(paint(line, "red") if summary.problem else line)
    say("")
    for summary in summaries:
        if summary.problem:
            say(paint(f"✗ {printable(summary.problem)}", "red"))
    broken = sum(1 for summary in summaries if summary.problem)
    count = f"{len(summaries)} runbook{'s' if len(summaries) != 1 else ''}"
    say(paint(f"{count} in {catalog.where}" + (f", {broken} broken: nvsx lint" if broken else ""), "grey"))


def _day(drill: tuple[float, str] | None) -> str:
    """The day of a drill that passed, in UTC."""
    from time import gmtime, strftime

    return strftime("%Y-%m-%d", gmtime(drill[0])) if drill else "never"
