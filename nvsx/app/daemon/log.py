"""What the daemon itself says, as events between those of its runs: one log, whatever its form."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from nvsx.events import Note, RunEvent

if TYPE_CHECKING:
    from nvsx.clock import Clock
    from nvsx.ports import Sink

RUN_ID = "nvsx-serve"
"""Stands where a run's id stands in the log, in lines that belong to no run."""


class Log:
    """Says sentences. Topics: serve, trigger, blind, record, environment."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._seq = 0
        self.cluster = ""

    def say(self, text: str, *, topic: str = "serve", level: Literal["info", "warning", "error"] = "info") -> None:
        event = RunEvent(RUN_ID, self.cluster, self._seq, self._clock.now(), Note(topic, text, level=level))
        self._seq += 1
        with suppress(Exception):  # a log that cannot be written ends no daemon
            self._sink.emit(event)

    def warn(self, text: str, topic: str = "serve") -> None:
        self.say(text, topic=topic, level="warning")
