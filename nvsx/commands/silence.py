"""`nvsx silence`: keep the daemon from starting runs for a while, say why, and take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from nvsx.config import Silence
    from nvsx.ledger import SilenceRow
    from nvsx.settings import Settings
    from nvsx.terminal import Paint

_NOTE = """\
A silence of `add` needs --why, --for or --until, and what it is about: --node, --selector, --runbook or --all.
Runs that a person starts are never silenced. Lasting silences belong into nvsx.yaml."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("add", "list", "rm"), help="make one, show those in force, end some")
    parser.add_argument("number", nargs="*", metavar="NUMBER", help="for rm: as `list` shows them")
    parser.add_argument("--node", default="", metavar="PATTERN", help="a node's name, or a pattern such as gpu-a-*")
    parser.add_argument("--selector", default="", metavar="LABELS", help="label selector of nodes")
    parser.add_argument("--runbook", default="", metavar="NAME", help="runs of this runbook only")
    parser.add_argument("--all", action="store_true", help="everything on this cluster")
    parser.add_argument("--for", dest="lasting", default="", metavar="TIME", help="how long, such as 2h")
    parser.add_argument(
        "--until",
        default="",
        metavar="TIME",
        help="until when, such as 2026-12-01T08:00:00Z; without a zone: this machine's",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason; people will read it")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form of list (default table)")
    parser.epilog = f"{_NOTE}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    return {"add": _add, "list": _list, "rm": _remove}[args.what](args, settings)


def _add(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx.app.records.silencing import silence_from
    from nvsx.clock import RealClock
    from nvsx.errors import Exit
    from nvsx.ledger import Ledger
    from nvsx.settings import state_directory
    from nvsx.terminal import say

    now = RealClock().now()
    silence = silence_from(args, now)
    ledger = Ledger.open(state_directory(settings))
    try:
        number = asyncio.run(ledger.add_silence(silence, now))
    finally:
        ledger.close()
    say(f"silence {number}: {_about(silence)} until {silence.until_text}; take it back: nvsx silence rm {number}")
    return Exit.DONE


def _list(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.clock import RealClock
    from nvsx.errors import Exit
    from nvsx.ledger import Ledger
    from nvsx.terminal import paint_for, say

    now = RealClock().now()
    reader = Ledger.reader(settings.state_dir)
    found: Sequence[SilenceRow] = ()
    if reader:
        try:
            found = reader.silences(now)
        finally:
            reader.close()
    if args.output == "json":
        import json

        say(json.dumps({"v": 1, "silences": [one._asdict() for one in found]}, ensure_ascii=False, indent=2))
        return Exit.DONE
    for line in _drawn(found, now, paint_for(1, settings.color, deep=settings.deep_color)):
        say(line)
    return Exit.DONE


def _drawn(found: Sequence[SilenceRow], now: float, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable
    from nvsx.durations import format_duration
    from nvsx.terminal import is_terminal, size, table

    if not found:
        yield "no silence was made by command; those in nvsx.yaml are not listed here"
        return
    rows = [
        (str(one.id), printable(_about(one)), format_duration(one.until - now), printable(one.by), printable(one.why))
        for one in found
    ]
    cells = size()[0] if is_terminal(1) else 0
    heading, *lines = table(("NUMBER", "SILENT", "FOR", "BY", "WHY"), rows, cells=cells).split("\n")
    yield paint(heading, "grey")
    yield from lines


def _remove(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx.app.records.recorded import ledger_of
    from nvsx.clock import RealClock
    from nvsx.errors import Exit, NotFoundHere, UsageError
    from nvsx.terminal import say

    numbers = [int(word) for word in args.number if word.isdigit()]
    if not numbers or len(numbers) != len(args.number):
        raise UsageError("rm needs the numbers of silences", hint="nvsx silence list")
    with ledger_of(settings.state_dir) as ledger:
        for number in numbers:
            if not asyncio.run(ledger.remove_silence(number, RealClock().now())):
                raise NotFoundHere(f"there is no silence {number} in force", hint="nvsx silence list")
            say(f"silence {number} is over")
    return Exit.DONE


def _about(silence: Silence | SilenceRow) -> str:
    parts = [f"node {silence.node}"] if silence.node else []
    parts += [f"nodes with {silence.selector}"] if silence.selector else []
    parts += [f"runbook {silence.runbook}"] if silence.runbook else []
    return ", ".join(parts) or "everything"
