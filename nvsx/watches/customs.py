"""Watches on custom resources: the maintenance object that NVSentinel makes for this node and this incident."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.ports import ApiPath
from nvsx.watches import moments, nvsentinel, verdict
from nvsx.watches.predicate import seen_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict

_NODE_LABEL = "nvsentinel.nvidia.com/node-name"
_NAMED_BY_EVENT = (
    r"(?:maintenance|drain)-(?P<node>.+)-(?P<event>[0-9a-f]{24}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z"
)


class CustomResource(NamedTuple):
    """`kind: crd`: a custom resource for the target node and this incident, with a condition or phase if asked."""

    group: str
    resource: str
    version: str = ""
    condition_type: str = ""
    condition_status: str = "True"
    phase: str = ""

    @property
    def text(self) -> str:
        more = f" with {self.condition_type}={self.condition_status}" if self.condition_type else ""
        return f"{self.resource}.{self.group} for the node{more}" + (f" in phase {self.phase}" if self.phase else "")

    def _path(self) -> ApiPath:
        return ApiPath(self.version, self.resource, self.group)

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (self._path(),) if incident.node else ()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        seen = seen_at(sights, self._path()).objects.values()
        for_node = [thing for thing in seen if is_for_node(thing, incident.node)]
        ours = [thing for thing in for_node if is_of_incident(thing, incident)]
        if not ours:
            older = f" ({len(for_node)} older)" if for_node else ""
            return verdict.unmet(f"no {self.resource} for this incident{older}")
        newest = max(ours, key=lambda thing: (created(thing), str(nvsentinel.metadata(thing).get("name"))))
        return self._judge(newest)

    def _judge(self, thing: Object) -> Verdict:
        from nvsx.oracle.maintenance import has_failed

        name = str(nvsentinel.metadata(thing).get("name"))
        version = nvsentinel.resource_version(thing)
        if self.phase:
            phase = str((thing.get("status") or {}).get("phase") or "none")
            detail = f"{name}: phase {phase}"
            good = phase == self.phase
        elif self.condition_type:
            found = nvsentinel.condition(thing, self.condition_type)
            detail = f"{name}: {self.condition_type}={found.status if found else 'absent'}"
            if found and found.reason:
                detail += f" ({found.reason})"
            good = found is not None and found.status == self.condition_status
        else:
            return verdict.met(name, version)
        return verdict.met(detail, version) if good else verdict.unmet(detail, version, terminal=has_failed(thing))


def observe_resources(incident: Incident, things: Iterable[Object]) -> Incident:
    """The incident with what the custom resources that were made for it tell of its moments."""
    ours = (thing for thing in things if is_for_node(thing, incident.node) and is_of_incident(thing, incident))
    new = (reading for thing in ours for reading in moments.maintenance_readings(thing))
    return incident._replace(moments=moments.joined(incident.moments, new))


def created(thing: Object) -> float:
    return nvsentinel.parse_time(nvsentinel.metadata(thing).get("creationTimestamp"))


def is_for_node(thing: Object, node: str) -> bool:
    """Whether a custom resource is about the node: by its spec, its label, or its name."""
    spec = thing.get("spec") or {}
    named = spec.get("nodeName") or (spec.get("healthEvent") or {}).get("nodeName")
    if named:
        return bool(named == node)
    if nvsentinel.labels_of(thing).get(_NODE_LABEL) == node:
        return True
    by_event = re.match(_NAMED_BY_EVENT, str(nvsentinel.metadata(thing).get("name", "")))
    return bool(by_event and by_event["node"] == node)


def is_of_incident(thing: Object, incident: Incident) -> bool:
    """Whether it was made for this incident: by the event id in its name where both are known, else by its age.

    Finished resources stay for 14 days, so a resource for the node alone proves nothing.
    """
    by_event = re.match(_NAMED_BY_EVENT, str(nvsentinel.metadata(thing).get("name", "")))
    if by_event and incident.event_ids:
        return by_event["event"] in incident.event_ids
    return incident.covers(created(thing))
