"""Signals as calls in the loop.

The handlers are Python's own: asyncio hears of a signal by a byte in a pipe, and that byte is lost when other wake-ups
have filled the pipe at that moment. They run in the main thread, which a bell of their own wakes: a signal may be given
to another thread, or come just before the loop begins to wait.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType


@contextmanager
def heeded(calls: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """Make a call in the running loop when its signal comes, while the body lasts. Outside the main thread signals are
    not ours to take, and nothing changes.
    """
    loop = asyncio.get_running_loop()

    def handler(number: int, _: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(calls[number])

    before = {}
    with suppress(ValueError):
        for number in calls:
            before[number] = signal.signal(number, handler)
    try:
        with _bell(loop) if before else nullcontext():
            yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextmanager
def _bell(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let every signal wake the loop, so that the handlers that are due are run."""
    heard, rung = socket.socketpair()
    with heard, rung:
        heard.setblocking(False)
        rung.setblocking(False)
        loop.add_reader(heard, heard.recv, 4096)
        before = signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(heard)
