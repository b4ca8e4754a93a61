"""Signals as calls in the loop.

The handlers are Python's own: asyncio hears of a signal by a byte in a pipe, and that byte is lost when other wake-ups
have filled the pipe at that moment.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
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
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)
