"""kubectl's writes on a World: what declared actions do to the simulated cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx import documents
from nvsx.errors import DocumentInvalid, NotFound
from nvsx.sim.kubectl_flags import Command, KubectlError, not_done
from nvsx.sim.kubectl_get import Found, Text, ask, find, printed
from nvsx.sim.merging import merged
from nvsx.sim.status import AlreadyExists
from nvsx.sim.world import Request, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nvsx.ports import Object
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

_CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _said(resource: Resource, name: str, done: str) -> str:
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.singular}{group}/{name} {done}\n"


async def _edit(
    world: World, command: Command, found: Iterable[Found], change: Callable[[Object], Object], done: str
) -> Text:
    out, errors = "", ""
    for entry in found:
        errors += "".join(entry.missing)
        for thing in entry.objects:
            metadata = thing["metadata"]
            namespace = metadata.get("namespace", "")
            resource = entry.resource
            await ask(world, Request("patch", resource.plural, resource.group, namespace, metadata["name"]))
            after = world.edit(resource, metadata["name"], namespace, change)
            unchanged = after["metadata"]["resourceVersion"] == metadata["resourceVersion"] and after == thing
            if command.value("output") in ("json", "yaml"):
                out += printed(after, command.value("output"), command.verb).out
            else:
                out += _said(
                    resource, metadata["name"], f"{done} (no change)" if unchanged and done == "patched" else done
                )
    return Text(out, errors, int(bool(errors)))


def _changes(command: Command, words: Iterable[str], what: str) -> tuple[list[str], dict[str, str | None]]:
    """The words before the first change, and the changes: `k=v` sets, `k-` removes (None)."""
    names: list[str] = []
    changes: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            changes[key] = value
        elif word.endswith("-") and names:
            changes[word[:-1]] = None
        elif changes:
            raise KubectlError(f"error: all resources must be specified before {what} changes: {word}")
        else:
            names.append(word)
    if not changes:
        raise KubectlError(f"error: at least one {what} update is required")
    return names, changes


async def _mark(world: World, command: Command, field: str, what: str) -> Text:
    names, changes = _changes(command, command.words, what)
    found = await find(world, command, names)
    if not command.has("overwrite"):
        for thing in (thing for entry in found for thing in entry.objects):
            present = thing["metadata"].get(field) or {}
            clash = next(
                (key for key in changes if changes[key] is not None and present.get(key, changes[key]) != changes[key]),
                "",
            )
            if clash and what == "label":
                raise KubectlError(f"error: '{clash}' already has a value ({present[clash]}), and --overwrite is false")
            if clash:
                raise KubectlError(
                    f"error: --overwrite is false but found the following declared annotation(s): "
                    f"'{clash}' already has a value ({present[clash]})"
                )
    done = {"annotation": "annotated", "label": "labeled"}[what]
    return await _edit(world, command, found, lambda thing: merged(thing, {"metadata": {field: changes}}), done)


async def annotate(world: World, command: Command, _: bytes) -> Text:
    return await _mark(world, command, "annotations", "annotation")


async def label(world: World, command: Command, _: bytes) -> Text:
    return await _mark(world, command, "labels", "label")


async def taint(world: World, command: Command, _: bytes) -> Text:
    """`kubectl taint nodes NAME key=value:Effect key:Effect- key-`."""
    names = [word for word in command.words if ":" not in word and "=" not in word and not word.endswith("-")]
    specs = [word for word in command.words if word not in names]
    now = rfc3339(world.clock.now())

    def change(node: Object) -> Object:
        spec = node.setdefault("spec", {})
        taints = list(spec.get("taints") or [])
        for text in specs:
            pair, _, effect = text.removesuffix("-").partition(":")
            key, _, value = pair.partition("=")
            taints = [old for old in taints if old["key"] != key or effect not in ("", old["effect"])]
            if not text.endswith("-"):
                taints.append({"key": key, **({"value": value} if value else {}), "effect": effect, "timeAdded": now})
        spec["taints"] = taints
        if not taints:
            del spec["taints"]
        return node

    if not specs:
        raise KubectlError("error: at least one taint update is required")
    done = "untainted" if all(text.endswith("-") for text in specs) else "tainted"
    return await _edit(world, command, await find(world, command, names), change, done)


async def _schedulable(world: World, command: Command, wanted: bool) -> Text:
    words = command.words if command.words[:1] in (("node",), ("nodes",)) else ("nodes", *command.words)
    if any("/" in word for word in command.words):
        words = command.words
    found = await find(world, command, words)
    now = rfc3339(world.clock.now())

    def change(node: Object) -> Object:
        spec = node.setdefault("spec", {})
        kept = [old for old in spec.get("taints") or [] if old["key"] != _CORDON["key"]]
        spec.pop("unschedulable", None)
        if not wanted:
            spec["unschedulable"] = True
            kept.append({**_CORDON, "timeAdded": now})  # kube-controller-manager would add it within the second
        spec["taints"] = kept
        if not kept:
            del spec["taints"]
        return node

    done = "uncordoned" if wanted else "cordoned"
    out, errors = "", ""
    for entry in found:
        for thing in entry.objects:
            if bool(thing.get("spec", {}).get("unschedulable")) is not wanted:
                out += _said(entry.resource, thing["metadata"]["name"], f"already {done}")
                continue
            text = await _edit(world, command, [entry._replace(objects=[thing], missing=())], change, done)
            out += text.out
        errors += "".join(entry.missing)
    return Text(out, errors, int(bool(errors)))


async def cordon(world: World, command: Command, _: bytes) -> Text:
    return await _schedulable(world, command, wanted=False)


async def uncordon(world: World, command: Command, _: bytes) -> Text:
    return await _schedulable(world, command, wanted=True)


async def delete(world: World, command: Command, stdin: bytes) -> Text:
    """`kubectl delete TYPE NAME…`, by selector, or by manifest."""
    if "filename" in command.flags:
        found = []
        for manifest in _manifests(command, stdin):
            resource = world.resources.of(manifest)
            named = Command("delete", (f"{resource.qualified}/{manifest['metadata']['name']}",), command.flags)
            found += await find(world, named, named.words)
    else:
        if len(command.words) == 1 and "/" not in command.words[0] and not command.value("selector"):
            raise KubectlError("error: resource(s) were provided, but no name was specified")
        found = await find(world, command, command.words)
    out, errors = "", ""
    for entry in found:
        errors += "".join(entry.missing)
        resource = entry.resource
        for thing in entry.objects:
            name, namespace = thing["metadata"]["name"], thing["metadata"].get("namespace", "")
            await ask(world, Request("delete", resource.plural, resource.group, namespace, name))
            world.delete(resource, name, namespace)
            scope = f" from {namespace} namespace" if namespace else ""
            group = f".{resource.group}" if resource.group else ""
            out += f'{resource.singular}{group} "{name}" deleted{scope}\n'
    return Text(out, errors, int(bool(errors)))


def _manifests(command: Command, stdin: bytes) -> list[Object]:
    source = command.value("filename")
    try:
        data = stdin if source == "-" else Path(source).read_bytes()
    except OSError:
        raise KubectlError(f'error: the path "{source}" does not exist') from None
    pieces = [piece for piece in data.decode(errors="replace").split("\n---") if piece.strip("- \n")]
    objects: list[Object] = []
    for piece in pieces:
        try:
            read: Any = documents.read_yaml(piece.removeprefix("---"), source).data
        except DocumentInvalid as invalid:
            why = invalid.problems[0].message if invalid.problems else invalid.message
            raise KubectlError(f"error: error parsing {source}: {why}") from None
        objects += read["items"] if isinstance(read, dict) and read.get("kind") == "List" else [read]
    if not objects or not all(isinstance(thing, dict) and thing.get("kind") for thing in objects):
        raise KubectlError("error: no objects passed to " + command.verb)
    return objects


async def _put(world: World, command: Command, stdin: bytes, *, may_exist: bool) -> Text:
    out = ""
    for given in _manifests(command, stdin):
        manifest = dict(given)
        resource = world.resources.of(manifest)
        metadata = manifest.setdefault("metadata", {})
        if resource.namespaced:
            metadata.setdefault("namespace", command.namespace)
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        await ask(world, Request("create", resource.plural, resource.group, namespace, name))
        try:
            before = world.get(resource, name, namespace)
        except NotFound:
            after, done = world.create(manifest), "created"
        else:
            if not may_exist:
                raise AlreadyExists(f'{resource.qualified} "{name}" already exists')
            after = world.apply(manifest)
            same = after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
            done = "unchanged" if same else "configured"
        output = command.value("output")
        if output in ("json", "yaml"):
            out += printed(after, output, command.verb).out
        else:
            out += _said(resource, after["metadata"]["name"], done if output != "name" else "").rstrip(" \n") + "\n"
    return Text(out)


async def apply(world: World, command: Command, stdin: bytes) -> Text:
    return await _put(world, command, stdin, may_exist=True)


async def create(world: World, command: Command, stdin: bytes) -> Text:
    """`kubectl create -f`; the generators (`create namespace …`) are not done."""
    if "filename" not in command.flags:
        raise not_done(" ".join(("create", *command.words[:1])))
    return await _put(world, command, stdin, may_exist=False)


async def patch(world: World, command: Command, _: bytes) -> Text:
    """`kubectl patch` with a merge patch; a strategic one only where it means the same (no lists in it)."""
    kind = command.value("type", "strategic")
    try:
        body = documents.read_yaml(command.value("patch"), "--patch").data
    except DocumentInvalid:
        body = None
    if not isinstance(body, dict):
        if kind == "json":
            raise not_done("patch --type json")
        raise KubectlError(f"error: unable to parse {json.dumps(command.value('patch'))}")
    if kind not in ("merge", "strategic") or (kind == "strategic" and _has_list(body)):
        raise not_done(f"patch --type {kind}" + (" with lists" if kind == "strategic" else ""))
    found = await find(world, command, command.words)
    return await _edit(world, command, found, lambda thing: merged(thing, body), "patched")


def _has_list(data: Any) -> bool:
    return isinstance(data, list) or (isinstance(data, dict) and any(_has_list(value) for value in data.values()))
