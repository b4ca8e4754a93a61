"""What the API server does on POST, PUT, PATCH and DELETE: what declared actions send through kubectl."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from nvsx.sim import discovery
from nvsx.sim.apiserver.http1 import Answer
from nvsx.sim.apiserver.patches import patched
from nvsx.sim.apiserver.reading import encoded
from nvsx.sim.status import BadRequest, NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.ports import Object
    from nvsx.sim.apiserver.http1 import HttpRequest
    from nvsx.sim.world import World

    Write = Callable[[World, discovery.Target, HttpRequest], Answer]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


async def write(world: World, request: HttpRequest) -> Answer:
    """Do it, after the reaction chain had its say."""
    target = discovery.target(world, request.target)
    trial = _is_trial(target, request)
    await world.consult(target.request(_VERBS[request.method]))
    with world.trying() if trial else nullcontext():
        return _WRITES[request.method](world, target, request)


def _is_trial(target: discovery.Target, request: HttpRequest) -> bool:
    """Whether it is a dry run: the query says so, for a deletion the options in its body."""
    asked = [target.query["dryRun"]] if target.query.get("dryRun") else []
    if request.method == "DELETE" and request.body:
        options = _document(request)
        asked += options.get("dryRun") or [] if isinstance(options, dict) else []
    if any(word != "All" for word in asked):
        raise BadRequest(f'Invalid value: "{asked[0]}": dryRun must be "All"')
    return bool(asked)


def _document(request: HttpRequest) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise BadRequest(f"the request's body is not JSON: {error}") from None


def _create(world: World, target: discovery.Target, request: HttpRequest) -> Answer:
    if target.subresource == "eviction":
        return _delete(world, target, request)
    if target.name:
        raise NotSimulated(f"the simulator's API server does not do POST to {target.subresource or 'an object'}")
    manifest = _document(request)
    resource = target.resource
    manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}
    if resource.namespaced:
        manifest.setdefault("metadata", {}).setdefault("namespace", target.path.namespace or "default")
    return Answer(201, encoded(world.create(manifest)))


def _replace(world: World, target: discovery.Target, request: HttpRequest) -> Answer:
    return Answer(200, encoded(world.replace(_document(request))))


def _patch(world: World, target: discovery.Target, request: HttpRequest) -> Answer:
    form, body = request.headers.get("content-type", ""), _document(request)

    def change(thing: Object) -> Object:
        return patched(form, thing, body)

    return Answer(200, encoded(world.edit(target.resource, target.name, target.path.namespace, change)))


def _delete(world: World, target: discovery.Target, request: HttpRequest) -> Answer:
    if not target.name:
        raise NotSimulated("the simulator's API server does not delete collections")
    resource = target.resource
    gone = world.delete(resource, target.name, target.path.namespace)
    details: dict[str, str] = {"name": target.name, "kind": resource.plural, "uid": gone["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return Answer(201 if request.method == "POST" else 200, encoded(status))


_WRITES: Mapping[str, Write] = {"POST": _create, "PUT": _replace, "PATCH": _patch, "DELETE": _delete}
