"""Ranges, as a test writes them: `2`, `1..3`, `1..` (or more), `..3` (at most), and the same of durations, `4m..6m`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_BETWEEN = ".."


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
    hint = f"{text!r} says no number of times; write 2, 1..3, 1.. (or more) or ..3 (at most)"
    return _range(str(text), _count, hint, exact=True)


def time_range(text: str) -> Range:
    """How long something may take, in seconds; ValueError says what can be written."""
    hint = f"{text!r} says no span of time; write 4m..6m, 25m.. (or more) or ..30s (at most)"
    return _range(text, parse_duration, hint, exact=False)


def _count(text: str) -> float:
    if not text.isdecimal():
        raise ValueError(text)
    return float(text)


def _range(text: str, number: Callable[[str], float], hint: str, *, exact: bool) -> Range:
    first, between, last = text.strip().partition(_BETWEEN)
    try:
        if not between:
            if not exact:
                raise ValueError(text)
            last = first
        low = number(first) if first else float("-inf")
        high = number(last) if last else float("inf")
    except ValueError:
        raise ValueError(hint) from None
    if high < low or not (first or last):
        raise ValueError(hint)
    return Range(low, high, text.strip())
