"""A flood through everything that is real: nvsx as a process, kubectl, mongosh, bash, and a ledger on the disk.

2,033 documents a second are stored for two minutes. How far nvsx is behind is told by the age of the oldest document
that it has not read. Then it is started again with a memory that says nothing was read: it reads all of that once more,
and must start nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import socket
import tempfile
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import bson
from bson import ObjectId

from nvsx.ledger import Ledger
from tests.bench import week
from tests.bench.processes import memory_mb, processor_s
from tests.daemon_site import Site, stop, wait_for
from tests.servers.mongo import MongoServer

if TYPE_CHECKING:
    import subprocess

DATABASE, COLLECTION = "HealthEventsDatabase", "HealthEvents"
POLL_S = 10.0
QUARANTINED = 20  # of the faulty nodes; the others' faults do not cordon
PATIENCE_S = 240.0
RUNBOOK = """apiVersion: nvsx/v1
kind: Runbook
metadata: {{name: {name}, title: {name}}}
trigger: {{{trigger}, fatal: true}}
stages:
  - {{id: detect, hook: hooks/note.sh}}
"""
RUNBOOKS = {"xid": 'errorCodes: ["79"]', "support": "recommendedActions: [CONTACT_SUPPORT]"}
_IGNORED = re.compile(rb'^nvsx_admissions_total\{source="poll",verdict="ignore"\} (\d+)', re.MULTILINE)


class Flood:
    """Stores documents at a steady rate in a thread of its own, and knows when each was stored."""

    def __init__(self, site: Site, mongo: MongoServer, count: int, per_s: float) -> None:
        self.stored: list[float] = []  # when each of those that nvsx ignores was stored, monotonic
        self.count = 0
        self._site, self._mongo, self._due, self._per_s = site, mongo, count, per_s
        self.thread = threading.Thread(target=self._store, daemon=True)

    def _store(self) -> None:
        began, start = time.monotonic(), time.time()
        times = [number / self._per_s for number in range(self._due)]
        for at, document in zip(times, week.mixed(times, random.Random(1), start), strict=True):
            if (ahead := began + at - time.monotonic()) > 0.01:
                time.sleep(ahead)
            self._mongo.databases[DATABASE][COLLECTION].insert(_bson(document))
            self.count += 1
            node, place = document["healthevent"]["nodename"], self._site.place
            if not document["healthevent"]["isfatal"]:
                self.stored.append(time.monotonic())
            elif node in week.NODES[:QUARANTINED]:
                self._site.do(partial(place.quarantine, node, document["_id"]["$oid"]))

    def behind_s(self, read: int) -> float:
        """The age of the oldest document that is not among the first `read`."""
        return time.monotonic() - self.stored[read] if read < len(self.stored) else 0.0


class Watched:
    """A daemon and what its metrics and its process tell."""

    def __init__(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        before = site.said().count("ready:")
        self.process: subprocess.Popen[bytes] = site.start(
            "--mode", "both", "--port", str(self.port), "--poll-interval", f"{POLL_S:g}s", "--events", "mongo"
        )
        wait_for(lambda: site.said().count("ready:") > before or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, site.said()[-2000:]
        self.memory: list[float] = []

    def read(self) -> int:
        """How many of the documents that lead to nothing were read, asked once a second as Prometheus might."""
        time.sleep(1.0)
        self.memory.append(memory_mb(self.process.pid, "VmRSS"))
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as answer:
            found = _IGNORED.search(answer.read())
            return int(found[1]) if found else 0
        return 0

    def figures(self) -> dict[str, Any]:
        """Memory while it worked, and what that cost."""
        size = max(1, len(self.memory) // 4)
        return {
            "memory_mb": [round(one) for one in self.memory[::size]],
            "peak_memory_mb": round(memory_mb(self.process.pid, "VmHWM")),
            "processor_s": round(processor_s(self.process.pid), 1),
        }


def measure(count: int = week.BURST_PER_S * week.BURST_S, per_s: int = week.BURST_PER_S) -> dict[str, Any]:
    """Pages, memory of nvsx alone, and how far it was behind; the same for the replay."""
    for program in ("kubectl", "mongosh"):
        if not shutil.which(program):
            return {"skipped": f"{program} is not installed"}
    with (
        tempfile.TemporaryDirectory() as directory,
        MongoServer({DATABASE: {COLLECTION: []}}) as mongo,
        Site(Path(directory)) as site,
    ):
        (site.root / "runbooks/xid.yaml").unlink()
        for name, trigger in RUNBOOKS.items():
            (site.root / f"runbooks/{name}.yaml").write_text(RUNBOOK.format(name=name, trigger=trigger))
        site.environment["NVSX_MONGO_URI"] = f"mongodb://127.0.0.1:{mongo.port}/?directConnection=true"
        site.do(lambda: site.place.node(*week.NODES))
        flood = Flood(site, mongo, count, per_s)
        return {"flood": flooded(site, flood), "replay": replayed(site, flood)}


def _bson(document: dict[str, Any]) -> bytes:
    """A document of week.py as the database keeps it; bson's own reader of extended JSON is too slow for a flood."""
    created = int(document["createdAt"]["$date"]["$numberLong"]) / 1000
    types = {"_id": ObjectId(document["_id"]["$oid"]), "createdAt": datetime.fromtimestamp(created, UTC)}
    return bson.encode({**document, **types})


