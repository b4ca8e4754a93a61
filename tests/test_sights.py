"""What a run sees is judged once, and anew with whatever else it sees or learns of its incident."""

from __future__ import annotations

from nvsx.oracle.sights import judged
from nvsx.ports import Seen
from nvsx.watches.incident import Incident, observe
from nvsx.watches.predicate import Sights, node_path
from nvsx.watches.progress import breaker_path
from tests.chain import FAULT, NODE, quarantined

INCIDENT = observe(Incident(NODE, FAULT), quarantined("draining"), FAULT + 60)


def sights_of(node: dict[str, object]) -> Sights:
    sights = Sights()
    sights[node_path(NODE)] = Seen({NODE: node}, listed=True)
    return sights


def test_one_version_of_the_node_is_judged_once() -> None:
    node = quarantined("draining")
    sights = sights_of(node)
    assert judged(node, sights, INCIDENT) is judged(node, sights, INCIDENT)


def test_another_sight_is_judged_anew() -> None:
    node = quarantined("draining")
    sights = sights_of(node)
    assert not judged(node, sights, INCIDENT).facts.tripped
    breaker = {"metadata": {"name": "circuit-breaker"}, "data": {"status": "TRIPPED"}}
    sights[breaker_path(INCIDENT.namespace)] = Seen({"nvsentinel/circuit-breaker": breaker}, listed=True)
    assert judged(node, sights, INCIDENT).facts.tripped


def test_what_was_learned_of_the_incident_counts() -> None:
    node = quarantined("draining")
    sights = sights_of(node)
    judged(node, sights, INCIDENT)
    other = INCIDENT._replace(action="REPLACE_VM")
    assert judged(node, sights, other).facts.incident.action == "REPLACE_VM"
