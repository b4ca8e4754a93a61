"""`nvsx test`: hold runbooks to what their tests expect: real hooks, simulated incidents, virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nvsx.app.rehearsal.testing import Stand, Tested, Work
    from nvsx.catalog import Catalog
    from nvsx.settings import Settings
    from nvsx.terminal import Paint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runbooks", nargs="*", metavar="RUNBOOK", help="name or nickname (default: all that have tests)"
    )
    parser.add_argument("--case", metavar="TEXT", help="only tests whose names contain this")
    parser.add_argument("--seed", type=int, metavar="N", help="draw times and order anew, in place of each test's seed")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="tests at a time (default: one a processor)")
    parser.add_argument("--junit", metavar="FILE", help="also write the results as JUnit XML")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    import shutil

    from nvsx.app.places import temporary_base
    from nvsx.app.rehearsal.testing import collect
    from nvsx.catalog import Catalog
    from nvsx.clock import RealClock
    from nvsx.errors import Exit

    catalog = Catalog.for_settings(settings)
    names = tuple(dict.fromkeys(catalog.find(wanted) for wanted in args.runbooks))
    works = [work for work in collect(catalog, names, args.seed) if args.case is None or args.case in work.case.name]
    _refuse_nothing(works, catalog, args.case)
    clock = RealClock()
    began = clock.monotonic()
    base = temporary_base("nvsx-test-")
    try:
        report = _Table(works, settings) if args.output == "table" else None
        results = _rehearsed(works, _stand(settings, base), args.jobs, report)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    elapsed = clock.monotonic() - began
    if args.junit:
        _write_junit(args.junit, results)
    if report:
        report.end(results, elapsed, untested=() if names or args.case else _untested(catalog, works))
    else:
        _say_json(results, elapsed)
    return Exit.DONE if all(result.passed for result in results) else Exit.FAILED


def _jobs(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal() or not 0 < int(text) <= 256:
        raise ArgumentTypeError(f"{text!r} is not a number of tests at a time; give 1 to 256")
    return int(text)


def _refuse_nothing(works: Sequence[Work], catalog: Catalog, wanted: str | None) -> None:
    from nvsx.errors import NotFoundHere

    if works:
        return
    if wanted is not None:
        raise NotFoundHere(f"no test's name contains {wanted!r}", hint="nvsx test --output json | grep name")
    raise NotFoundHere(f"there are no tests in {catalog.where}/tests", hint="nvsx show --schema test")


def _stand(settings: Settings, base: Path) -> Stand:
    from nvsx.app.rehearsal.testing import Stand, environment_of_tests
    from nvsx.app.scripts import unpack_bundled
    from nvsx.settings import process_environment

    root = settings.project or unpack_bundled(base)
    return Stand(root, base, environment_of_tests(process_environment(settings, env_file=False)))


def _rehearsed(works: Sequence[Work], stand: Stand, jobs: int | None, report: _Table | None) -> list[Tested]:
    """The results in the order of the tests, each told as soon as its runbook's are all there."""
    from nvsx.app.rehearsal.workers import processors, rehearse_all

    found: dict[int, Tested] = {}
    for number, result in rehearse_all(works, stand, jobs or processors()):
        found[number] = result
        if report:
            report.add(number, result)
    return [found[number] for number in range(len(works))]


def _untested(catalog: Catalog, works: Sequence[Work]) -> tuple[str, ...]:
    tested = {work.case.runbook for work in works}
    return tuple(name for name in catalog.names() if name not in tested)


