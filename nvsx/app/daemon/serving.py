"""The two ways in which `nvsx serve` works: until a signal, or one sweep for cron."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from nvsx.app.daemon.front import Front
from nvsx.app.daemon.hearing import Hearing
from nvsx.app.daemon.porch import Porch
from nvsx.app.daemon.service import Service, alone, drills, exit_code
from nvsx.app.signals import heeded
from nvsx.errors import DocumentInvalid, Exit, NvsxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nvsx.app.daemon.core import Daemon
    from nvsx.app.daemon.service import Footing
    from nvsx.triggers.healthsource import SourceState
    from nvsx.triggers.inbox import Inbox
    from nvsx.triggers.listener import Listener

SWEEP_PATIENCE_S = 60.0
"""How long a sweep looks at the cluster at most, before it says that it is blind."""

LISTENER_GRACE_S = 5.0

HAND_OVER_S = 0.001
"""How long one thread may keep the others from running. A delivery goes from the listener's thread to the loop, to the
ledger's thread and back: with Python's 5 ms, a busy daemon would answer it by so much later at every step.
"""

METRICS_S = 15.0
"""How often the metrics file is written."""

READY_S = 8.0
"""How long `ready` waits for the first look at the nodes; after that it is blindness, which is said by itself."""


class Signals:
    """SIGTERM and Ctrl-C ask for the end, a second one for the end at once; SIGHUP for a reload."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self.reload = asyncio.Event()
        self.code = Exit.DONE
        self._stack = ExitStack()
        calls: dict[int, Callable[[], object]] = {
            signal.SIGTERM: lambda: self._asked(Exit.TERMINATED),
            signal.SIGINT: lambda: self._asked(Exit.INTERRUPTED),
            signal.SIGHUP: self.reload.set,
        }
        self._stack.enter_context(heeded(calls))

    def _asked(self, code: int) -> None:
        if self.stop.is_set():
            self.code = code
            self.at_once.set()
        self.stop.set()

    def close(self) -> None:
        self._stack.close()


async def serve(service: Service) -> int:
    """Work until a signal. 0 after an orderly stop; 130 or 143 where a second signal cut it short."""
    sys.setswitchinterval(HAND_OVER_S)
    signals = Signals()
    try:
        service.introduce()
        footing = await service.prepare()
        porch = Porch(footing.ledger, service.gate, service.began, polls=service.request.polls)
        async with _open_port(service, porch) as listener:
            daemon = await _opened(service, footing, porch, signals)
            if daemon is None:  # asked to stop before the cluster could be reached for the first time
                return Exit.DONE
            porch.lead_to(_front(service, daemon))
            await _serve(service, daemon, listener, signals)
        return signals.code
    finally:
        await service.close()
        signals.close()


@asynccontextmanager
async def _open_port(service: Service, porch: Porch) -> AsyncIterator[Listener | None]:
    """Answer, and write the metrics file, from now on, whether or not the cluster can be reached."""
    listener = _listen(service, porch) if service.request.listens else None
    metrics = asyncio.create_task(_keep_metrics(service, porch, listener)) if service.request.metrics_file else None
    try:
        yield listener
    finally:
        if metrics:
            metrics.cancel()
            await asyncio.gather(metrics, return_exceptions=True)
        if listener:
            await _shut(service, listener)


async def _shut(service: Service, listener: Listener) -> None:
    service.gate.stopping = True  # what comes in now is told to come again
    await listener.stop(LISTENER_GRACE_S)


async def _opened(service: Service, footing: Footing, porch: Porch, signals: Signals) -> Daemon | None:
    """The daemon, as soon as it is known which cluster this is; None where a signal came first."""

    def blind(reason: str) -> None:
        porch.reason = reason

    opening = asyncio.create_task(service.open(footing, blind))
    asked = asyncio.create_task(signals.stop.wait())
    try:
        await asyncio.wait([opening, asked], return_when=asyncio.FIRST_COMPLETED)
        return opening.result() if opening.done() else None
    finally:
        for task in (opening, asked):
            task.cancel()
        await asyncio.gather(opening, asked, return_exceptions=True)


