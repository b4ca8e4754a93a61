"""One line per run, when it is over: for scripts and cron mails that only want the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.cells import printable
from nvsx.durations import format_duration
from nvsx.events import Finish, Start

if TYPE_CHECKING:
    from nvsx.events import RunEvent
    from nvsx.sinks.writer import Writer


class Quiet:
    """Says nothing until a run has finished."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._subjects: dict[str, str] = {}

    def emit(self, event: RunEvent) -> None:
        body = event.body
        if isinstance(body, Start):
            node = f" on {body.target_alias} ({body.target_node})" if body.target_node else ""
            self._subjects[event.run_id] = body.runbook + node
        elif isinstance(body, Finish):
            subject = self._subjects.pop(event.run_id, event.run_id)
            reason = f": {body.reason}" if body.reason else ""
            line = f"nvsx: {subject}: {body.verdict}, total {format_duration(body.total_s)}{reason}"
            self._writer.put(printable(line).encode("utf-8", "backslashreplace") + b"\n")

    def close(self) -> None:
        self._writer.close()
