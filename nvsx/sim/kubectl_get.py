"""`kubectl get` and `kubectl describe` on a World, in every output form that scripts parse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import NotFound
from nvsx.ports import ApiPath
from nvsx.sim import discovery, jsonpath
from nvsx.sim.describe import described
from nvsx.sim.kubectl_flags import Command, KubectlError, not_done
from nvsx.sim.tables import NONE, TableOptions, aligned, rows
from nvsx.sim.world import Request
from nvsx.sim.yamltext import to_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.ports import Object
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World


_NO_TYPE = (
    'error: You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported '
    "resources."
)
_MIXED_NAMES = (
    "error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name "
    "form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"
)


class Text(NamedTuple):
    """What a command prints, and its exit status."""

    out: str
    err: str = ""
    code: int = 0


class Found(NamedTuple):
    """Objects of one resource; `single` when one was asked for by name."""

    resource: Resource
    objects: list[Object]
    single: bool
    missing: tuple[str, ...] = ()  # kubectl's line for each name that is not there


async def ask(world: World, request: Request) -> Object | None:
    """Pass the reaction chain, where an injected fault answers or raises instead of the World."""
    return await world.consult(request)


def pairs(world: World, words: Sequence[str]) -> list[tuple[Resource, str]]:
    """Resource and name of each object that words such as `node a b`, `node/a pod/b` name; name "" for a whole type."""
    if not words:
        raise KubectlError(_NO_TYPE)
    if "/" in words[0]:
        split = [word.partition("/") for word in words]
        if not all(slash and name for _, slash, name in split):
            raise KubectlError(_MIXED_NAMES)
        return [(world.resources.named(kind), name) for kind, _, name in split]
    if "," in words[0]:
        raise not_done(f"get {words[0]}")
    resource = world.resources.named(words[0])
    return [(resource, name) for name in words[1:]] or [(resource, "")]


async def find(world: World, command: Command, words: Sequence[str]) -> list[Found]:
    """The objects that a command is about, by resource, in the order of the words."""
    found: dict[Resource, Found] = {}
    named = pairs(world, words)
    for resource, name in named:
        if name and (command.value("selector") or command.value("field-selector")):
            raise KubectlError("error: name cannot be provided when a selector is specified")
        namespace = command.namespace if resource.namespaced else ""
        before = found.get(resource, Found(resource, [], len(named) == 1 and bool(name)))
        if not name:
            found[resource] = before._replace(objects=await _listed(world, command, resource, namespace))
            continue
        if command.has("all-namespaces"):
            raise KubectlError("error: a resource cannot be retrieved by name across all namespaces")
        await ask(world, Request("get", resource.plural, resource.group, namespace, name))
        try:
            found[resource] = before._replace(objects=[*before.objects, world.get(resource, name, namespace)])
        except NotFound as failure:
            line = f"Error from server (NotFound): {failure.message}\n"
            ignored = command.has("ignore-not-found")
            found[resource] = before if ignored else before._replace(missing=(*before.missing, line))
    return list(found.values())


async def _listed(world: World, command: Command, resource: Resource, namespace: str) -> list[Object]:
    await ask(world, Request("list", resource.plural, resource.group, namespace))
    selectors = (command.value("field-selector"), command.value("selector"))
    return world.list(ApiPath(resource.version, resource.plural, resource.group, namespace, *selectors)).objects


async def get(world: World, command: Command, _: bytes) -> Text:
    """`kubectl get`."""
    if "raw" in command.flags:
        return await _raw(world, command.value("raw"))
    found = await find(world, command, command.words)
    if path := command.value("sort-by"):
        found = [entry._replace(objects=_sorted(entry.objects, path)) for entry in found]
    errors = "".join(line for entry in found for line in entry.missing)
    output = command.value("output")
    if output in ("", "wide"):
        return _tables(world, command, found, errors)
    objects = [(entry.resource, thing) for entry in found for thing in entry.objects]
    if output == "name":
        names = [f"{resource.singular}{_dotted(resource)}/{thing['metadata']['name']}\n" for resource, thing in objects]
        return Text("".join(names), errors, int(bool(errors)))
    single = len(found) == 1 and found[0].single
    if single and not objects:
        return Text("", errors, int(bool(errors)))
    things = [thing for _, thing in objects]
    whole = things[0] if single else as_list(things)
    text = printed(whole, output, "get", headers=not command.has("no-headers"))
    return text._replace(err=errors, code=int(bool(errors)))


def _dotted(resource: Resource) -> str:
    return f".{resource.group}" if resource.group else ""


def as_list(objects: list[Object]) -> Object:
    """The List that kubectl puts several objects in."""
    return {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}


def _sorted(objects: list[Object], path: str) -> list[Object]:
    def key(thing: Object) -> tuple[bool, Any]:
        values = jsonpath.find(path, thing)
        return (bool(values), values[0] if values else "")

    try:
        return sorted(objects, key=key)
    except jsonpath.JsonPathError as error:
        raise KubectlError(f"error: {error}") from None


def _tables(world: World, command: Command, found: list[Found], errors: str) -> Text:
    if not any(entry.objects for entry in found):
        if errors or command.has("ignore-not-found"):
            return Text("", errors, int(bool(errors)))
        scoped = found[0].resource.namespaced and command.namespace
        return Text("", f"No resources found in {command.namespace} namespace.\n" if scoped else "No resources found\n")
    if len(found) > 1:
        raise not_done("get of several types as a table")
    entry = found[0]
    options = TableOptions(
        wide=command.value("output") == "wide",
        headers=not command.has("no-headers"),
        namespaces=command.has("all-namespaces") and entry.resource.namespaced,
        labels=command.has("show-labels"),
        label_columns=tuple(filter(None, command.value("label-columns").split(","))),
    )
    table = rows(entry.resource.plural, entry.objects, world.clock.now(), options)
    return Text(aligned(table), errors, int(bool(errors)))


def printed(data: Object, output: str, verb: str, *, headers: bool = True) -> Text:
    """One document in an output form: json, yaml, jsonpath=…, custom-columns=…."""
    form, _, argument = output.partition("=")
    if form == "json":
        return Text(to_json(data))
    if form == "yaml":
        return Text(to_yaml(data))
    try:
        if form in ("jsonpath", "jsonpath-as-json") and not argument:
            raise KubectlError("error: template format specified but no template given")
        if form == "jsonpath":
            template = argument if "{" in argument else f"{{{argument if argument[:1] in '.[@$' else '.' + argument}}}"
            return Text(jsonpath.fill(template, data))
        if form == "custom-columns":
            return Text(_custom_columns(data, argument, headers=headers))
    except jsonpath.JsonPathError as error:
        raise KubectlError(f"error: error parsing jsonpath {argument}, {error}") from None
    raise not_done(f"{verb} -o {form}")


def to_json(data: Any) -> str:
    """JSON as kubectl prints it."""
    return jsonpath.escape_html(json.dumps(data, indent=4, sort_keys=True, ensure_ascii=False)) + "\n"


def _custom_columns(data: Object, spec: str, *, headers: bool) -> str:
    columns = [column.partition(":") for column in spec.split(",")]
    if not all(head and path for head, _, path in columns):
        raise KubectlError("error: unexpected custom-columns spec: " + spec + ", expected <header>:<json-path-expr>")
    things = data["items"] if data.get("kind") == "List" else [data]
    lines = [[_column_text(thing, path) for _, _, path in columns] for thing in things]
    return aligned([*([[head for head, _, _ in columns]] if headers else []), *lines])


def _column_text(thing: Object, path: str) -> str:
    values = jsonpath.find(path, thing)
    return ",".join(jsonpath.shown(value) for value in values) or NONE


async def _raw(world: World, url: str) -> Text:
    if not url.startswith("/"):
        raise KubectlError(f"error: arguments in resource/name form or a path are needed, not {url!r}")
    if "watch=" in url:
        raise not_done("get --raw with watch")
    if discovery.is_discovery(url):
        answer = await ask(world, Request("get")) or discovery.discover(world, url)
    else:
        target = discovery.target(world, url)
        if target.subresource:
            raise not_done(f"get --raw of {target.subresource}")
        answer = await ask(world, target.request("get" if target.name else "list")) or _at(world, target)
    return Text(json.dumps(answer, separators=(",", ":"), ensure_ascii=False) + "\n")


def _at(world: World, target: discovery.Target) -> Object:
    if target.name:
        return world.get(target.resource, target.name, target.path.namespace)
    listing = world.list(target.path)
    return discovery.list_document(target.resource, listing.objects, listing.version)


async def describe(world: World, command: Command, _: bytes) -> Text:
    """`kubectl describe`, modest: what people look at on a node or pod, and any other object's fields."""
    found = await find(world, command, command.words)
    errors = "".join(line for entry in found for line in entry.missing)
    texts = [described(world, entry.resource, thing) for entry in found for thing in entry.objects]
    if not texts and not errors:
        return Text("", "No resources found\n")
    return Text("\n\n".join(texts), errors, int(bool(errors)))
