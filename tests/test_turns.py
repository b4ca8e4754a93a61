"""Turns: a few at once, first come first served, and nobody who left holds a place."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.app.daemon.turns import Turns
from tests.daemon_story import SLOW, Place, runbooks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_so_many_go_on_while_the_loop_turns_and_in_the_order_in_which_they_came() -> None:
    async def play() -> tuple[list[int], int]:
        turns, gone_on = Turns(3), []

        async def one(number: int) -> None:
            await turns.take()
            gone_on.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(20)]
        most = before = 0
        while len(gone_on) < len(tasks):
            await asyncio.sleep(0)
            most, before = max(most, len(gone_on) - before), len(gone_on)
        return gone_on, most

    gone_on, most = asyncio.run(play())
    assert gone_on == list(range(20))
    assert most == 3


def test_one_that_gave_up_while_it_waited_holds_no_place() -> None:
    async def play() -> None:
        turns = Turns(1)
        for _ in range(5):
            waiting = [asyncio.create_task(turns.take()) for _ in range(4)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*waiting)
        async with asyncio.timeout(5):
            await turns.take()

    asyncio.run(play())


def test_a_run_of_the_daemon_takes_its_turn_between_a_verdict_and_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, runbooks(slow=SLOW))
    nodes = [f"gpu-{number}" for number in range(40)]
    place.node(*nodes)
    given = asyncio.Event()

    async def held(self: Turns) -> None:
        if self is waiting_for:
            held_back.append(self)
            await given.wait()

    held_back: list[Turns] = []

    async def story() -> None:
        nonlocal waiting_for
        async with place.daemon() as daemon:
            await asyncio.sleep(15)
            waiting_for = daemon.runs.verdicts
            for node in nodes:
                place.break_node(node)
            await asyncio.sleep(30)
            assert len(place.started("page.sh")) == len(nodes)
            for node in nodes:
                place.state(node, "drain-succeeded")
            await asyncio.sleep(30)
            assert len(held_back) == len(nodes)
            assert place.started("drained.sh") == []
            given.set()
            await asyncio.sleep(30)
            assert len(place.started("drained.sh")) == len(nodes)

    waiting_for: Turns | None = None
    monkeypatch.setattr(Turns, "take", held)
    place.play(story)
    rows = place.ledger().ask("SELECT elapsed FROM stages WHERE stage = 'drain'")
    assert max(row[0] for row in rows) < 31  # the turn that was waited for is not part of the drain
