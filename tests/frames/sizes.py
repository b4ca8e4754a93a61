"""The sizes of the golden frames, and what a terminal shows of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyte

from nvsx.deck import View, frame
from nvsx.sinks.ansi import ENTER, Painter
from tests.frames.runs import LAST, NOON, RUNS, state

if TYPE_CHECKING:
    from nvsx.deck import DeckState

SIZES = ((60, 15), (80, 24), (120, 40), (200, 50), (240, 60))
FOLDER = Path(__file__).parent


def file_of(name: str, size: tuple[int, int]) -> Path:
    return FOLDER / f"{name}-{size[0]}x{size[1]}.txt"


def drawn(name: str, size: tuple[int, int]) -> list[str]:
    """The screen of a terminal that was fed the bytes of the frame."""
    return shown(state(RUNS[name]), size, NOON + LAST[name])


def shown(known: DeckState, size: tuple[int, int], now: float, view: View = View()) -> list[str]:  # noqa: B008
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    stream.feed(ENTER)
    stream.feed(Painter(depth=24).paint(frame(known, *size, now, view), size[0]))
    return list(screen.display)
