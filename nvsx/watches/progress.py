"""Watches on NVSentinel's progress with the target node, judged by the state oracle rather than by one signal alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from nvsx.durations import format_duration
from nvsx.errors import NotFound
from nvsx.ports import ApiPath, Seen
from nvsx.watches import nvsentinel, verdict
from nvsx.watches.node import quarantine_is_over
from nvsx.watches.predicate import node_path, only_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.oracle.position import Position, Unseen
    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict

JANITOR = "janitor.dgxc.nvidia.com"
REPAIRS = tuple(ApiPath("v1alpha1", resource, JANITOR) for resource in ("rebootnodes", "gpuresets"))
"""Maintenance objects that are looked at whether or not a clause names them."""


def repair_paths(action: str) -> tuple[ApiPath, ...]:
    """Where the repair of a recommended action shows; nowhere while no action is known. Each costs a stream.

    COMPONENT_RESET is a reboot or a reset, as the installation has it; every other one is a reboot, if anything.
    """
    if not action:
        return ()
    return REPAIRS if action == "COMPONENT_RESET" else REPAIRS[:1]


def breaker_path(namespace: str) -> ApiPath:
    """Fault-quarantine's circuit breaker."""
    return ApiPath("v1", "configmaps", namespace=namespace, field_selector="metadata.name=circuit-breaker")


class ChainTest(Protocol):
    """What is asked of a node that is there and of where the chain stands with it."""

    @property
    def text(self) -> str: ...

    @property
    def looks_at_repairs(self) -> bool: ...

    def judge(self, node: Object, position: Position, incident: Incident, now: float) -> Verdict: ...


class OnChain(NamedTuple):
    """A watch on NVSentinel's progress. The node must be seen; the breaker and the repairs are where they can be."""

    test: ChainTest

    @property
    def text(self) -> str:
        return self.test.text

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (node_path(incident.node),) if incident.node else ()

    def also(self, incident: Incident) -> tuple[Source, ...]:
        if not incident.node:
            return ()
        repairs = repair_paths(incident.action) if self.test.looks_at_repairs else ()
        return (breaker_path(incident.namespace), *repairs)

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        from nvsx.oracle.sights import judged

        node = only_object(sights, node_path(incident.node))
        if node is None:
            return verdict.unmet(f"there is no node {incident.node}")
        return self.test.judge(node, judged(node, sights, incident).position, incident, now)


class NvsentinelState(NamedTuple):
    """`kind: nvsentinel-state`: the state label is this or later. Where it can no longer come, the stage ends."""

    state: str
    looks_at_repairs: bool = False

    @property
    def text(self) -> str:
        return f"NVSentinel state {self.state} or later"

    def judge(self, node: Object, position: Position, incident: Incident, now: float) -> Verdict:
        label = nvsentinel.state(node)
        version = nvsentinel.resource_version(node)
        if label and nvsentinel.reached(label, self.state):
            return verdict.met(f"state {label}", version)
        if not label:
            trace = self._later_trace(node, incident)
            if trace:
                return verdict.met(trace, version, inferred=True)
        said = f"state {label or '(none)'}"
        if position.terminal:
            return verdict.unmet(f"{said}: {position.reason}", version, terminal=True)
        return verdict.unmet(said, version)

    def _later_trace(self, node: Object, incident: Incident) -> str:
        """What still shows, after the label is gone, that the state was reached in this incident."""
        if self.state == "quarantined" and quarantine_is_over(node, incident):
            return "quarantined and released by NVSentinel in this incident"
        if self.state in nvsentinel.STATES and incident.covers(nvsentinel.remediation_time(node)):
            return "a remediation of this incident is recorded on the node"
        return ""


class Stalled(NamedTuple):
    """`kind: stalled`: met at once where NVSentinel leaves the node to people, else after a time without progress."""

    after_s: float = 600.0
    looks_at_repairs: bool = True

    @property
    def text(self) -> str:
        return f"nobody acts on the node for {format_duration(self.after_s)}"

    def judge(self, node: Object, position: Position, incident: Incident, now: float) -> Verdict:
        from nvsx.oracle.stalling import stalled, stalls_at

        version = nvsentinel.resource_version(node)
        stall = stalled(position, now, after_s=self.after_s, moved_at=incident.progress_time)
        if stall:
            return verdict.met(stall.reason, version)
        due = stalls_at(position, after_s=self.after_s, moved_at=incident.progress_time)
        return verdict.unmet(position.reason, version, due=due or 0.0)


class BackInService(NamedTuple):
    """What `recover` needs besides its own clauses: NVSentinel has let go of the node, it can be scheduled, and
    every condition that opened the incident is False. A repair that has failed ends the wait.
    """

    text: str = "node released by NVSentinel, schedulable and free of the fault"
    looks_at_repairs: bool = True

    def judge(self, node: Object, position: Position, incident: Incident, now: float) -> Verdict:
        left = []
        if nvsentinel.is_annotated(node):
            left.append("quarantine annotation still set")
        label = nvsentinel.state(node)
        if label:
            left.append(f"state {label}")
        if nvsentinel.cordoned(node) and not incident.cordoned_before:
            left.append("still cordoned")
        for type_ in incident.opened_by:
            found = nvsentinel.condition(node, type_)
            if found and found.status == "True":
                left.append(f"{type_}=True")
        version = nvsentinel.resource_version(node)
        if not left:
            how = "a new node has the name, as the replacement was ordered" if incident.replaced else "released"
            return verdict.met(f"{how}, schedulable, healthy", version)
        # A runbook that waits for recovery after NVSentinel's label says that it gave up, waits for people.
        if position.held and position.failed and label not in nvsentinel.FAILED_AFTER:
            return verdict.unmet(position.reason, version, terminal=True)
        return verdict.unmet(", ".join(left), version)


def requests_in(sights: Mapping[Source, Sight], action: str) -> list[Object] | Unseen:
    """All maintenance objects that anybody looks at here. That there are none, only complete lists can tell."""
    from nvsx.oracle.position import UNSEEN

    paths = {source for source in sights if isinstance(source, ApiPath) and source.group == JANITOR}
    paths |= {*repair_paths(action)}
    seen = [sights.get(path) for path in sorted(paths)]
    found = [
        thing for sight in seen if isinstance(sight, Seen) and sight.blind is None for thing in sight.objects.values()
    ]
    return found if found or (seen and all(_looked(sight) for sight in seen)) else UNSEEN


def _looked(sight: Sight | None) -> bool:
    """Whether it is known what is there; a cluster that does not know the resource has none."""
    if not isinstance(sight, Seen):
        return False
    return sight.listed if sight.blind is None else isinstance(sight.blind, NotFound)


def breaker_in(sights: Mapping[Source, Sight], namespace: str) -> Object | Unseen | None:
    """The circuit breaker as it is seen here; None where a completed look found none."""
    from nvsx.oracle.position import UNSEEN

    sight = sights.get(breaker_path(namespace))
    if not isinstance(sight, Seen) or not _looked(sight):
        return UNSEEN
    return next(iter(sight.objects.values()), None)
