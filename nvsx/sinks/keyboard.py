"""Keyboard: single keys from a terminal that keeps its own Ctrl-C and Ctrl-Z, and its settings back afterwards."""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress


class Keyboard:
    """Keys of a terminal, or none where the descriptor is not one."""

    def __init__(self, descriptor: int = 0) -> None:
        self.descriptor = descriptor
        self._saved: list[object] | None = None

    @property
    def on(self) -> bool:
        return self._saved is not None

    def open(self) -> None:
        """No echo, no waiting for Enter; signals stay with the terminal."""
        with suppress(termios.error, OSError):
            saved = termios.tcgetattr(self.descriptor)
            changed = termios.tcgetattr(self.descriptor)
            changed[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self.descriptor, termios.TCSANOW, changed)
            self._saved = saved

    def close(self) -> None:
        if self._saved is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            self._saved = None

    def read(self) -> bytes:
        """What was typed and not yet read; never waits. A terminal that is gone types nothing."""
        if not self.on:
            return b""
        try:
            if not select.select([self.descriptor], [], [], 0)[0]:
                return b""
            typed = os.read(self.descriptor, 1024)
        except (OSError, ValueError):
            typed = b""
        if not typed:
            self._saved = None  # end of file for good: do not ask again and again
        return typed
