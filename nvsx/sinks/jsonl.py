"""Run events as JSON lines for programs: one wire object a line, in ASCII, whatever the locale is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nvsx.events import Output, to_wire

if TYPE_CHECKING:
    from nvsx.events import RunEvent
    from nvsx.sinks.writer import Writer


class JsonLines:
    """A line per event. Where the reader fell behind and output was dropped, `seq` has a gap."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def emit(self, event: RunEvent) -> None:
        self._writer.put(json_line(event), droppable=isinstance(event.body, Output))

    def close(self) -> None:
        self._writer.close()


def json_line(event: RunEvent) -> bytes:
    """An event as one line of JSON."""
    return json.dumps(to_wire(event), allow_nan=False).encode("ascii") + b"\n"
