"""Following a run: the clock of one whose time runs ahead, and an owner who can be seen to live."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nvsx.app.records.following import RunClock
from nvsx.app.records.recorded import dead_owners, reader_of
from nvsx.clock import SimulatedClock
from nvsx.journal import RunBegan
from nvsx.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


def test_the_clock_of_a_rehearsal_is_never_before_its_events() -> None:
    wall = [100.0]
    clock = RunClock(lambda: wall[0])
    assert clock.now() == 100.0
    clock.saw(90.0)
    assert clock.now() == 100.0
    clock.saw(400.0)
    assert clock.now() == 400.0
    wall[0] = 101.0
    assert clock.now() == 401.0


def test_whoever_follows_a_rehearsal_sees_that_its_process_lives(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, clock=SimulatedClock(start=1000.0), what="nvsx demo")
    try:
        asyncio.run(ledger.append(RunBegan("r-1", 1000.0, "x", "", "n", "c", "", {}, {})))
        reader = reader_of(tmp_path)
        owner = reader.find("r-1").owner
        assert owner
        assert not dead_owners(reader, tmp_path)(owner)
        reader.close()
    finally:
        ledger.close()
