"""What the webhook heard, for the log: what was wrong and what started nothing is said, and while that goes on once a
minute.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nvsx.admission import IGNORE, UNRELATED
from nvsx.triggers.inbox import UNKNOWN
from nvsx.triggers.senders import OBSERVED

if TYPE_CHECKING:
    from nvsx.app.daemon.log import Log
    from nvsx.clock import Clock
    from nvsx.triggers.listener import Heard

QUIET_S = 60.0
_MOST_KINDS = 1000


class Hearing:
    """Told of each delivery and of each defect, in the daemon's loop."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._said: dict[tuple[str, ...], tuple[float, int]] = {}  # when it was said last, and how often it was not

    def heard(self, one: Heard) -> None:
        """Say what did not go well. Whoever floods nvsx must not fill the disk with lines about it."""
        if one.status < 300 and one.auth != OBSERVED and not _came_to_nothing(one):
            return
        key = (one.source, one.verdict, one.auth)
        now = self._clock.monotonic()
        last, kept = self._said.get(key, (-QUIET_S, 0))
        if now < last + QUIET_S:
            self._said[key] = (last, kept + 1)
            return
        if len(self._said) < _MOST_KINDS:
            self._said[key] = (now, 0)
        accepted = " and was accepted: observe mode" if one.auth == OBSERVED else ""
        more = f" ({kept} more like it)" if kept else ""
        text = f"{one.peer} posted to {one.source}{accepted}: {one.status} {one.verdict}: {one.reason}{more}"
        self._log.say(text, topic="trigger", level="info" if one.status < 300 and not accepted else "warning")

    def defect(self, error: Exception) -> None:
        """Something in nvsx failed while it answered a request: a report is written, nvsx goes on."""
        from nvsx.bugreport import write_report

        where, _ = write_report(error, sys.argv[1:])
        report = f"; report: {where}" if where else ""
        self._log.say(
            f"a request could not be answered, a bug in nvsx: {type(error).__name__}: {error}{report}", level="error"
        )


def _came_to_nothing(one: Heard) -> bool:
    """Whether somebody raised an alarm for which nothing runs; the end of what nvsx never heard of is none."""
    alarming = any(not part.endswith(UNRELATED) for part in one.reason.split("; "))
    return one.verdict in (IGNORE, UNKNOWN) and alarming
