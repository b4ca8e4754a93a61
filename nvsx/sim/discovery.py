"""Raw API paths: what each names, and the discovery documents among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from nvsx.errors import NotFound
from nvsx.ports import ApiPath
from nvsx.sim.resources import BUILT_IN
from nvsx.sim.world import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.ports import Object
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.1", "platform": "linux/amd64"}
_TYPE = ("apiVersion", "kind")
_ALIVE = ("/readyz", "/livez", "/healthz")


class Target(NamedTuple):
    """What a raw path names: an object (`name` set) or a collection (`path`), and the rest of its query."""

    resource: Resource
    path: ApiPath
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = {}

    def request(self, verb: str) -> Request:
        return Request(verb, self.resource.plural, self.resource.group, self.path.namespace, self.name)


def target(world: World, url: str) -> Target:
    """The object or collection at a raw path; NotFound where the server has no such type."""
    split = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(split.query).items()}
    parts = [unquote(part) for part in split.path.strip("/").split("/")]
    group, version, rest = ("", parts[1], parts[2:]) if parts[:1] == ["api"] else (parts[1], parts[2], parts[3:])
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = world.resources.at(group, version, rest[0])
    chosen = ApiPath(version, rest[0], group, namespace, query.pop("fieldSelector", ""), query.pop("labelSelector", ""))
    name, subresource = [*rest[1:], "", ""][:2]
    return Target(resource, chosen, name, subresource, query)


def is_discovery(url: str) -> bool:
    """Whether a raw path asks what the server has, not for an object."""
    parts = urlsplit(url).path.strip("/").split("/")
    return len(parts) <= {"api": 2, "apis": 3}.get(parts[0], len(parts))


def discover(world: World, url: str) -> Object:
    """The discovery document at a raw path; NotFound for an unknown group, version or path."""
    path = urlsplit(url).path.rstrip("/")
    parts = path.strip("/").split("/")
    if path == "/version":
        return dict(_VERSION)
    if path in _ALIVE:
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "message": "ok"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(name, versions) for name, versions in world.resources.groups().items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if parts[0] == "api" and len(parts) == 2:
        return _resource_list(world, "", parts[1])
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in world.resources.groups():
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], world.resources.groups()[parts[1]])}
    if parts[0] == "apis" and len(parts) == 3:
        return _resource_list(world, parts[1], parts[2])
    raise NotFound("the server could not find the requested resource")


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(world: World, group: str, version: str) -> Object:
    listed = [
        _resource_entry(resource)
        for resource in world.resources
        if (resource.group, resource.version) == (group, version)
    ]
    if not listed:
        raise NotFound("the server could not find the requested resource")
    api_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}


def _resource_entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_VERBS),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    return entry


def list_document(resource: Resource, objects: list[Object], version: str) -> Object:
    """The API's form of a list: items of the built-in types do not say again what they are, custom resources do."""
    if resource in BUILT_IN:
        objects = [{key: value for key, value in thing.items() if key not in _TYPE} for thing in objects]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": version},
        "items": objects,
    }
