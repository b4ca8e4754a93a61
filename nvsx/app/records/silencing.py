"""Makes a silence from the words of a command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nvsx.app.records.recorded import user
from nvsx.config import Silence
from nvsx.durations import parse_duration
from nvsx.errors import UsageError
from nvsx.selectors import parse_labels

if TYPE_CHECKING:
    import argparse

HINT = "nvsx silence add --node gpu-a-7 --for 2h --why 'board swap'"


def silence_from(args: argparse.Namespace, now: float) -> Silence:
    """The silence that the words describe. Raises UsageError where they describe none."""
    if args.number:
        raise UsageError(f"add takes no number: {args.number[0]!r}", hint=HINT)
    if not args.why.strip():
        raise UsageError("a silence needs a reason: whoever misses a page must be able to read it", hint=HINT)
    if args.all == bool(args.node or args.selector or args.runbook):
        raise UsageError("say what is silent: --node, --selector, --runbook, or --all", hint=HINT)
    try:
        parse_labels(args.selector)
    except ValueError as error:
        raise UsageError(f"--selector: {error}", hint="--selector pool=a100,zone!=b") from None
    until = _until(args, now)
    if until <= now:
        raise UsageError(f"--until {args.until} has passed already", hint=HINT)
    text = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Silence(until, args.why.strip(), text, 0.0, args.node, args.selector, args.runbook, user())


def _until(args: argparse.Namespace, now: float) -> float:
    if bool(args.lasting) == bool(args.until):
        raise UsageError("say how long: --for TIME or --until TIME", hint=HINT)
    try:
        if args.lasting:
            return now + parse_duration(args.lasting)
        time = datetime.fromisoformat(args.until)
    except ValueError:
        word = f"--for {args.lasting}" if args.lasting else f"--until {args.until}"
        raise UsageError(f"{word} is no time", hint="--for 2h, or --until 2026-12-01T08:00:00Z") from None
    return time.timestamp() if time.tzinfo else _local(time, args.until)


def _local(time: datetime, word: str) -> float:
    """A time without a zone is this machine's own. Where its clocks change, an hour comes twice and another never: then
    nobody can know what is meant, and a silence that ends an hour late misses a page.
    """
    first, second = time.replace(fold=0).timestamp(), time.replace(fold=1).timestamp()
    if first == second:
        return first
    what = "comes twice" if first < second else "never comes"
    times = " or ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" for at in sorted((first, second)))
    raise UsageError(f"--until {word} {what} here, where clocks change then", hint=f"name the zone: --until {times}")
