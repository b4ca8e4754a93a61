"""kubectl's answers from a World, for scripts on machines without kubectl and wherever nothing real may be reached.

It does what hooks use and refuses the rest by name: better no answer than one that a real cluster would not give.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import Forbidden, NotFound, NvsxError, TimedOut, Unauthorized, Unreachable
from nvsx.sim import kubectl_get, kubectl_logs, kubectl_writes
from nvsx.sim.kubectl_flags import Command, KubectlError, not_done, parse
from nvsx.sim.kubectl_get import Text, ask
from nvsx.sim.status import STATUS
from nvsx.sim.tables import aligned
from nvsx.sim.world import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nvsx.sim.world import World

    Handler = Callable[[World, Command, bytes], Awaitable[Text]]

_VERSION = "v1.34.1"


class Reply(NamedTuple):
    """What the process prints and how it exits."""

    code: int
    out: bytes
    err: bytes


async def answer(world: World, argv: Sequence[str], stdin: bytes = b"") -> Reply:
    """What `kubectl ARGV` prints on this world."""
    try:
        command = parse(argv)
        context = command.value("context", world.context)
        if context != world.context:
            raise KubectlError(f'error: context "{context}" does not exist')
        text = await _HANDLERS[command.verb](world, command, stdin)
    except KubectlError as refused:
        return Reply(refused.code, b"", f"{refused.text}\n".encode())
    except NvsxError as failure:
        return Reply(1, b"", f"{failure_text(failure)}\n".encode())
    return Reply(text.code, text.out.encode(), text.err.encode())


def failure_text(failure: NvsxError) -> str:
    """A failure of looking in kubectl's words."""
    if isinstance(failure, Unreachable):
        return failure.message
    if isinstance(failure, Unauthorized):
        return f"error: {failure.message}"
    if isinstance(failure, TimedOut):
        return failure.message
    if isinstance(failure, NotFound) and failure.message.startswith("the server doesn't have a resource type"):
        return f"error: {failure.message}"
    _, reason = STATUS.get(type(failure), (500, "InternalError"))
    return f"Error from server ({reason}): {failure.message}"


async def _version(world: World, command: Command, _: bytes) -> Text:
    client = {"gitVersion": _VERSION, "major": "1", "minor": "34", "platform": "linux/amd64"}
    versions = {"clientVersion": client, "kustomizeVersion": "v5.7.1"}
    if not command.has("client"):
        await ask(world, Request("get"))
        versions["serverVersion"] = client
    if command.value("output") == "json":
        return Text(json.dumps(versions, indent=2) + "\n")
    if command.value("output"):
        raise not_done(f"version -o {command.value('output')}")
    lines = [f"Client Version: {_VERSION}", "Kustomize Version: v5.7.1"]
    if "serverVersion" in versions:
        lines.append(f"Server Version: {_VERSION}")
    return Text("".join(f"{line}\n" for line in lines))


async def _config(world: World, command: Command, _: bytes) -> Text:
    what = command.words[0] if command.words else ""
    if what == "current-context":
        return Text(f"{world.context}\n")
    if what == "get-contexts" and command.value("output") == "name":
        return Text(f"{world.context}\n")
    if what == "get-contexts" and not command.value("output"):
        heads = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]
        return Text(aligned([heads, ["*", world.context, world.context, world.context, ""]]))
    if what == "view":
        return kubectl_get.printed(kubeconfig(world.context), command.value("output", "yaml"), "config view")
    raise not_done(f"config {what}".rstrip())


def kubeconfig(context: str) -> dict[str, object]:
    """A kubeconfig that names the simulated cluster and leads nowhere."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{"name": context, "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "users": [{"name": context, "user": {}}],
        "current-context": context,
    }


async def _auth(world: World, command: Command, _: bytes) -> Text:
    if command.words[:1] != ("can-i",) or len(command.words) < 3:
        raise not_done(f"auth {' '.join(command.words)}".rstrip())
    verb, named = command.words[1], command.words[2].partition("/")[0]
    resource = world.resources.named(named)
    namespace = command.namespace if resource.namespaced else ""
    try:
        await ask(
            world, Request("logs" if "log" in command.words[2] else verb, resource.plural, resource.group, namespace)
        )
    except Forbidden:
        return Text("" if command.has("quiet") else "no\n", code=1)
    return Text("" if command.has("quiet") else "yes\n")


async def _api_resources(world: World, command: Command, _: bytes) -> Text:
    await ask(world, Request("get"))
    group = command.value("api-group", "*")
    rows = [
        [known.plural, ",".join(known.short), known.api_version, str(known.namespaced).lower(), known.kind]
        for known in world.resources
        if group in ("*", known.group)
        and command.value("namespaced", str(known.namespaced)).lower() == str(known.namespaced).lower()
    ]
    heads = [] if command.has("no-headers") else [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]]
    return Text(aligned([*heads, *rows]))


_HANDLERS: Mapping[str, Handler] = {
    "get": kubectl_get.get,
    "describe": kubectl_get.describe,
    "logs": kubectl_logs.logs,
    "version": _version,
    "config": _config,
    "auth": _auth,
    "api-resources": _api_resources,
    "annotate": kubectl_writes.annotate,
    "label": kubectl_writes.label,
    "taint": kubectl_writes.taint,
    "cordon": kubectl_writes.cordon,
    "uncordon": kubectl_writes.uncordon,
    "delete": kubectl_writes.delete,
    "apply": kubectl_writes.apply,
    "create": kubectl_writes.create,
    "patch": kubectl_writes.patch,
}
