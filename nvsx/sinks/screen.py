"""Screen: the deck on a terminal. A thread of its own paints, so that a slow terminal never slows a run.

It is the only writer to that terminal while it is open, and gives it back as it was on every way out.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.deck import NEW, View, fold, frame
from nvsx.deck.view import pressed
from nvsx.events import Start
from nvsx.sinks.ansi import ASK_SYNC, ENTER, HAS_SYNC, LEAVE
from nvsx.sinks.tally import Tally, summary
from nvsx.terminal import PLAIN, size, to_ascii

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.events import RunEvent
    from nvsx.ports import Sink
    from nvsx.sinks.ansi import Painter
    from nvsx.sinks.keyboard import Keyboard
    from nvsx.terminal import Paint

FRAME_S = 0.1
"""The shortest time between two frames."""
TICK_S = 0.25
"""How often clocks and the terminal's size are looked at."""
_LONGEST_SEQUENCE = 16
HOLD_S = 3.0
"""How long the last frame stands, unless a key is pressed."""


class Screen:
    """A sink that draws the deck on `descriptor` until the run ends or `q` is pressed, and text from then on."""

    def __init__(
        self,
        descriptor: int,
        *,
        now: Callable[[], float],
        painter: Painter,
        keyboard: Keyboard,
        text: Callable[[], Sink],
        paint: Paint = PLAIN,
        ascii_only: bool = False,
        hold_s: float = HOLD_S,
    ) -> None:
        """`now` is the run's wall time, read in another thread; `text` makes the sink that goes on after `q`."""
        self._descriptor = descriptor
        self._now = now
        self._painter = painter
        self._keyboard = keyboard
        self._make_text = text
        self._paint = paint
        self._ascii_only = ascii_only
        self._hold_s = hold_s
        self._state = NEW
        self._view = View()
        self._tally = Tally()
        self._start: RunEvent | None = None
        self._waiting: deque[RunEvent] = deque()
        self._text: Sink | None = None
        self._typed = b""
        self._open = self._closing = self._key_pressed = False
        self._screen = threading.RLock()  # whoever holds it may write to the terminal
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._enter()
        self._signals = _Suspension(self.suspend, self.resume)
        self._thread = threading.Thread(target=self._loop, name="screen", daemon=True)
        self._thread.start()

    def emit(self, event: RunEvent) -> None:
        self._waiting.append(event)
        self._wake()

    def close(self) -> None:
        """Show the last frame for a while, give the terminal back, and leave the summary on it."""
        if self._closing:
            return
        self._closing = True
        self._wake()
        self._thread.join(self._hold_s + 2.0)
        self._signals.end()
        with suppress(OSError):
            os.close(self._wake_write)
            os.close(self._wake_read)
        if self._text:
            self._text.close()
            return
        self._leave()
        finish = self._state.finish
        if finish:
            lines = "\n".join(summary(self._tally, finish, self._state.run_id, self._paint)) + "\n"
            self._write((to_ascii(lines) if self._ascii_only else lines).encode("utf-8", "replace"))

    def suspend(self) -> None:
        """Give the terminal back for a while (Ctrl-Z)."""
        with self._screen:
            self._leave()

    def resume(self) -> None:
        """Take the terminal again, unless this process is in the background or has left the deck."""
        with self._screen:
            if not self._text and not self._closing and _in_foreground(self._descriptor):
                self._enter()

    # what follows runs in the thread

    def _loop(self) -> None:
        while not self._closing:
            self._wait(TICK_S)
            self._step()
            select.select([], [], [], FRAME_S)
        self._step()
        left = self._hold_s if not self._text and self._state.finish and self._keyboard.on else 0.0
        while left > 0 and not self._key_pressed:
            select.select([self._keyboard.descriptor], [], [], TICK_S)
            self._step()
            left -= TICK_S

    def _wait(self, seconds: float) -> None:
        watched = [self._wake_read, *([self._keyboard.descriptor] if self._keyboard.on else [])]
        with suppress(OSError, ValueError):
            ready = select.select(watched, [], [], seconds)[0]
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)

    def _step(self) -> None:
        """Take what came, look at the keys, paint what changed."""
        while self._waiting:
            self._take(self._waiting.popleft())
        if self._text:
            return
        with self._screen:
            self._look_at_keys()
            if not self._open:
                self.resume()
            if self._open:
                columns, rows = size(self._descriptor)
                drawn = frame(self._state, columns, rows, self._now(), self._view)
                self._write(self._painter.paint(drawn, columns))

    def _take(self, event: RunEvent) -> None:
        if isinstance(event.body, Start):
            self._start = event
        self._tally.fold(event.body)
        before = self._state.lines_seen
        self._state = fold(self._state, event)
        if self._view.paused:
            self._view = self._view._replace(unread=self._view.unread + self._state.lines_seen - before)
        if self._text:
            self._text.emit(event)

    def _look_at_keys(self) -> None:
        typed = self._typed + self._keyboard.read()
        for answer in HAS_SYNC:
            if answer in typed:
                self._painter.sync = True
                typed = typed.replace(answer, b"")
        escape = typed.rfind(b"\033")
        whole, self._typed = (
            (typed, b"") if escape < 0 or len(typed) - escape > 16 else (typed[:escape], typed[escape:])
        )
        for key in whole.decode("ascii", "ignore"):
            self._key_pressed = True
            if key == "q":
                self._leave_for_text()
                return
            self._view = pressed(self._view, key)

    def _leave_for_text(self) -> None:
        self._leave()
        self._text = self._make_text()
        if self._start:
            self._text.emit(self._start)

    def _enter(self) -> None:
        if not self._open:
            self._keyboard.open()
            self._painter.forget()
            self._open = True
            self._write(ENTER + (ASK_SYNC if self._keyboard.on else b""))

    def _leave(self) -> None:
        if self._open:
            self._open = False
            self._write(LEAVE)
            self._keyboard.close()

    def _write(self, data: bytes) -> None:
        """All of it, or nothing more at all: a terminal that is gone shows nothing."""
        with suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._wake_write, b"!")


class _Suspension:
    """Ctrl-Z and fg: the terminal is given back before the process stops, and taken again after it goes on."""

    def __init__(self, suspend: Callable[[], None], resume: Callable[[], None]) -> None:
        self._suspend = suspend
        self._resume = resume
        self._taken = threading.current_thread() is threading.main_thread()
        if self._taken:
            signal.signal(signal.SIGTSTP, self._stop)
            signal.signal(signal.SIGCONT, self._go_on)

    def end(self) -> None:
        if self._taken and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            self._taken = False

    def _stop(self, *_: object) -> None:
        self._suspend()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._go_on()  # either somebody continued us, or nobody could (an orphan is not stopped)

    def _go_on(self, *_: object) -> None:
        signal.signal(signal.SIGTSTP, self._stop)
        self._resume()


def _in_foreground(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True
