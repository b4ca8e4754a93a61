"""Times and numbers as a report writes them."""

from __future__ import annotations

from time import gmtime, strftime

from nvsx.durations import format_duration

UNKNOWN = "unknown"


def stamp(at: float) -> str:
    """A time to the second, UTC; "unknown" where there is none."""
    return strftime("%Y-%m-%d %H:%M:%SZ", gmtime(at)) if at else UNKNOWN


def span(seconds: float | None, within_s: float = 0.0) -> str:
    """A span of time, with how far it may be off where that shows."""
    if seconds is None:
        return UNKNOWN
    about = f" ±{format_duration(within_s)}" if within_s >= 0.05 else ""
    return f"{format_duration(seconds)}{about}"


def offset(at: float, zero: float) -> str:
    """A moment counted from another: `+1m02s`."""
    seconds = at - zero
    return f"{'-' if seconds < 0 else '+'}{format_duration(abs(seconds))}"


def size(count: int) -> str:
    """Bytes for people."""
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
