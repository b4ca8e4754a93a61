"""The relay: every call arrives once and in order, whoever asks, and many of them cost few wake-ups."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nvsx.relay import Relay

THREADS, CALLS = 8, 500


def test_every_call_of_every_thread_arrives_once_and_in_its_order() -> None:
    arrived: list[tuple[int, int]] = []

    async def story() -> None:
        relay, whole = Relay(asyncio.get_running_loop()), asyncio.Event()

        def arrive(thread: int, number: int) -> None:
            arrived.append((thread, number))
            if len(arrived) == THREADS * CALLS:
                whole.set()

        def ask(thread: int) -> None:
            for number in range(CALLS):
                relay.call(arrive, thread, number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(whole.wait(), 10)
        for thread in threads:
            thread.join()

    asyncio.run(story())
    for thread in range(THREADS):
        assert [number for one, number in arrived if one == thread] == list(range(CALLS))


def test_calls_that_come_together_share_a_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> int:
        loop, woken = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe

        def noted(*args: Any) -> Any:
            woken.append(args)
            return wake(*args)

        monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
        relay, last = Relay(loop), asyncio.Event()
        for _ in range(100):
            relay.call(int)
        relay.call(last.set)
        await last.wait()
        return len(woken)

    assert asyncio.run(story()) == 1


def test_what_a_call_asks_for_is_called_in_the_next_turn() -> None:
    """Whoever always asks for more must not keep the loop."""

    async def story() -> list[str]:
        relay, order, last = Relay(asyncio.get_running_loop()), [], asyncio.Event()

        def again() -> None:
            order.append("again")
            if order.count("again") < 3:
                relay.call(again)
            else:
                last.set()

        relay.call(again)
        asyncio.get_running_loop().call_soon(order.append, "another")
        await last.wait()
        return order

    assert asyncio.run(story()).index("another") == 1


def test_a_call_that_fails_is_reported_and_keeps_nobody_back() -> None:
    reported: list[Any] = []

    async def story() -> None:
        loop, last = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        relay = Relay(loop)
        relay.call(int, "no number")
        relay.call(last.set)
        await asyncio.wait_for(last.wait(), 10)

    asyncio.run(story())
    assert [type(error) for error in reported] == [ValueError]


def test_a_loop_that_has_ended_is_no_place_to_call_into() -> None:
    loop = asyncio.new_event_loop()
    relay = Relay(loop)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            relay.call(int)
