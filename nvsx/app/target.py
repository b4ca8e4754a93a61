"""Settles the target node of a manual run: the one named, the only one in trouble, or the one the user picks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import UsageError
from nvsx.names import alias_among, resolve_node
from nvsx.ports import ApiPath, Listing
from nvsx.watches.incident import open_fault_time
from nvsx.watches.target import in_trouble, is_gpu_node, node_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.ports import Cluster, Object

NODES = ApiPath("v1", "nodes")


class Target(NamedTuple):
    """The node a run is about. `fault_time` is when its present fault began, epoch seconds, 0 if it has none."""

    name: str
    alias: str
    why: str
    fault_time: float
    listing: Listing  # this node alone, as of the list that it was found in


async def settle_target(cluster: Cluster, wanted: str, *, ask: Callable[[list[str]], str] | None = None) -> Target:
    """The target among the cluster's nodes. `wanted` is a name, an alias or ""; `ask` lets a user pick from lines.

    UsageError with the list of nodes when it is neither said nor evident.
    """
    nodes, version = await cluster.list(NODES)
    by_name = {node_name(node): node for node in nodes}
    if wanted:
        name = resolve_node(wanted, list(by_name))
        return _target(by_name, version, name, "named on the command line")
    troubled = in_trouble(nodes)
    if len(troubled) == 1:
        return _target(by_name, version, troubled[0].name, f"the only node in trouble: {troubled[0].why}")
    lines = [f"{candidate.name}  {candidate.why}" for candidate in troubled]
    lines = lines or [node_name(node) for node in nodes if is_gpu_node(node)]
    if ask is not None and lines:
        picked = ask([f"{alias_among(line.split()[0], by_name)}  {line}" for line in lines])
        return _target(by_name, version, resolve_node(picked, list(by_name)), "picked")
    found = f"{len(troubled)} nodes are in trouble" if troubled else "no node is in quarantine or has a GPU fault"
    listed = "".join(f"\n  {alias_among(line.split()[0], by_name)}  {line}" for line in lines[:20])
    more = f"\n  … and {len(lines) - 20} more" if len(lines) > 20 else ""
    raise UsageError(
        f"which node? {found}{':' if listed else ''}{listed}{more}", hint="nvsx run RUNBOOK --target-node NODE"
    )


def _target(nodes: dict[str, Object], version: str, name: str, why: str) -> Target:
    return Target(name, alias_among(name, nodes), why, open_fault_time(nodes[name]), Listing([nodes[name]], version))


def ask_on_terminal(lines: list[str]) -> str:
    """Let the user pick one of some nodes by number, name or alias; asks on stderr so that stdout stays clean."""
    for number, line in enumerate(lines, 1):
        print(f"  {number:>2}  {line}", file=sys.stderr)
    print("node (number, alias or name): ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    if answer.isdigit() and 1 <= int(answer) <= len(lines):
        return lines[int(answer) - 1].split()[1]
    if not answer:
        raise UsageError("no node was picked", hint="nvsx run RUNBOOK --target-node NODE")
    return answer
