"""Teller: stamps what the engine says and hands it to the sink, which may fail without touching the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.events import RunEvent

if TYPE_CHECKING:
    from nvsx.clock import Clock
    from nvsx.events import Body
    from nvsx.ports import Sink


class Teller:
    """The one way out of the engine for everything that people or logs should know."""

    def __init__(self, sink: Sink, clock: Clock, *, run_id: str, cluster: str, first: int = 0) -> None:
        self._sink = sink
        self._clock = clock
        self._run_id = run_id
        self._cluster = cluster
        self._seq = first

    def say(self, body: Body) -> None:
        event = RunEvent(self._run_id, self._cluster, self._seq, self._clock.now(), body)
        self._seq += 1
        try:
            self._sink.emit(event)
        except Exception as error:  # a sink may be a closed pipe or a bug in drawing: neither may stop a page
            self.lost = error

    lost: Exception | None = None
    """The last failure of the sink, for the bug report; None while it works."""
