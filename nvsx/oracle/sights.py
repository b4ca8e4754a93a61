"""What a run sees of its node, judged once however many ask: each version of a node is shown to trail and clauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.oracle.chain import placed
from nvsx.oracle.facts import read
from nvsx.watches.predicate import Sights
from nvsx.watches.progress import breaker_in, requests_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.oracle.facts import Facts
    from nvsx.oracle.position import Position
    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source


class Judged(NamedTuple):
    """The node's facts and where the chain stands with it, for the incident as it was known then."""

    incident: Incident
    facts: Facts
    position: Position


def judged(node: Object, sights: Mapping[Source, Sight], incident: Incident) -> Judged:
    """What the sights tell of an incident whose node is there."""
    known = sights.judged if isinstance(sights, Sights) else None
    if known is not None and known.incident is incident:
        found: Judged = known
        return found
    requests, breaker = requests_in(sights, incident.action), breaker_in(sights, incident.namespace)
    facts = read(node, requests, breaker, None, incident)
    found = Judged(incident, facts, placed(facts))
    if isinstance(sights, Sights):
        sights.judged = found
    return found