def flooded(site: Site, flood: Flood) -> dict[str, Any]:
    daemon = Watched(site)
    began = time.monotonic()
    flood.thread.start()
    behind = []
    while flood.thread.is_alive():
        behind.append(flood.behind_s(daemon.read()))
    stored_s = time.monotonic() - began
    ended = time.monotonic()
    wait_for(lambda: flood.behind_s(daemon.read()) == 0.0, "everything is read", PATIENCE_S)
    read_s = time.monotonic() - ended
    wait_for(lambda: len(site.effects) >= 2 * week.INCIDENTS, "all pages are sent", PATIENCE_S)
    time.sleep(2 * POLL_S)  # nothing more may come of it
    found = {
        "documents": flood.count,
        "stored_per_s": round(flood.count / stored_s),
        "most_behind_s": round(max(behind), 1),
        "all_read_after_s": round(read_s, 1),
        "incidents": week.INCIDENTS,
        **_pages(site),
        **daemon.figures(),
    }
    assert stop(daemon.process) == 0
    return found


def replayed(site: Site, flood: Flood) -> dict[str, Any]:
    """The same documents read again, all of them, by the next daemon."""
    asyncio.run(forget(site))
    before = _runs(site)
    began = time.monotonic()
    daemon = Watched(site)
    wait_for(lambda: daemon.read() >= len(flood.stored), "everything is read again", PATIENCE_S)
    read_s = time.monotonic() - began
    time.sleep(2 * POLL_S)
    found = {
        "documents": flood.count,
        "documents_per_s": round(flood.count / read_s),
        "new_runs": _runs(site) - before,
        **daemon.figures(),
    }
    assert stop(daemon.process) == 0
    return found


async def forget(site: Site) -> None:
    """Set the memory of what was read back to before everything."""
    ledger = Ledger.open(site.state)
    try:
        for (name,) in ledger.ask("SELECT name FROM cursors WHERE name LIKE 'serve/%'"):
            memory = {**json.loads(ledger.cursor(name)), "start": 0.0, "known": []}
            await ledger.set_cursor(name, json.dumps(memory))
    finally:
        ledger.close()


def _runs(site: Site) -> int:
    reader = Ledger.reader(site.state)
    assert reader is not None
    with closing(reader):
        return int(reader.ask("SELECT count(*) FROM runs")[0][0])


def _pages(site: Site) -> dict[str, int]:
    pages = [line for line in site.effects if line.startswith("begin ")]
    return {"pages": len(pages), "pages_twice": len(pages) - len(set(pages))}


if __name__ == "__main__":
    import sys

    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
