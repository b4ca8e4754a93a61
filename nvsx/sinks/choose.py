"""Which sinks a command line gets: people read a terminal, programs read a pipe, and neither gets the other's lines."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import UsageError
from nvsx.sinks.fanout import Fanout
from nvsx.terminal import is_terminal, paint_for, same_file, shows, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.ports import Sink

MODES = ("auto", "deck", "plain", "text", "jsonl", "quiet")


class Look(NamedTuple):
    """How a run is drawn: `color` is auto, always or never; `now` is the run's time for the deck (without it, text);
    `table` ends each run with its summary.
    """

    color: str = "auto"
    deep_color: bool = False
    few_colors: bool = False
    now: Callable[[], float] | None = None
    verbose: bool = False
    table: bool = True


_PLAIN_LOOK = Look()


class Stream(NamedTuple):
    """One of the standard streams."""

    descriptor: int
    encoding: str
    shows_glyphs: bool


def choose(
    mode: str = "auto", look: Look = _PLAIN_LOOK, *, stdout: Stream | None = None, stderr: Stream | None = None
) -> Sink:
    """The sink for `--output MODE`. UsageError for an unknown mode, and for the deck where there is no terminal.

    auto: the deck on a terminal (text on a small one), otherwise JSON lines on stdout and text on stderr; where both
    are one file, text only. plain: that second form anywhere; on a terminal text only. text, jsonl: on stdout.
    quiet: the verdict on stderr.
    """
    out = stdout or _standard(1, "stdout")
    err = stderr or _standard(2, "stderr")
    chosen = _CHOICES.get(mode)
    if chosen is None:
        raise UsageError(f"--output is one of {', '.join(MODES)}, not {mode!r}", hint="nvsx run --help")
    return Fanout(chosen(look, out, err))


def _auto(look: Look, out: Stream, err: Stream) -> list[Sink]:
    return _deck(look, out, err) if is_terminal(out.descriptor) else _plain(look, out, err)


def _deck(look: Look, out: Stream, _: Stream) -> list[Sink]:
    if not is_terminal(out.descriptor):
        raise UsageError("--output deck needs a terminal on stdout", hint="--output auto")
    from nvsx.deck.frame import SMALLEST

    columns, rows = size(out.descriptor)
    if look.now is None or columns < SMALLEST[0] or rows < SMALLEST[1]:
        return [_text(look, out)]
    return [_screen(look, out, look.now)]


def _screen(look: Look, out: Stream, now: Callable[[], float]) -> Sink:
    from nvsx.sinks.ansi import Painter
    from nvsx.sinks.keyboard import Keyboard
    from nvsx.sinks.screen import Screen

    depth = 0 if look.color == "never" else 24 if look.deep_color else 4 if look.few_colors else 8
    ascii_only = not out.shows_glyphs
    return Screen(
        out.descriptor,
        now=now,
        painter=Painter(depth=depth, encoding=out.encoding, ascii_only=ascii_only),
        keyboard=Keyboard(),
        text=lambda: _text(look, out),
        paint=paint_for(out.descriptor, look.color, deep=look.deep_color),
        ascii_only=ascii_only,
    )


def _plain(look: Look, out: Stream, err: Stream) -> list[Sink]:
    if is_terminal(out.descriptor) or same_file(out.descriptor, err.descriptor):
        return [_text(look, out)]
    return [_json_lines(out), _text(look, err)]


def _text(look: Look, stream: Stream) -> Sink:
    from nvsx.sinks.text import Text, TextLines, gap_notice
    from nvsx.sinks.writer import Writer

    paint = paint_for(stream.descriptor, look.color, deep=look.deep_color)
    lines = TextLines(paint=paint, verbose=look.verbose, table=look.table)
    writer = Writer(stream.descriptor, gap=gap_notice)
    return Text(writer, lines, encoding=stream.encoding, ascii_only=not stream.shows_glyphs)


def _json_lines(stream: Stream) -> Sink:
    from nvsx.sinks.jsonl import JsonLines
    from nvsx.sinks.writer import Writer

    return JsonLines(Writer(stream.descriptor))


def _quiet(stream: Stream) -> Sink:
    from nvsx.sinks.quiet import Quiet
    from nvsx.sinks.writer import Writer

    return Quiet(Writer(stream.descriptor))


_CHOICES: dict[str, Callable[[Look, Stream, Stream], list[Sink]]] = {
    "auto": _auto,
    "deck": _deck,
    "plain": _plain,
    "text": lambda look, out, _: [_text(look, out)],
    "jsonl": lambda _look, out, _err: [_json_lines(out)],
    "quiet": lambda _look, _out, err: [_quiet(err)],
}


def _standard(descriptor: int, name: str) -> Stream:
    """A standard stream as Python sees it. What it still holds goes out first: the writer goes past its buffer."""
    stream = getattr(sys, name)
    if stream is None:
        return Stream(descriptor, "utf-8", False)
    with suppress(OSError, ValueError):
        stream.flush()
    return Stream(descriptor, getattr(stream, "encoding", None) or "utf-8", shows(stream))
