"""A week of a large fleet through one daemon: every document decoded, routed and admitted, and one page per incident.

The mix is that of a cluster that was flooded by one check on few nodes: nearly all documents are observations or
healthy ones, 12,031 recommend CONTACT_SUPPORT, some hundred are faults of their own. In the middle stands a burst of
2,033 documents a second for two minutes. Documents come as lines of EJSON, made as they are read, so that nothing but
nvsx holds memory.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.triggers.healthsource import Told
from tests.bench import week
from tests.daemon_story import QUICK, Place, runbooks

SUPPORT = """
trigger: {recommendedActions: [CONTACT_SUPPORT], fatal: true}
stages:
  - {id: detect, hook: support.sh}
"""
XID = QUICK.replace('errorCodes: ["79"]', 'errorCodes: ["79"], fatal: true')


def feed(count: int, directory: Path, seed: int = 1) -> dict[str, Any]:
    """Run the whole week through a daemon on virtual time; what came of it, and what it cost."""
    place = Place(directory, runbooks(xid=XID, support=SUPPORT), with_database=False)
    place.node(*week.NODES)
    memory: list[float] = []
    spent = 0.0

    async def story() -> None:
        nonlocal spent
        async with place.daemon() as daemon:
            await asyncio.sleep(30)
            began = place.clock.monotonic()
            for number, (at, line) in enumerate(lines):
                due = began + at
                if due - place.clock.monotonic() > 5:
                    await asyncio.sleep(due - place.clock.monotonic())
                entered = time.perf_counter()
                event = from_document(json.loads(line))
                assert isinstance(event, HealthEvent)
                daemon.intake.event(Told(event))
                spent += time.perf_counter() - entered
                if number % (count // 4) == count // 8:
                    memory.append(_status_mb("VmRSS"))
            await asyncio.sleep(120)

    began = time.perf_counter()
    with week.told(count, seed) as lines:
        place.play(story)
    took = time.perf_counter() - began
    reader = place.ledger()
    return {
        "documents": count,
        "documents_per_s": round(count / took),
        "intake_documents_per_s": round(count / spent),
        "incidents": week.INCIDENTS,
        "pages": len(place.started()),
        "pages_twice": len(place.started()) - len(set(place.started())),
        "decisions": len(reader.decisions(limit=10_000_000)),
        "memory_mb": [round(one) for one in memory],
        "peak_memory_mb": round(_status_mb("VmHWM")),
    }


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def measure(count: int = week.DOCUMENTS) -> dict[str, Any]:
    """In a process of its own, whose memory is nobody else's."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.volume", str(count)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(feed(int(sys.argv[1]), Path(scratch))))
