"""A drill within another command: no output of its own but the verdict and what would have been sent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nvsx.app.rehearsal.drill import fitting_scenario, play
from nvsx.app.rehearsal.drills import remember
from nvsx.catalog import Catalog
from nvsx.cells import printable
from nvsx.clock import RealClock
from nvsx.durations import format_duration
from nvsx.errors import EnvironmentUnusable, Exit
from nvsx.events import Finish, RunEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.messages import Message
    from nvsx.settings import Settings


class _Verdict:
    """A sink that keeps the last word."""

    def __init__(self) -> None:
        self.text = "it has not ended"

    def emit(self, event: RunEvent) -> None:
        if isinstance(event.body, Finish):
            reason = f": {event.body.reason}" if event.body.reason else ""
            self.text = f"{event.body.verdict} after {format_duration(event.body.total_s)}{reason}"

    def close(self) -> None: ...


def rehearse_quietly(settings: Settings, name: str, speed: float) -> tuple[str, str, bool]:
    """The verdict in words, what would have been sent, and whether it passed; a passed drill is remembered."""
    runbook = Catalog.for_settings(settings).load(name)
    scenario, _ = fitting_scenario(runbook)
    sink = _Verdict()
    played = play(
        settings, runbook, scenario, sink=lambda _: sink, speed=speed, seed=None, drill=True, dwell=False
    )  # fmt: skip
    passed = int(played.rehearsed.outcome.exit_code) == Exit.DONE
    note = _sent(played.rehearsed.messages, name)
    if passed:
        try:
            remember(settings, runbook.name, scenario, RealClock().now())
        except (EnvironmentUnusable, OSError) as error:
            note = f"this drill is not remembered: {error}"
    return sink.text, note, passed


def _sent(messages: Sequence[Message], name: str) -> str:
    """How many messages to whom; the drill itself shows each."""
    hosts: dict[str, int] = {}
    for message in messages:
        host = urlsplit(message.url).hostname or message.method.lower()
        hosts[host] = hosts.get(host, 0) + 1
    if not hosts:
        return "nothing would have been sent"
    counted = ", ".join(f"{number} to {printable(host)}" for host, number in hosts.items())
    return f"would have been sent: {counted} (nvsx drill {name} shows them)"
