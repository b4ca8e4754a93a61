"""Checks of the runbooks at hand: sound, able to start now, reached by this cluster's checks, and rehearsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.cluster import processes
from nvsx.doctor.finding import Finding, count, fail, ok, some, warn
from nvsx.doctor.install import MONITORED
from nvsx.durations import format_duration
from nvsx.routing.wants import EVENT, UNHANDLED, wants_of
from nvsx.runbook.checks import CHECKS as KNOWN_CHECKS
from nvsx.runbook.prerequisites import comparison_failure, is_comparison, missing_failure
from nvsx.watches import nvsentinel
from nvsx.watches.target import node_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nvsx.doctor.ground import Ground
    from nvsx.doctor.install import Install
    from nvsx.model import Prerequisite, Runbook
    from nvsx.ports import Object
    from nvsx.routing.wants import Wants

PREREQUISITE_TIMEOUT_S = 60.0
KEPT_OUTPUT = 64 << 10
STALE_DRILL_S = 90 * 86400.0


async def sound(ground: Ground) -> Finding:
    """What lint finds; asked in a thread, because it starts tools and waits for them."""
    import asyncio

    problems = await asyncio.to_thread(ground.site.lint)
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [problem for problem in problems if problem.severity == "warning"]
    number = count(len(ground.catalog().names()), "runbook")
    if errors:
        return fail(f"{count(len(errors), 'error')}: {errors[0]}", "", *map(str, errors))
    if warnings:
        return warn(f"{count(len(warnings), 'warning')}: {warnings[0]}", "", *map(str, warnings))
    return ok(f"{number}, nothing to complain about")


async def prerequisites(ground: Ground) -> Finding:
    """Every prerequisite run now, with the kubectl that only reads; what many runbooks ask is run once."""
    runbooks = ground.runbooks()
    asked: dict[tuple[str, str], tuple[Prerequisite, list[str]]] = {}
    for runbook in runbooks:
        for one in runbook.prerequisites:
            asked.setdefault((one.check, one.expect), (one, []))[1].append(runbook.name)
    node = next((node_name(node) for node in await ground.gpu_nodes()), "")
    answers = await ground.gathered([lambda one=one: _unmet(ground, one, node) for one, _ in asked.values()])  # type: ignore[misc]
    unmet = [(one, names, why) for (one, names), why in zip(asked.values(), answers, strict=True) if why]
    if not asked:
        return ok("no runbook has a prerequisite")
    if not unmet:
        return ok(f"{count(len(asked), 'prerequisite')} of {count(len(runbooks), 'runbook')} met now")
    first, _, why = unmet[0]
    details = [f"{one.name}: {reason} (stops {some(stopped)})" for one, stopped, reason in unmet]
    stopped = {name for _, names, _ in unmet for name in names}
    text = f"{first.name}: {why}; {count(len(stopped), 'runbook')} would stop at preflight"
    return fail(text, first.check, *details)


async def _unmet(ground: Ground, one: Prerequisite, node: str) -> str:
    """Why a prerequisite is not met, "" when it is; judged as a run judges it."""
    site, kept = ground.site, bytearray()
    reads = await ground.reads()
    environment = {
        **site.environment,
        "NVSX_NAMESPACE": ground.namespace,
        "NVSX_TARGET_NODE": node,
        "NVSX_CONTEXT": reads.context,
        "NVSX_STAGE": "preflight",
        "NVSX_PROJECT_ROOT": str(site.root),
    }
    environment["PATH"] = site.guard.path("read", environment.get("PATH", ""))
    ended = await processes.run_process(
        ["bash", "-c", one.check], env=environment, cwd=str(site.root), timeout_s=PREREQUISITE_TIMEOUT_S,
        clock=site.clock, on_output=lambda chunk: kept.extend(chunk[: KEPT_OUTPUT - len(kept)]),
    )  # fmt: skip
    text = bytes(kept).decode("utf-8", "replace").strip()
    last = text.splitlines()[-1] if text else ""
    if ended.timed_out:
        return f"no answer within {PREREQUISITE_TIMEOUT_S:.0f} s"
    if ended.exit_code != 0:
        return f"exit status {ended.exit_code}{': ' + last if last else ''}"
    if is_comparison(one.expect):
        return comparison_failure(one.expect, text)
    return missing_failure(one.expect, last) if one.expect and one.expect not in text else ""


async def reached(ground: Ground) -> Finding:
    """Whether what this cluster's monitors report would start these runbooks, and whether anything is left over."""
    checks = reported_checks(await ground.nodes(), await ground.install())
    runbooks = ground.runbooks()
    if not checks:
        return warn("no node shows a check of NVSentinel: nothing could start a runbook", "nvsx status")
    unreached = [runbook.name for runbook in runbooks if not any(_fits(wants, checks) for wants in wants_of(runbook))]
    last_resort = any(wants.occasion == UNHANDLED for runbook in runbooks for wants in wants_of(runbook))
    nobody = [] if last_resort else sorted(check for check in checks if not _answered(check, runbooks))
    text = (
        f"{len(runbooks) - len(unreached)} of {count(len(runbooks), 'runbook')} answer to {count(len(checks), 'check')}"
    )
    if nobody:
        details = [f"{check}: a fatal fault with a code that no runbook names starts nothing" for check in nobody]
        fact = f"{text}; without a last resort some fatal faults start nothing: {some(nobody, 2)}"
        return warn(fact, "nvsx show unhandled-fault", *details)
    if unreached:
        details = [f"{name}: nothing that is installed here reports what it answers to" for name in unreached]
        return ok(f"{text}; not reached here: {some(unreached)}", *details)
    return ok(text + ("; what no other takes goes to the last resort" if last_resort else ""))


