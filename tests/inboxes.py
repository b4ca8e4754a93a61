"""An inbox in memory, with nvsx's own admission behind it: what a webhook is tested against without a daemon."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nvsx.admission import ATTACH, DUPLICATE, IGNORE, QUEUE, REFUSE, START, Incident, Occasion, decide
from nvsx.clock import RealClock
from nvsx.config import Limits
from nvsx.errors import EnvironmentUnusable
from nvsx.triggers.inbox import UNKNOWN, Delivery, Receipt
from nvsx.triggers.listener import Heard, Listener
from nvsx.triggers.nodes import KnownNodes, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from nvsx.alerts import Alert
    from nvsx.config import Source
    from nvsx.httpd.server import Bounds
    from nvsx.httpd.tls import Certificate


class MemoryInbox:
    """Starts a run for each incident, once. What is in it outlives any listener in front of it."""

    def __init__(self, runbooks: Sequence[str] = ("gpu-off-bus",), *, commit_s: float = 0.0) -> None:
        self.runbooks = list(runbooks)
        self.commit_s = commit_s
        self.deliveries: list[Delivery] = []
        self.incidents: list[Incident] = []
        self.evidence: list[tuple[str, Alert]] = []  # run id and what was attached to it
        self.nodes: KnownNodes | None = None
        self.not_ready = ""
        self.broken = ""  # why nothing can be written down
        self.limits = Limits(max_waiting=1_000_000)
        self._answered: dict[tuple[str, str], str] = {}
        self._latest: dict[tuple[str, str], Incident] = {}  # by node and runbook, and by node alone
        self._keys: dict[tuple[str, str], Incident] = {}

    async def take(self, delivery: Delivery) -> Sequence[Receipt]:
        if self.broken:
            raise EnvironmentUnusable(self.broken)
        self.deliveries.append(delivery)
        receipts = [self._decided(delivery, alert) for alert in delivery.alerts]
        await asyncio.sleep(self.commit_s)
        return receipts

    async def readiness(self) -> str:
        return self.not_ready

    async def runs(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return [self._row(incident) for incident in reversed(self.incidents)][:limit]

    async def calls(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return [{"id": "nvsx-1", "hook": "onBlind", "status": "ok"}][:limit]

    async def run(self, run_id: str) -> Mapping[str, object] | None:
        return next((self._row(each) for each in self.incidents if each.run_id == run_id), None)

    async def metrics(self) -> Mapping[str, Mapping[tuple[str, ...], Any]]:
        return {"nvsx_runs_open": {("running",): len(self.incidents)}, "nvsx_ready": {(): float(not self.not_ready)}}

    def _row(self, incident: Incident) -> dict[str, object]:
        return {"run_id": incident.run_id, "runbook": incident.runbook, "target_node": incident.node}

    def _decided(self, delivery: Delivery, alert: Alert) -> Receipt:
        known = alert.check or alert.error_codes or alert.health or alert.labels.get("service")
        runbook = alert.runbook or (self.runbooks[0] if known else "")
        alert = alert._replace(node=resolve(alert, self.nodes).node)
        if alert.runbook and alert.runbook not in self.runbooks:
            return Receipt(UNKNOWN, f"no runbook {alert.runbook}", runbook=alert.runbook)
        if runbook and delivery.runbooks and runbook not in delivery.runbooks:
            return Receipt(IGNORE, f"{delivery.source} may not start {runbook}")
        occasion = Occasion(
            source=delivery.source, time=delivery.time, node=alert.node, runbook=runbook, why="the test's rule",
            status=alert.status, delivery=alert.delivery, key=alert.key, issued_key=alert.issued_key,
            about=alert.started_time,
        )  # fmt: skip
        decision = decide(occasion, self, self.limits)
        incident = decision.incident
        if decision.verdict in (START, QUEUE):
            number = len(self.incidents) + 1
            incident = Incident(number, alert.node, runbook, f"run-{number}", delivery.time)
            self.incidents.append(incident)
            self._latest[alert.node, runbook] = self._latest[alert.node, ""] = incident
        if decision.verdict not in (REFUSE, IGNORE) and alert.delivery:
            self._answered[delivery.source, alert.delivery] = incident.run_id if incident else ""
        if incident and decision.verdict in (START, QUEUE, ATTACH):
            self._keys.setdefault((delivery.source, alert.key), incident)
        if incident and decision.verdict in (ATTACH, DUPLICATE):
            self.evidence.append((incident.run_id, alert))
        run_id = incident.run_id if incident else ""
        return Receipt(decision.verdict, decision.reason, run_id, f"nvsx/{run_id}", runbook, alert.node)

    # What admission asks of its memory.

    def answered(self, source: str, delivery: str) -> str | None:
        return self._answered.get((source, delivery))

    def latest(self, node: str, runbook: str) -> Incident | None:
        return self._latest.get((node, runbook))

    def on_node(self, node: str) -> Incident | None:
        return self._latest.get((node, ""))

    def with_key(self, source: str, key: str) -> Incident | None:
        return self._keys.get((source, key))

    def issued(self, key: str) -> Incident | None:
        return None

    def active(self, runbook: str) -> int:
        return sum(each.runbook == runbook for each in self.incidents)

    def waiting(self) -> int:
        return len(self.incidents)


class Reception:
    """A listener in a loop of its own thread, as the daemon has one."""

    def __init__(self, inbox: MemoryInbox, root: Path) -> None:
        self.inbox = inbox
        self.root = root
        self._heard: list[Heard] = []
        self.notes: list[str] = []
        self.defects: list[Exception] = []
        self.port = 0
        self.listener: Listener | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def heard(self) -> list[Heard]:
        """All that was heard before this was asked."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(10)
        return self._heard

    def listen(
        self,
        sources: Mapping[str, Source],
        tokens: Sequence[Path],
        host: str,
        port: int,
        bounds: Bounds | None,
        certificate: Certificate | None,
    ) -> None:
        async def made() -> Listener:
            listener = Listener(
                self.inbox,
                RealClock(),
                sources,
                self.root,
                tokens=tokens,
                on_heard=self._heard.append,
                on_note=self.notes.append,
                on_defect=self.defects.append,
                bounds=bounds,
            )
            (url,) = listener.start(host, port, certificate)
            self.port = int(url.rpartition(":")[2])
            return listener

        self.listener = asyncio.run_coroutine_threadsafe(made(), self._loop).result(10)

    def stop(self, grace_s: float = 0.5) -> None:
        """Stop listening; what is in the inbox stays."""
        if self.listener:
            asyncio.run_coroutine_threadsafe(self.listener.stop(grace_s), self._loop).result(grace_s + 10)
            self.listener = None

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def receiving(
    inbox: MemoryInbox,
    root: Path,
    sources: Mapping[str, Source] | None = None,
    tokens: Sequence[Path] = (),
    *,
    host: str = "127.0.0.1",
    bounds: Bounds | None = None,
    certificate: Certificate | None = None,
) -> Iterator[Reception]:
    reception = Reception(inbox, root)
    try:
        reception.listen(sources or {}, tokens, host, 0, bounds, certificate)
        yield reception
    finally:
        reception.end()
