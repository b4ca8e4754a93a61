"""The dry run: what a run would do and what it would see now, with reads only, and without a cluster if need be."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from nvsx.app.scripts import ProjectScripts
from nvsx.app.target import settle_target
from nvsx.cluster.view import View
from nvsx.durations import format_duration
from nvsx.engine.environment import Moment, expand, variables
from nvsx.engine.plan import Plan
from nvsx.engine.watching import clauses_of
from nvsx.errors import ClusterError, NvsxError, UsageError
from nvsx.names import alias
from nvsx.ports import ApiPath, Seen
from nvsx.runbook.requires import requirements
from nvsx.watches.incident import Incident, observe
from nvsx.watches.predicate import Documents, DocumentSource, LogSource, node_path
from nvsx.watches.tracker import StageTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nvsx.app.live import Request, Session
    from nvsx.model import Stage
    from nvsx.ports import Cluster
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.tracker import ClauseTracker

LOOK_S = 10.0
"""How long to wait for the cluster's first answers."""


async def dry_run(request: Request, session: Session) -> list[str]:
    """The lines that `nvsx run --dry-run` prints."""
    runbook = request.runbook
    lines = [f"dry run of {runbook.name} (#{runbook.nickname}): {runbook.title}", f"file      {runbook.file}"]
    cluster: Cluster | None = None
    name, fault_time = request.target, 0.0
    try:
        cluster = await session.connect()
        lines.append(f"cluster   {await cluster.identity()}  context {session.context or '(in a pod)'}")
        target = await settle_target(cluster, request.target)
        name, fault_time = target.name, target.fault_time
        lines.append(f"target    {target.alias}  ({target.name}): {target.why}")
    except ClusterError as error:
        cluster = None
        lines.append(f"cluster   not looked at: {error.message}" + (f" ({error.hint})" if error.hint else ""))
        lines.append(f"target    {name or 'unknown: nvsx run RUNBOOK --target-node NODE'}")
    except UsageError as error:
        lines.append(f"target    {error.message}")
    plan = _plan(request, session, name)
    incident = Incident(name, fault_time or session.clock.now(), session.settings.namespace)
    watched = {stage.id: StageTracker(clauses_of(stage), present_only=False) for stage in plan.stages}
    if cluster is not None and name:
        await _look(cluster, session, watched, incident)
    lines += _prerequisites(plan)
    for stage in plan.stages:
        lines += _stage(
            stage, plan, watched[stage.id], ProjectScripts(session.root), session, looked=cluster is not None
        )
    lines += ["", "nothing was started but reads; nothing was written"]
    return lines


def _plan(request: Request, session: Session, name: str) -> Plan:
    return Plan(
        runbook=request.runbook,
        run_id=session.run_id,
        cluster="",
        context=session.context,
        namespace=session.settings.namespace,
        target_node=name,
        target_alias=alias(name) if name else "",
        since=session.clock.now(),
        root=str(session.root),
        run_dir=str(session.places.run_dir),
        artifact_dir=str(session.places.artifact_dir),
        environment=session.environment,
        nvsx_version="",
        drill=request.drill,
    )


async def _look(cluster: Cluster, session: Session, watched: Mapping[str, StageTracker], incident: Incident) -> None:
    """Let every clause judge the present state once, through the same streams that a run uses."""
    sights: dict[Source, Sight] = {}
    sources = {source for tracker in watched.values() for source in tracker.sources(incident)} | {
        node_path(incident.node)
    }
    asked = [source for source in sources if not isinstance(source, LogSource)]  # a log says nothing of the present
    arrived = asyncio.Event()
    in_database = any(isinstance(source, DocumentSource) for source in asked)
    view = View(cluster, session.clock, database=session.database(cluster) if in_database else None)

    def saw(source: Source, sight: Sight) -> None:
        sights[source] = sight
        if all(_answered(sights.get(one)) for one in asked):
            arrived.set()

    def counted(source: Source, found: int, blind: ClusterError | None) -> None:
        saw(source, Documents(found, blind))

    for source in asked:
        if isinstance(source, DocumentSource):
            view.follow_documents(source.collection, source.filter, source.enough, partial(counted, source))
        elif isinstance(source, ApiPath):
            view.subscribe(source, partial(saw, source))
    try:
        async with asyncio.timeout(LOOK_S):
            await arrived.wait()
    except TimeoutError:
        pass
    seen = sights.get(node_path(incident.node))
    for node in list(getattr(seen, "objects", {}).values()):
        incident = observe(incident, node, session.clock.now())
    for tracker in watched.values():
        tracker.look(sights, incident, session.clock.now())
    await view.close()


def _answered(sight: Sight | None) -> bool:
    if isinstance(sight, Seen):
        return sight.listed or sight.blind is not None
    return sight is not None


def _prerequisites(plan: Plan) -> Iterator[str]:
    for requirement in plan.runbook.prerequisites:
        expect = f"  expect {requirement.expect}" if requirement.expect else ""
        yield f"requires  {requirement.name}: {requirement.check}{expect}"


def _stage(
    stage: Stage, plan: Plan, tracker: StageTracker, scripts: ProjectScripts, session: Session, *, looked: bool
) -> Iterator[str]:
    skipped = "" if plan.runs(stage) else "  (skipped: runs in a drill only)"
    yield ""
    yield f"→ {stage.id}  {stage.title}  within {format_duration(stage.timeout_s)}{skipped}"
    if stage.action:
        values = variables(plan, Incident(plan.target_node, plan.since), Moment(stage.id), "(known once the fault is)")
        words = [stage.action.script, *(expand(argument, values) for argument in stage.action.args)]
        yield f"  action   {' '.join(words)}{_trouble(partial(scripts.action, words[0]))}"
    for clause in tracker.clauses:
        yield from _clause(clause, "  ", looked=looked)
    for name, script in stage.hooks.items():
        yield f"  hook     {name}: {script}{_trouble(partial(scripts.hook, script))}"
        for variable in _missing(session.root / "runbooks" / script, session.environment):
            yield f"           {variable} is not set"


def _clause(tracker: ClauseTracker, indent: str, *, looked: bool) -> Iterator[str]:
    now = f"  now {tracker.verdict.state}: {tracker.verdict.detail}" if looked else ""
    if tracker.children:
        yield f"{indent}watch    one of:{now}"
        for child in tracker.children:
            yield from _clause(child, indent + "  ", looked=looked)
        return
    yield f"{indent}watch    {tracker.clause.text}{now}"


def _trouble(resolve: Callable[[], object]) -> str:
    try:
        resolve()
    except NvsxError as error:
        return f"  ✗ {error.message}"
    return ""


def _missing(hook: Path, environment: Mapping[str, str]) -> list[str]:
    try:
        text = hook.read_text("utf-8", "replace")
    except OSError:
        return []
    return [variable for variable in requirements(text) if not environment.get(variable)]
