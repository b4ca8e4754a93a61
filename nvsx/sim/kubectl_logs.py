"""`kubectl logs` on a World."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.durations import parse_duration
from nvsx.ports import ApiPath
from nvsx.sim.kubectl_flags import Command, KubectlError, not_done
from nvsx.sim.kubectl_get import Text, ask
from nvsx.sim.tokens import TIME_FORMS
from nvsx.sim.world import Request
from nvsx.watches.nvsentinel import parse_time

if TYPE_CHECKING:
    from nvsx.ports import Object
    from nvsx.sim.podlogs import Line
    from nvsx.sim.world import World

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_TAIL_OF_MANY = 10  # lines a pod, where pods are chosen by a selector and no --tail is given
_OWNERS = frozenset({"deployments", "daemonsets", "statefulsets", "jobs"})


async def logs(world: World, command: Command, _: bytes) -> Text:
    """Lines of one pod, of one workload's first pod, or of all that a selector names."""
    if command.has("previous"):
        raise not_done("logs --previous")
    namespace = command.namespace
    await ask(world, Request("logs", "pods", "", namespace, command.words[0] if command.words else ""))
    pods, notes = _pods(world, command)
    if not pods:
        return Text("", f"No resources found in {namespace} namespace.\n")
    limit = int(command.value("max-log-requests", "5"))
    streams = [(pod, name) for pod in pods for name in _containers(pod, command)]
    if command.value("selector") and len(streams) > limit and command.has("follow"):
        raise KubectlError(f"error: you are attempting to follow {len(streams)} log streams, but maximum is {limit}")
    out = []
    for pod, name in streams:
        if not command.has("all-containers") and not command.value("container") and len(command.words) < 2:
            notes += _defaulted(pod, name)
        out += [_shown(command, pod, name, line) for line in _chosen(world, command, pod, name)]
    return Text("".join(out), notes)


def _pods(world: World, command: Command) -> tuple[list[Object], str]:
    pods = world.resources.named("pods")
    if selector := command.value("selector"):
        if command.words:
            raise KubectlError("error: only a selector (-l) or a POD name is allowed")
        return world.list(ApiPath("v1", "pods", namespace=command.namespace, label_selector=selector)).objects, ""
    if not command.words:
        raise KubectlError(
            "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
            "POD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples"
        )
    kind, slash, name = command.words[0].rpartition("/")
    resource = world.resources.named(kind) if slash else pods
    if resource == pods:
        return [world.get(pods, name, command.namespace)], ""
    if resource.plural not in _OWNERS:
        raise not_done(f"logs {kind}/NAME")
    return _of_workload(world, world.get(resource, name, command.namespace))


def _of_workload(world: World, workload: Object) -> tuple[list[Object], str]:
    wanted = workload.get("spec", {}).get("selector", {}).get("matchLabels", {})
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    found = world.list(
        ApiPath("v1", "pods", namespace=workload["metadata"]["namespace"], label_selector=selector)
    ).objects
    if not selector or not found:
        raise KubectlError("error: timed out waiting for the condition")
    note = f"Found {len(found)} pods, using pod/{found[0]['metadata']['name']}\n" if len(found) > 1 else ""
    return found[:1], note


def _containers(pod: Object, command: Command) -> list[str]:
    names = [container["name"] for container in pod.get("spec", {}).get("containers", ())]
    if command.has("all-containers"):
        return names
    wanted = command.value("container") or (*command.words[1:2], "")[0]
    if wanted and wanted not in names:
        name = pod["metadata"]["name"]
        raise KubectlError(f"error: container {wanted} is not valid for pod {name}")
    default = pod["metadata"].get("annotations", {}).get(_DEFAULT_CONTAINER)
    return [wanted or default or names[0]] if names else []


def _defaulted(pod: Object, name: str) -> str:
    names = [container["name"] for container in pod["spec"]["containers"]]
    if len(names) < 2 or _DEFAULT_CONTAINER in pod["metadata"].get("annotations", {}):
        return ""
    return f'Defaulted container "{name}" out of: {", ".join(names)}\n'


def _chosen(world: World, command: Command, pod: Object, container: str) -> list[Line]:
    metadata = pod["metadata"]
    earliest = 0.0
    try:
        if span := command.value("since"):
            earliest = world.clock.now() - parse_duration(span)
    except ValueError:
        raise KubectlError(f'error: invalid argument "{span}" for "--since" flag: time: invalid duration') from None
    if stamp := command.value("since-time"):
        earliest = parse_time(stamp)
    lines = [
        line
        for line in world.logs.lines(metadata["namespace"], metadata["name"])
        if line.time >= earliest and line.container in ("", container)
    ]
    tail = int(command.value("tail", str(_TAIL_OF_MANY) if command.value("selector") else "-1"))
    return lines if tail < 0 else lines[len(lines) - min(tail, len(lines)) :]


def _shown(command: Command, pod: Object, container: str, line: Line) -> str:
    prefix = f"[pod/{pod['metadata']['name']}/{container}] " if command.has("prefix") else ""
    stamp = f"{TIME_FORMS['micros'](line.time)[:-1]}000Z " if command.has("timestamps") else ""
    return f"{prefix}{stamp}{line.text}\n"
