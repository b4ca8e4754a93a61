"""The first-run wizard's page: its headings, facts and files, folded to the terminal and safe to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.cells import pad, printable, width, wrap
from nvsx.terminal import is_terminal, say, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.app.wizard.firstfiles import Proposal
    from nvsx.terminal import Paint

STEPS = 5
_STATES: Mapping[str, tuple[str, str, str]] = {
    # state of a proposal: sign, colour, words
    "new": ("+", "green", ""),
    "same": ("=", "grey", "there already"),
    "kept": ("=", "yellow", "yours is another one, and stays"),
}


class Page:
    """Says everything at the width that the terminal has; into a pipe as wide as it is."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint

    def plain(self, text: str = "", color: str = "", *, indent: int = 0) -> None:
        """A paragraph."""
        for line in _folded(text, indent) or [""]:
            say(" " * indent + self._paint(line, color))

    def step(self, number: int, title: str) -> None:
        self.plain()
        say(self._paint(f"{number} of {STEPS}  {title}", bold=True))

    def good(self, text: str) -> None:
        self._signed("✓", "green", text)

    def bad(self, text: str) -> None:
        self._signed("!", "yellow", text)

    def fact(self, name: str, text: str, cells: int = 8) -> None:
        """A name in a column, and what is to be said about it."""
        column = max(cells, width(name))
        first, *more = _folded(text, column + 5) or [""]
        say(f"    {self._paint(pad(name, column), 'grey')} {first}")
        for line in more:
            say(" " * (column + 5) + line)

    def numbered(self, number: int, name: str, text: str, color: str = "grey") -> None:
        """An entry to pick from."""
        first, *more = _folded(text, 25) or [""]
        say(f"  {number:>3}  {pad(name, max(17, width(name)))} {self._paint(first, color)}")
        for line in more:
            say(" " * 25 + self._paint(line, color))

    def proposal(self, proposal: Proposal) -> None:
        """A file with what is particular about it: what was fitted, or the whole where it is all particular."""
        from nvsx.app.wizard.firstfiles import masked

        sign, color, word = _STATES[proposal.state]
        facts = [
            f"{proposal.file.text.count(chr(10))} lines",
            "as it ships" if proposal.before and not proposal.diff() else "",
            f"mode {proposal.file.mode:04o}" if proposal.file.mode & 0o077 in (0, 0o040) else "",
            word,
        ]
        about = ", ".join(fact for fact in facts if fact)
        say(f"  {self._paint(sign, color, bold=True)} {proposal.file.path}  {self._paint(about, 'grey')}")
        if proposal.state != "new":
            return
        if not proposal.before:
            for line in masked(proposal.file):
                self.plain(line, indent=6)
        for line in _dedented(proposal.diff()):
            first, *more = _folded(line[1:].strip(), len(line) - len(line[1:].lstrip()) + 8) or [""]
            lead = line[: len(line) - len(line[1:].lstrip())]
            tone = "green" if line.startswith("+") else "red"
            say("      " + self._paint(lead + first, tone))
            for rest in more:
                say("      " + self._paint(" " * (len(lead) + 2) + rest, tone))

    def whole(self, proposal: Proposal) -> None:
        """A file from its first line to its last."""
        from nvsx.app.wizard.firstfiles import masked

        self.plain()
        say(self._paint(f"  {proposal.file.path}", bold=True))
        for line in masked(proposal.file):
            say(f"  {printable(line)}")

    def _signed(self, sign: str, color: str, text: str) -> None:
        first, *more = _folded(text, 4) or [""]
        say(f"  {self._paint(sign, color, bold=True)} {first}")
        for line in more:
            say(f"    {line}")


def _folded(text: str, taken: int) -> list[str]:
    """The lines of a text on a terminal of which `taken` cells are gone."""
    text = printable(text)
    return wrap(text, max(20, size()[0] - taken)) if is_terminal(1) else [text]


def _dedented(lines: Sequence[str]) -> Iterator[str]:
    """Lines of a diff, moved left together as far as they all can be."""
    margins = [len(line[1:]) - len(line[1:].lstrip()) for line in lines if line[1:].strip()]
    common = min(margins, default=0)
    return (line[:1] + " " + line[1 + common :] for line in lines)
