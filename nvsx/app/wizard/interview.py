"""Interview: questions to a person at a terminal, answers from a file, or nobody at all."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Literal, TypeVar

from nvsx.errors import Interrupted
from nvsx.terminal import is_terminal, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")
Mode = Literal["ask", "act", "tell"]
"""ask: somebody answers. act: everything is a yes. tell: nobody answers, and so nothing is written."""


def mode_for(*, unattended: bool) -> Mode:
    """Whom to ask: somebody only where both what is read and what is written is a terminal."""
    if unattended:
        return "act"
    return "ask" if sys.stdin is not None and is_terminal(0) and is_terminal(1) else "tell"


class Interview:
    """Asks on the terminal, one question a line. The end of the input ends it as Ctrl-C does: nothing is assumed."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    @property
    def asks(self) -> bool:
        return self.mode == "ask"

    def yes(self, question: str, *, default: bool = True) -> bool:
        """A yes or a no; return alone is the default. Where nobody is asked, the default."""
        if not self.asks:
            return default
        answer = self._choice(question, "Y/n" if default else "y/N", {"": default, **_YES_NO})
        return bool(answer)

    def consent(self, question: str) -> Literal["yes", "no", "view"]:
        """Leave to write: it has to be typed, return alone asks again. Without anybody to give it there is none."""
        if not self.asks:
            return "yes" if self.mode == "act" else "no"
        words: dict[str, Literal["yes", "no", "view"]] = {
            "y": "yes", "yes": "yes", "n": "no", "no": "no", "v": "view", "view": "view",
        }  # fmt: skip
        return self._choice(question, "y/n, v shows them whole", words)

    def text(self, question: str, *, default: str = "", pattern: str = "", secret: bool = False) -> str:
        """A line of text; return alone is the default. What does not match `pattern` is asked again."""
        if not self.asks:
            return default
        while True:
            shown = f"{question} [{default}]: " if default else f"{question}: "
            answer = _read_secretly(shown) if secret else _read(shown)
            if not answer:
                return default
            if not pattern or re.fullmatch(pattern, answer):
                return answer
            say("    that does not look right; again, or return alone to leave it out")

    def pick(self, question: str, names: Sequence[str], *, default: str = "") -> str:
        """One of some names that were shown with numbers, by number or name."""
        while True:
            answer = self.text(question, default=default)
            if answer.isdigit() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
            if answer in names or not self.asks:
                return answer
            say(f"    a number from 1 to {len(names)}, or a name")

    def pick_some(self, question: str, names: Sequence[str]) -> tuple[str, ...]:
        """Some of the names, in their order: `all` (also return alone), `none`, or numbers and names."""
        while True:
            words = self.text(question, default="all").replace(",", " ").split()
            if words in (["all"], ["none"]):
                return tuple(names) if words == ["all"] else ()
            found = {_by_number(word, names) for word in words}
            if found <= set(names):
                return tuple(name for name in names if name in found)
            say(f"    numbers from 1 to {len(names)}, names, `all` or `none`")

    def _choice(self, question: str, choices: str, words: Mapping[str, T]) -> T:
        while True:
            answer = _read(f"{question} [{choices}] ").lower()
            if answer in words:
                return words[answer]


_YES_NO = {"y": True, "yes": True, "n": False, "no": False}


def _by_number(word: str, names: Sequence[str]) -> str:
    return names[int(word) - 1] if word.isdigit() and 1 <= int(word) <= len(names) else word


def _read(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        say("")
        raise Interrupted("the input has ended") from None


def _read_secretly(prompt: str) -> str:
    from getpass import getpass

    try:
        return getpass(prompt).strip()
    except EOFError:
        say("")
        raise Interrupted("the input has ended") from None
