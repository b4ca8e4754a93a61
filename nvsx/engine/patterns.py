"""Searches with a pattern that somebody wrote, which may be one that never ends on the wrong line."""

from __future__ import annotations

import re
import signal
import threading
from typing import NoReturn

LIMIT_S = 0.2
"""Processor time that one search may take. A sane pattern needs microseconds for a line of 8 KiB."""


class TooSlow(Exception):
    """The search was given up."""


def search(pattern: str, text: str, limit_s: float = LIMIT_S) -> bool:
    """Whether the pattern is in the text; TooSlow after `limit_s` of this process's own processor time.

    Python's matcher looks for signals as it goes, so a timer can stop it, though only in the main thread; elsewhere the
    search is not bounded. Processor time, because on a busy machine a short search may take long.
    """
    if threading.current_thread() is not threading.main_thread():
        return re.search(pattern, text) is not None
    before = signal.signal(signal.SIGVTALRM, _give_up)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
        try:
            return re.search(pattern, text) is not None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _give_up(*_: object) -> NoReturn:
    raise TooSlow
