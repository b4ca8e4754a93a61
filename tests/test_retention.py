"""What is old is forgotten, by whichever nvsx comes past, for as long as the daemon was told to keep it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from nvsx.app.records.retention import EVERY_S, KEEP_S, forget_old
from nvsx.clock import SimulatedClock
from nvsx.journal import RunBegan, RunEnded
from nvsx.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86400.0
NOW = 1_790_000_000.0


class Bastion:
    """A state directory with one ended run for each age in days, and one that has begun and not ended."""

    def __init__(self, directory: Path, *ages: int) -> None:
        self.clock = SimulatedClock(start=NOW)
        self.ledger = Ledger.open(directory, clock=self.clock)
        self.runs = directory / "runs"
        self._ages = ages

    async def fill(self) -> None:
        for age in self._ages:
            await self._run(f"ended-{age}", NOW - age * DAY_S)
            await self.ledger.append(RunEnded(f"ended-{age}", NOW - age * DAY_S, "pass", 0, 0))
        await self._run("open", NOW - 1000 * DAY_S)

    async def _run(self, run_id: str, at: float) -> None:
        await self.ledger.append(RunBegan(run_id, at, "r", "text", "n", "c", "", {}, {}))
        (self.runs / run_id).mkdir(parents=True)
        os.utime(self.runs / run_id, (at, at))

    def left(self) -> tuple[set[str], set[str]]:
        """Runs that are remembered, and directories that are there."""
        return {run.id for run in self.ledger.runs()}, {entry.name for entry in self.runs.iterdir()}


def test_a_run_by_hand_forgets_what_is_old(tmp_path: Path) -> None:
    bastion = Bastion(tmp_path, 89, 91)

    async def story() -> None:
        await bastion.fill()
        await forget_old(bastion.ledger, bastion.runs, bastion.clock)

    bastion.clock.run(story())
    assert bastion.left() == ({"ended-89", "open"}, {"ended-89", "open"})


def test_a_run_by_hand_keeps_what_the_daemon_was_told_to_keep(tmp_path: Path) -> None:
    bastion = Bastion(tmp_path, 89, 300, 400)

    async def story() -> None:
        await forget_old(bastion.ledger, bastion.runs, bastion.clock, 365 * DAY_S)
        await bastion.fill()
        await asyncio.sleep(EVERY_S)
        await forget_old(bastion.ledger, bastion.runs, bastion.clock)

    bastion.clock.run(story())
    assert bastion.left()[0] == {"ended-89", "ended-300", "open"}


def test_it_is_done_once_a_day(tmp_path: Path) -> None:
    bastion = Bastion(tmp_path, 91)

    async def story() -> None:
        await forget_old(bastion.ledger, bastion.runs, bastion.clock, KEEP_S)
        await bastion.fill()
        await forget_old(bastion.ledger, bastion.runs, bastion.clock, KEEP_S)

    bastion.clock.run(story())
    assert "ended-91" in bastion.left()[0]


def test_a_clock_that_was_ahead_for_a_while_does_not_end_it_for_years(tmp_path: Path) -> None:
    bastion = Bastion(tmp_path, 91)
    ahead = SimulatedClock(start=NOW + 1000 * DAY_S)

    async def story() -> None:
        await forget_old(bastion.ledger, bastion.runs, ahead, KEEP_S)
        await bastion.fill()
        await forget_old(bastion.ledger, bastion.runs, bastion.clock, KEEP_S)

    bastion.clock.run(story())
    assert bastion.left() == ({"open"}, {"open"})


def test_directories_that_cannot_be_listed_are_left_to_whom_they_belong(tmp_path: Path) -> None:
    bastion = Bastion(tmp_path)
    bastion.runs.symlink_to(bastion.runs)  # a circle: nobody may go into it, not even root
    bastion.clock.run(forget_old(bastion.ledger, bastion.runs, bastion.clock, KEEP_S))
