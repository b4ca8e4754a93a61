"""Watching: feeds what the cluster shows to the trackers of a run's stages, in the order in which it happens.

Verdicts are reached here, inside the stream's callback. Whoever waits is only told afterwards and never looks again,
so that a state which lasted five milliseconds counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvsx.engine.patterns import TooSlow, search
from nvsx.events import Watch
from nvsx.healthevents import from_node_event
from nvsx.oracle.trail import Trail
from nvsx.ports import ApiPath, Seen
from nvsx.watches.customs import is_for_node, observe_resources
from nvsx.watches.incident import REPLACED, observe, told, usurper
from nvsx.watches.pods import NodeEvent
from nvsx.watches.predicate import Documents, Lines, LogSource, Sights, describe_blindness, node_events_path, node_path
from nvsx.watches.progress import JANITOR, BackInService, OnChain, breaker_path
from nvsx.watches.table import Compiled, compile_clause
from nvsx.watches.tracker import StageTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nvsx.clock import Clock
    from nvsx.cluster.documentfeed import DocumentFeed
    from nvsx.cluster.feed import Subscription
    from nvsx.cluster.logfeed import LogSubscription
    from nvsx.cluster.view import View
    from nvsx.errors import ClusterError
    from nvsx.events import Chain
    from nvsx.model import Stage
    from nvsx.ports import LogLine
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import DocumentSource, Source
    from nvsx.watches.tracker import Change
    from nvsx.watches.verdict import Verdict


class NodeGone(Exception):
    """The target node is not in the cluster; the argument says since when or that it never was."""


@dataclass(slots=True)
class WatchedStage:
    """A stage with clauses: its tracker, and how far it has come."""

    id: str
    tracker: StageTracker
    begun: bool = False
    decided: Verdict | None = None  # met, or terminal
    decided_at: float = 0.0  # epoch seconds
    verdict: Verdict | None = None  # of the last look
    untold: list[Change] = field(default_factory=list)


def clauses_of(stage: Stage) -> list[Compiled]:
    """The stage's clauses; `recover` always asks as well that the node is back in service."""
    compiled = [compile_clause(clause) for clause in stage.watch]
    if stage.id == "recover":
        back = OnChain(BackInService())
        compiled.append(Compiled("back-in-service", back.text, back))
    return compiled


