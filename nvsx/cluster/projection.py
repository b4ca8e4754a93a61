"""What of an object is kept: a fleet's objects fit into memory only without the parts that nothing can watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.ports import Object

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NODE_STATUS_DROPPED = frozenset({"images", "volumesAttached", "volumesInUse", "daemonEndpoints"})
_POD_STATUS_KEPT = frozenset(
    {"phase", "reason", "message", "conditions", "startTime", "podIP", "hostIP", "qosClass",
     "containerStatuses", "initContainerStatuses"}
)  # fmt: skip
_CONTAINER_KEPT = frozenset({"name", "ready", "restartCount", "started", "state", "lastState"})
_POD_SPEC_KEPT = frozenset({"nodeName", "priority", "terminationGracePeriodSeconds"})


def project(resource: str, found: Object) -> Object:
    """`found` without what is never watched, as a new outer dictionary; what is kept is shared, not copied.

    Projecting twice changes nothing, so both the kubectl door (as it decodes) and the view may do it.
    """
    kept = dict(found)
    metadata = kept.get("metadata")
    if isinstance(metadata, dict) and ("managedFields" in metadata or "annotations" in metadata):
        kept["metadata"] = _metadata(metadata)
    by_resource = _BY_RESOURCE.get(resource)
    return by_resource(kept) if by_resource else kept


def _metadata(metadata: Object) -> Object:
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    annotations = kept.get("annotations")
    if isinstance(annotations, dict) and _LAST_APPLIED in annotations:
        kept["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    return kept


def _node(node: Object) -> Object:
    status = node.get("status")
    if isinstance(status, dict):
        node["status"] = {key: value for key, value in status.items() if key not in _NODE_STATUS_DROPPED}
    return node


def _pod(pod: Object) -> Object:
    spec, status = pod.get("spec"), pod.get("status")
    if isinstance(spec, dict):
        pod["spec"] = _only(spec, _POD_SPEC_KEPT)
    if isinstance(status, dict):
        kept = _only(status, _POD_STATUS_KEPT)
        for name in ("containerStatuses", "initContainerStatuses"):
            if isinstance(kept.get(name), list):
                kept[name] = [_only(one, _CONTAINER_KEPT) for one in kept[name] if isinstance(one, dict)]
        pod["status"] = kept
    return pod


def _only(found: Object, names: frozenset[str]) -> Object:
    return {key: value for key, value in found.items() if key in names}


_BY_RESOURCE: dict[str, Callable[[Object], Object]] = {"nodes": _node, "pods": _pod}
