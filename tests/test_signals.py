"""Signals reach the loop whatever else wakes it, and afterwards are whose they were before."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

from nvsx.app.signals import heeded


def test_a_signal_is_heard_while_other_wake_ups_fill_the_pipe() -> None:
    """asyncio's own handlers lose it then."""

    async def story() -> bool:
        heard = asyncio.Event()
        loop: Any = asyncio.get_running_loop()
        with heeded({signal.SIGTERM: heard.set}):
            try:
                while True:
                    loop._csock.send(b"\0" * 4096)
            except BlockingIOError:
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(heard.wait(), 10)
        return heard.is_set()

    assert asyncio.run(story())


def test_a_signal_that_is_given_to_another_thread_wakes_a_loop_that_waits_for_nothing_else() -> None:
    async def story() -> None:
        over, there = threading.Event(), threading.Event()

        def other() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            there.set()
            over.wait(20)

        thread = threading.Thread(target=other)
        heard = asyncio.Event()
        with heeded({signal.SIGTERM: heard.set}):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # the kernel picks the other one
            thread.start()
            there.wait(10)
            sender = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
            sender.start()
            try:
                await asyncio.wait_for(heard.wait(), 10)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                over.set()
                thread.join(10)

    asyncio.run(story())


def test_what_was_there_before_is_there_again() -> None:
    def earlier(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGHUP, earlier)
    try:

        async def story() -> None:
            with heeded({signal.SIGHUP: int}):
                assert signal.getsignal(signal.SIGHUP) is not earlier

        asyncio.run(story())
        assert signal.getsignal(signal.SIGHUP) is earlier
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_taken() -> None:
    before, failed = signal.getsignal(signal.SIGTERM), []

    async def story() -> None:
        with heeded({signal.SIGTERM: int}):
            assert signal.getsignal(signal.SIGTERM) is before

    def run() -> None:
        try:
            asyncio.run(story())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert failed == []
