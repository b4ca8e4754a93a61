"""Questions with a yes or a no, on stderr, so that stdout stays clean; nobody is asked who is not at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_YES, _NO = ("y", "yes"), ("n", "no")


def asker(*, default: bool = True) -> Callable[[str], bool] | None:
    """What asks a question on the terminal; None where there is nobody to answer. Return alone is the default."""
    there = (stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
    return (lambda question: _ask(question, default=default)) if all(there) else None


def _ask(question: str, *, default: bool) -> bool:
    """Ask until the answer is one; the end of the input is a no."""
    while True:
        print(f"{question} [{'Y/n' if default else 'y/N'}] ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        answer = line.strip().lower()
        if not line:
            print(file=sys.stderr)
            return False
        if not answer:
            return default
        if answer in (*_YES, *_NO):
            return answer in _YES
