"""The known word that a misspelt one was probably meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 64  # comparing grows with the square of the length, and nobody misspells a word that long


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar of `known`, "" when none is similar. Case, `-` and `_` do not count."""
    if len(word) > _LONGEST:
        return ""
    from difflib import get_close_matches

    plain = {_plain(candidate): candidate for candidate in known}
    if _plain(word) in plain:
        return plain[_plain(word)]
    found = get_close_matches(_plain(word), list(plain), n=1, cutoff=0.6)
    return plain[found[0]] if found else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
