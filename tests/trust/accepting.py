"""Accepts incidents and says so, one after another and many at once: what a power loss is imagined for."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nvsx.admission import Occasion
from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import Ledger, NewRun


async def main(directory: Path, count: int) -> None:
    ledger = Ledger.open(directory)

    async def accept(number: int) -> None:
        run_id, node = f"20260101-000000-{number:04x}", f"gpu-{number}"
        occasion = Occasion("x", 1.0, node=node, runbook="r")
        try:
            admitted = await ledger.admit(occasion, run=NewRun(run_id, "r", "text", node))
        except EnvironmentUnusable as error:
            os.write(1, f"refused {run_id} {error.message}\n".encode())
            return
        os.write(1, f"accepted {admitted.run_id}\n".encode())

    for number in range(count):
        await accept(number)
    await asyncio.gather(*(accept(count + number) for number in range(count)))
    os.kill(os.getpid(), 9)  # a close in order would checkpoint


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
