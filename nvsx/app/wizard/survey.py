"""Survey: what a cluster really has, as far as a team's first runbooks depend on it; reads only."""

from __future__ import annotations

import asyncio
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from nvsx.doctor.install import MONITORS, Install, plurals, read_install
from nvsx.errors import Forbidden
from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel
from nvsx.watches.target import is_gpu_node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.cluster.probe import Probe
    from nvsx.doctor.ground import Ground
    from nvsx.doctor.install import Drain, Repair
    from nvsx.ports import Cluster, Object


class Survey(NamedTuple):
    """`drain` and `repairs` are None where they are not known; `notes` say what could not be looked at, and why.

    `resources` maps (group, version) to the resource names by kind that the server serves there.
    """

    context: str
    probe: Probe
    install: Install
    nodes: int
    gpu_nodes: tuple[Object, ...]
    drain: Drain | None = None
    repairs: tuple[Repair, ...] | None = None
    resources: Mapping[tuple[str, str], Mapping[str, str]] = {}
    notes: tuple[str, ...] = ()


async def survey(ground: Ground) -> Survey:
    """Look at everything. A server that cannot be reached and workloads that may not be listed are raised."""
    reads = await ground.reads()
    probe = await ground.probe()
    install, listed = await asyncio.gather(ground.install(), _nodes(ground))
    nodes, notes = listed
    drain, repairs = None, None
    try:
        drain, repairs = install.drain(), install.repairs()
    except tomllib.TOMLDecodeError as error:
        notes.append(f"NVSentinel's settings cannot be read ({error}): the shipped timeouts and repairs are used")
    if install.config is None:
        notes.append("NVSentinel's ConfigMaps may not be read: the shipped timeouts and repairs are used")
    places = sorted({(repair.group, repair.version) for repair in repairs or ()})
    served = await asyncio.gather(*(plurals(reads, *place) for place in places))
    gpus = tuple(node for node in nodes if is_gpu_node(node))
    return Survey(
        reads.context, probe, install, len(nodes), gpus, drain, repairs,
        dict(zip(places, served, strict=True)), tuple(notes),
    )  # fmt: skip


async def _nodes(ground: Ground) -> tuple[list[Object], list[str]]:
    try:
        return await ground.nodes(), []
    except Forbidden as error:
        return [], [f"nodes may not be listed, and without that no run can see anything: {error.message}"]


async def find_namespaces(cluster: Cluster) -> tuple[str, ...]:
    """Namespaces with one of NVSentinel's monitors, for when it is not where it is expected."""
    chosen = f"app.kubernetes.io/name in ({','.join(MONITORS)})"
    found = await cluster.list(ApiPath("v1", "daemonsets", "apps", label_selector=chosen))
    return tuple(sorted({str(nvsentinel.metadata(one).get("namespace", "")) for one in found.objects}))


async def read_namespace(cluster: Cluster, namespace: str) -> Install:
    """What is installed in another namespace."""
    return await read_install(cluster, namespace)
