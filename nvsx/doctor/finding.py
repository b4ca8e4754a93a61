"""Finding: what one check came to, in a line, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from nvsx.errors import ClusterError, NvsxError

Outcome = Literal["ok", "warn", "fail", "skip"]


class Finding(NamedTuple):
    """`hint` can be pasted; "" means that of the check's row in the table. `details` are lines of their own.

    `blind` is true where the check failed because something could not be looked at.
    """

    outcome: Outcome
    text: str
    hint: str = ""
    details: tuple[str, ...] = ()
    blind: bool = False


def ok(text: str, *details: str) -> Finding:
    return Finding("ok", text, "", details)


def warn(text: str, hint: str = "", *details: str) -> Finding:
    return Finding("warn", text, hint, details)


def fail(text: str, hint: str = "", *details: str) -> Finding:
    return Finding("fail", text, hint, details)


def skip(text: str) -> Finding:
    return Finding("skip", text)


def blind(error: ClusterError) -> Finding:
    """The check could not look: that says nothing of what it would have seen."""
    return Finding("fail", error.message, error.hint, (f"command: {error.command}",) if error.command else (), True)


def failed(error: NvsxError) -> Finding:
    return Finding("fail", error.message, error.hint)


def some(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
