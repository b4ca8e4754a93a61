"""`nvsx explain`: which runbook a message would start and why, and why the others would not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Exit
from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from nvsx.app.explaining import Explained
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_FORMS = """\
EVENT.json is a health event as NVSentinel's database has it, the quarantineHealthEvent annotation of a node, a
CloudEvent of the exporter, or what PagerDuty, Alertmanager, Grafana, Opsgenie, Datadog or a script of yours posts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="EVENT.json", help="the message, or - for standard input")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")
    parser.epilog = f"{_FORMS}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.explaining import explain
    from nvsx.catalog import Catalog

    catalog = Catalog.for_settings(settings)
    runbooks = [catalog.load(name) for name in catalog.names()]
    name, data = _message(args.event)
    explained = explain(data, name, runbooks)
    if args.output == "json":
        _say_json(explained)
        return Exit.DONE
    paint = paint_for(1, settings.color, deep=settings.deep_color)
    for line in _drawn(explained, catalog.where, paint):
        say(line)
    return Exit.DONE


def _message(name: str) -> tuple[str, bytes]:
    import sys
    from pathlib import Path

    from nvsx.documents.files import read_bounded

    if name == "-":
        return "standard input", sys.stdin.buffer.read((1 << 20) + 1) if sys.stdin else b""
    return name, read_bounded(Path(name), name)


def _drawn(explained: Sequence[Explained], where: str, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable, width

    if not explained:
        yield "it holds no alert and no event: nothing would happen"
    for one in explained:
        report, route = one.report, one.route
        said = [report.check, " ".join(report.error_codes), report.action if report.action != "NONE" else ""]
        told = ", ".join(printable(word) for word in said if word) or "no check and no code"
        on = f" on {printable(report.node)}" if report.node else ", no node"
        yield f"{one.what}{f' ({one.status})' if one.status else ''}: {told}{on}"
        if one.status not in ("", "firing"):
            yield f"  {paint('○', 'grey')} starts nothing: it is attached to the incident it belongs to"
            continue
        if route.runbook:
            winner = paint(route.runbook, "green", bold=True)
            yield f"  {paint('●', 'green')} {winner} runs: {printable(route.reason)}  {paint(route.place, 'grey')}"
        else:
            yield f"  {paint('✗', 'yellow')} nothing runs: {printable(route.reason)}"
        others = [other for other in route.considered if other.name != route.runbook]
        column = max((width(other.name) for other in others), default=0)
        for other in others:
            why = f"{other.name:<{column}}  {printable(other.reason)}"
            yield f"    {paint(why, 'grey')}"
    yield paint(f"runbooks from {where}; silences, limits and open incidents are the daemon's to know", "dim")


def _say_json(explained: Sequence[Explained]) -> None:
    import json

    answer = {
        "v": 1,
        "explained": [
            {
                "what": one.what,
                "status": one.status,
                "node": one.report.node,
                "check": one.report.check,
                "error_codes": list(one.report.error_codes),
                "runbook": one.route.runbook,
                "reason": one.route.reason,
                "place": one.route.place,
                "considered": [other._asdict() for other in one.route.considered],
            }
            for one in explained
        ],
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))
