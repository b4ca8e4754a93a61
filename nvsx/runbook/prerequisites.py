"""What a prerequisite expects of its output: a text in it, or a number that compares as said."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?\d+")
_COMPARISON = re.compile(r"\s*(>=|<=|==)\s*(-?\d+)\s*\Z")


def is_comparison(expect: str) -> bool:
    """Whether `expect` is `>=N`, `<=N` or `==N`, and not a text to be found."""
    return _COMPARISON.match(expect) is not None


def comparison_failure(expect: str, text: str) -> str:
    """Why the first number in `text` is not as the comparison wants it, "" when it is."""
    wanted = _COMPARISON.match(expect)
    if wanted is None:
        return ""
    number = _NUMBER.search(text)
    if number is None:
        return f"expected a number {wanted[0].strip()}, got: {text or '(nothing)'}"
    have, want = int(number[0]), int(wanted[2])
    good = {">=": have >= want, "<=": have <= want, "==": have == want}[wanted[1]]
    return "" if good else f"expected {wanted[0].strip()}, got {have}"


def missing_failure(expect: str, text: str) -> str:
    """What to tell where the text `expect` was not found."""
    return f"expected {expect!r}, got: {text or '(nothing)'}"
