"""Ranges, as a test writes them: `2`, `>=1`, `<=3`, `1..3`, and the same of durations, `4m..6m`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = re.compile(r"\s*(>=|<=)?\s*([0-9a-z.]+?)(?:\.\.([0-9a-z.]+))?\s*\Z")


class Range(NamedTuple):
    """From `low` to `high`, both included; `text` is how it was written."""

    low: float
    high: float
    text: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


ONCE = Range(1, 1, "1")


def count_range(text: str | int) -> Range:
    """How often something may be; ValueError says what can be written."""
    hint = f"{text!r} says no number of times; write 2, >=1, <=3 or 1..3"
    return _range(str(text), _count, hint, exact=True)


def time_range(text: str) -> Range:
    """How long something may take, in seconds; ValueError says what can be written."""
    hint = f"{text!r} says no span of time; write >=25m, <=30s or 4m..6m"
    return _range(text, parse_duration, hint, exact=False)


def _count(text: str) -> float:
    if not text.isdecimal():
        raise ValueError(text)
    return float(text)


def _range(text: str, number: Callable[[str], float], hint: str, *, exact: bool) -> Range:
    found = _TEXT.match(text)
    if not found or (found[1] and found[3]) or not (exact or found[1] or found[3]):
        raise ValueError(hint)
    try:
        first = number(found[2])
        last = number(found[3]) if found[3] else first
    except ValueError:
        raise ValueError(hint) from None
    if last < first:
        raise ValueError(hint)
    low = float("-inf") if found[1] == "<=" else first
    high = float("inf") if found[1] == ">=" else last
    return Range(low, high, text.strip())
