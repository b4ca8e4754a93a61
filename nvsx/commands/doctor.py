"""`nvsx doctor`: everything about nvsx, this cluster and these runbooks that can be known by looking."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.terminal import is_terminal, paint_for, say, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from nvsx.doctor.finding import Finding
    from nvsx.doctor.table import Result
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_TITLE_CELLS = 11


class _Sign(NamedTuple):
    sign: str
    color: str
    word: str


_SIGNS = {
    "ok": _Sign("✓", "green", "ok"),
    "warn": _Sign("!", "yellow", "warning"),
    "fail": _Sign("✗", "red", "failed"),
    "blind": _Sign("?", "red", "blind"),
    "skip": _Sign("·", "grey", "not looked at"),
}
"""By what a check came to; a failure to look is drawn apart from what was seen to be wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", choices=("table", "json", "quiet"), default="table", help="form; quiet is one line (default table)"
    )
    parser.add_argument(
        "--open-uis", action="store_true", help="then forward the ports of Grafana and Prometheus until Ctrl-C"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.checking.doctoring import diagnose, open_uis
    from nvsx.clock import RealClock

    clock = RealClock()
    if args.output == "table":
        paint = paint_for(1, settings.color, deep=settings.deep_color)
        rows = _Rows(paint, verbose=settings.verbose)
        results = diagnose(settings, clock, told=rows.draw)
        for line in _ending(results, paint):
            say(line)
    else:
        results = diagnose(settings, clock)
        if args.output == "json":
            _say_json(results, settings)
        else:
            say(_in_one_line(results))
    code = exit_code(results)
    if args.open_uis:
        return max(code, open_uis(settings, clock, on_line=_say_now))
    return code


def exit_code(results: Sequence[Result]) -> int:
    """3 where something could not be looked at, 1 where something was seen to be wrong, else 0: warnings are fine."""
    from nvsx.errors import Exit

    if any(result.finding.blind for result in results):
        return Exit.BLIND
    return Exit.FAILED if any(result.finding.outcome == "fail" for result in results) else Exit.DONE


class _Rows:
    """Draws the table as it comes, so that a slow cluster shows where it is slow."""

    def __init__(self, paint: Paint, *, verbose: bool) -> None:
        self._paint = paint
        self._verbose = verbose
        self._group = ""

    def draw(self, result: Result) -> None:
        from nvsx.cells import pad, printable

        if result.check.group != self._group:
            if self._group:
                say("")
            self._group = result.check.group
            say(self._paint(self._group, "grey"))
        sign = _sign(result.finding)
        text = printable(result.finding.text)
        row = f"{self._paint(sign.sign, sign.color, bold=True)} {pad(result.check.title, _TITLE_CELLS)} "
        say("  " + row + self._clipped(text, result.finding))
        for detail in result.finding.details if self._verbose else ():
            say(f"{'':{_TITLE_CELLS + 5}}{self._paint(printable(detail), 'grey')}")

    def _clipped(self, text: str, finding: Finding) -> str:
        from nvsx.cells import clip

        if is_terminal(1):
            text = clip(text, max(20, size()[0] - _TITLE_CELLS - 5))
        return self._paint(text, "grey") if finding.outcome == "skip" else text


def _ending(results: Sequence[Result], paint: Paint) -> Iterator[str]:
    """What is to be done, in full, where the eye is when the command has ended; and the verdict."""
    from nvsx.cells import pad, printable, wrap

    cells = max(40, min(size()[0], 120)) if is_terminal(1) else 0
    margin = " " * (_TITLE_CELLS + 5)
    yield ""
    for result in results:
        finding = result.finding
        if finding.outcome not in ("warn", "fail"):
            continue
        sign = _sign(finding)
        text = printable(finding.text)
        lines = wrap(text, cells - len(margin)) if cells else [text]
        title = paint(pad(result.check.title, _TITLE_CELLS), bold=True)
        yield f"  {paint(sign.sign, sign.color, bold=True)} {title} {lines[0] if lines else ''}"
        yield from (margin + line for line in lines[1:])
        if finding.hint:
            yield margin + paint(printable(finding.hint), "cyan")
    yield paint(_counts(results), bold=True)


def _in_one_line(results: Sequence[Result]) -> str:
    """The counts, and the first thing that is wrong."""
    from nvsx.cells import printable

    bad = [result for result in results if result.finding.outcome == "fail"]
    told = f": {bad[0].check.title}: {bad[0].finding.text}" if bad else ""
    return printable(f"nvsx doctor: {_counts(results)}{told}")


def _counts(results: Sequence[Result]) -> str:
    words = []
    for kind, sign in _SIGNS.items():
        number = sum(1 for result in results if _kind(result.finding) == kind)
        if number:
            words.append(f"{number} {sign.word}{'s' if kind == 'warn' and number > 1 else ''}")
    return ", ".join(words)


def _kind(finding: Finding) -> str:
    return "blind" if finding.blind else finding.outcome


def _sign(finding: Finding) -> _Sign:
    return _SIGNS[_kind(finding)]


def _say_now(text: str) -> None:
    """A line that is seen when it is said, into a pipe too. That it could not be written is told at the end."""
    import sys
    from contextlib import suppress

    say(text)
    if sys.stdout is not None:
        with suppress(OSError):
            sys.stdout.flush()


def _say_json(results: Sequence[Result], settings: Settings) -> None:
    import json

    answer = {
        "v": 1,
        "ok": exit_code(results) == 0,
        "exit_code": exit_code(results),
        "namespace": settings.namespace,
        "project": str(settings.project) if settings.project else None,
        "checks": [
            {
                "id": result.check.id,
                "group": result.check.group,
                "title": result.check.title,
                "needs": list(result.check.needs),
                "outcome": result.finding.outcome,
                "blind": result.finding.blind,
                "text": result.finding.text,
                "hint": result.finding.hint,
                "details": list(result.finding.details),
                "elapsed_s": round(result.elapsed_s, 3),
            }
            for result in results
        ],
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))
