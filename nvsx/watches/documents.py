"""Watch on NVSentinel's database: how many documents a filter finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nvsx.watches import verdict
from nvsx.watches.predicate import Documents, DocumentSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict


@dataclass(frozen=True, slots=True)
class DatabaseDocuments:
    """`kind: mongo-event`: at least `count` documents of a collection match a filter, which is data, never code."""

    collection: str
    filter: str  # EJSON text of an object
    count: int = 1

    @property
    def text(self) -> str:
        return f"{self.count} document{'s' if self.count != 1 else ''} in {self.collection} matching {self.filter}"

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (DocumentSource(self.collection, self.filter),)

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        sight = sights[DocumentSource(self.collection, self.filter)]
        assert isinstance(sight, Documents)
        detail = f"{sight.found} of {self.count} documents"
        return verdict.met(detail) if sight.found >= self.count else verdict.unmet(detail)
