"""A week of a large fleet through one daemon: every document decoded, routed and admitted, and one page per incident.

The mix is that of a cluster that was flooded by one check on few nodes: nearly all documents are observations or
healthy ones, 12,031 recommend CONTACT_SUPPORT, some hundred are faults of their own. In the middle stands a burst of
2,033 documents a second for two minutes. Documents come as lines of EJSON, made as they are read, so that nothing but
nvsx holds memory.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.health import HealthEvent
from nvsx.healthevents import from_document
from nvsx.triggers.healthsource import Told
from tests.daemon_story import QUICK, Place, runbooks
from tests.story import T0

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCUMENTS = 1_340_000
CONTACT_SUPPORT = 12_031
FLOODED, FAULTY, FLEET = 6, 120, 1000
BURST_PER_S, BURST_S = 2033, 120
WEEK_S = 7 * 86400.0
SUPPORT = """
trigger: {recommendedActions: [CONTACT_SUPPORT], fatal: true}
stages:
  - {id: detect, hook: support.sh}
"""
XID = QUICK.replace('errorCodes: ["79"]', 'errorCodes: ["79"], fatal: true')


def documents(count: int, rng: random.Random) -> Iterator[tuple[float, str]]:
    """(seconds after the start, line of EJSON), in order of time. A smaller count is a shorter time at that rate."""
    length = WEEK_S * count / DOCUMENTS
    burst = min(BURST_PER_S * BURST_S, count // 5)
    support = max(FLOODED, count * CONTACT_SUPPORT // DOCUMENTS)
    times = sorted(
        [rng.random() * length for _ in range(count - burst)]
        + [length / 2 + rng.random() * burst / BURST_PER_S for _ in range(burst)]
    )
    flooded = set(rng.sample(range(count), support))
    faults = dict(zip(sorted(rng.sample(sorted(set(range(count)) - flooded), FAULTY)), range(FAULTY), strict=True))
    for number, at in enumerate(times):
        if number in flooded:
            yield at, _line(number, at, f"flood-{number % FLOODED}", "GpuNvswitchFatalWatch", "NVSWITCH", 5, fatal=True)
        elif number in faults:
            yield at, _line(number, at, f"gpu-{faults[number]:04}", "SysLogsXIDError", "79", 24, fatal=True)
        elif number % 3:
            yield at, _line(number, at, f"gpu-{number % FLEET:04}", "GpuThermalWatch", "THERMAL", 0, strategy=2)
        else:
            yield at, _line(number, at, f"gpu-{number % FLEET:04}", "SysLogsXIDError", "", 0, healthy=True)


def _line(
    number: int, at: float, node: str, check: str, code: str, action: int, *, fatal: bool = False,
    healthy: bool = False, strategy: int = 1,
) -> str:  # fmt: skip
    second = int(T0 + at)
    document: Mapping[str, Any] = {
        "_id": {"$oid": f"{second:08x}{number:016x}"},
        "createdAt": {"$date": {"$numberLong": str(int((T0 + at) * 1000))}},
        "healthevent": {
            "version": 1, "agent": "monitor", "componentclass": "GPU", "checkname": check, "isfatal": fatal,
            "ishealthy": healthy, "message": f"event {number} of {check} on {node}", "recommendedaction": action,
            "errorcode": [code] if code else None,
            "entitiesimpacted": [{"entitytype": "GPU", "entityvalue": str(number % 8)}],
            "metadata": {}, "generatedtimestamp": {"seconds": second, "nanos": 0}, "nodename": node,
            "processingstrategy": strategy, "id": "",
        },
        "healtheventstatus": {},
    }  # fmt: skip
    return json.dumps(document)


def feed(count: int, directory: Path, seed: int = 1) -> dict[str, Any]:
    """Run the whole week through a daemon on virtual time; what came of it, and what it cost."""
    place = Place(directory, runbooks(xid=XID, support=SUPPORT), with_database=False)
    place.node(*(f"gpu-{number:04}" for number in range(FLEET)), *(f"flood-{number}" for number in range(FLOODED)))
    memory: list[float] = []
    spent = 0.0

    async def story() -> None:
        nonlocal spent
        async with place.daemon() as daemon:
            await asyncio.sleep(30)
            began = place.clock.monotonic()
            for number, (at, line) in enumerate(documents(count, random.Random(seed))):
                due = began + at
                if due - place.clock.monotonic() > 5:
                    await asyncio.sleep(due - place.clock.monotonic())
                entered = time.perf_counter()
                event = from_document(json.loads(line))
                assert isinstance(event, HealthEvent)
                daemon.intake.event(Told(event))
                spent += time.perf_counter() - entered
                if number % (count // 4) == count // 8:
                    memory.append(_resident_mb())
            await asyncio.sleep(120)

    began = time.perf_counter()
    place.play(story)
    took = time.perf_counter() - began
    reader = place.ledger()
    return {
        "documents": count,
        "documents_per_s": round(count / took),
        "intake_documents_per_s": round(count / spent),
        "incidents": FLOODED + FAULTY,
        "pages": len(place.started()),
        "pages_twice": len(place.started()) - len(set(place.started())),
        "decisions": len(reader.decisions(limit=10_000_000)),
        "memory_mb": [round(one) for one in memory],
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def measure(count: int = DOCUMENTS) -> dict[str, Any]:
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
