"""`nvsx explain`: why something started a run, or did not; and which runbook a message would start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Exit
from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from nvsx.app.explaining import Explained
    from nvsx.app.records.owncalls import ShownCall
    from nvsx.app.records.past import Decided, Past
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_FORMS = """\
EVENT.json is a health event as NVSentinel's database has it, the quarantineHealthEvent annotation of a node, a
CloudEvent of the exporter, or what PagerDuty, Alertmanager, Grafana, Opsgenie, Datadog or a script of yours posts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "event",
        metavar="WHAT",
        help="a run's id, a node, an alias, a webhook source, `poll` or `last`; or EVENT.json, or - for standard input",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")
    parser.epilog = f"{_FORMS}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    if not _is_message(args.event):
        return _explain_past(args, settings)
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


def _is_message(word: str) -> bool:
    """Whether a word names a file: one that is there, or that looks like one."""
    import os

    return word == "-" or word.endswith((".json", ".yaml")) or "/" in word or os.path.isfile(word)  # noqa: PTH113


def _explain_past(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.records.past import past
    from nvsx.app.records.recorded import reader_of

    reader = reader_of(settings.state_dir)
    try:
        found = past(reader, args.event, settings.state_dir)
    finally:
        reader.close()
    if args.output == "json":
        import json

        from nvsx.app.records.owncalls import call_data

        answer = {
            "v": 1,
            "decisions": [{**one.row._asdict(), "times": one.times, "since": one.since} for one in found.decisions],
            "runs": [one._asdict() for one in found.runs.values()],
            "evidence": [
                {**one._asdict(), "payload": one.payload.decode("utf-8", "replace")} for one in found.evidence
            ],
            "calls": call_data(found.calls),
        }
        say(json.dumps(answer, ensure_ascii=False, indent=2))
        return Exit.DONE
    for line in _drawn_past(found, paint_for(1, settings.color, deep=settings.deep_color)):
        say(line)
    return Exit.DONE


_SIGNS = {
    # verdict: (sign, colour, what it means)
    "start": ("●", "green", "started"),
    "queue": ("◆", "cyan", "queued"),
    "attach": ("○", "grey", "belongs to"),
    "duplicate": ("○", "grey", "was answered before with"),
    "ignore": ("✗", "yellow", "started nothing"),
    "refuse": ("✗", "red", "refused"),
}


def _drawn_past(found: Past, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable, width

    for number, one in enumerate(found.decisions):
        yield from _decision(one, found, paint)
        if number == 0:
            others = [other for other in one.row.considered if other[0] != one.row.runbook]
            column = max((width(str(other[0])) for other in others), default=0)
            for name, _, reason, *_ in others:
                yield f"    {paint(printable(f'{name:<{column}}  {reason}'), 'grey')}"
    if found.evidence:
        yield ""
        yield "what was said:"
        for said in found.evidence:
            summary = printable(said.summary or f"{said.size} bytes")
            yield f"  {_stamp(said.at)}  {printable(said.source)}  {summary}"
        if found.more:
            yield f"  and {found.more} more, which were only counted"
    for number, call in enumerate(found.calls):
        yield from ("",) if number or found.decisions else ()
        yield from _call(call, paint)


def _call(one: ShownCall, paint: Paint) -> Iterator[str]:
    from nvsx.app.records.owncalls import about
    from nvsx.cells import printable
    from nvsx.ledger import UNKNOWN

    alarm = one.alarm
    yield f"{_stamp(alarm.at)}  nvsx itself: {about(alarm)}"
    called = f"{alarm.hook} ({printable(alarm.script)})"
    yield f"  {paint('●', 'cyan')} calls {paint(called, 'white', bold=True)} {alarm.id}: {one.status}"
    for each in one.attempts:
        detail = f": {printable(each.detail)}" if each.detail else ""
        line = f"    attempt {each.attempt}  {_stamp(each.intended)}  {each.outcome or 'under way'}{detail}"
        yield paint(line, "yellow" if each.outcome == UNKNOWN else "grey")


def _decision(decided: Decided, found: Past, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable

    one = decided.row
    sign, color, word = _SIGNS.get(one.verdict, ("?", "yellow", one.verdict))
    about = f" on {printable(one.node)}" if one.node else ""
    yield f"{_stamp(one.at)}  {printable(one.source)}{about}: {printable(one.summary) or 'no summary'}"
    run = found.runs.get(one.run_id)
    which = f" {one.run_id}" if one.run_id else ""
    ended = f" ({run.status})" if run else ""
    runbook = f" {paint(printable(one.runbook), 'white', bold=True)}," if one.runbook else ""
    rule = f"  {paint(printable(one.rule), 'grey')}" if one.rule else ""
    yield f"  {paint(sign, color)} {word}{runbook}{which}{ended}: {printable(one.reason)}{rule}"
    if decided.times > 1:
        yield paint(f"    {decided.times} times since {_stamp(decided.since)}", "grey")


def _stamp(at: float) -> str:
    from time import gmtime, strftime

    return strftime("%Y-%m-%d %H:%M:%SZ", gmtime(at))


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
