"""`kubectl describe` for the simulator: the parts that operators read, in kubectl's arrangement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.ports import ApiPath
from nvsx.sim.tables import NONE, aligned, dig, since
from nvsx.sim.yamltext import to_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

_COLUMN = 20


def described(world: World, resource: Resource, thing: Object) -> str:
    """The description of one object; nodes have a form of their own."""
    if resource.plural == "nodes":
        return _node(world, thing)
    head = _pairs(
        {
            "Name": dig(thing, "metadata", "name"),
            "Namespace": dig(thing, "metadata", "namespace"),
            "Labels": _map(dig(thing, "metadata", "labels")),
            "Annotations": _map(dig(thing, "metadata", "annotations"), ": "),
            "API Version": resource.api_version,
            "Kind": resource.kind,
        }
    )
    body = {key: value for key, value in thing.items() if key not in ("apiVersion", "kind", "metadata")}
    return head + (to_yaml(body) if body else "") + _events(world, thing)


def _node(world: World, node: Object) -> str:
    taints = [
        f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
        for taint in dig(node, "spec", "taints") or ()
    ]
    head = _pairs(
        {
            "Name": dig(node, "metadata", "name"),
            "Roles": NONE,
            "Labels": _map(dig(node, "metadata", "labels")),
            "Annotations": _map(dig(node, "metadata", "annotations"), ": "),
            "CreationTimestamp": dig(node, "metadata", "creationTimestamp"),
            "Taints": f"\n{' ' * _COLUMN}".join(taints) or NONE,
            "Unschedulable": str(bool(dig(node, "spec", "unschedulable"))).lower(),
        }
    )
    return head + _conditions(node) + _node_facts(node) + _pods(world, node) + _events(world, node)


def _conditions(node: Object) -> str:
    keys = ("type", "status", "lastHeartbeatTime", "lastTransitionTime", "reason", "message")
    heads = ["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"]
    rows = [[str(row.get(key, "")) for key in keys] for row in dig(node, "status", "conditions") or ()]
    return "Conditions:\n" + _indented(aligned([heads, ["-" * len(head) for head in heads], *rows]))


def _node_facts(node: Object) -> str:
    text = "Addresses:\n"
    text += "".join(f"  {entry['type']}:  {entry['address']}\n" for entry in dig(node, "status", "addresses") or ())
    for part in ("capacity", "allocatable"):
        amounts = dig(node, "status", part) or {}
        text += f"{part.capitalize()}:\n" + "".join(f"  {key}:  {amounts[key]}\n" for key in sorted(amounts))
    info = dig(node, "status", "nodeInfo") or {}
    names = {"Boot ID": "bootID", "Kernel Version": "kernelVersion", "OS Image": "osImage"}
    names |= {"Container Runtime Version": "containerRuntimeVersion", "Kubelet Version": "kubeletVersion"}
    return text + "System Info:\n" + "".join(f"  {name}:  {info.get(key, '')}\n" for name, key in names.items())


def _pods(world: World, node: Object) -> str:
    path = ApiPath("v1", "pods", field_selector=f"spec.nodeName={node['metadata']['name']}")
    running = [pod for pod in world.list(path).objects if dig(pod, "status", "phase") not in ("Succeeded", "Failed")]
    now = world.clock.now()
    rows = [
        [pod["metadata"]["namespace"], pod["metadata"]["name"], since(pod["metadata"]["creationTimestamp"], now)]
        for pod in running
    ]
    heads = [["Namespace", "Name", "Age"], ["---------", "----", "---"]]
    return f"Non-terminated Pods:          ({len(running)} in total)\n" + _indented(aligned([*heads, *rows]))


def _events(world: World, thing: Object) -> str:
    path = ApiPath("v1", "events", field_selector=f"involvedObject.name={thing['metadata']['name']}")
    events = world.list(path).objects
    if not events:
        return "Events:              <none>\n"
    now = world.clock.now()
    rows = [
        [
            str(event.get("type", "")),
            str(event.get("reason", "")),
            since(event.get("lastTimestamp"), now),
            str(dig(event, "source", "component") or ""),
            str(event.get("message", "")),
        ]
        for event in events
    ]
    heads = [["Type", "Reason", "Age", "From", "Message"], ["----", "------", "----", "----", "-------"]]
    return "Events:\n" + _indented(aligned([*heads, *rows]))


def _pairs(values: Mapping[str, Any]) -> str:
    return "".join(f"{key + ':':<{_COLUMN}} {value}\n" for key, value in values.items() if value is not None)


def _map(values: Mapping[str, str] | None, joiner: str = "=") -> str:
    lines = [f"{key}{joiner}{values[key]}" for key in sorted(values)] if values else []
    return f"\n{' ' * (_COLUMN + 1)}".join(lines) or NONE


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
