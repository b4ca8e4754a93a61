"""`nvsx report`: what happened in one run and its incident, or what all runs of a time say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.terminal import say

if TYPE_CHECKING:
    import argparse

    from nvsx.ledger import Reader
    from nvsx.reporting.blocks import Page
    from nvsx.settings import Settings

FORMATS = ("text", "markdown", "html", "json")
NARROWEST, WIDEST = 72, 140


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help="id, node, alias or `last` (default: last)")
    parser.add_argument("--since", type=_duration, metavar="TIME", help="all runs of this long instead, such as 30d")
    parser.add_argument("--format", choices=FORMATS, default="text", help="form (default text); html is one file")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.records.recorded import reader_of
    from nvsx.errors import Exit, UsageError

    if args.run and args.since is not None:
        raise UsageError("one run, or all runs of a time", hint="nvsx report last, or nvsx report --since 30d")
    reader = reader_of(settings.state_dir)
    try:
        text = _one(reader, args, settings) if args.since is None else _all(reader, args, settings)
    finally:
        reader.close()
    say(text.removesuffix("\n"))
    return Exit.DONE


def _one(reader: Reader, args: argparse.Namespace, settings: Settings) -> str:
    from nvsx.app.records.reporting import account_of

    account = account_of(reader, args.run or "last")
    if args.format == "json":
        return _as_json({"run": account})
    from nvsx.reporting.story import page

    picture = ""
    if args.format == "html":
        from nvsx.reporting.picture import timeline

        picture = timeline(account)
    return _drawn(page(account), args.format, settings, picture)


def _all(reader: Reader, args: argparse.Namespace, settings: Settings) -> str:
    from nvsx.app.records.statistics import calls_since, runs_since
    from nvsx.clock import RealClock
    from nvsx.reporting.fleet import page

    now = RealClock().now()
    since = now - args.since
    runs, calls = runs_since(reader, since), calls_since(reader, settings.state_dir, since)
    if args.format == "json":
        return _as_json({"runs": runs, "calls": calls})
    return _drawn(page(runs, calls, since=since, now=now), args.format, settings)


def _drawn(page: Page, form: str, settings: Settings, picture: str = "") -> str:
    if form == "html":
        from nvsx.reporting.html import html

        return html(page, picture=picture)
    if form == "markdown":
        from nvsx.reporting.markdown import markdown

        return markdown(page)
    from nvsx.reporting.text import text
    from nvsx.terminal import is_terminal, paint_for, size

    cells = min(max(size()[0], NARROWEST), WIDEST) if is_terminal(1) else 100
    return text(page, cells=cells, paint=paint_for(1, settings.color, deep=settings.deep_color))


def _as_json(found: dict[str, Any]) -> str:
    import json

    return json.dumps({"v": 1, **_plain(found)}, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    """A value as JSON has it: what has named fields becomes an object."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _duration(text: str) -> float:
    from argparse import ArgumentTypeError

    from nvsx.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
