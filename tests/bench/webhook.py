"""What the webhook takes: accepts per second and their latency, a burst, and health beside a thousand idle clients."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.inboxes import MemoryInbox, receiving
from tests.trust.daemons import WAITING, ServedDaemon

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 50
SECONDS = 5.0
BURST = 200
IDLE = 1000


def measure() -> dict[str, object]:
    """Clients run in a process of their own. `listener` has an inbox in memory that takes 2 ms to commit; `daemon` is
    `nvsx serve` as it is used, with its ledger on this disk: what is new to it starts a run.
    """
    with tempfile.TemporaryDirectory() as folder, receiving(MemoryInbox(commit_s=0.002), Path(folder)) as reception:
        listener = {
            "new_incidents": _elsewhere(new_incidents, reception.port),
            "burst": _elsewhere(burst, reception.port),
            "health_beside_idle_clients": _elsewhere(idle, reception.port),
        }
    with tempfile.TemporaryDirectory() as folder:
        daemon = ServedDaemon(Path(folder), ["node-0"], WAITING)
        try:
            asyncio.run(daemon.start())
            served = {
                "known_incident": _elsewhere(known_incident, daemon.port),
                "burst": _elsewhere(burst, daemon.port),
                "health_beside_idle_clients": _elsewhere(idle, daemon.port),
            }
        finally:
            daemon.end()
    return {"listener": listener, "daemon": served}


def new_incidents(port: int) -> dict[str, object]:
    """Each delivery another incident."""
    return steady(port, lambda number, count: f"node-{number}-{count}")


def known_incident(port: int) -> dict[str, object]:
    """Each delivery more evidence of one incident."""
    return steady(port, lambda number, count: "node-0")


def steady(port: int, node: Callable[[int, int], str]) -> dict[str, object]:
    """Accepts per second over kept connections."""
    until = time.perf_counter() + SECONDS
    taken: list[float] = []

    def post(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            count = 0
            while (began := time.perf_counter()) < until:
                count += 1
                client.sendall(request(node(number, count)))
                answered(client)
                taken.append(time.perf_counter() - began)

    _all_at_once(post, CONNECTIONS)
    return {"connections": CONNECTIONS, "per_s": round(len(taken) / SECONDS), **_milliseconds(taken)}


def burst(port: int) -> dict[str, object]:
    """As many clients at once, each with a connection of its own; none may be reset."""
    taken: list[float] = []
    lost: list[str] = []

    def post(number: int) -> None:
        began = time.perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(request(f"burst-{number}"))
                answered(client)
                taken.append(time.perf_counter() - began)
        except OSError as error:
            lost.append(repr(error))

    _all_at_once(post, BURST)
    return {"clients": BURST, "lost": len(lost), **_milliseconds(taken)}


def idle(port: int) -> dict[str, object]:
    """Health, asked again and again while a thousand clients hold connections and say nothing."""
    taken = []
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        for _ in range(300):
            began = time.perf_counter()
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answered(client)
            taken.append(time.perf_counter() - began)
    return {"idle": IDLE, **_milliseconds(taken)}


def request(node: str) -> bytes:
    body = json.dumps({"runbook": "gpu-off-bus", "target_node": node}).encode()
    head = f"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def answered(client: socket.socket) -> bytes:
    """One answer of the server, whole; OSError where it is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            raise ConnectionResetError("the server closed before it answered")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536)
    if not head.startswith(b"HTTP/1.1 2"):
        raise OSError(head.partition(b"\r\n")[0].decode())
    return body


def _all_at_once(work: Callable[[int], None], count: int) -> None:
    ready = threading.Barrier(count)

    def wait(number: int) -> None:
        ready.wait()
        work(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _milliseconds(taken: list[float]) -> dict[str, object]:
    cuts = statistics.quantiles(taken, n=100)
    return {"median_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1)}


def _elsewhere(work: Callable[[int], dict[str, object]], port: int) -> dict[str, object]:
    """In another process, so that client and server do not share one interpreter."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (port,))
