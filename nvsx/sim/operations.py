"""What a scenario's step can do to a World: one function per operation, its text already filled in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nvsx.durations import parse_duration
from nvsx.errors import NotFound
from nvsx.ports import ApiPath
from nvsx.sim.faults import fault
from nvsx.sim.merging import copy_of, merged, merged_by
from nvsx.sim.world import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nvsx.ports import Object
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

    Body = Mapping[str, Any]


def _target(world: World, text: str) -> tuple[Resource, str, str]:
    """Resource, name and namespace of `nodes/NAME` or `pods/NAMESPACE/NAME`."""
    kind, *rest = text.split("/")
    resource = world.resources.named(kind)
    if len(rest) != (2 if resource.namespaced else 1):
        raise NotFound(f"{text!r} is not an object; write nodes/NAME or pods/NAMESPACE/NAME")
    return resource, rest[-1], rest[0] if resource.namespaced else ""


def _patch(world: World, body: Body) -> None:
    resource, name, namespace = _target(world, body["patch"])
    now = rfc3339(world.clock.now())

    def change(thing: Object) -> Object:
        thing = merged(thing, body.get("body", {}))
        if "conditions" in body:
            status = thing.setdefault("status", {})
            status["conditions"] = with_conditions(status.get("conditions", []), body["conditions"], now)
        if "taints" in body or "untaint" in body:
            spec = thing.setdefault("spec", {})
            spec["taints"] = _with_taints(spec.get("taints", []), body, now)
            if not spec["taints"]:
                del spec["taints"]
        return thing

    world.edit(resource, name, namespace, change)


def with_conditions(present: Sequence[Object], changes: Sequence[Object], now: str) -> list[Object]:
    """Conditions with others merged in by type; a new status sets `lastTransitionTime` to `now` unless it is given."""
    status = {condition["type"]: condition.get("status") for condition in present}
    stamped = [
        change
        if change.get("status") == status.get(change["type"]) or "lastTransitionTime" in change
        else {**change, "lastTransitionTime": now}
        for change in changes
    ]
    return merged_by(present, stamped, ("type",))


def _with_taints(present: Sequence[Object], body: Body, now: str) -> list[Object]:
    gone = set(body.get("untaint", ()))
    kept = [taint for taint in present if taint["key"] not in gone]
    added = [{**taint, "timeAdded": taint.get("timeAdded", now)} for taint in body.get("taints", ())]
    return merged_by(kept, added, ("key", "effect"))


def _create(world: World, body: Body) -> None:
    world.create(dict(body["create"]))


def _delete(world: World, body: Body) -> None:
    world.delete(*_target(world, body["delete"]))


def _event(world: World, body: Body) -> None:
    """Record a core/v1 Event; the same event again counts up instead, as client-go's recorder does."""
    given = dict(body["event"])
    namespace = given.pop("namespace", "default")
    component = given.pop("component")
    now = rfc3339(world.clock.now())
    involved = given["involvedObject"]
    path = ApiPath("v1", "events", namespace=namespace, field_selector=f"involvedObject.name={involved['name']}")
    for known in world.list(path).objects:
        if all(known.get(key) == given.get(key) for key in ("type", "reason", "message", "involvedObject")):
            change = {"count": known["count"] + 1, "lastTimestamp": now}
            world.patch(world.resources.named("events"), known["metadata"]["name"], namespace, change)
            return
    metadata = {"namespace": namespace, **given.pop("metadata", {})}
    if "name" not in metadata:
        metadata["generateName"] = f"{involved['name']}-"
    event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "source": {"component": component}, **given}
    event |= {"firstTimestamp": now, "lastTimestamp": now, "count": 1, "reportingComponent": component}
    event |= {key: given[key] for key in ("firstTimestamp", "lastTimestamp", "count") if key in given}
    world.create(event)


def _log(world: World, body: Body) -> None:
    line = body["log"]
    namespace, _, pod = line["pod"].partition("/")
    ago = line.get("ago")
    time = world.clock.now() - parse_duration(ago) if ago else None
    for text in line["text"].splitlines():
        world.logs.append(namespace, pod, text, line.get("container", ""), time)


def _fault(world: World, body: Body) -> None:
    description = body["fault"]
    found = fault(world, description, parse_duration(description.get("delay", "0s")))
    found.begin()
    if "for" in description:
        asyncio.get_running_loop().call_later(parse_duration(description["for"]), found.end)


def _insert(world: World, body: Body) -> None:
    world.insert_document(body["insert"]["collection"], copy_of(body["insert"]["document"]))


def _update(world: World, body: Body) -> None:
    wanted = body["update"]
    if not world.update_documents(wanted["collection"], wanted["where"], wanted["set"]):
        raise NotFound(f"no document in {wanted['collection']} where {wanted['where']}")


OPERATIONS: Mapping[str, Callable[[World, Body], None]] = {
    "patch": _patch,
    "create": _create,
    "delete": _delete,
    "event": _event,
    "log": _log,
    "fault": _fault,
    "insert": _insert,
    "update": _update,
}