async def _serve(service: Service, daemon: Daemon, listener: Listener | None, signals: Signals) -> None:
    daemon.start()
    work = asyncio.create_task(daemon.run())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await daemon.fleet.looked.wait()
        _tell_ready(service, daemon)
        await _until_stopped(service, daemon, listener, signals, work)
    finally:
        if listener:
            await _shut(service, listener)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        stop = asyncio.create_task(daemon.stop(service.request.grace_s))
        hurry = asyncio.create_task(signals.at_once.wait())
        await asyncio.wait([stop, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stop.done():
            stop.cancel()
            await asyncio.gather(stop, return_exceptions=True)
            await daemon.stop(0.0)


async def _until_stopped(
    service: Service, daemon: Daemon, listener: Listener | None, signals: Signals, work: asyncio.Task[None]
) -> None:
    while True:
        waits = [asyncio.create_task(event.wait()) for event in (signals.stop, signals.reload)]
        done, _ = await asyncio.wait([work, *waits], return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if work in done:
            work.result()  # it ends by a defect only
        if signals.stop.is_set():
            return
        signals.reload.clear()
        _reload(service, daemon, listener)


def _reload(service: Service, daemon: Daemon, listener: Listener | None) -> None:
    """Work by what is on the disk now; by what there was before where that is broken, and say why."""
    try:
        project = service.load()
        if listener:
            listener.configure(project.config.sources)
    except NvsxError as error:
        problems = error.problems if isinstance(error, DocumentInvalid) else ()
        facts = "; ".join(str(problem) for problem in problems[:5]) or error.message
        service.log.say(f"not reloaded, the old runbooks stay: {facts}", level="error")
        return
    daemon.reload(project)
    service.reloaded(project)


def _listen(service: Service, porch: Porch) -> Listener:
    from nvsx.httpd.tls import Certificate
    from nvsx.triggers.listener import Listener

    request, log = service.request, service.log

    hearing = Hearing(log, service.clock)
    listener = Listener(
        porch,
        service.clock,
        service.project.config.sources,
        service.root,
        tokens=request.tokens,
        on_heard=hearing.heard,
        on_note=log.warn,
        on_defect=hearing.defect,
    )
    certificate = Certificate(*request.tls) if request.tls else None
    urls = listener.start(request.host, request.port, certificate)
    log.say(f"listening at {', '.join(f'{url}/webhook' for url in urls)}")
    for warning in listener.warnings(request.host):
        log.warn(warning)
    return listener


def _front(service: Service, daemon: Daemon) -> Front:
    ledger = daemon.tools.ledger
    return Front(daemon, lambda: drills(ledger), service.began)


async def _keep_metrics(service: Service, inbox: Inbox, listener: Listener | None) -> None:
    """Write the metrics file again and again; what keeps it from being written is said once."""
    said = ""
    while True:
        trouble = await _write_metrics(service, inbox, listener)
        if trouble != said:
            service.log.warn(trouble or "the metrics file is written again")
            said = trouble
        await asyncio.sleep(METRICS_S)


async def _write_metrics(service: Service, inbox: Inbox, listener: Listener | None = None) -> str:
    """Put the metrics of now into the file that was asked for; why that could not be, or ""."""
    file = service.request.metrics_file
    if not file:
        return ""
    from nvsx.app.metricsfile import write_metrics

    figures = await inbox.metrics()
    try:
        await asyncio.to_thread(write_metrics, file, {**figures, **(listener.figures() if listener else {})})
    except NvsxError as error:
        return error.message
    return ""


def _tell_ready(service: Service, daemon: Daemon) -> None:
    facts = [f"context {service.context or '(in a pod)'}", f"cluster {daemon.ground.cluster}"]
    if service.request.polls:
        ways = {
            "nodes": "nodes only",
            "mongo": "nodes and database",
            "auto": "nodes, and the database where it answers",
        }
        facts.append(f"health events from {ways[service.request.events]}, every {service.request.poll_s:g} s")
        if daemon.first:
            facts.append("this is the first start: it begins now")
    else:
        facts.append("only what is posted starts runs (--mode both watches NVSentinel, too)")
    service.log.say(f"ready: {'; '.join(facts)}")


async def sweep(service: Service) -> int:
    """One sweep for cron: look, decide and claim under the lock; then run what was claimed, without it.

    Says nothing where there is nothing to do or another sweep is under way.
    """
    signals = Signals()
    try:
        with alone(service.base, service.subject) as first:
            if not first:
                return Exit.DONE
            daemon = await service.open(await service.prepare())
            daemon.start()
            state = await _look(daemon)
            blind = state is None or state.blind
            await _decide(daemon)
            unable = bool(daemon.intake.trouble)  # to write down what was decided: the next sweep decides again
            _complain(service, await _write_metrics(service, _front(service, daemon)))
        await _finish(service, daemon, signals)
        await _write_metrics(service, _front(service, daemon))
        return signals.code or exit_code(daemon.runs.ended, blind=blind or unable)
    finally:
        await service.close()
        signals.close()


def _complain(service: Service, trouble: str) -> None:
    if trouble:
        service.log.warn(trouble)


async def _look(daemon: Daemon) -> SourceState | None:
    """One look at the cluster and one into the database; None where not even blindness came to light in time."""
    source = daemon.source
    with suppress(TimeoutError):
        async with asyncio.timeout(SWEEP_PATIENCE_S), source.following():
            await daemon.fleet.looked.wait()
            await source.look()
            await daemon.fleet.surveyed.wait()  # a sweep has no later moment to hear of a tripped breaker
            return source.state
    return None


async def _decide(daemon: Daemon) -> None:
    with suppress(NvsxError):  # where nothing can be written down, the intake says so
        await daemon.watch.settle()
    await daemon.take_up()
    await daemon.intake.settle()
    await daemon.runs.claimed()
    await daemon.tidy()
    await daemon.keep()


async def _finish(service: Service, daemon: Daemon, signals: Signals) -> None:
    """Carry out what was claimed; where a signal comes, leave it to the next sweep."""
    house = asyncio.create_task(daemon.keep_house())
    done = asyncio.create_task(_all_done(daemon))
    asked = asyncio.create_task(signals.stop.wait())
    try:
        await asyncio.wait([house, done, asked], return_when=asyncio.FIRST_COMPLETED)
        if house.done():
            house.result()
        if not done.done():
            signals.code = signals.code or Exit.TERMINATED
    finally:
        for task in (house, done, asked):
            task.cancel()
        await asyncio.gather(house, done, asked, return_exceptions=True)
        await daemon.stop(service.request.grace_s)


async def _all_done(daemon: Daemon) -> None:
    await daemon.checkup.sweep()
    await daemon.runs.wait()
    await daemon.alarms.settle()
