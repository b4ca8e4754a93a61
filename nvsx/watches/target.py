"""Which node a manual run is about, when the user does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvsx.ports import Object


class Candidate(NamedTuple):
    """A node in trouble and why it is thought to be."""

    name: str
    why: str


def node_name(node: Object) -> str:
    return str(nvsentinel.metadata(node).get("name", ""))


def is_gpu_node(node: Object) -> bool:
    """As NVSentinel itself decides: by label, because a node whose GPU fell off the bus loses the capacity."""
    return nvsentinel.labels_of(node).get(nvsentinel.GPU_LABEL) == "true"


def in_trouble(nodes: Iterable[Object]) -> list[Candidate]:
    """The nodes that NVSentinel holds or that have an active fault, quarantined ones first."""
    held, faulty = [], []
    for node in nodes:
        state = nvsentinel.state(node)
        faults = nvsentinel.faults(node)
        if state or nvsentinel.quarantine_events(node):
            held.append(Candidate(node_name(node), f"in quarantine, state {state or 'unknown'}"))
        elif faults and is_gpu_node(node):
            faulty.append(Candidate(node_name(node), f"condition {faults[0].type}=True"))
    return held + faulty
