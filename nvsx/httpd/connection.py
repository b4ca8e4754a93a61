"""One connection: collects a request within its deadline, has it answered elsewhere, and writes the answer.

Lives in the server's loop and never blocks. A deadline is for the whole head and for the whole body, so a client that
sends one byte a second is cut off like one that sends none.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple, cast

from nvsx.httpd.exchange import refusal
from nvsx.httpd.framing import CONTINUE, Framer, FramingLimits, Unframed

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.httpd.exchange import Caller, Written
    from nvsx.httpd.framing import Whole


MOST_AHEAD = 64 * 1024
"""Bytes of later requests that are kept while one is answered; what is more waits in the kernel."""


class Deadlines(NamedTuple):
    """Seconds, each for the whole of it."""

    head: float = 10.0  # also for the first byte of a new connection
    body: float = 10.0
    idle: float = 75.0  # between two requests
    answer: float = 10.0  # until the client has taken the answer
    linger: float = 1.0  # a refused client may still send: its bytes are dropped so that it reads the answer


class Connection(asyncio.Protocol):
    """`answer(whole, caller)` gives a future of the bytes to write; `on_end` is called once."""

    def __init__(
        self,
        caller: Caller,
        answer: Callable[[Whole, Caller], asyncio.Future[Written]],
        on_end: Callable[[Connection], None],
        limits: FramingLimits,
        deadlines: Deadlines,
    ) -> None:
        self._caller = caller
        self._answer = answer
        self._on_end = on_end
        self._deadlines = deadlines
        self._framer = Framer(limits)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # loop time of the deadline
        self._phase = "idle"
        self._working: asyncio.Future[Written] | None = None
        self._lingering = False
        self._no_more = False  # the client has closed its side
        self._full = False  # the client does not take what was written
        self._held = False  # it has sent so much ahead that no more is read
        self.opening: asyncio.Future[None] | None = None  # until the transport, with TLS its handshake, is there
        self.waiting_since = 0.0  # loop time since which a whole request is awaited; 0.0 while one is answered

    @property
    def working(self) -> bool:
        return self._working is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._expect("head", self._deadlines.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._transport = None
        self._on_end(self)

    def eof_received(self) -> bool:
        """A client may close its side after a request and still wait for the answer."""
        self._no_more = True
        if self._working or self._lingering:
            return not self._caller.secure  # TLS cannot be half closed
        return False

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._framer.feed(data)
        if self._phase not in ("working", "answer"):
            self._go_on()
        elif self._framer.waiting > MOST_AHEAD and self._transport:
            self._held = True
            self._transport.pause_reading()

    def close_when_idle(self) -> None:
        """Let what is under way be answered, and end."""
        self._no_more = True
        if not self._working and not self._lingering:
            self.abort()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()
        elif self.opening:
            self.opening.cancel()

    def _go_on(self) -> None:
        """Take the next request out of what has come, if it is whole."""
        assert self._transport
        try:
            whole = self._framer.next()
        except Unframed as problem:
            self._refuse(problem.status, problem.reason)
            return
        if whole:
            self._begin(whole)
            return
        if self._no_more:  # the rest of it will never come
            self._transport.close()
            return
        if self._framer.expects_continue:
            self._framer.expects_continue = False
            self._transport.write(CONTINUE)
        if self._framer.in_body:
            self._wait("body", self._deadlines.body)
        elif self._framer.begun:
            self._wait("head", self._deadlines.head)

    def _wait(self, phase: str, seconds: float) -> None:
        if self._phase != phase:
            self._expect(phase, seconds)

    def _begin(self, whole: Whole) -> None:
        self.waiting_since = 0.0
        self._phase = "working"
        self._due = math.inf
        self._working = self._answer(whole, self._caller)
        self._working.add_done_callback(self._answered)

    def _answered(self, done: asyncio.Future[Written]) -> None:
        self._working = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if done.cancelled() or done.exception():
            self.abort()
            return
        data, last = done.result()
        transport.write(data)
        if last or (self._no_more and not self._framer.begun):
            self._expect("answer", self._deadlines.answer)
            transport.close()  # after what was written has gone
            return
        if self._full:
            self._expect("answer", self._deadlines.answer)
        else:
            self._next()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._phase == "answer" and self._transport and not self._transport.is_closing():
            self._next()

    def _next(self) -> None:
        """Ready for another request, which may be here already."""
        assert self._transport
        self.waiting_since = asyncio.get_running_loop().time()
        self._expect("idle", self._deadlines.idle)
        if self._held:
            self._held = False
            self._transport.resume_reading()
        if self._framer.begun:
            self._go_on()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer, then read on for a moment: closing with unread bytes would take the answer from the client."""
        assert self._transport
        self._lingering = True
        self.waiting_since = 0.0
        self._transport.write(refusal(status, reason))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._expect("linger", self._deadlines.linger)

    def _expect(self, phase: str, seconds: float) -> None:
        """Be in a phase that lasts so long at most. A timer that rings earlier stays: it looks, and is set anew."""
        loop = asyncio.get_running_loop()
        self._phase = phase
        self._due = loop.time() + seconds
        if self._timer and self._timer.when() > self._due:
            self._stop_timer()
        if not self._timer:
            self._timer = loop.call_at(self._due, self._rings)

    def _rings(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._due <= loop.time():
            self._too_late()
        elif self._due < math.inf:
            self._timer = loop.call_at(self._due, self._rings)

    def _too_late(self) -> None:
        if self._phase in ("head", "body") and self._framer.begun:
            self._refuse(408, f"the {self._phase} of the request did not come in time")
        elif self._phase == "linger" and self._transport:
            self._transport.close()
            self._expect("answer", self._deadlines.answer)
        else:
            self.abort()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
