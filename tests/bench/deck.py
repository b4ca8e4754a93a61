"""What the flight-deck costs: bytes to the terminal and processor time, beside rich.Live drawing the same frames."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

from nvsx.deck import fold, frame
from nvsx.events import Output, RunEvent
from nvsx.sinks.ansi import Painter
from tests.frames.runs import NOON, RUNS, state

if TYPE_CHECKING:
    from nvsx.deck.styled import Row

COLUMNS, ROWS = 120, 40
SECONDS = 20
PER_SECOND = 10
EVENTS_PER_SECOND = 50


def measure() -> dict[str, object]:
    """Bytes a second, the share of one core at ten frames a second, and our painting by rich's, frame for frame."""
    calm = _painted(_calm_frames())
    busy_frames = _busy_frames()
    busy = _painted(busy_frames)
    ours = _cpu(lambda: _painted(busy_frames))
    drawing = _cpu(_busy_frames)
    return {
        "columns_rows": [COLUMNS, ROWS],
        "bytes_per_s_clocks_only": round(calm / SECONDS),
        "bytes_per_s_50_events": round(busy / SECONDS),
        "core_share_at_10_fps": round((ours + drawing) / SECONDS, 4),
        "paint_cpu_of_rich": round(ours / _cpu(lambda: _with_rich(busy_frames)), 3),
    }


def _calm_frames() -> list[list[Row]]:
    known = state(RUNS["recovering"])
    return [frame(known, COLUMNS, ROWS, NOON + 100 + second) for second in range(SECONDS + 1)]


def _busy_frames() -> list[list[Row]]:
    known, frames = state(RUNS["recovering"]), []
    seq = 1000
    for number in range(SECONDS * PER_SECOND):
        for _ in range(EVENTS_PER_SECOND // PER_SECOND):
            seq += 1
            line = Output("recover", "onSuccess", f"line {seq} of a hook that talks a lot about what it does")
            known = fold(known, RunEvent("r", "c", seq, NOON + 100 + number / PER_SECOND, line))
        frames.append(frame(known, COLUMNS, ROWS, NOON + 100 + number / PER_SECOND))
    return frames


def _painted(frames: list[list[Row]]) -> int:
    """Bytes of all frames but the first, which paints the whole screen."""
    painter = Painter(depth=24)
    painter.paint(frames[0], COLUMNS)
    return sum(len(painter.paint(rows, COLUMNS)) for rows in frames[1:])


def _with_rich(frames: list[list[Row]]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=io.StringIO(), force_terminal=True, width=COLUMNS, height=ROWS, color_system="truecolor")
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for rows in frames:
            text = Text(no_wrap=True)
            for row in rows:
                for span in row:
                    style = "bold " if span.style.bold else ""
                    text.append(span.text, f"{style}{_RICH.get(span.style.color, '')}".strip() or None)
                text.append("\n")
            live.update(text, refresh=True)


_RICH = {"green": "green", "yellow": "yellow", "red": "red", "blue": "blue", "cyan": "cyan", "magenta": "magenta"}


def _cpu(work: object) -> float:
    began = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - began
