"""Listener: the daemon's HTTP side: deliveries go to the inbox, and who asks gets health, metrics and runs.

Requests are answered in the server's own thread; everything that touches the inbox happens in the daemon's loop.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from nvsx.cells import printable
from nvsx.errors import NvsxError
from nvsx.httpd.message import Answer, Request, json_answer
from nvsx.httpd.server import Bounds, Server
from nvsx.metrics import CONTENT_TYPE, FAMILIES, Histogram, exposition
from nvsx.relay import Relay
from nvsx.triggers.senders import MISSING, SecretFile, is_local, is_loopback, own_sender, sender_of
from nvsx.triggers.webhook import Turned, misnamed, read, told, unable, unbelieved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from nvsx.clock import Clock
    from nvsx.config import Source
    from nvsx.httpd.tls import Certificate
    from nvsx.metrics import Figures
    from nvsx.triggers.inbox import Inbox, Receipt
    from nvsx.triggers.senders import Admittance, Sender

    T = TypeVar("T")

TAKING_S = 4.0
"""How long an answer waits for the inbox: PagerDuty gives up after 5 s. What is committed later is a duplicate then."""
INLINE_BYTES = 64 * 1024
"""Longer bodies are taken apart in another thread: they would hold up everybody else for milliseconds."""
STUCK_S = 30.0
"""The daemon's loop is stuck when it has not turned for this long: then it is not healthy."""
CERTIFICATE_S = 30.0
"""How often the certificate's files are looked at."""
_DELIVERIES, _DURATIONS = "nvsx_webhook_deliveries_total", "nvsx_webhook_answer_duration_seconds"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WEBHOOK = "/webhook"
_POSTS, _GETS = "POST, PUT", "GET, HEAD"


class Heard(NamedTuple):
    """One delivery and its answer, for the log. `auth` and `verdict` are those of the metrics."""

    time: float
    peer: str
    source: str
    status: int
    verdict: str
    auth: str
    reason: str
    seconds: float