class Watching:
    """The watches of one run. `on_change(stage, change)` is called for clauses of stages that have begun, `on_chain`
    for what NVSentinel's chain shows of the node, whichever stage the run has come to.
    """

    def __init__(
        self,
        view: View,
        clock: Clock,
        stages: Sequence[Stage],
        incident: Incident,
        *,
        on_change: Callable[[str, Change], None],
        on_chain: Callable[[Chain], None] = lambda change: None,
    ) -> None:
        self.incident = incident
        self._view = view
        self._clock = clock
        self._on_change = on_change
        self._on_chain = on_chain
        self._trail = Trail(clock.now())
        self._stages = [
            WatchedStage(stage.id, StageTracker(clauses, present_only=stage.id == "recover"))
            for stage in stages
            if (clauses := clauses_of(stage))
        ]
        self._armed = 0  # index of the stage that is armed; those before it are decided
        self._sights = Sights()
        self._subscribed: set[Source] = set()
        self._subscriptions: list[Subscription | LogSubscription | DocumentFeed] = []
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._gathering = True  # what is known already comes source by source: it is judged when all of it is there
        self._node_seen = False
        self._gone = ""
        self._blind_since = 0.0  # epoch seconds; 0.0 while the node is seen

    def start(self) -> None:
        """Subscribe to everything that any stage looks at, so that the present state is there when a stage is armed."""
        if self.incident.node:
            self._subscribe(node_path(self.incident.node))
        self._widen()
        self._gathering = False
        self._tell_chain()
        self._look()

    def _widen(self) -> None:
        """Subscribe to what the incident, as far as it is known now, makes the stages look at."""
        wanted = {source for stage in self._stages for source in stage.tracker.sources(self.incident)}
        for source in sorted(wanted - self._subscribed, key=repr):
            self._subscribe(source)

    async def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        for subscription in self._subscriptions:
            subscription.close()

    def has(self, stage_id: str) -> bool:
        return any(stage.id == stage_id for stage in self._stages)

    def texts(self, stage_id: str) -> tuple[str, ...]:
        """What the stage waits for, clause by clause."""
        return tuple(clause.clause.text for clause in self._find(stage_id).tracker.clauses)

    def begin(self, stage_id: str) -> None:
        """The run has come to this stage: it may be decided now, and its clauses' changes are told."""
        stage = self._find(stage_id)
        stage.begun = True
        untold, stage.untold = stage.untold, []
        for change in untold:
            self._on_change(stage_id, change)
        # A stage before it may have ended without being decided (skipped by an interrupt): then this one is next.
        self._armed = max(self._armed, self._stages.index(stage))
        self._look()

    async def wait(self, stage_id: str) -> WatchedStage:
        """Wait until the stage is decided. Raises NodeGone as soon as the node is known not to be there."""
        stage = self._find(stage_id)
        while stage.decided is None:
            if self._gone and self.incident.action != REPLACED:
                raise NodeGone(self._gone)
            self._news.clear()
            await self._news.wait()
        return stage

    async def blindness(self) -> str:
        """Why the target node cannot be looked at now, "" when it can; waits for the first answer."""
        if not self.incident.node:
            return ""
        path = node_path(self.incident.node)
        while True:
            seen = self._sights.get(path)
            if isinstance(seen, Seen) and seen.blind is not None:
                return describe_blindness(seen.blind)
            if isinstance(seen, Seen) and seen.listed:
                return ""
            self._news.clear()
            await self._news.wait()

    def present(self, stage_id: str) -> tuple[Verdict | None, str]:
        """The verdict of the last look, and what is still missing in words."""
        stage = self._find(stage_id)
        return stage.verdict, stage.tracker.waiting_for()

    def evidence(self, stage_id: str) -> list[tuple[str, Verdict]]:
        """The met clauses of a stage, by position."""
        found = [stage for stage in self._stages if stage.id == stage_id]
        trackers = [tracker for stage in found for tracker in stage.tracker.clauses]
        return [(tracker.position, tracker.verdict) for tracker in trackers if tracker.verdict.is_met]

    def _find(self, stage_id: str) -> WatchedStage:
        return next(stage for stage in self._stages if stage.id == stage_id)

    def _subscribe(self, source: Source) -> None:
        self._subscribed.add(source)
        if isinstance(source, ApiPath):
            about_node = bool(self.incident.node) and source == node_path(self.incident.node)
            seen_here = self._on_node if about_node else self._on_objects

            def on_change(seen: Seen, source: ApiPath = source) -> None:
                seen_here(source, seen)

            self._subscriptions.append(self._view.subscribe(source, on_change))
        elif isinstance(source, LogSource):
            self._follow(source)
        else:
            self._count(source)

    def _count(self, source: DocumentSource) -> None:
        def on_found(count: int, blind: ClusterError | None) -> None:
            self._sights[source] = Documents(count, blind)
            self._look()

        feed = self._view.follow_documents(source.collection, source.filter, source.enough, on_found)
        self._subscriptions.append(feed)

    def _follow(self, source: LogSource) -> None:
        patterns = {predicate for stage in self._stages for predicate in stage.tracker.log_patterns(source)}
        matched: dict[str, LogLine] = {}
        too_slow: set[str] = set()
        blind: ClusterError | None = None

        def on_line(line: LogLine) -> None:
            for predicate in patterns:
                if predicate.pattern in matched or predicate.pattern in too_slow:
                    continue
                try:
                    if not predicate.matches(line, self.incident, search):
                        continue
                    matched[predicate.pattern] = line
                except TooSlow:
                    too_slow.add(predicate.pattern)
                self._sights[source] = Lines(matched, blind, frozenset(too_slow))
                self._look()

        def on_blind(error: ClusterError | None) -> None:
            nonlocal blind
            blind = error
            self._sights[source] = Lines(matched, error, frozenset(too_slow))
            self._look()

        self._sights[source] = Lines(matched)
        self._subscriptions.append(
            self._view.follow_logs(
                source.namespace, source.selector, source.pod, self.incident.since, on_line, on_blind
            )
        )

    def _on_objects(self, source: ApiPath, seen: Seen) -> None:
        self._sights[source] = seen
        if source.group and seen.blind is None:
            self.incident = observe_resources(self.incident, seen.objects.values())
        if self.incident.node and source == node_events_path(self.incident.node):
            self._learn(seen)
        if _is_of_chain(source, seen, self.incident):
            self._tell_chain()
        self._look()

    def _learn(self, events: Seen) -> None:
        """Learn of the fault from the Events that are waited for: one that is not fatal leaves no other trace."""
        wanted = [leaf for stage in self._stages for leaf in stage.tracker.leaves() if isinstance(leaf, NodeEvent)]
        for thing in events.objects.values():
            if self.incident.first_check or not any(leaf.matches(thing) for leaf in wanted):
                continue
            found = from_node_event(thing)
            if found and self.incident.covers(found.generated_time):
                self.incident = told(self.incident, found.facts())

    def _on_node(self, source: ApiPath, seen: Seen) -> None:
        node = next(iter(seen.objects.values()), None)
        if node is not None and seen.blind is None and (new := usurper(self.incident, node)):
            self._gone = f"node {self.incident.node} was deleted, and {new}"
            seen, node = Seen({}, True), None
        self._sights[source] = seen
        self._news.set()
        if node is not None and seen.blind is None:
            self._node_seen = True
            self._gone = ""
            action = self.incident.action
            self.incident = observe(self.incident, node, self._clock.now(), blind_since=self._blind_since)
            self._blind_since = 0.0
            if self.incident.action != action:
                self._widen()
        elif seen.blind is not None:
            self._blind_since = self._blind_since or self._clock.now()
        elif node is None and seen.listed and seen.blind is None and not self._gone:
            name = self.incident.node
            self._gone = f"node {name} was deleted" if self._node_seen else f"there is no node {name} in this cluster"
            self._news.set()
        self._tell_chain()
        self._look()

    def _tell_chain(self) -> None:
        if self._gathering:
            return
        for change in self._trail.look(self._sights, self.incident, self._clock.now()):
            self._on_chain(change)

    def _look(self) -> None:
        """Judge the armed stage on what is seen now, and go on to the next one for as long as stages are decided."""
        if self._gathering:
            return
        now = self._clock.now()
        while self._armed < len(self._stages):
            stage = self._stages[self._armed]
            if stage.decided is not None:
                self._armed += 1
                continue
            stage.verdict, changes = stage.tracker.look(self._sights, self.incident, now)
            for change in changes:
                if stage.begun:
                    self._on_change(stage.id, change)
                else:
                    stage.untold.append(change)
            final = stage.verdict.is_met or stage.verdict.terminal
            # What must hold now cannot be decided before the run has come to it; what has ended badly may reopen.
            early = not stage.begun and (stage.tracker.speaks_of_now or stage.verdict.terminal)
            if not final or early:
                self._wake_when_due(stage.tracker.due(now), now)
                return
            stage.decided, stage.decided_at = stage.verdict, now
            self._news.set()
            if stage.verdict.terminal:
                return
        self._wake_when_due(None, now)

    def _wake_when_due(self, due: float | None, now: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due - now, 0.001), self._look)


def _is_of_chain(source: ApiPath, seen: Seen, incident: Incident) -> bool:
    """Whether a change may show something of the chain: a fleet's maintenance objects are mostly about other nodes."""
    if not incident.node:
        return False
    if source.group == JANITOR:
        changed = seen.gone or seen.objects.get(seen.changed)
        return changed is None or is_for_node(changed, incident.node)
    return source in (breaker_path(incident.namespace), node_events_path(incident.node))


def as_event(stage: str, change: Change) -> Watch:
    """A clause's new verdict as the event that tells it."""
    verdict = change.verdict
    return Watch(
        stage,
        change.position,
        change.kind,
        change.text,
        verdict.state,
        verdict.detail,
        verdict.version,
        verdict.inferred,
    )
