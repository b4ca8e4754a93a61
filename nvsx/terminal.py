"""The terminal and the standard streams: what they can show, and writing to them without ever falling over."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

PALETTE: dict[str, tuple[tuple[int, int, int], int]] = {
    # Few and far apart, so that they survive video compression: (24-bit colour, its nearest of the 256)
    "green": ((0x82, 0xE0, 0xAA), 115),
    "yellow": ((0xF4, 0xD0, 0x3F), 221),
    "red": ((0xE7, 0x4C, 0x3C), 167),
    "blue": ((0x5D, 0xAD, 0xE2), 74),
    "magenta": ((0xD7, 0x87, 0xD7), 176),
    "cyan": ((0x48, 0xC9, 0xB0), 79),
    "grey": ((0x7F, 0x8C, 0x8D), 245),
    "dim": ((0x56, 0x65, 0x73), 241),
    "white": ((0xEC, 0xF0, 0xF1), 255),
}

ASCII = {
    "▶": ">",
    "→": "->",
    "│": "|",
    "●": "*",
    "✗": "x",
    "✓": "+",
    "○": "o",
    "◆": "@",
    "…": "...",
    "·": "-",
    "─": "-",
    "▓": "#",
    "░": ".",
}
"""What stands for nvsx's own signs where the locale cannot show them."""


class Paint:
    """Colours text, or leaves it alone: the decision is taken once, when it is made."""

    def __init__(self, *, on: bool, deep: bool = False) -> None:
        self.on = on
        self.deep = deep

    def __call__(self, text: str, color: str = "", *, bold: bool = False, italic: bool = False) -> str:
        if not self.on or not text:
            return text
        codes = [code for code, wanted in (("1", bold), ("3", italic)) if wanted]
        if color:
            (red, green, blue), nearest = PALETTE[color]
            codes.append(f"38;2;{red};{green};{blue}" if self.deep else f"38;5;{nearest}")
        return f"\033[{';'.join(codes)}m{text}\033[0m" if codes else text


PLAIN = Paint(on=False)


def is_terminal(descriptor: int) -> bool:
    """Whether a file descriptor is an open terminal."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def paint_for(descriptor: int, color: str, *, deep: bool = False) -> Paint:
    """The paint for a stream: `color` is auto, always or never as the settings resolved it."""
    return Paint(on=color == "always" or (color == "auto" and is_terminal(descriptor)), deep=deep)


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors lead to one file, pipe or terminal, so that writing to both would interleave."""
    try:
        first, second = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def size(descriptor: int = 1) -> tuple[int, int]:
    """Columns and rows; 80 x 24 where nobody knows."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 80, 24
    return columns or 80, rows or 24


def shows(stream: IO[str] | None, text: str = "▶→│●✗○…") -> bool:
    """Whether the stream's encoding has these characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def to_ascii(text: str) -> str:
    """nvsx's own signs replaced by ASCII; other characters stay (the stream replaces what it cannot encode)."""
    return text if text.isascii() else "".join(ASCII.get(char, char) for char in text)


def say(text: str) -> None:
    """A line on stdout. EnvironmentUnusable where it cannot be written (a full disk); a closed pipe is none of that."""
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        from nvsx.errors import EnvironmentUnusable

        _silence_stdout()
        raise EnvironmentUnusable(f"cannot write to stdout: {error.strerror or error}") from None


def warn(text: str) -> None:
    """A line on stderr; a stderr that is gone is nobody's failure."""
    try:
        _write(sys.stderr, text)
    except (OSError, ValueError):
        return


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is None:
        return
    stream.write((text if shows(stream) else to_ascii(text)) + "\n")
    if stream is sys.stderr:
        stream.flush()


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, cells: int = 0) -> str:
    """Columns that line up, two spaces apart; the last one is clipped to `cells` in all (0: as wide as it is)."""
    from nvsx.cells import clip, pad, width

    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(width(line[column]) for line in lines) for column in range(len(headings))]
    drawn = ["  ".join(pad(text, size) for text, size in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(clip(line, cells) if cells else line for line in drawn)


def prepare_streams() -> None:
    """Make the standard streams safe: none closed (a file opened later would take its number), none that can
    fail on a character it does not know.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")


def output_is_gone() -> bool:
    """Whether nobody reads stdout any more."""
    import select

    try:
        poll = select.poll()
        poll.register(1, 0)
        return any(events & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, events in poll.poll(0))
    except (OSError, AttributeError):
        return True


def finish_streams(code: int) -> int:
    """Flush stdout and return the exit code: 0 becomes 3 where the output could not be written, a closed pipe is
    no news.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
    except (OSError, ValueError) as error:
        _silence_stdout()
        warn(f"error[output]: cannot write to stdout: {getattr(error, 'strerror', '') or error}")
        return code or 3
    return code


def _silence_stdout() -> None:
    """Point stdout at /dev/null, so that the interpreter's own last flush finds nothing to complain about."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    except OSError:
        return
