"""The port is open before the cluster is known: until then a delivery is told to come again, and everybody why.

A refused connection says nothing to anybody, and some senders count it as a drop. A run cannot be admitted yet, because
an incident belongs to one cluster and nvsx does not know which one it stands before.
"""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.app.daemon.records import list_of_calls, list_of_runs, one_run
from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.app.daemon.front import Front
    from nvsx.app.daemon.gate import Gate
    from nvsx.ledger import Ledger
    from nvsx.metrics import Figures
    from nvsx.triggers.inbox import Delivery, Receipt

ASKING = "nvsx has just started and asks which cluster this is"
STARTING_S = 0.2
"""How long a delivery waits for that and for the list of nodes. It is about as long as a cluster takes that answers;
where it takes longer, whoever can come again is told to in good time, and nobody piles up behind.
"""


class Porch:
    """The `Inbox` from the first moment on. `reason` says why nothing can be taken, until `lead_to` ends that. `polls`:
    the daemon is to watch the cluster, so that it is blind as long as it cannot even tell which one that is.
    """

    def __init__(self, ledger: Ledger, gate: Gate, started: float, *, polls: bool = False) -> None:
        self.reason = ASKING
        self._front: Front | None = None
        self._led = asyncio.Event()
        self._ledger = ledger
        self._gate = gate
        self._started = started
        self._polls = polls

    def lead_to(self, front: Front) -> None:
        """The cluster is known: the front takes everything from now on."""
        self._front = front
        self._led.set()

    async def take(self, delivery: Delivery) -> Sequence[Receipt]:
        """What the front makes of it; EnvironmentUnusable, which is answered 503, where there is none yet."""
        if self._front is None and self.reason != ASKING:
            raise EnvironmentUnusable(await self.readiness())
        if self._front is None or not self._front.looked.is_set():
            await self._until_started()
        assert self._front is not None
        return await self._front.take(delivery)

    async def _until_started(self) -> None:
        try:
            async with asyncio.timeout(STARTING_S):
                await self._led.wait()
                assert self._front is not None
                await self._front.looked.wait()
        except TimeoutError:
            raise EnvironmentUnusable(await self.readiness()) from None

    async def readiness(self) -> str:
        if self._front is not None:
            return await self._front.readiness()
        return "nvsx is stopping" if self._gate.stopping else self.reason

    async def runs(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return list_of_runs(self._ledger, limit=limit, unfinished=unfinished)

    async def calls(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return list_of_calls(self._ledger, limit=limit, unfinished=unfinished)

    async def run(self, run_id: str) -> Mapping[str, object] | None:
        return one_run(self._ledger, run_id)

    async def metrics(self) -> Figures:
        if self._front is not None:
            return await self._front.metrics()
        return {
            "nvsx_build_info": {(__version__, platform.python_version()): 1},
            "nvsx_start_time_seconds": {(): self._started},
            "nvsx_ready": {(): 0},
            **({"nvsx_blind": {(): float(self.reason != ASKING)}} if self._polls else {}),
        }