class _Table:
    """Draws results, runbook by runbook in the order of files, whichever ends first."""

    def __init__(self, works: Sequence[Work], settings: Settings) -> None:
        self._paint = paint_for(1, settings.color, deep=settings.deep_color)
        self._verbose = settings.verbose
        self._names = [work.case.runbook for work in works]
        self._column = max(len(work.case.name) for work in works)
        self._results: dict[int, Tested] = {}
        self._told = 0

    def add(self, number: int, result: Tested) -> None:
        self._results[number] = result
        while self._told < len(self._names):
            name = self._names[self._told]
            end = self._told
            while end < len(self._names) and self._names[end] == name:
                end += 1
            block = range(self._told, end)
            if not all(one in self._results for one in block):
                return
            say(self._paint(name, bold=True))
            for one in block:
                for line in _drawn(self._results[one], self._column, self._paint, verbose=self._verbose):
                    say(line)
            self._told = end

    def end(self, results: Sequence[Tested], elapsed_s: float, untested: Sequence[str]) -> None:
        failed = sum(1 for result in results if not result.passed)
        runbooks = len(set(self._names))
        words = self._paint(f"{failed} failed", "red", bold=True) if failed else self._paint("all passed", "green")
        say("")
        for name in untested:
            say(
                self._paint(
                    f"{name} has no tests: write runbooks/tests/{name}.yaml (nvsx show --schema test)", "yellow"
                )
            )
        say(f"{_count(len(results), 'test')} of {_count(runbooks, 'runbook')}: {words}, in {elapsed_s:.1f}s")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _drawn(result: Tested, column: int, paint: Paint, *, verbose: bool) -> Iterator[str]:
    from nvsx.cells import pad, printable
    from nvsx.durations import format_duration

    case = result.case
    mark = paint("●", "green") if result.passed else paint("✗", "red", bold=True)
    times = paint(f"{case.scenario}  {format_duration(result.story_s)} in {result.wall_s:.1f}s", "grey")
    yield f"  {mark} {pad(printable(case.name), column)}  {times}"
    if result.passed:
        return
    if result.error:
        first, *rest = result.error.split("\n")
        yield f"      {paint(str(case.place), bold=True)}: {printable(first)}"
        yield from (f"          {printable(line)}" for line in rest)
    for mismatch in result.mismatches:
        yield f"      {paint(str(mismatch.place), bold=True)}: {mismatch.path}"
        yield f"          expected  {printable(mismatch.expected)}"
        first, *rest = mismatch.seen.split("\n")
        yield f"          seen      {printable(first)}"
        yield from (f"                    {printable(line)}" for line in rest)
    if verbose:
        yield from (paint(f"      {line}", "grey") for line in result.log)
    yield f"      {paint(_again(result), 'grey')}"


def _again(result: Tested) -> str:
    """The command that shows the run."""
    case = result.case
    if case.variables or "/" in case.scenario:
        return f"nvsx test {case.runbook} --case '{case.name}' -v".replace("\n", " ")
    return f"nvsx drill {case.runbook} --scenario {case.scenario} --seed {case.seed} --speed 1000 --output text"


def _as_text(result: Tested) -> list[str]:
    return [f"{m.place}: {m.path}: expected {m.expected}, seen {m.seen}" for m in result.mismatches]


def _write_junit(file: str, results: Sequence[Tested]) -> None:
    from pathlib import Path

    from nvsx.errors import EnvironmentUnusable
    from nvsx.expectations.junit import CaseReport, junit

    reports = [
        CaseReport(
            result.case.runbook,
            result.case.name,
            result.case.place.file,
            result.case.place.line,
            result.wall_s,
            _as_text(result),
            result.error,
            result.log,
        )
        for result in results
    ]
    try:
        Path(file).write_text(junit(reports), encoding="utf-8")
    except OSError as error:
        raise EnvironmentUnusable(f"cannot write {file}: {error.strerror}", hint="nvsx test --junit FILE") from None


def _say_json(results: Sequence[Tested], elapsed_s: float) -> None:
    import json

    answer = {
        "v": 1,
        "ok": all(result.passed for result in results),
        "elapsed_s": round(elapsed_s, 3),
        "tests": [_as_json(result) for result in results],
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))


def _as_json(result: Tested) -> dict[str, Any]:
    case = result.case
    return {
        "runbook": case.runbook,
        "name": case.name,
        "file": case.place.file,
        "line": case.place.line,
        "scenario": case.scenario,
        "seed": case.seed,
        "passed": result.passed,
        "elapsed_s": round(result.wall_s, 3),
        "story_s": round(result.story_s, 3),
        "error": result.error,
        "problems": [
            {
                "file": mismatch.place.file,
                "line": mismatch.place.line,
                "column": mismatch.place.column,
                "path": mismatch.path,
                "expected": mismatch.expected,
                "seen": mismatch.seen,
            }
            for mismatch in result.mismatches
        ],
    }
