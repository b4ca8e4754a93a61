"""A week of a large fleet through one daemon, and a flood through everything that is real: one page per incident.

The week is on virtual time: every document is decoded, routed and admitted (week.py). The flood is real (flood.py).
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
from tests.bench import flood, week
from tests.bench.processes import memory_mb
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
                    memory.append(memory_mb("self", "VmRSS"))
            await asyncio.sleep(120)

    began = time.perf_counter()
    with week.told(count, seed) as lines:
        place.play(story)
    took, peak = time.perf_counter() - began, memory_mb("self")
    reader = place.ledger()
    return {
        "documents": count,
        "documents_per_s": round(count / took),
        "intake_documents_per_s": round(count / spent),
        "incidents": week.INCIDENTS,
        "pages": len(place.started()),
        "pages_twice": len(place.started()) - len(set(place.started())),
        "decisions": reader.ask("SELECT count(*) FROM decisions")[0][0],
        "memory_mb": [round(one) for one in memory],
        "peak_memory_mb": round(peak),
    }


def measure(count: int = week.DOCUMENTS) -> dict[str, Any]:
    """The week in a process of its own, whose memory is nobody else's; then the flood and its replay."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.volume", str(count)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return {"week": json.loads(done.stdout), **flood.measure()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(feed(int(sys.argv[1]), Path(scratch))))
