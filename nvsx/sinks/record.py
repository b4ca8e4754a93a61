"""Keeps a run's events in the ledger, so that others can follow it while it runs and read it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvsx.events import RunEvent
    from nvsx.ledger import Ledger


class Record:
    """Never waits: the ledger's own thread writes, and what a slow disk makes it drop is counted there."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def emit(self, event: RunEvent) -> None:
        self._ledger.remember_event(event)

    def close(self) -> None:
        """The ledger is closed by whoever opened it."""
