"""Webhook senders with their true rules: when each gives up, tries again, queues, or sends the same thing twice.

Waiting times are shortened, timeouts are not. Sources of the rules: the senders' documentation and code; see the head
of each format in `nvsx/triggers/formats`.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.triggers.signatures import sign

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

RUNBOOK = "gpu-off-bus"
SERVICE = "PSERVICE"
SECRET = b"a secret of all senders"
FIRST_WAIT_S = 0.02
LONGEST_WAIT_S = 3.0
"""Between two tries: doubled from the first one on."""
FLUSH_S = 0.3
"""Alertmanager's and Grafana's group_interval, 5 minutes by default."""
NO_ANSWER = 0


class Rules(NamedTuple):
    """What a sender does with an answer. A status of NO_ANSWER is a connection that failed, or a timeout."""

    timeout_s: float
    repeats: Callable[[int], bool]  # tries the same delivery again
    tries: int  # of one delivery
    flushes: bool = False  # what was not accepted is sent anew with the next flush
    longest_wait_s: float = LONGEST_WAIT_S


RULES = {
    # 48 hours of attempts; everything of 4xx but 429 is a drop, and three drops in a row disable the subscription
    "pagerduty": Rules(5.0, lambda status: status in (NO_ANSWER, 429) or status >= 500, 100_000),
    # until the flush's deadline; 4xx ends the flush, and what was not accepted stays unsent
    "alertmanager": Rules(10.0, lambda status: status == NO_ANSWER or status >= 500, 4, flushes=True),
    # its webhook asks for no retry, whatever happened
    "grafana": Rules(30.0, lambda status: False, 1, flushes=True),
    "datadog": Rules(15.0, lambda status: status == NO_ANSWER or status >= 500, 5),
    # whatever is not 2xx, for half an hour
    "nvsentinel": Rules(30.0, lambda status: not 200 <= status < 300, 17, longest_wait_s=600.0),
}


class Tally:
    """What all senders saw."""

    def __init__(self) -> None:
        self.attempts = 0
        self.unanswered = 0
        self.answers: dict[int, int] = {}
        self.seconds: list[float] = []
        self.given_up: dict[str, int] = {}
        self.accepted: dict[str, list[str]] = {}  # node -> the senders that were answered 2xx for its fault
        self.drops_in_a_row = 0
        self.most_drops_in_a_row = 0

    def dropped(self, sender: str) -> None:
        self.given_up[sender] = self.given_up.get(sender, 0) + 1


class Wire:
    """Sends to one receiver over so many connections at once at most, each attempt over a connection of its own."""

    def __init__(self, port: int, connections: int, rng: random.Random, tally: Tally) -> None:
        self.rng = rng
        self.tally = tally
        self._port = port
        self._free = asyncio.Semaphore(connections)

    async def deliver(
        self, sender: str, body: Mapping[str, Any], headers: Mapping[str, str], opens: Sequence[str] = ()
    ) -> bool:
        """Send until it is accepted, or the sender's rules give it up. `opens`: the nodes whose fault it reports."""
        rules = RULES[sender]
        data = json.dumps(body).encode()
        wait_s = FIRST_WAIT_S
        while True:
            for _ in range(rules.tries):
                status = await self._attempt(sender, data, _proven(sender, data, headers), rules.timeout_s)
                if 200 <= status < 300:
                    for node in opens:
                        self.tally.accepted.setdefault(node, []).append(sender)
                    return True
                if not rules.repeats(status):
                    break
                await asyncio.sleep(wait_s * self.rng.uniform(0.5, 1.5))
                wait_s = min(wait_s * 2, rules.longest_wait_s)
            if not rules.flushes:
                self.tally.dropped(sender)
                return False
            await asyncio.sleep(FLUSH_S)

    async def _attempt(self, sender: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> int:
        async with self._free:
            self.tally.attempts += 1
            began = time.perf_counter()
            try:
                async with asyncio.timeout(timeout_s):
                    status = await _posted(self._port, f"/webhook/{sender}", headers, body)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, IndexError, ValueError):
                self.tally.unanswered += 1
                return NO_ANSWER
            self.tally.seconds.append(time.perf_counter() - began)
            self.tally.answers[status] = self.tally.answers.get(status, 0) + 1
            return status


