"""Several sinks as one: each sees every event, and one that fails is left out from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvsx.events import RunEvent
    from nvsx.ports import Sink


class Fanout:
    """Hands events on in order. `failures` keeps what took a sink out, for the bug report."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self.failures: list[Exception] = []
        self._sinks = list(sinks)

    def emit(self, event: RunEvent) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.emit(event)
            except Exception as error:  # a defect in drawing must not reach the run
                self.failures.append(error)
                self._sinks.remove(sink)
                self._close(sink)

    def close(self) -> None:
        for sink in self._sinks:
            self._close(sink)
        self._sinks.clear()

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except Exception as error:
            self.failures.append(error)
