"""Durations as people write them: `500ms`, `90s`, `1h30m`; in the program, seconds as float."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_LONGEST_S = 10 * 365 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `1h30m`; ValueError says what is accepted."""
    if not _TEXT.match(text):
        raise ValueError(f"{text!r} is not a duration; write it like 500ms, 90s, 2m, 1h or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than ten years")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration for people, to about three figures: `0.3s`, `42.0s`, `6m40s`, `2h05m`, `3d4h`."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
