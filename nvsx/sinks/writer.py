"""Writes to a descriptor from a thread of its own, so that a slow, full or broken pipe never slows or stops a run."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 64 * 1024
_REST_S = 0.005
"""How long the thread lets more come after a write: a burst of lines is a few writes, and does not wake it for each."""
_GONE = ("EPIPE", "EBADF", "EIO", "ENXIO", "ECONNRESET")  # nobody will read this descriptor again


class Writer:
    """A queue of bytes before a descriptor. When the reader falls behind, what may be dropped is dropped first and
    counted; the rest is kept up to `keep` bytes, and beyond that dropped and counted as well.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        backlog: int = 1 << 20,
        keep: int = 16 << 20,
        gap: Callable[[int], bytes] | None = None,
    ) -> None:
        """`backlog` and `keep` are bytes; `gap` words the notice that stands where so many pieces are missing."""
        self.dropped = 0
        self.broken = False
        self._descriptor = descriptor
        self._backlog = backlog
        self._keep = keep
        self._gap = gap
        self._untold = 0
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._closing = False
        self._idle = False  # the thread waits for something to write
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, data: bytes, *, droppable: bool = False) -> None:
        """Queue `data`; returns at once, whatever the descriptor does."""
        with self._changed:
            if self.broken or self._closing:
                return
            if self._size + len(data) > (self._backlog if droppable else self._keep):
                self.dropped += 1
                self._untold += 1
                return
            self._tell_gap()
            self._append(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name=f"writer-{self._descriptor}", daemon=True)
                self._thread.start()
            if self._idle:
                self._idle = False
                self._changed.notify()

    def close(self, deadline_s: float = 2.0) -> bool:
        """Write what is queued, for at most `deadline_s`; whether all of it was written."""
        with self._changed:
            if not self._closing and not self.broken:
                self._tell_gap()
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(deadline_s)
        return not self._waiting and not self.broken

    def _tell_gap(self) -> None:
        if self._untold and self._gap:
            self._append(self._gap(self._untold))
        self._untold = 0

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._idle = True
                    self._changed.wait()
                self._idle = False
                if not self._waiting:
                    return
                pieces = self._next_chunk()
            try:
                _write(self._descriptor, b"".join(pieces))
            except OSError as error:
                if not self._survives(error, len(pieces)):
                    return
            with self._changed:
                for piece in pieces:
                    self._size -= len(piece)
                    self._waiting.popleft()
                if not self._closing:
                    self._changed.wait(_REST_S)  # only `close` cuts it short

    def _next_chunk(self) -> list[bytes]:
        """The pieces for one write. They stay queued until they are written, so that `close` knows what is missing."""
        pieces: list[bytes] = []
        size = 0
        for piece in self._waiting:
            if pieces and size + len(piece) > _CHUNK:
                break
            pieces.append(piece)
            size += len(piece)
        return pieces

    def _survives(self, error: OSError, pieces: int) -> bool:
        """A full disk may have room again for the next line; a reader that is gone does not come back."""
        import errno

        with self._changed:
            self.dropped += pieces
            self._untold += pieces
            if errno.errorcode.get(error.errno or 0) not in _GONE:
                return True
            self.broken = True
            self._waiting.clear()
            self._size = 0
            return False


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody made the shared descriptor non-blocking
            from select import select

            select([], [descriptor], [])
