"""Trackers: the verdicts of a stage's clauses over time. They latch what was seen, and time what must hold.

Pure but not frozen: every look is told the time and what is seen, so a story can be replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import verdict
from nvsx.watches.lines import LogPattern
from nvsx.watches.predicate import also, evaluate
from nvsx.watches.progress import OnChain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Predicate, Sight, Source
    from nvsx.watches.table import Compiled
    from nvsx.watches.verdict import Verdict


class ClauseTracker:
    """One clause. A latching clause stays met once met; another is met only while it holds."""

    def __init__(self, clause: Compiled, *, position: str, latches: bool) -> None:
        self.clause = clause
        self.position = position
        self.verdict: Verdict = verdict.unmet("not looked yet")
        # A log line passes and is gone: it cannot hold, so even a clause that must hold now latches it.
        passing = isinstance(clause.predicate, LogPattern)
        self.latches = (latches or passing) and not clause.absent and not clause.hold_s
        self.children = tuple(
            ClauseTracker(child, position=f"{position}.{index}", latches=self.latches)
            for index, child in enumerate(clause.alternatives)
        )
        self._held_since: float | None = None

    def leaves(self) -> Iterator[Predicate]:
        if self.clause.predicate is not None:
            yield self.clause.predicate
        for child in self.children:
            yield from child.leaves()

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        """Judge what is seen now; `now` in epoch seconds."""
        if self.latches and self.verdict.is_met:
            return self.verdict
        found = self._judge(sights, incident, now)
        if self.clause.absent:
            found = _absent(found)
        self.verdict = self._held(found, now)
        return self.verdict

    def gave_up(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict | None:
        """The verdict that the rest of the stage waits in vain: NVSentinel came this far, and has given up since."""
        if not (isinstance(self.clause.predicate, OnChain) and self.latches and self.verdict.is_met):
            return None
        found = self._judge(sights, incident, now)
        return found if found.terminal else None

    def due(self, now: float) -> float | None:
        """The next time at which the verdict can change although nothing on the cluster does; None if there is none."""
        times = [time for child in self.children if (time := child.due(now)) is not None]
        if self._held_since is not None and not self.verdict.is_met:
            times.append(self._held_since + self.clause.hold_s)
        if self.verdict.due:
            times.append(self.verdict.due)
        return min((time for time in times if time > now), default=None)

    def _judge(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        if self.clause.predicate is not None:
            return evaluate(self.clause.predicate, sights, incident, now)
        return verdict.any_of([child.look(sights, incident, now) for child in self.children])

    def _held(self, found: Verdict, now: float) -> Verdict:
        if not self.clause.hold_s:
            return found
        if not found.is_met:
            self._held_since = None
            return found
        if self._held_since is None:
            self._held_since = now
        held = now - self._held_since
        if held >= self.clause.hold_s:
            return found
        return verdict.unmet(f"{found.detail}, for {held:.0f} of {self.clause.hold_s:.0f} s", found.version)


class Change(NamedTuple):
    """A clause's verdict that differs from the one before."""

    position: str
    kind: str
    text: str
    verdict: Verdict


class StageTracker:
    """All clauses of one stage."""

    def __init__(self, clauses: Sequence[Compiled], *, present_only: bool) -> None:
        self.clauses = tuple(
            ClauseTracker(clause, position=str(index), latches=not present_only) for index, clause in enumerate(clauses)
        )
        self.speaks_of_now = present_only or any(clause.holds_now for clause in clauses)
        self._told: dict[str, tuple[str, str]] = {}

    def leaves(self) -> Iterator[Predicate]:
        for clause in self.clauses:
            yield from clause.leaves()

    def sources(self, incident: Incident) -> set[Source]:
        return {source for leaf in self.leaves() for source in (*leaf.sources(incident), *also(leaf, incident))}

    def log_patterns(self, source: Source) -> set[LogPattern]:
        """The log watches on `source`, so that its lines are matched as they pass, armed or not."""
        return {leaf for leaf in self.leaves() if isinstance(leaf, LogPattern) and leaf.source == source}

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> tuple[Verdict, list[Change]]:
        """The stage's verdict, and the clauses (alternatives included) whose verdict changed since the last look."""
        found = verdict.all_of([clause.look(sights, incident, now) for clause in self.clauses])
        if not found.is_met and not found.terminal:
            ended = (clause.gave_up(sights, incident, now) for clause in self.clauses)
            found = next((one for one in ended if one), found)
        return found, list(self._changes(self.clauses))

    def due(self, now: float) -> float | None:
        times = [time for clause in self.clauses if (time := clause.due(now)) is not None]
        return min(times, default=None)

    def waiting_for(self) -> str:
        """The clauses that are not met, each with what was seen, for people."""
        missing = [clause for clause in self.clauses if not clause.verdict.is_met]
        return "; ".join(f"{clause.clause.text} ({_seen(clause.verdict)})" for clause in missing)

    def _changes(self, clauses: Sequence[ClauseTracker]) -> Iterator[Change]:
        for tracker in clauses:
            state = (tracker.verdict.state, tracker.verdict.detail)
            if self._told.get(tracker.position) != state:
                self._told[tracker.position] = state
                yield Change(tracker.position, tracker.clause.kind, tracker.clause.text, tracker.verdict)
            yield from self._changes(tracker.children)


def _absent(found: Verdict) -> Verdict:
    """The verdict on `absent: true`. Only a completed look that did not find it is met; `not looked yet` is no look."""
    if found.is_met:
        return verdict.unmet(f"still there: {found.detail}", found.version)
    if found.state == "blind" or found.detail == NOT_LOOKED:
        return found
    return verdict.met(found.detail, found.version)._replace(due=found.due)


def _seen(found: Verdict) -> str:
    return f"blind: {found.detail}" if found.state == "blind" else found.detail


NOT_LOOKED = "not looked yet"
