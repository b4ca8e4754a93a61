"""Checks of the cluster: context, server, rights, clocks and GPU nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.doctor.finding import Finding, count, fail, ok, some, warn
from nvsx.doctor.reading import questions
from nvsx.durations import format_duration
from nvsx.errors import ClusterError, NotFound
from nvsx.names import aliases
from nvsx.watches import nvsentinel
from nvsx.watches.target import node_name

if TYPE_CHECKING:
    from nvsx.doctor.ground import Ground
    from nvsx.ports import Object

SLOW_S = 2.0
SKEW_S, BAD_SKEW_S = 5.0, 60.0
"""Evidence is counted with a minute of tolerance: a clock that is further off makes old evidence of new."""

HEARTBEAT_S = 360.0
"""A kubelet renews a node's conditions at least every five minutes."""

_MINOR = re.compile(r"v?(\d+)\.(\d+)")


async def context(ground: Ground) -> Finding:
    reads = await ground.reads()
    return ok(reads.context or "in a pod: its service account")


async def server(ground: Ground) -> Finding:
    """Reached, how fast, and whether kubectl may be used with it: one minor version apart, either way."""
    probe = await ground.probe()
    text = f"Kubernetes {probe.version or '(no version)'} answers in {_milliseconds(probe.latency_s)}"
    apart = _apart(probe.client, probe.version)
    if apart > 1:
        hint = f"curl -LO https://dl.k8s.io/release/{probe.version}/bin/linux/amd64/kubectl"
        return warn(f"{text}; kubectl {probe.client} is {apart} minor versions away, 1 is supported", hint)
    if probe.latency_s > SLOW_S:
        return warn(f"{text}: slow", f"time {ground.kubectl} get --raw /readyz")
    return ok(text)


async def rights(ground: Ground) -> Finding:
    """Every read that nvsx makes, asked of the server one by one."""
    reads = await ground.reads()
    asked = questions(ground)
    answers = await ground.gathered(
        [
            lambda one=one: reads.may(one.verb, one.resource, group=one.group, namespace=one.namespace)  # type: ignore[misc]
            for one in asked
        ]
    )
    judged = list(zip(asked, answers, strict=True))
    unknown = [answer for _, answer in judged if isinstance(answer, ClusterError) and not isinstance(answer, NotFound)]
    if unknown:
        raise unknown[0]
    refused = [one for one, answer in judged if answer is False]
    needed = [one for one in refused if not one.without]
    allowed = sum(1 for answer in answers if answer is True)
    total = allowed + len(refused)
    if needed:
        details = [f"{one.text}: {one.why}" for one in needed]
        text = f"{len(needed)} of {total} reads are forbidden: {some([one.text for one in needed], 2)}"
        return fail(text, f"{ground.kubectl} {needed[0].command}", *details)
    lost = list(dict.fromkeys(f"{one.text} is not allowed: {one.without}" for one in refused))
    return ok(f"{allowed} of {total} reads allowed" + (f"; {lost[0]}" if lost else ""), *lost)


async def clock(ground: Ground) -> Finding:
    """The server's clock beside ours, by the date in its answer, else by the newest heartbeat of a node."""
    skew = (await ground.probe()).skew_s
    if skew is not None:
        return _judged_skew(skew, "the API server's clock")
    now = ground.site.clock.now()
    newest = max((_heartbeat(node) for node in await ground.nodes()), default=0.0)
    if not newest:
        return warn("no server told its time", "date -u")
    ahead = newest - now
    if ahead > SKEW_S:
        return _judged_skew(ahead, "a node's heartbeat")
    if -ahead > HEARTBEAT_S:
        text = (
            f"the newest heartbeat of a node is {format_duration(-ahead)} old: our clock is ahead, or no kubelet runs"
        )
        return warn(text, "date -u; timedatectl status")
    return ok(f"no heartbeat is ahead of ours; the newest is {format_duration(max(0.0, -ahead))} old")


def _judged_skew(skew: float, what: str) -> Finding:
    if abs(skew) < SKEW_S:
        return ok(f"within {SKEW_S:.0f} s of {what}")
    direction = "ahead of" if skew > 0 else "behind"
    text = f"{what} is {format_duration(abs(skew))} {direction} ours"
    if abs(skew) > BAD_SKEW_S:
        return fail(f"{text}: evidence would be taken for old", "timedatectl set-ntp true")
    return warn(text, "timedatectl status")


async def gpu_nodes(ground: Ground) -> Finding:
    nodes = await ground.nodes()
    gpus = await ground.gpu_nodes()
    if not gpus:
        text = f"none of {count(len(nodes), 'node')} has the label {nvsentinel.GPU_LABEL}=true"
        return fail(text, f"{ground.kubectl} get nodes -L {nvsentinel.GPU_LABEL}")
    unready = [node_name(node) for node in gpus if not _is_ready(node)]
    kinds = sorted({product(node) for node in gpus} - {""})
    text = f"{count(len(gpus), 'GPU node')} of {len(nodes)}{': ' + some(kinds, 2) if kinds else ''}"
    if unready:
        return warn(f"{text}; not Ready: {some(unready)}", f"{ground.kubectl} get nodes")
    return ok(text)


async def held_nodes(ground: Ground) -> Finding:
    """Which nodes are in quarantine, wait for people, or are out of NVSentinel's hands."""
    nodes = await ground.nodes()
    names = aliases(map(node_name, nodes))
    held = [node for node in nodes if nvsentinel.state(node) or nvsentinel.quarantine_events(node)]
    stuck = [node for node in held if nvsentinel.state(node) in nvsentinel.FAILED_AFTER]
    out = [node for node in nodes if is_opted_out(node)]
    parts = []
    if held:
        parts.append(f"{len(held)} in quarantine ({some([names[node_name(node)] for node in held])})")
    if out:
        parts.append(f"{len(out)} opted out ({some([names[node_name(node)] for node in out])})")
    text = ", ".join(parts) or "none in quarantine, none opted out"
    details = [f"{names[node_name(node)]} ({node_name(node)}): {_told(node)}" for node in [*held, *out]]
    if stuck:
        return warn(f"{text}; {some([names[node_name(node)] for node in stuck])} waits for people", "", *details)
    return ok(text, *details)


def is_opted_out(node: Object) -> bool:
    labels = nvsentinel.labels_of(node)
    return any(labels.get(key) == "false" for key in nvsentinel.OPT_OUT_LABELS)


def product(node: Object) -> str:
    """The GPUs of a node in words; "" where GPU feature discovery has not labelled it."""
    labels = nvsentinel.labels_of(node)
    name, number = labels.get("nvidia.com/gpu.product", ""), labels.get("nvidia.com/gpu.count", "")
    return f"{number}x {name}" if name and number else name


def _told(node: Object) -> str:
    return nvsentinel.state(node) or ("opted out of NVSentinel" if is_opted_out(node) else "held")


def _is_ready(node: Object) -> bool:
    found = nvsentinel.condition(node, "Ready")
    return found is not None and found.status == "True"


def _heartbeat(node: Object) -> float:
    listed = (node.get("status") or {}).get("conditions") or ()
    return max(
        (nvsentinel.parse_time(one.get("lastHeartbeatTime")) for one in listed if isinstance(one, dict)), default=0
    )


def _apart(client: str, server_version: str) -> int:
    """How many minor versions lie between two versions; 0 where one of them is no version."""
    one, other = _MINOR.match(client), _MINOR.match(server_version)
    return abs(int(one[2]) - int(other[2])) if one and other and one[1] == other[1] else 0


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
