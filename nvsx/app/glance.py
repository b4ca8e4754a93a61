"""A glance at the cluster in the background, while an operator sits at a prompt: it never makes anybody wait."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import NvsxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.app.status import Status
    from nvsx.settings import Settings

FRESH_S = 30.0
"""How old a glance may become while somebody sits at the prompt."""


class Glance(NamedTuple):
    """What was seen last. `status` None: not yet looked, or `problem` says why one could not look at all."""

    context: str = ""
    status: Status | None = None
    problem: str = ""


class Glances:
    """Looks in a thread of its own while `look_out` is on, and calls `on_change` there after every look."""

    def __init__(self, look: Callable[[], Glance], on_change: Callable[[], None], *, fresh_s: float = FRESH_S) -> None:
        self.latest = Glance()
        self._look = look
        self._on_change = on_change
        self._fresh_s = fresh_s
        self._on = threading.Event()
        self._off = threading.Event()  # the other half of the same switch: it ends the pause between two looks
        self._ended = False
        self._thread = threading.Thread(target=self._loop, name="glance", daemon=True)
        self._thread.start()

    def look_out(self, *, on: bool) -> None:
        """Start looking (at once), or look no more after the look under way."""
        if on:
            self._off.clear()
            self._on.set()
        else:
            self._on.clear()
            self._off.set()

    def end(self) -> None:
        self._ended = True
        self._off.set()
        self._on.set()

    def _loop(self) -> None:
        while True:
            self._on.wait()
            if self._ended:
                return
            self.latest = self._look()
            self._on_change()
            self._off.wait(self._fresh_s)


def glance_at(settings: Settings) -> Glance:
    """One look at the cluster that the settings name, with reads only."""
    from nvsx.app.present import look_once
    from nvsx.clock import RealClock

    try:
        return Glance(*asyncio.run(look_once(settings, RealClock())))
    except NvsxError as error:
        return Glance(problem=error.message)


def node_aliases(glance: Glance) -> Mapping[str, str]:
    """Every node that was seen, with its alias."""
    return dict(glance.status.names) if glance.status else {}