class Listener:
    """Made in the daemon's loop; `on_heard`, `on_note` (a line for the operator) and `on_defect` are called in it.

    `tokens` are files of bearer tokens for `/webhook`, `/metrics` and `/runs`. Raises EnvironmentUnusable for a secret
    file that is of no use.
    """

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        sources: Mapping[str, Source],
        root: Path,
        *,
        tokens: Sequence[Path] = (),
        on_heard: Callable[[Heard], None],
        on_note: Callable[[str], None],
        on_defect: Callable[[Exception], None],
        bounds: Bounds | None = None,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._root = root
        self._own = own_sender(SecretFile(path) for path in tokens)
        self._senders: dict[str, Sender] = {}
        self._there = Relay(asyncio.get_running_loop())
        self._back: Relay | None = None  # into the server's thread
        self._asking: set[asyncio.Task[Any]] = set()
        self._on_heard, self._on_note, self._on_defect = on_heard, on_note, on_defect
        self._spoiled = ""  # why the certificate could not be renewed
        self._bounds = bounds or Bounds()
        self._server: Server | None = None
        self._pulse = clock.monotonic()
        self._beating: asyncio.Task[None] | None = None
        self._counts: dict[tuple[str, ...], float] = {}
        self._durations: dict[tuple[str, ...], Histogram] = {}
        for file in self._own.files:
            file.check()
        self.configure(sources)

    def configure(self, sources: Mapping[str, Source]) -> None:
        """Take other senders from now on; those of before stay if one of these cannot be used (EnvironmentUnusable)."""
        senders = {name: sender_of(source, self._root) for name, source in sources.items()}
        for sender in senders.values():
            for file in sender.files:
                file.check()
        self._senders = senders

    def start(self, host: str, port: int, certificate: Certificate | None = None) -> list[str]:
        """Listen and answer; the URLs. EnvironmentUnusable where the port cannot be had."""
        server = Server(self.answer, self._defect, self._bounds, certificate.context if certificate else None)
        addresses = server.start(host, port)
        self._server = server
        self._beating = asyncio.ensure_future(self._beat(certificate))
        scheme = "https" if certificate else "http"
        return [f"{scheme}://{f'[{name}]' if ':' in name else name}:{taken}" for name, taken in addresses]

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more; what is being answered is, within `grace_s`."""
        server, self._server = self._server, None
        if server:
            await asyncio.to_thread(server.stop, grace_s)
        if self._beating:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    def warnings(self, host: str) -> list[str]:
        """What an operator should know before the first delivery comes."""
        found = []
        elsewhere = not is_loopback(host) and host != "localhost"
        if elsewhere and not self._own.files:
            found.append("no --token-file: /webhook, /metrics and /runs answer only those who ask from this machine")
        for sender in self._senders.values():
            if elsewhere and not sender.files and not sender.observe:
                found.append(f"the source {sender.name} has no secretFiles: only this machine may post as it")
            if sender.observe:
                found.append(f"the source {sender.name} is in observe mode: whatever it posts is accepted")
        return found

    def figures(self) -> Figures:
        """The webhook's own metrics; call it in the daemon's loop."""
        server = self._server
        connections: dict[str, dict[tuple[str, ...], float]] = {}
        if server:
            connections["nvsx_webhook_connections"] = {(): server.open}
            connections["nvsx_webhook_connections_refused_total"] = {(): server.refused}
        return {_DELIVERIES: dict(self._counts), _DURATIONS: dict(self._durations), **connections}

    # What follows runs in the server's thread.

    async def answer(self, request: Request) -> Answer:
        """The answer to any request."""
        if request.path == _WEBHOOK:
            return await self._posted(request, self._own)
        if request.path.startswith(f"{_WEBHOOK}/"):
            sender = self._senders.get(request.path.removeprefix(f"{_WEBHOOK}/"))
            if sender:
                return await self._posted(request, sender)
            return self._no_source(request) if is_local(request) else unbelieved(401, "bearer")
        name, _, rest = request.path.lstrip("/").partition("/")
        page = _PAGES.get(name)
        if page is None or (rest and name != "runs"):
            pages = ", ".join(f"/{each}" for each in _PAGES)
            return json_answer(404, {"status": "unknown", "reason": f"nvsx answers at {_WEBHOOK}, {pages}"})
        if request.method not in ("GET", "HEAD"):
            return _not_allowed(_GETS)
        if page.guarded and not self._may_read(request):
            return unbelieved(401, "bearer")
        try:
            return await page.answer(self, request)
        except (NvsxError, TimeoutError):
            return unable("the daemon does not answer")

    def _may_read(self, request: Request) -> bool:
        if is_local(request):
            return True
        return bool(self._own.files) and self._own.admits(request, self._clock.now()).ok

    def _no_source(self, request: Request) -> Answer:
        known = ", ".join(sorted(self._senders)) or "none"
        return json_answer(404, {"status": "unknown", "reason": f"no such source in nvsx.yaml; there are: {known}"})

    async def _posted(self, request: Request, sender: Sender) -> Answer:
        if request.method not in ("POST", "PUT"):
            return _not_allowed(_POSTS)
        began = self._clock.monotonic()
        now = self._clock.now()
        admitted = sender.admits(request, now)
        if admitted.ok:
            answer, verdict, reason = await self._take(request, sender, now)
            reason = "; ".join(each for each in (admitted.reason, reason) if each)
        else:
            answer = unbelieved(401 if admitted.how == MISSING else 403, sender.auth.kind)
            verdict, reason = "unauthorized", admitted.reason
        self._hear(request, sender, answer, admitted, verdict, reason, now, began)
        return answer

    async def _take(self, request: Request, sender: Sender, now: float) -> tuple[Answer, str, str]:
        """Hand a delivery to the inbox: the answer, its verdict and what there is to say of it."""
        long = len(request.body) > INLINE_BYTES
        delivery = await asyncio.to_thread(read, request, sender, now) if long else read(request, sender, now)
        if isinstance(delivery, Turned):
            return delivery.answer, delivery.verdict, delivery.reason
        receipts: Sequence[Receipt] = ()
        if wrong := misnamed(delivery):
            receipts = [wrong]
        elif delivery.alerts:
            try:
                receipts = await self._asked(self._inbox.take(delivery))
            except NvsxError as error:
                return unable(error.message), "refuse", error.message
            except TimeoutError:
                reason = f"it could not be written down within {TAKING_S:g} s"
                return unable(reason), "refuse", reason
        answer, verdict = told(delivery, receipts)
        return answer, verdict, "; ".join(dict.fromkeys(each.reason for each in receipts if each.reason))

    async def _asked(self, question: Coroutine[Any, Any, T]) -> T:
        """What the inbox says, asked in its own loop. TimeoutError after a while; the question goes on all the same."""
        here = asyncio.get_running_loop()
        if self._back is None or self._back.loop is not here:
            self._back = Relay(here)
        answer: asyncio.Future[T] = here.create_future()
        try:
            self._there.call(self._put, question, answer, self._back)
        except RuntimeError:  # the loop has ended
            question.close()
            raise NvsxError("nvsx is stopping") from None
        async with asyncio.timeout(TAKING_S):
            return await answer

    async def _health(self, _: Request) -> Answer:
        still = self._clock.monotonic() - self._pulse
        if still > STUCK_S:
            return json_answer(503, {"status": "stuck", "reason": f"the daemon has not turned for {still:.0f} s"})
        return json_answer(200, {"status": "ok"})

    async def _readiness(self, request: Request) -> Answer:
        reason = await self._asked(self._inbox.readiness())
        if not reason:
            return json_answer(200, {"status": "ready"})
        said = {"status": "not ready", "reason": reason} if is_local(request) else {"status": "not ready"}
        return json_answer(503, said, Retry_After="5")

    async def _metrics(self, _: Request) -> Answer:
        figures = await self._asked(self._counted())
        return Answer(200, exposition(figures).encode(), CONTENT_TYPE)

    async def _counted(self) -> Figures:
        return {**await self._inbox.metrics(), **self.figures()}

    async def _runs(self, request: Request) -> Answer:
        _, _, run_id = request.path.lstrip("/").partition("/")
        if run_id:
            run = await self._asked(self._inbox.run(run_id)) if _RUN_ID.fullmatch(run_id) else None
            return json_answer(200, run) if run else json_answer(404, {"status": "unknown", "reason": "no such run"})
        given = dict(parse_qsl(request.query))
        limit, unfinished = given.pop("limit", "100"), given.pop("unfinished", "0")
        if given or not re.fullmatch(r"[1-9][0-9]{0,3}", limit) or unfinished not in ("0", "1", "false", "true"):
            reason = "the parameters are limit=1…9999 and unfinished=1"
            return json_answer(400, {"status": "invalid", "reason": reason})
        most, only_open = int(limit), unfinished in ("1", "true")
        runs = await self._asked(self._inbox.runs(limit=most, unfinished=only_open))
        calls = await self._asked(self._inbox.calls(limit=most, unfinished=only_open))
        return json_answer(200, {"v": 1, "runs": list(runs), "calls": list(calls)})

    def _hear(
        self, request: Request, sender: Sender, answer: Answer, admitted: Admittance, verdict: str, reason: str,
        now: float, began: float,
    ) -> None:  # fmt: skip
        seconds = self._clock.monotonic() - began
        said = printable(reason)  # a part of it may be the sender's
        heard = Heard(now, request.peer, sender.name, answer.status, verdict, admitted.how, said, seconds)
        self._later(self._count, heard)

    def _defect(self, error: Exception) -> None:
        self._later(self._on_defect, error)

    def _later(self, call: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._there.call(call, *args)

    # And this in the daemon's loop.

    def _put(self, question: Coroutine[Any, Any, T], answer: asyncio.Future[T], back: Relay) -> None:
        """Have a question answered; the answer goes back to whence it came."""

        def answered(done: asyncio.Task[T]) -> None:
            self._asking.discard(done)
            with suppress(RuntimeError):  # the server has ended
                back.call(_hand_over, done, answer)

        asking = asyncio.create_task(question)
        self._asking.add(asking)
        asking.add_done_callback(answered)

    def _count(self, heard: Heard) -> None:
        key = (heard.source, heard.verdict, heard.auth)
        self._counts[key] = self._counts.get(key, 0) + 1
        histogram = self._durations.setdefault((heard.source,), Histogram(FAMILIES[_DURATIONS].bounds))
        histogram.observe(heard.seconds)
        self._on_heard(heard)

    async def _beat(self, certificate: Certificate | None) -> None:
        looked = self._clock.monotonic()
        while True:
            self._pulse = self._clock.monotonic()
            if certificate and self._pulse - looked >= CERTIFICATE_S:
                looked = self._pulse
                self._refresh(certificate)
            await asyncio.sleep(1)

    def _refresh(self, certificate: Certificate) -> None:
        try:
            certificate.refresh()
            self._spoiled = ""
        except NvsxError as error:
            if error.message != self._spoiled:
                self._on_note(f"the old certificate stays in use: {error.message}")
            self._spoiled = error.message


def _hand_over(done: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
    if answer.done():  # nobody waits any more
        return
    if done.cancelled():
        answer.set_exception(NvsxError("nvsx is stopping"))
    elif error := done.exception():
        answer.set_exception(error)
    else:
        answer.set_result(done.result())


class _Page(NamedTuple):
    answer: Callable[[Listener, Request], Awaitable[Answer]]
    guarded: bool


_PAGES = {
    "healthz": _Page(Listener._health, guarded=False),
    "readyz": _Page(Listener._readiness, guarded=False),
    "metrics": _Page(Listener._metrics, guarded=True),
    "runs": _Page(Listener._runs, guarded=True),
}


def _not_allowed(methods: str) -> Answer:
    return json_answer(405, {"status": "invalid", "reason": f"the methods here are {methods}"}, Allow=methods)
