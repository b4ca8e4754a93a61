"""The gate: so many effects at once, first come first served, whoever is cancelled and however the number changes."""

from __future__ import annotations

import asyncio
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvsx.app.daemon.gate import Gate

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["enter", "enter", "leave", "cancel"]), st.just(0)),
        st.tuples(st.just("resize"), st.integers(1, 6)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
    ),
    max_size=60,
)


class Crowd:
    """Who wants in, and who is inside."""

    def __init__(self, slots: int, rng: random.Random) -> None:
        self.gate = Gate(slots)
        self.entered: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.most = slots
        self._rng = rng
        self._count = 0

    @property
    def inside(self) -> list[int]:
        return [one for one in self.entered if one in self.tasks]

    @property
    def waiting(self) -> list[int]:
        return [one for one in self.tasks if one not in self.entered]

    async def step(self, what: str, how: int) -> None:
        if what == "enter":
            self.tasks[self._count] = asyncio.create_task(self._enter(self._count))
            self._count += 1
            await turns(1)  # it stands in line
        elif what == "leave" and self.inside:
            leaver = self._rng.choice(self.inside)
            self.gate.leave((str(leaver), "", 1))
            del self.tasks[leaver]
        elif what == "cancel" and self.waiting:
            self.tasks.pop(self._rng.choice(self.waiting)).cancel()
        elif what == "resize":
            await turns(3)  # who was let in before is inside
            self.gate.resize(how)
            self.most = max(how, len(self.inside))
        elif what == "turn":
            await turns(how)

    async def _enter(self, number: int) -> None:
        await self.gate.enter((str(number), "", 1))
        self.entered.append(number)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


LET_IN_AND_CANCELLED = [("enter", 0), ("enter", 0), ("leave", 0), ("cancel", 0)]


@settings(deadline=None)
@example(1, LET_IN_AND_CANCELLED, 0)
@given(st.integers(1, 5), steps, st.integers(0, 1000))
def test_no_slot_is_lost_and_nobody_is_overtaken(slots: int, found: list[tuple[str, int]], seed: int) -> None:
    async def story() -> None:
        crowd = Crowd(slots, random.Random(seed))
        for what, how in found:
            await crowd.step(what, how)
            assert crowd.gate.running <= max(crowd.most, crowd.gate.slots)
        await turns(5)
        assert crowd.entered == sorted(crowd.entered), "first come, first served"
        assert crowd.gate.running == len(crowd.inside)
        assert not crowd.waiting or len(crowd.inside) >= crowd.gate.slots, "a free slot is taken by who waits"
        while crowd.waiting:
            await crowd.step("cancel", 0)
        while crowd.inside:
            await crowd.step("leave", 0)
        await crowd.step("resize", 2)
        for _ in range(3):
            await crowd.step("enter", 0)
        await turns(5)
        assert crowd.gate.running == 2, "and none was lost"
        await crowd.step("cancel", 0)

    asyncio.run(story())


def test_fewer_at_once_disturbs_nobody_under_way() -> None:
    async def story() -> None:
        gate = Gate(3)
        for number in range(3):
            await gate.enter((str(number), "", 1))
        gate.resize(1)
        waiting = asyncio.create_task(gate.enter(("3", "", 1)))
        for number in range(2):
            gate.leave((str(number), "", 1))
            await asyncio.sleep(0)
            assert not waiting.done()
        gate.leave(("2", "", 1))
        await asyncio.wait([waiting])
        assert gate.running == 1

    asyncio.run(story())


def test_who_waits_when_it_stops_waits_for_ever() -> None:
    async def story() -> None:
        gate = Gate(1)
        await gate.enter(("0", "", 1))
        waiting = [asyncio.create_task(gate.enter((str(number), "", 1))) for number in range(1, 4)]
        await asyncio.sleep(0)
        gate.stopping = True
        gate.leave(("0", "", 1))
        _, still = await asyncio.wait(waiting, timeout=0.05)
        assert len(still) == 3
        assert gate.running == 0
        assert await gate.stop(0.0)
        for one in waiting:
            one.cancel()

    asyncio.run(story())
