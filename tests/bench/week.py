"""A week of a large fleet as NVSentinel stores it: the documents, made in a process of their own and read from a pipe.

The mix is that of a cluster that was flooded by one check on few nodes: nearly all documents are observations or
healthy ones, 12,031 recommend CONTACT_SUPPORT, some hundred are faults of their own. In the middle stands a burst of
2,033 documents a second for two minutes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

from tests.story import T0

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCUMENTS = 1_340_000
CONTACT_SUPPORT = 12_031
FLOODED, FAULTY, FLEET = 6, 120, 1000
INCIDENTS = FLOODED + FAULTY
FLOOD = tuple(f"flood-{number}" for number in range(FLOODED))
NODES = (*(f"gpu-{number:04}" for number in range(FLEET)), *FLOOD)
BURST_PER_S, BURST_S = 2033, 120
WEEK_S = 7 * 86400.0


def documents(count: int, rng: random.Random) -> Iterator[tuple[float, dict[str, Any]]]:
    """(seconds after the start, document), in order of time. A smaller count is a shorter time at that rate."""
    length = WEEK_S * count / DOCUMENTS
    burst = min(BURST_PER_S * BURST_S, count // 5)
    times = sorted(
        [rng.random() * length for _ in range(count - burst)]
        + [length / 2 + rng.random() * burst / BURST_PER_S for _ in range(burst)]
    )
    yield from zip(times, mixed(times, rng, T0), strict=True)


def mixed(times: Sequence[float], rng: random.Random, start: float) -> Iterator[dict[str, Any]]:
    """Documents that were stored so many seconds after `start` (epoch seconds)."""
    count = len(times)
    support = max(FLOODED, count * CONTACT_SUPPORT // DOCUMENTS)
    chosen = rng.sample(range(count), support + FAULTY)
    faults = dict(zip(chosen[:FAULTY], NODES, strict=False))
    flooded = dict(zip(chosen[FAULTY:], cycle(FLOOD), strict=False))
    for number, at in enumerate(times):
        told = partial(document, number, start + at)
        if number in flooded:
            yield told(flooded[number], "GpuNvswitchFatalWatch", "NVSWITCH", 5, fatal=True)
        elif number in faults:
            yield told(faults[number], "SysLogsXIDError", "79", 24, fatal=True)
        elif number % 3:
            yield told(NODES[number % FLEET], "GpuThermalWatch", "THERMAL", 0, strategy=2)
        else:
            yield told(NODES[number % FLEET], "SysLogsXIDError", "", 0, healthy=True)


def document(
    number: int, stored: float, node: str, check: str, code: str, action: int, *, fatal: bool = False,
    healthy: bool = False, strategy: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """A document as mongosh prints it. `stored`: when, epoch seconds."""
    return {
        "_id": {"$oid": f"{int(stored):08x}{number:016x}"},
        "createdAt": {"$date": {"$numberLong": str(int(stored * 1000))}},
        "healthevent": {
            "version": 1, "agent": "monitor", "componentclass": "GPU", "checkname": check, "isfatal": fatal,
            "ishealthy": healthy, "message": f"event {number} of {check} on {node}", "recommendedaction": action,
            "errorcode": [code] if code else None,
            "entitiesimpacted": [{"entitytype": "GPU", "entityvalue": str(number % 8)}],
            "metadata": {}, "generatedtimestamp": {"seconds": int(stored), "nanos": 0}, "nodename": node,
            "processingstrategy": strategy, "id": "",
        },
        "healtheventstatus": {},
    }  # fmt: skip


@contextmanager
def told(count: int, seed: int) -> Iterator[Iterator[tuple[float, str]]]:
    """(seconds after the start, line of EJSON) from another process, so that the reader holds one line at a time."""
    argv = [sys.executable, "-m", "tests.bench.week", str(count), str(seed)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield ((float(at), line) for at, _, line in (told.partition("\t") for told in process.stdout))
    assert process.returncode == 0, "the week was not told to its end"


if __name__ == "__main__":
    for at, made in documents(int(sys.argv[1]), random.Random(int(sys.argv[2]))):
        print(at, json.dumps(made), sep="\t")
