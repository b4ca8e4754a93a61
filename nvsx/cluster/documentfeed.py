"""Documents of the database counted again and again for one watch: the database tells nobody by itself."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from nvsx.cluster.sight import Backoff, Sight
from nvsx.errors import ClusterError, NotInstalled, Refused

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from nvsx.clock import Clock
    from nvsx.ports import Database

POLL_S = 3.0
"""Between two counts. One costs the server an indexed query and this machine a few milliseconds."""


NO_DATABASE = NotInstalled(
    "no way to NVSentinel's database was given",
    hint="watch the node instead: kinds node-condition and nvsentinel-state show every fault that cordons",
)


class DocumentFeed:
    """Counts until `close()`. `on_found(count, blind)` is called when either has changed, and after the first look."""

    def __init__(
        self, database: Database | None, clock: Clock, collection: str, filter_: str, enough: int,
        on_found: Callable[[int, ClusterError | None], None], *, rng: random.Random,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._collection = collection
        self._filter = json.loads(filter_)
        self._enough = enough
        self._on_found = on_found
        self._sight = Sight(clock, self._tell)
        self._backoff = Backoff(rng)
        self._found: int | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def close(self) -> None:
        """No more calls, from this moment on."""
        self._sight.close()
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        if self._database is None:
            self._sight.failed(NO_DATABASE, since=self._clock.monotonic())
            return
        while True:
            began = self._clock.monotonic()
            try:
                found = await self._database.count(self._collection, self._filter, limit=self._enough)
            except ClusterError as error:
                self._sight.failed(error, since=began)
                await self._backoff.wait(slow=error.lasting)
                continue
            except Refused as refused:
                self._sight.failed(_lasting(refused), since=began)
                return
            self._backoff.reset()
            sees_again = self._sight.forget()
            if sees_again or found != self._found:
                self._found = found
                self._tell()
            await asyncio.sleep(POLL_S)

    def _tell(self) -> None:
        self._on_found(self._found or 0, self._sight.blind)


def _lasting(refused: Refused) -> ClusterError:
    error = ClusterError(refused.message, hint=refused.hint)
    error.lasting = True
    return error
