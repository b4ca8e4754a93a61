"""The Database port on a World: what mongo-event watches read in demo, drill and test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import NotFound
from nvsx.healthevents.ejson import plain
from nvsx.sim.filters import document_matcher, sort_key
from nvsx.sim.merging import copy_of
from nvsx.sim.world import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object
    from nvsx.sim.world import World

HEALTH_EVENTS = "HealthEvents"
COLLECTIONS = (HEALTH_EVENTS, "MaintenanceEvents", "ResumeTokens")

_HINT = "this is the simulated cluster: the scenario did that"


class SimulatedDatabase:
    """Reads of a World's documents. The way in is an exec, so a fault of the API server on that blinds it too."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def find(
        self, collection: str, filter_: Mapping[str, Any], *, fields: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None, limit: int = 1000,
    ) -> list[Object]:  # fmt: skip
        """The first documents that match, whole: `fields` only saves bytes on a real way."""
        found = await self._matching(collection, filter_)
        for path, way in reversed(list((sort or {}).items())):
            key = sort_key(path)
            found.sort(key=lambda pair: key(pair[0]), reverse=way < 0)
        return [copy_of(document) for _, document in found[:limit]]

    async def count(self, collection: str, filter_: Mapping[str, Any], *, limit: int = 0) -> int:
        found = len(await self._matching(collection, filter_))
        return min(found, limit) if limit else found

    async def close(self) -> None:
        """There is nothing to close."""

    async def _matching(self, collection: str, filter_: Mapping[str, Any]) -> list[tuple[Any, Object]]:
        await self._world.consult(Request("exec", "pods", "", "nvsentinel", "mongodb-0"))
        if not self._world.documents:
            raise NotFound("there is no pod of a database in nvsentinel", hint=_HINT)
        if collection not in ("", *COLLECTIONS, *self._world.documents):
            raise NotFound(f"there is no collection {collection} in HealthEventsDatabase", hint=_HINT)
        matches = document_matcher(plain(filter_))
        pairs = ((plain(one), one) for one in self._world.documents.get(collection or HEALTH_EVENTS, ()))
        return [pair for pair in pairs if matches(pair[0])]
