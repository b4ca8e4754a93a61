"""Watch for the case that nobody acts: NVSentinel has given up, waits for a human, or has not moved for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import format_duration
from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel, verdict
from nvsx.watches.predicate import node_path, only_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict


class Stalled(NamedTuple):
    """`kind: stalled`: met at once where NVSentinel waits for a human, else after a time without progress."""

    after_s: float = 600.0

    @property
    def text(self) -> str:
        return f"nobody acts on the node for {format_duration(self.after_s)}"

    def _breaker(self, incident: Incident) -> ApiPath:
        return ApiPath("v1", "configmaps", namespace=incident.namespace, field_selector="metadata.name=circuit-breaker")

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (node_path(incident.node), self._breaker(incident)) if incident.node else ()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        node = only_object(sights, node_path(incident.node))
        if node is None:
            return verdict.unmet(f"there is no node {incident.node}")
        version = nvsentinel.resource_version(node)
        label = nvsentinel.state(node)
        if label in nvsentinel.FAILED_AFTER:
            return verdict.met(f"state {label}", version)
        for event in nvsentinel.quarantine_events(node):
            if event.action in nvsentinel.FOR_PEOPLE:
                return verdict.met(f"recommended action {event.action}: NVSentinel will not repair this", version)
        faulty = bool(nvsentinel.faults(node)) or nvsentinel.cordoned(node)
        breaker = only_object(sights, self._breaker(incident))
        if faulty and breaker and (breaker.get("data") or {}).get("status") == "TRIPPED":
            return verdict.met("the circuit breaker is TRIPPED: NVSentinel quarantines and releases nothing", version)
        if not nvsentinel.quarantine_events(node):
            return verdict.unmet("the node is not in quarantine", version)
        idle = now - incident.progress_time
        detail = f"state {label or '(none)'} for {format_duration(max(idle, 0.0))}"
        return verdict.met(detail, version) if idle >= self.after_s else verdict.unmet(detail, version)


def due(stalled: Stalled, incident: Incident) -> float:
    """When, in epoch seconds, the verdict can change although nothing on the cluster does."""
    return incident.progress_time + stalled.after_s
