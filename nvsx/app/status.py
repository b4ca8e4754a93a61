"""What NVSentinel is doing on this cluster right now: three lists, and for each what could not be looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import format_duration
from nvsx.errors import ClusterError, NotFound
from nvsx.names import aliases
from nvsx.oracle.chain import position
from nvsx.oracle.position import HEALTHY, UNSEEN, Unseen
from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel
from nvsx.watches.progress import REPAIRS, breaker_path
from nvsx.watches.target import is_gpu_node, node_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Cluster, Object

NODES = ApiPath("v1", "nodes")
REPAIRED = ("remediating", "remediation-succeeded", "remediation-failed")
"""States in which a maintenance object tells more than the label; they are only read for these."""


class HeldNode(NamedTuple):
    """A node that NVSentinel holds, or that has a fault. `since` is epoch seconds, 0.0 unknown."""

    name: str
    alias: str
    state: str  # where the chain stands: the state label's word, or one of `nvsx.oracle.position.PHASES`
    held: bool  # NVSentinel holds it in quarantine
    since: float  # of the fault
    reason: str
    waits_for: str
    needs_people: bool
    contradictions: tuple[str, ...]
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
        listed("circuit breaker", breaker_path(namespace)),
        listed("NVSentinel's pods", ApiPath("v1", "pods", namespace=namespace)),
    )
    unready = [pod for pod in pods or () if not _is_ready(pod)]
    names = aliases(node_name(node) for node in nodes or ())
    requests: list[Object] | Unseen = UNSEEN
    if any(nvsentinel.state(node) in REPAIRED for node in nodes or ()):
        lists = await asyncio.gather(*(listed(path.resource, path) for path in REPAIRS))
        found = [thing for one in lists for thing in one or ()]
        requests = found if found or None not in lists else UNSEEN
    breaker = UNSEEN if breakers is None else next(iter(breakers), None)
    return Status(
        nodes=tuple(_in_trouble(nodes or [], names, requests, breaker)),
        names=names,
        gpu_nodes=sum(1 for node in nodes or () if is_gpu_node(node)),
        breaker=None if breakers is None else _breaker(breakers),
        pods=len(pods or ()),
        unready=tuple(Pod(node_name(pod), str((pod.get("status") or {}).get("phase", "Unknown"))) for pod in unready),
        blind=blind,
    )


def _in_trouble(
    nodes: list[Object],
    names: Mapping[str, str],
    requests: list[Object] | Unseen,
    breaker: Object | Unseen | None,
) -> list[HeldNode]:
    """The nodes worth a line, the longest held first."""
    found = []
    for node in nodes:
        where = position(node, requests=requests, breaker=breaker)
        if where.phase == HEALTHY:
            continue
        events, faults = nvsentinel.quarantine_events(node), nvsentinel.faults(node)
        times = [*(event.time for event in events), *(fault.since for fault in faults)]
        name = node_name(node)
        found.append(
            HeldNode(
                name=name,
                alias=names[name],
                state=where.phase,
                held=where.held,
                since=min((time for time in times if time), default=0.0),
                reason=where.reason,
                waits_for=where.waits_for,
                needs_people=where.needs_people,
                contradictions=where.contradictions,
                faults=tuple(" ".join((fault.type, *fault.error_codes)) for fault in faults),
                cordoned=nvsentinel.cordoned(node),
                opted_out=nvsentinel.opted_out(node),
            )
        )
    return sorted(found, key=lambda one: (one.since or float("inf"), one.name))


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
