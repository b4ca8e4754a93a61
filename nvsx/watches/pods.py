"""Watches on pods and on Events about pods and nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel, verdict
from nvsx.watches.predicate import node_events_path, seen_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict


class Pod(NamedTuple):
    """`kind: pod`: the pods that match a selector are in a phase, in a given number (at least one by default)."""

    selector: str
    namespace: str = "default"
    phase: str = ""
    number: int | None = None

    @property
    def text(self) -> str:
        wanted = "" if self.number is None else f"{self.number} "
        phase = f" {self.phase}" if self.phase else ""
        return f"{wanted}pod {self.namespace}/{self.selector}{phase}"

    def _path(self) -> ApiPath:
        return ApiPath("v1", "pods", namespace=self.namespace, label_selector=self.selector)

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (self._path(),)

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        pods = list(seen_at(sights, self._path()).objects.values())
        phases = [str((pod.get("status") or {}).get("phase", "Unknown")) for pod in pods]
        matching = sum(1 for phase in phases if not self.phase or phase == self.phase)
        detail = f"{matching} of {len(pods)} pods {self.phase or 'there'}"
        version = max((nvsentinel.resource_version(pod) for pod in pods), key=_as_number, default="")
        # Without a number every pod must be in the phase: one Running among three Failed is not "Running".
        enough = matching == self.number if self.number is not None else matching == len(pods) > 0
        return verdict.met(detail, version) if enough else verdict.unmet(detail, version)


def parse_pod_expect(text: str) -> tuple[str, int | None]:
    """Phase and number in `phase=Running,count=2`; a ValueError says what is accepted."""
    phase, count = "", None
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        if key == "phase" and value in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
            phase = value
        elif key == "count" and re.fullmatch(r"\d{1,6}", value):
            count = int(value)
        else:
            raise ValueError(f"{part!r} is not understood; write phase=Running, count=2 or both with a comma")
    return phase, count


class NodeEvent(NamedTuple):
    """`kind: node-event`: an Event about the target node, in this incident."""

    reason: str = ""
    type: str = ""

    @property
    def text(self) -> str:
        return "node event " + " ".join(filter(None, (self.type, self.reason)))

    def matches(self, event: Object) -> bool:
        """Whether it is an Event of the kind that is waited for, of whatever age."""
        return self.reason in ("", event.get("reason")) and self.type in ("", event.get("type"))

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (node_events_path(incident.node),) if incident.node else ()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        events = seen_at(sights, node_events_path(incident.node)).objects.values()
        matching = [event for event in events if self.matches(event)]
        return _newest_of_incident(matching, incident, f"no {self.text} in this incident")


class PodEvent(NamedTuple):
    """`kind: pod-event`: an Event about a pod of the target node, in this incident."""

    reason: str
    namespace: str = ""
    selector: str = ""

    @property
    def text(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"pod event {self.reason}{where}" + (f" on {self.selector}" if self.selector else "")

    def _events(self) -> ApiPath:
        return ApiPath("v1", "events", namespace=self.namespace, field_selector="involvedObject.kind=Pod")

    def _pods(self, incident: Incident) -> ApiPath:
        return ApiPath(
            "v1",
            "pods",
            namespace=self.namespace,
            field_selector=f"spec.nodeName={incident.node}",
            label_selector=self.selector,
        )

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (self._events(), self._pods(incident)) if incident.node else ()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        pods = seen_at(sights, self._pods(incident)).objects
        matching = [
            event
            for event in seen_at(sights, self._events()).objects.values()
            if event.get("reason") == self.reason and self._on_node(event, pods, incident)
        ]
        return _newest_of_incident(matching, incident, f"no {self.text} in this incident")

    def _on_node(self, event: Object, pods: Mapping[str, Object], incident: Incident) -> bool:
        about = event.get("involvedObject") or {}
        if f"{about.get('namespace', '')}/{about.get('name', '')}" in pods:
            return True
        # A pod that is gone is in no list any more, but the kubelet signed its last events with the node's name.
        return not self.selector and (event.get("source") or {}).get("host") == incident.node


def event_time(event: Object) -> float:
    """When an Event last happened, epoch seconds: new-style and old-style events name it differently."""
    series = event.get("series") or {}
    for value in (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime")):
        time = nvsentinel.parse_time(value)
        if time:
            return time
    return nvsentinel.parse_time(nvsentinel.metadata(event).get("creationTimestamp"))


def _newest_of_incident(events: list[Object], incident: Incident, otherwise: str) -> Verdict:
    newest: Any = max(events, key=event_time, default=None)
    if newest is None:
        return verdict.unmet(otherwise)
    version = nvsentinel.resource_version(newest)
    if not incident.covers(event_time(newest)):
        return verdict.unmet(f"{otherwise} (the last one is older)", version)
    message = " ".join(str(newest.get("message") or "").split())
    return verdict.met(f"{newest.get('reason')}: {message}"[:200], version)


def _as_number(version: str) -> int:
    return int(version) if version.isdigit() else 0
