"""The tables that `kubectl get` prints: columns per resource, ages, and kubectl's own column widths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.watches.nvsentinel import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nvsx.ports import Object

    Cell = Callable[[Object, float], Any]

NONE = "<none>"
_MIN_WIDTH = 6
_PADDING = 3


class Column(NamedTuple):
    """A column: its heading, what it shows of an object at a time (epoch seconds), whether only `-o wide` has it."""

    heading: str
    cell: Cell
    wide: bool = False


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Rows as kubectl's tab writer lays them out: three spaces between columns, the last one ragged."""
    listed = [list(row) for row in rows]
    if not listed:
        return ""
    widths = [max(_MIN_WIDTH, *(len(row[at]) + _PADDING for row in listed)) for at in range(len(listed[0]) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] + "\n" for row in listed
    )


def human_duration(seconds: float) -> str:
    """A duration as kubectl writes ages: `45s`, `3m20s`, `47m`, `5h10m`, `26h`, `5d3h`, `20d`."""
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 0:
        return "0s" if whole > -2 else "<invalid>"
    steps: tuple[tuple[float, str, str], ...] = (
        (120, f"{whole}s", ""),
        (600, f"{minutes}m", f"{whole % 60}s" if whole % 60 else ""),
        (3 * 3600, f"{minutes}m", ""),
        (8 * 3600, f"{hours}h", f"{minutes % 60}m" if minutes % 60 else ""),
        (48 * 3600, f"{hours}h", ""),
        (8 * 86400, f"{days}d", f"{hours % 24}h" if hours % 24 else ""),
        (2 * 365 * 86400, f"{days}d", ""),
        (8 * 365 * 86400, f"{days // 365}y", f"{days % 365}d" if days % 365 else ""),
    )
    for limit, large, small in steps:
        if whole < limit:
            return large + small
    return f"{days // 365}y"


def since(stamp: Any, now: float) -> str:
    """The age of an API time."""
    time = parse_time(stamp)
    return human_duration(now - time) if time else "<unknown>"


def dig(thing: Any, *keys: str | int) -> Any:
    """A nested value, None where the way ends."""
    for key in keys:
        if isinstance(key, int):
            thing = thing[key] if isinstance(thing, list) and len(thing) > key else None
        else:
            thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def _at(*keys: str | int, default: Any = NONE) -> Cell:
    def cell(thing: Object, _: float) -> Any:
        value = dig(thing, *keys)
        return default if value in (None, "") else value

    return cell


def _age(thing: Object, now: float) -> str:
    return since(dig(thing, "metadata", "creationTimestamp"), now)


def node_status(node: Object) -> str:
    """`Ready`, `NotReady` or `Unknown`, and whether it is cordoned."""
    ready = next((c.get("status") for c in dig(node, "status", "conditions") or () if c.get("type") == "Ready"), None)
    status = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{status},SchedulingDisabled" if dig(node, "spec", "unschedulable") else status


def _roles(node: Object, _: float) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = sorted(key.removeprefix(prefix) for key in dig(node, "metadata", "labels") or {} if key.startswith(prefix))
    return ",".join(roles) or NONE


def _address(kind: str) -> Cell:
    def cell(node: Object, _: float) -> str:
        listed = dig(node, "status", "addresses") or ()
        return next((entry["address"] for entry in listed if entry["type"] == kind), NONE)

    return cell