def reported_checks(nodes: Iterable[Object], install: Install) -> frozenset[str]:
    """Checks that this cluster can report: those on its nodes, and those of the monitors that are installed.

    A check that has never fired may have no condition at all.
    """
    seen = {
        found.type
        for node in nodes
        for found in nvsentinel.conditions(node)
        if found.reason in (f"{found.type}IsHealthy", f"{found.type}IsNotHealthy")
    }
    starts = tuple(start for app, starts in MONITORED.items() if install.has(app) for start in starts)
    return frozenset(seen | {check for check in KNOWN_CHECKS if starts and check.startswith(starts)})


def _fits(wants: Wants, checks: frozenset[str]) -> bool:
    """Whether some event of these checks could be what is wanted."""
    if wants.occasion != EVENT:
        return True
    lowered = {check.lower() for check in checks}
    if wants.checks:
        return bool(wants.checks & lowered)
    return not wants.codes or any(_carries(check, wants.codes) for check in checks)


def _answered(check: str, runbooks: Sequence[Runbook]) -> bool:
    """Whether some runbook takes a fault of this check whatever its code."""
    known = KNOWN_CHECKS.get(check)
    if known and known.shown != "condition":
        return True  # it never quarantines by itself
    return any(
        wants.occasion == EVENT and not wants.codes and (check.lower() in wants.checks or _open(wants))
        for runbook in runbooks
        for wants in wants_of(runbook)
    )


def _open(wants: Wants) -> bool:
    """Whether it asks neither for a check nor for an action: then it takes every check's faults."""
    return wants.explicit and not wants.checks and not wants.actions


def _carries(check: str, codes: Iterable[str]) -> bool:
    known = KNOWN_CHECKS.get(check)
    return known is not None and known.carries(code.upper() for code in codes)


class _Misfit(NamedTuple):
    runbook: str
    fact: str


async def fitting(ground: Ground) -> Finding:
    """Whether the runbooks wait for what this installation really does, and long enough."""
    install = await ground.install()
    misfits = [misfit for runbook in ground.runbooks() for misfit in _misfits(runbook, install)]
    if not misfits:
        return ok("they wait for what is installed here, and long enough")
    names = list(dict.fromkeys(misfit.runbook for misfit in misfits))
    first = misfits[0]
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    details = [f"{misfit.runbook}: {misfit.fact}" for misfit in misfits]
    return warn(f"{first.runbook}{more}: {first.fact}", f"nvsx show {first.runbook}", *details)


def _misfits(runbook: Runbook, install: Install) -> Iterable[_Misfit]:
    states = {
        str(clause.fields.get("state", ""))
        for stage in runbook.stages
        for clause in stage.watch
        if clause.kind == "nvsentinel-state"
    }
    if states and not install.acts:
        yield _Misfit(runbook.name, "waits for a quarantine, and nothing here quarantines")
        return
    try:
        drain, repairs = install.drain(), install.repairs()
    except ValueError:
        return  # the checks of drains and repairs say so
    stage = runbook.stage("drain")
    if stage and drain:
        if drain.unbounded and stage.timeout_s < 3600:
            given = format_duration(stage.timeout_s)
            yield _Misfit(runbook.name, f"gives drains {given}, and node-drainer waits for jobs to end by themselves")
        elif not drain.unbounded and stage.timeout_s < drain.longest_s:
            given, needed = format_duration(stage.timeout_s), format_duration(drain.longest_s)
            yield _Misfit(runbook.name, f"gives drains {given}, and node-drainer may take {needed}")
    waited = _custom_resources(runbook)
    kinds = sorted({repair.kind for repair in repairs or ()})
    if kinds and waited and not any(resource in plural_forms(kind) for resource in waited for kind in kinds):
        yield _Misfit(runbook.name, f"waits for {some(sorted(waited))}, and fault-remediation creates {some(kinds)}")


def plural_forms(kind: str) -> tuple[str, ...]:
    """What a kind's resource may be called: Kubernetes lets its author choose, and authors follow English."""
    word = kind.lower()
    return (word, f"{word}s", f"{word}es", f"{word[:-1]}ies")


def _custom_resources(runbook: Runbook) -> set[str]:
    stage = runbook.stage("remediate")
    clauses = [one for clause in (stage.watch if stage else ()) for one in (clause, *clause.any_of)]
    return {str(clause.fields["resource"]).lower() for clause in clauses if clause.kind == "crd"}


async def rehearsed(ground: Ground) -> Finding:
    """When each runbook last passed a drill: one that has never run has never worked."""
    now = ground.site.clock.now()
    names = [runbook.name for runbook in ground.runbooks()]
    last = {name: (ground.site.last_drill(name) or (0.0, ""))[0] for name in names}
    never = [name for name in names if not last[name]]
    stale = [name for name in names if last[name] and now - last[name] > STALE_DRILL_S]
    details = [f"{name}: {_when(last, name, now)}" for name in names]
    if never:
        text = f"{len(never)} of {count(len(names), 'runbook')} never passed a drill: {some(never)}"
        return warn(text, f"nvsx drill {never[0]}", *details)
    if stale:
        return warn(f"last drill more than 90 days ago: {some(stale)}", f"nvsx drill {stale[0]}", *details)
    oldest = min(names, key=lambda name: last[name], default="")
    return ok(f"all passed a drill; the oldest is {_when(last, oldest, now)}" if oldest else "no runbook", *details)


def _when(last: Mapping[str, float], name: str, now: float) -> str:
    return f"{format_duration(max(0.0, now - last[name]))} ago" if last[name] else "never"
