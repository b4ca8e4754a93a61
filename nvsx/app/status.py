"""What NVSentinel is doing on this cluster right now: three lists, and for each what could not be looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import format_duration
from nvsx.errors import ClusterError, NotFound
from nvsx.names import aliases
from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel
from nvsx.watches.target import is_gpu_node, node_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Cluster, Object

NODES = ApiPath("v1", "nodes")
BREAKER = "circuit-breaker"
_WAITS = {
    "quarantined": "node-drainer to begin",
    "draining": "user pods to end",
    "drain-succeeded": "fault-remediation to order the repair",
    "remediating": "fault-remediation to order the repair",
    "remediation-succeeded": "the node to come back healthy",
    "drain-failed": "people: the drain failed, and nothing follows by itself",
    "remediation-failed": "people: NVSentinel ordered no repair",
}


class HeldNode(NamedTuple):
    """A node that NVSentinel holds, or that has a fault. `since` is epoch seconds, 0.0 unknown."""

    name: str
    alias: str
    state: str  # the state label's value; "held" without one, "fault" where NVSentinel does not hold the node
    since: float
    waits_for: str
    faults: tuple[str, ...]  # active conditions with their codes
    cordoned: bool
    opted_out: bool


class Pod(NamedTuple):
    """A pod in NVSentinel's namespace that is not ready."""

    name: str
    phase: str


class Status(NamedTuple):
    """`blind` maps what could not be looked at to why; what depends on it is then empty or None, never "none"."""

    nodes: tuple[HeldNode, ...]
    names: Mapping[str, str]  # every node of the cluster, with its alias
    gpu_nodes: int
    breaker: str | None  # CLOSED, TRIPPED; "" where there is none; None where it could not be looked at
    pods: int
    unready: tuple[Pod, ...]
    blind: dict[str, ClusterError]


async def look(cluster: Cluster, namespace: str) -> Status:
    """The present state. Every part is looked at by itself, so that one refusal hides nothing else."""
    blind: dict[str, ClusterError] = {}

    async def listed(what: str, path: ApiPath) -> list[Object] | None:
        try:
            return (await cluster.list(path)).objects
        except NotFound:
            return []
        except ClusterError as error:
            blind[what] = error
            return None

    nodes, breakers, pods = await asyncio.gather(
        listed("nodes", NODES),
        listed(
            "circuit breaker",
            ApiPath("v1", "configmaps", namespace=namespace, field_selector=f"metadata.name={BREAKER}"),
        ),
        listed("NVSentinel's pods", ApiPath("v1", "pods", namespace=namespace)),
    )
    unready = [pod for pod in pods or () if not _is_ready(pod)]
    names = aliases(node_name(node) for node in nodes or ())
    return Status(
        nodes=tuple(_held(nodes or [], names)),
        names=names,
        gpu_nodes=sum(1 for node in nodes or () if is_gpu_node(node)),
        breaker=None if breakers is None else _breaker(breakers),
        pods=len(pods or ()),
        unready=tuple(Pod(node_name(pod), str((pod.get("status") or {}).get("phase", "Unknown"))) for pod in unready),
        blind=blind,
    )


def _held(nodes: list[Object], names: Mapping[str, str]) -> list[HeldNode]:
    """The nodes worth a line, the longest held first."""
    found = []
    for node in nodes:
        events, faults = nvsentinel.quarantine_events(node), nvsentinel.faults(node)
        label = nvsentinel.state(node)
        if not (events or faults or label):
            continue
        held = bool(events or label)
        times = [*(event.time for event in events), *(fault.since for fault in faults)]
        name = node_name(node)
        found.append(
            HeldNode(
                name=name,
                alias=names[name],
                state=label or ("held" if held else "fault"),
                since=min((time for time in times if time), default=0.0),
                waits_for=_waits_for(label, events, opted_out=_opted_out(node)) if held else "",
                faults=tuple(" ".join((fault.type, *fault.error_codes)) for fault in faults),
                cordoned=nvsentinel.cordoned(node),
                opted_out=_opted_out(node),
            )
        )
    return sorted(found, key=lambda one: (one.since or float("inf"), one.name))


def _waits_for(label: str, events: tuple[nvsentinel.QuarantineEvent, ...], *, opted_out: bool) -> str:
    if opted_out:
        return "people: the node is opted out of NVSentinel"
    people = next((event.action for event in events if event.action in nvsentinel.FOR_PEOPLE), "")
    if label == "remediation-failed" and people:
        return f"people: NVSentinel recommends {people} and orders no repair"
    return _WAITS.get(label, "")


def _opted_out(node: Object) -> bool:
    labels = nvsentinel.labels_of(node)
    return any(labels.get(key) == "false" for key in nvsentinel.OPT_OUT_LABELS)


def _breaker(found: list[Object]) -> str:
    return str((found[0].get("data") or {}).get("status", "")) if found else ""


def _is_ready(pod: Object) -> bool:
    """Ready, or done: a job's pod that has succeeded is as it should be."""
    if (pod.get("status") or {}).get("phase") == "Succeeded":
        return True
    condition = nvsentinel.condition(pod, "Ready")
    return condition is not None and condition.status == "True"


def age(since: float, now: float) -> str:
    """How long ago, for people; "" where it is not known."""
    return format_duration(max(0.0, now - since)) if since else ""
