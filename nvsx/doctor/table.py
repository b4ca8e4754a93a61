"""The table of checks, and the one way to run them: independent ones together, dependent ones after what they need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from nvsx.doctor import chain, cluster, machine, runbooks
from nvsx.doctor.finding import Finding, blind, failed, skip
from nvsx.errors import ClusterError, NvsxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nvsx.doctor.ground import Ground

HERE, CLUSTER, NVSENTINEL, RUNBOOKS = "this machine", "cluster", "NVSentinel", "runbooks"


class Check(NamedTuple):
    """`needs` are ids of checks that must not have failed; `hint` is what to paste where the finding has no better one.

    In a hint `{kubectl}` and `{namespace}` mean this cluster's.
    """

    id: str
    group: str
    title: str
    needs: tuple[str, ...]
    run: Callable[[Ground], Awaitable[Finding]]
    hint: str


CHECKS: tuple[Check, ...] = (
    Check("python", HERE, "python", (), machine.python, "python3 --version"),
    Check("kubectl", HERE, "kubectl", (), machine.kubectl, "https://kubernetes.io/docs/tasks/tools/"),
    Check("tools", HERE, "tools", (), machine.tools, "bash --version; curl --version"),
    Check("project", HERE, "project", (), machine.project, "nvsx setup"),
    Check("env-file", HERE, "env file", (), machine.env_file, "chmod 600 nvsx.env"),
    Check("state", HERE, "state", (), machine.state_directory, "nvsx --state-dir DIR"),
    Check("context", CLUSTER, "context", ("kubectl",), cluster.context, "kubectl config get-contexts"),
    Check("server", CLUSTER, "server", ("context",), cluster.server, "{kubectl} version"),
    Check("rights", CLUSTER, "rights", ("server",), cluster.rights, "{kubectl} auth can-i --list -n {namespace}"),
    Check("clock", CLUSTER, "clock", ("server",), cluster.clock, "timedatectl status"),
    Check("gpu-nodes", CLUSTER, "GPU nodes", ("server",), cluster.gpu_nodes, "{kubectl} get nodes"),
    Check("held", CLUSTER, "held nodes", ("gpu-nodes",), cluster.held_nodes, "nvsx status"),
    Check("components", NVSENTINEL, "components", ("server",), chain.components, "{kubectl} -n {namespace} get pods"),
    Check(
        "monitors", NVSENTINEL, "monitors", ("components", "gpu-nodes"), chain.monitors,
        "{kubectl} -n {namespace} get daemonsets",
    ),
    Check(
        "breaker", NVSENTINEL, "breaker", ("components",), chain.breaker,
        "{kubectl} -n {namespace} get configmap circuit-breaker -o yaml",
    ),
    Check(
        "drain", NVSENTINEL, "drain", ("components",), chain.drain,
        "{kubectl} -n {namespace} get configmap node-drainer -o yaml",
    ),
    Check(
        "repairs", NVSENTINEL, "repairs", ("components",), chain.repairs,
        "{kubectl} -n {namespace} get configmap fault-remediation -o yaml",
    ),
    Check("events", NVSENTINEL, "events", ("components",), chain.events, "{kubectl} -n {namespace} get pods"),
    Check("lint", RUNBOOKS, "lint", (), runbooks.sound, "nvsx lint"),
    Check("prerequisites", RUNBOOKS, "ready", ("tools", "server"), runbooks.prerequisites, "nvsx lint"),
    Check("routing", RUNBOOKS, "reached", ("gpu-nodes", "components"), runbooks.reached, "nvsx list"),
    Check("fit", RUNBOOKS, "fit", ("components",), runbooks.fitting, "nvsx list"),
    Check("hooks", RUNBOOKS, "hooks", (), machine.hook_variables, "nvsx lint"),
    Check("drills", RUNBOOKS, "drills", (), runbooks.rehearsed, "nvsx drill gpu-off-bus"),
)  # fmt: skip
"""In the order of display: what a check needs stands above it."""


class Result(NamedTuple):
    """A check that is over. `elapsed_s` counts from when what it needs was there."""

    check: Check
    finding: Finding
    elapsed_s: float


async def examine(
    ground: Ground, *, told: Callable[[Result], None] | None = None, checks: Sequence[Check] = CHECKS
) -> list[Result]:
    """Run all checks. `told` hears of each in the order of the table, as soon as it and all before it are over."""
    running: dict[str, asyncio.Task[Result]] = {}
    results = []
    try:
        for check in checks:
            needs = {name: running[name] for name in check.needs}
            running[check.id] = asyncio.create_task(_one(ground, check, needs), name=check.id)
        for check in checks:
            results.append(await running[check.id])
            if told:
                told(results[-1])
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
    return results


async def _one(ground: Ground, check: Check, needs: Mapping[str, asyncio.Task[Result]]) -> Result:
    for needed in needs.values():
        before = await needed
        if before.finding.outcome in ("fail", "skip"):
            return Result(check, skip(f"not looked at: {_reason(before)}"), 0.0)
    began = ground.site.clock.monotonic()
    try:
        finding = await check.run(ground)
    except ClusterError as error:
        finding = blind(error)
    except NvsxError as error:
        finding = failed(error)
    elapsed = ground.site.clock.monotonic() - began
    return Result(check, _with_hint(finding, check, ground), elapsed)


def _reason(before: Result) -> str:
    """Why a check that needs this one does not run: where the trouble began, not what stood between."""
    if before.finding.outcome == "skip":
        return before.finding.text.removeprefix("not looked at: ")
    return f"{before.check.title} failed"


def _with_hint(finding: Finding, check: Check, ground: Ground) -> Finding:
    if finding.hint or finding.outcome not in ("warn", "fail"):
        return finding
    return finding._replace(hint=check.hint.format(kubectl=ground.kubectl, namespace=ground.namespace))
