"""Watch on NVSentinel's database: how many documents a filter finds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.watches import verdict
from nvsx.watches.incident import CLOCK_SKEW_S
from nvsx.watches.predicate import Documents, DocumentSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict

HEALTH_EVENTS = "HealthEvents"


class DatabaseDocuments(NamedTuple):
    """`kind: mongo-event`: at least `count` documents of a collection match a filter, which is data, never code."""

    collection: str
    filter: str  # EJSON text of an object
    least: int = 1

    @property
    def text(self) -> str:
        return f"{self.least} document{'s' if self.least != 1 else ''} in {self.collection} matching {self.filter}"

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (self._asked(incident),)

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        sight = sights[self._asked(incident)]
        assert isinstance(sight, Documents)
        detail = f"{sight.found} of {self.least} documents"
        return verdict.met(detail) if sight.found >= self.least else verdict.unmet(detail)

    def _asked(self, incident: Incident) -> DocumentSource:
        """Health events are kept for 30 days: only those of this node and incident count, unless the filter says so."""
        wanted: list[dict[str, Any]] = [json.loads(self.filter)]
        if self.collection == HEALTH_EVENTS and '"createdAt"' not in self.filter:
            since = datetime.fromtimestamp(int(incident.since) - CLOCK_SKEW_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            wanted.append({"createdAt": {"$gte": {"$date": since}}})
        if self.collection == HEALTH_EVENTS and incident.node and '"healthevent.nodename"' not in self.filter:
            wanted.append({"healthevent.nodename": incident.node})
        text = self.filter if len(wanted) == 1 else json.dumps({"$and": wanted}, ensure_ascii=False)
        return DocumentSource(self.collection, text, self.least)
