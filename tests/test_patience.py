"""What cannot be written now is waited for, said once for all that wait, and a missing right is not waited for."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

import pytest

from nvsx.app.daemon.log import Log
from nvsx.app.daemon.patience import AGAIN_S, Patience
from nvsx.app.daemon.service import alone
from nvsx.clock import SimulatedClock
from nvsx.errors import EnvironmentUnusable
from tests.test_hearing import Lines

if TYPE_CHECKING:
    from pathlib import Path


class Disk:
    """Takes something after so many attempts."""

    def __init__(self, refusals: int, error: Exception) -> None:
        self.refusals = refusals
        self.error = error
        self.attempts = 0

    async def take(self) -> str:
        self.attempts += 1
        if self.attempts <= self.refusals:
            raise self.error
        return "taken"


def test_all_wait_and_it_is_said_once() -> None:
    clock, lines, patience = SimulatedClock(start=0.0), Lines(), Patience()
    disks = [Disk(refusals, EnvironmentUnusable("no space left")) for refusals in (3, 3, 0)]

    async def story() -> None:
        waiting = [asyncio.create_task(patience.until(disk.take, Log(lines, clock))) for disk in disks]
        await asyncio.sleep(AGAIN_S)
        assert patience.trouble == "no space left"
        assert [task.done() for task in waiting] == [False, False, True]
        assert await asyncio.gather(*waiting) == ["taken"] * 3
        assert patience.trouble == ""

    clock.run(story())
    assert clock.monotonic() == 3 * AGAIN_S
    assert lines.said == ["runs and calls wait until this can be done: no space left", "runs and calls go on"]


@pytest.mark.parametrize("direct", [True, False])
def test_a_missing_right_is_not_waited_for(direct: bool) -> None:
    error: Exception = PermissionError(13, "Permission denied")
    if not direct:
        cause, error = error, EnvironmentUnusable("cannot make the run's directory")
        error.__cause__ = cause
    clock, lines = SimulatedClock(start=0.0), Lines()
    with pytest.raises(type(error)):
        clock.run(Patience().until(Disk(1, error).take, Log(lines, clock)))
    assert (clock.monotonic(), lines.said) == (0.0, [])


def test_sweeps_of_two_subjects_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with alone(tmp_path, "a") as first, alone(tmp_path, "b") as other, alone(tmp_path, "a") as again:
        assert (first, other, again) == (True, True, False)
    with alone(tmp_path, "a") as later:
        assert later


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a directory to a group that is not its own")
def test_the_lock_of_sweeps_is_the_groups_where_the_directory_is(tmp_path: Path) -> None:
    os.chown(tmp_path, -1, 10001)
    tmp_path.chmod(0o770)
    with alone(tmp_path, "a"):
        [file] = tmp_path.iterdir()
        assert (file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (10001, 0o660)