async def pagerduty(wire: Wire, node: str) -> None:
    """Events of one incident in order: the next waits until the one before was accepted or dropped."""
    tally = wire.tally
    for kind in ("incident.triggered", "incident.acknowledged", "incident.resolved"):
        incident = {"id": f"Q{node}", "incident_key": f"pd/{node}", "title": f"XID 79 on {node} (prod-a)"}
        event = {"id": f"01{kind}{node}", "event_type": kind, "occurred_at": MOMENT, "data": incident}
        event["data"] = incident | {"service": {"id": SERVICE}, "created_at": MOMENT}
        opens = (node,) if kind == "incident.triggered" else ()
        if await wire.deliver("pagerduty", {"event": event}, {"X-Webhook-Id": f"{kind}/{node}"}, opens):
            tally.drops_in_a_row = 0
        else:
            tally.drops_in_a_row += 1
            tally.most_drops_in_a_row = max(tally.most_drops_in_a_row, tally.drops_in_a_row)


async def alertmanager(wire: Wire, *nodes: str) -> None:
    """A highly available pair that disagrees: both send the group, and then its end."""

    async def instance() -> None:
        await asyncio.sleep(wire.rng.uniform(0, FLUSH_S))
        for status in ("firing", "resolved"):
            alerts = [_alert(node, status) for node in nodes]
            body = {"version": "4", "groupKey": f"{{}}:{nodes[0]}", "status": status, "alerts": alerts}
            await wire.deliver("alertmanager", body, {}, nodes if status == "firing" else ())

    await asyncio.gather(instance(), instance())


async def grafana(wire: Wire, *nodes: str) -> None:
    body = {"version": "1", "orgId": 1, "groupKey": f"{{}}:{nodes[0]}", "state": "alerting"}
    await wire.deliver("grafana", body | {"alerts": [_alert(node, "firing") for node in nodes]}, {}, nodes)


async def datadog(wire: Wire, node: str) -> None:
    body = {
        "nvsx_format": "datadog/1",
        "event_id": f"77{node}",
        "alert_cycle_key": f"cycle-{node}",
        "alert_transition": "Triggered",
        "alert_title": f"GPU XID fatal on {node}",
        "hostname": node,
        "last_updated": "1787364847512",
        "tags": f"host:{node},xid:79,nvsx_runbook:{RUNBOOK}",
    }
    await wire.deliver("datadog", body, {}, (node,))


async def nvsentinel(wire: Wire, node: str) -> None:
    """At least once, in no order: each publication has a new id, and some events are published twice."""
    event = {
        "version": 1, "agent": "syslog-health-monitor", "componentClass": "GPU", "checkName": "SysLogsXIDError",
        "isFatal": True, "isHealthy": False, "message": "XID 79: GPU has fallen off the bus",
        "recommendedAction": "RESTART_BM", "errorCode": ["79"], "generatedTimestamp": MOMENT, "nodeName": node,
        "entitiesImpacted": [{"entityType": "GPU", "entityValue": "0"}], "processingStrategy": "EXECUTE_REMEDIATION",
    }  # fmt: skip

    async def publish(number: int) -> None:
        envelope = {"specversion": "1.0", "type": "com.nvidia.nvsentinel.health.v1", "source": "nvsentinel://prod-a"}
        body = envelope | {"id": f"{node}-{number}", "time": MOMENT, "data": {"metadata": {}, "healthEvent": event}}
        await wire.deliver("nvsentinel", body, {"Content-Type": "application/cloudevents+json"}, (node,))

    await asyncio.gather(*(publish(number) for number in range(wire.rng.choice((1, 1, 2)))))


MOMENT = "2026-08-22T02:14:07.512Z"
SINGLE = {"pagerduty": pagerduty, "datadog": datadog, "nvsentinel": nvsentinel}
GROUPED = {"alertmanager": alertmanager, "grafana": grafana}


def _alert(node: str, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "GpuXidFatal", "node": node, "xid": "79"},
        "annotations": {"summary": "GPU fell off the bus", "nvsx_runbook": RUNBOOK},
        "startsAt": MOMENT,
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"f-{node}",
    }


def _proven(sender: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    proofs = {
        "pagerduty": ("X-PagerDuty-Signature", f"v1={'0' * 64},v1={sign(SECRET, body)}"),
        "grafana": ("X-Grafana-Alerting-Signature", sign(SECRET, body)),
        "datadog": ("X-Nvsx-Token", SECRET.decode()),
    }
    name, value = proofs.get(sender, ("Authorization", f"Bearer {SECRET.decode()}"))
    return {"Content-Type": "application/json", name: value, **headers}


async def _posted(port: int, path: str, headers: Mapping[str, str], body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"POST {path} HTTP/1.1", "Host: nvsx.example", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        await reader.read()  # to its end: an answer that was cut off is none
        return status
    finally:
        writer.close()