def _pod_status(pod: Object, _: float) -> str:
    if dig(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    for container in dig(pod, "status", "containerStatuses") or ():
        for state in ("waiting", "terminated"):
            reason = dig(container, "state", state, "reason")
            if reason:
                return str(reason)
    return str(dig(pod, "status", "reason") or dig(pod, "status", "phase") or "Unknown")


def _ready(pod: Object, _: float) -> str:
    statuses = dig(pod, "status", "containerStatuses") or ()
    return f"{sum(bool(entry.get('ready')) for entry in statuses)}/{len(dig(pod, 'spec', 'containers') or ())}"


def _restarts(pod: Object, _: float) -> int:
    return sum(entry.get("restartCount", 0) for entry in dig(pod, "status", "containerStatuses") or ())


def _last_seen(event: Object, now: float) -> str:
    last = since(event.get("lastTimestamp"), now)
    count = event.get("count", 1)
    return f"{last} (x{count} over {since(event.get('firstTimestamp'), now)})" if count > 1 else last


def _event_object(event: Object, _: float) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_source(event: Object, _: float) -> str:
    source = event.get("source") or {}
    return ", ".join(filter(None, (source.get("component"), source.get("host"))))


def _ratio(*keys: str) -> Cell:
    return lambda thing, _: f"{dig(thing, 'status', keys[0]) or 0}/{dig(thing, 'spec', keys[1]) or 0}"


def _count(*keys: str) -> Cell:
    return lambda thing, _: dig(thing, *keys) or 0


def _job_status(job: Object, _: float) -> str:
    return "Complete" if dig(job, "status", "succeeded") else "Running"


def _job_duration(job: Object, now: float) -> str:
    start, end = (parse_time(dig(job, "status", key)) for key in ("startTime", "completionTime"))
    return human_duration((end or now) - start) if start else ""


_NAME = Column("NAME", _at("metadata", "name"))
_AGE = Column("AGE", _age)
_DEFAULT = (_NAME, _AGE)

_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "nodes": (
        _NAME,
        Column("STATUS", lambda node, _: node_status(node)),
        Column("ROLES", _roles),
        _AGE,
        Column("VERSION", _at("status", "nodeInfo", "kubeletVersion")),
        Column("INTERNAL-IP", _address("InternalIP"), True),
        Column("EXTERNAL-IP", _address("ExternalIP"), True),
        Column("OS-IMAGE", _at("status", "nodeInfo", "osImage"), True),
        Column("KERNEL-VERSION", _at("status", "nodeInfo", "kernelVersion"), True),
        Column("CONTAINER-RUNTIME", _at("status", "nodeInfo", "containerRuntimeVersion"), True),
    ),
    "pods": (
        _NAME,
        Column("READY", _ready),
        Column("STATUS", _pod_status),
        Column("RESTARTS", _restarts),
        _AGE,
        Column("IP", _at("status", "podIP"), True),
        Column("NODE", _at("spec", "nodeName"), True),
        Column("NOMINATED NODE", _at("status", "nominatedNodeName"), True),
        Column("READINESS GATES", lambda *_: NONE, True),
    ),
    "events": (
        Column("LAST SEEN", _last_seen),
        Column("TYPE", _at("type", default="")),
        Column("REASON", _at("reason", default="")),
        Column("OBJECT", _event_object),
        Column("SUBOBJECT", _at("involvedObject", "fieldPath", default=""), True),
        Column("SOURCE", _event_source, True),
        Column("MESSAGE", lambda event, _: str(event.get("message", "")).strip()),
        Column("FIRST SEEN", lambda event, now: since(event.get("firstTimestamp"), now), True),
        Column("COUNT", _at("count", default=""), True),
        Column("NAME", _at("metadata", "name"), True),
    ),
    "deployments": (
        _NAME,
        Column("READY", _ratio("readyReplicas", "replicas")),
        Column("UP-TO-DATE", _count("status", "updatedReplicas")),
        Column("AVAILABLE", _count("status", "availableReplicas")),
        _AGE,
    ),
    "daemonsets": (
        _NAME,
        Column("DESIRED", _count("status", "desiredNumberScheduled")),
        Column("CURRENT", _count("status", "currentNumberScheduled")),
        Column("READY", _count("status", "numberReady")),
        Column("UP-TO-DATE", _count("status", "updatedNumberScheduled")),
        Column("AVAILABLE", _count("status", "numberAvailable")),
        Column("NODE SELECTOR", lambda *_: NONE),
        _AGE,
    ),
    "statefulsets": (_NAME, Column("READY", _ratio("readyReplicas", "replicas")), _AGE),
    "jobs": (
        _NAME,
        Column("STATUS", _job_status),
        Column("COMPLETIONS", lambda job, _: f"{dig(job, 'status', 'succeeded') or 0}/1"),
        Column("DURATION", _job_duration),
        _AGE,
    ),
    "configmaps": (_NAME, Column("DATA", lambda thing, _: len(thing.get("data") or {})), _AGE),
    "secrets": (
        _NAME,
        Column("TYPE", _at("type")),
        Column("DATA", lambda thing, _: len(thing.get("data") or {})),
        _AGE,
    ),
    "namespaces": (_NAME, Column("STATUS", _at("status", "phase")), _AGE),
    "leases": (_NAME, Column("HOLDER", _at("spec", "holderIdentity", default="")), _AGE),
    "customresourcedefinitions": (_NAME, Column("CREATED AT", _at("metadata", "creationTimestamp"))),
}
"""Columns by plural; what is not here shows name and age, as custom resources without columns of their own do."""


class TableOptions(NamedTuple):
    """How a table is wanted."""

    wide: bool = False
    headers: bool = True
    namespaces: bool = False
    labels: bool = False
    label_columns: tuple[str, ...] = ()


def rows(plural: str, objects: Iterable[Object], now: float, options: TableOptions) -> list[list[str]]:
    """The table of objects of one resource: headings first, then a row each."""
    columns = [column for column in _COLUMNS.get(plural, _DEFAULT) if options.wide or not column.wide]
    if options.namespaces:
        columns.insert(0, Column("NAMESPACE", _at("metadata", "namespace")))
    columns += [
        Column(label.rpartition("/")[2].upper(), _at("metadata", "labels", label, default=""))
        for label in options.label_columns
    ]
    if options.labels:
        columns.append(Column("LABELS", _labels))
    listed = [[str(column.cell(thing, now)) for column in columns] for thing in objects]
    return [[column.heading for column in columns], *listed] if options.headers else listed


def _labels(thing: Object, _: float) -> str:
    attached = dig(thing, "metadata", "labels") or {}
    return ",".join(f"{key}={attached[key]}" for key in sorted(attached)) or NONE


def table_document(plural: str, objects: Sequence[Object], now: float, version: str, include: str) -> Object:
    """The Table that an API server answers with where a client asks for one; `include`: None, Metadata or Object."""
    columns = _COLUMNS.get(plural, _DEFAULT)
    kept: Mapping[str, Callable[[Object], Any]] = {
        "None": lambda thing: None,
        "Object": lambda thing: thing,
        "Metadata": lambda thing: {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": thing["metadata"],
        },
    }
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {
                "name": column.heading.title(),
                "type": "string",
                "format": "name" if column.heading == "NAME" else "",
                "description": "",
                "priority": int(column.wide),
            }
            for column in columns
        ],
        "rows": [
            {"cells": [str(column.cell(thing, now)) for column in columns], "object": kept[include](thing)}
            for thing in objects
        ],
    }
