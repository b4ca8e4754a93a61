"""`nvsx lint`: what is wrong with runbooks, their scripts and `nvsx.yaml`, before an incident tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Exit
from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from nvsx.app.checking.linting import Report
    from nvsx.errors import Problem
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_COLORS = {"error": "red", "warning": "yellow", "note": "grey"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbooks", nargs="*", metavar="RUNBOOK", help="name or nickname (default: all of the project)")
    parser.add_argument("--strict", action="store_true", help="warnings fail as errors do")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.checking.linting import lint_project
    from nvsx.catalog import Catalog
    from nvsx.settings import process_environment

    catalog = Catalog.for_settings(settings)
    names = tuple(dict.fromkeys(catalog.find(wanted) for wanted in args.runbooks))
    environment = process_environment(settings)
    report = lint_project(catalog, names, environment)
    failed = bool(report.count("error") or (args.strict and report.count("warning")))
    if args.output == "json":
        _say_json(report, ok=not failed)
    else:
        paint = paint_for(1, settings.color, deep=settings.deep_color)
        for line in _drawn(report, catalog.where, paint):
            say(line)
    return Exit.USAGE if failed else Exit.DONE


def _drawn(report: Report, where: str, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable

    for problem in report.problems:
        severity = paint(problem.severity, _COLORS[problem.severity], bold=True)
        place = paint(str(problem.place), bold=True)
        path = f"{problem.path}: " if problem.path else ""
        yield f"{place}: {severity}: {printable(path + problem.message)}"
        if problem.hint:
            yield paint(f"    {printable(problem.hint)}", "grey")
    yield f"{_count(len(report.runbooks), 'runbook')} in {where}: {_verdict(report, paint)}"


def _verdict(report: Report, paint: Paint) -> str:
    counted = [(severity, report.count(severity)) for severity in _COLORS]
    words = [paint(_count(count, severity), _COLORS[severity]) for severity, count in counted if count]
    return ", ".join(words) if words else paint("nothing to complain about", "green")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _say_json(report: Report, *, ok: bool) -> None:
    import json

    answer = {
        "v": 1,
        "ok": ok,
        "runbooks": list(report.runbooks),
        **{f"{severity}s": report.count(severity) for severity in _COLORS},
        "problems": [_as_json(problem) for problem in report.problems],
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "path": problem.path,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
    }
