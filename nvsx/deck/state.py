"""DeckState: what the deck knows of one run, folded from its events. Nothing is shown that no event said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.cells import printable
from nvsx.events import Chain, Finish, Hook, Note, Output, Prerequisite, StageBegin, StageEnd, Start, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.events import RunEvent, Tone

KEPT_FACTS = 200
"""Lines of the chain that the deck remembers; an API server that comes and goes may tell of it for days."""

KEPT_LINES = 500
"""Output lines that the deck remembers, enough for the tallest screen."""


class Clause(NamedTuple):
    """A clause of the active stage, as it was last seen; `t` is when it became so."""

    key: str
    kind: str
    text: str
    state: str = "unmet"
    detail: str = ""
    t: float = 0.0


class StageRow(NamedTuple):
    """A stage's line. `status` is pending, active, hooks (the verdict is known, hooks run) or how it ended."""

    id: str
    title: str = ""
    status: str = "pending"
    verdict: str = ""  # how it ended, already while its hooks run
    began: float = 0.0
    timeout_s: float = 0.0
    elapsed_s: float = 0.0
    reason: str = ""
    inferred: bool = False
    hooks_failed: int = 0


class Fact(NamedTuple):
    """A line of NVSentinel's chain: what was seen, and when that was; `t` is 0.0 for "before the run, unknown when"."""

    topic: str
    subject: str
    text: str
    tone: Tone
    t: float
    since: float = 0.0  # of a maintenance object: its creation


class Line(NamedTuple):
    """A line of a process's output."""

    origin: str
    text: str


class DeckState(NamedTuple):
    """One run so far. All texts are safe to show."""

    start: Start | None = None
    run_id: str = ""
    cluster: str = ""
    began: float = 0.0
    stages: tuple[StageRow, ...] = ()
    active: str = ""  # the stage that runs, "" between stages
    clauses: tuple[Clause, ...] = ()
    chain: tuple[Fact, ...] = ()
    output: tuple[Line, ...] = ()
    lines_seen: int = 0
    process: str = ""  # the hook or action that runs
    narration: str = ""
    warning: str = ""
    hooks_failed: int = 0
    finish: Finish | None = None
    finished: float = 0.0

    @property
    def trouble_since(self) -> float:
        """When the first thing that is wrong with the node was seen, epoch seconds; 0.0 while nothing is."""
        return next((fact.t for fact in self.chain if fact.tone == "bad" and fact.t), 0.0)

    @property
    def recovered_at(self) -> float:
        """When the node was last seen to be back in service, epoch seconds; 0.0 while it is not."""
        over = [fact for fact in self.chain if fact.topic in ("recovery", "condition", "state")]
        return over[-1].t if over and over[-1].topic == "recovery" and over[-1].tone == "good" else 0.0

    def stage(self, stage_id: str) -> StageRow | None:
        return next((row for row in self.stages if row.id == stage_id), None)


NEW = DeckState()


def fold(state: DeckState, event: RunEvent) -> DeckState:
    """The state after one more event."""
    state = state._replace(run_id=printable(event.run_id), cluster=printable(event.cluster))
    return _FOLD[event.body.event](state, event.body, event.t)


def _start(state: DeckState, body: Start, t: float) -> DeckState:
    safe = replace(
        body,
        runbook=printable(body.runbook),
        runbook_nickname=printable(body.runbook_nickname),
        title=printable(body.title),
        target_node=printable(body.target_node),
        target_alias=printable(body.target_alias),
    )
    return state._replace(start=safe, began=t, stages=tuple(StageRow(printable(stage)) for stage in body.stages))


def _stage_begin(state: DeckState, body: StageBegin, t: float) -> DeckState:
    row = StageRow(body.stage, printable(body.title), "active", "", t, body.timeout_s)
    clauses = tuple(Clause(str(index), "", printable(text), t=t) for index, text in enumerate(body.waiting_for))
    return _with_row(state, row)._replace(active=body.stage, clauses=clauses, warning="")


def _watch(state: DeckState, body: Watch, t: float) -> DeckState:
    seen = Clause(body.clause, body.kind, printable(body.text), body.state, printable(body.detail), t)
    state = state._replace(chain=_with_evidence(state.chain, body, t))
    known = [clause.key for clause in state.clauses]
    if body.clause in known:
        clauses = tuple(seen if clause.key == body.clause else clause for clause in state.clauses)
    else:
        clauses = tuple(sorted((*state.clauses, seen), key=lambda clause: _position(clause.key)))
    return state._replace(clauses=clauses)


def _position(key: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in key.split("."))


def _output(state: DeckState, body: Output, _: float) -> DeckState:
    line = Line(printable(body.origin.removeprefix("prerequisite ")), printable(body.text.expandtabs(4)))
    return state._replace(output=(*state.output[-KEPT_LINES + 1 :], line), lines_seen=state.lines_seen + 1)


def _hook(state: DeckState, body: Hook, _: float) -> DeckState:
    if body.phase == "begin":
        again = f", attempt {body.attempt}" if body.attempt > 1 else ""
        return state._replace(process=printable(f"{body.hook} {body.script}{again}"))
    state = state._replace(process="")
    if not body.final or body.hook == "action" or body.outcome in ("ok", "not_configured"):
        return state
    row = state.stage(body.stage)
    if row:
        state = _with_row(state, row._replace(hooks_failed=row.hooks_failed + 1))
    what = printable(f"{body.hook} of {body.stage or 'the run'} {body.outcome.replace('_', ' ')}: {body.detail}")
    return state._replace(hooks_failed=state.hooks_failed + 1, warning=what.removesuffix(": "))


def _stage_end(state: DeckState, body: StageEnd, _: float) -> DeckState:
    row = state.stage(body.stage) or StageRow(body.stage)
    row = row._replace(
        status=body.status,
        verdict=body.status,
        elapsed_s=body.elapsed_s,
        reason=printable(body.reason),
        inferred=body.inferred,
    )
    ended = _with_row(state, row)
    return ended if body.status == "skipped" else ended._replace(active="", clauses=())


def _note(state: DeckState, body: Note, _: float) -> DeckState:
    text = printable(body.text)
    if body.topic == "narration":
        return state._replace(narration=text)
    if body.level != "info" or body.topic in ("blind", "reminder"):
        return state._replace(warning=text)
    return state._replace(warning="") if body.topic == "recovered" else state


def _prerequisite(state: DeckState, body: Prerequisite, t: float) -> DeckState:
    seen = Clause(f"9{len(state.clauses)}", "prerequisite", printable(body.name), "met" if body.ok else "failed")
    return state._replace(clauses=(*state.clauses, seen._replace(detail=printable(body.detail), t=t)))


def _finish(state: DeckState, body: Finish, t: float) -> DeckState:
    safe = replace(body, verdict=printable(body.verdict), reason=printable(body.reason))
    return state._replace(finish=safe, finished=t, active="", clauses=(), process="")


def _with_row(state: DeckState, row: StageRow) -> DeckState:
    if any(known.id == row.id for known in state.stages):
        rows = tuple(row if known.id == row.id else known for known in state.stages)
    else:
        rows = (*state.stages, row)
    return state._replace(stages=rows)


_TOPICS: dict[str, tuple[str, Tone]] = {
    # kind of a met clause that shows what the chain's own events do not: (its topic, its tone)
    "node-event": ("event", "bad"),
    "pod-event": ("pods", "work"),
    "crd": ("repair", "work"),
    "stalled": ("stalled", "blind"),
    "mongo-event": ("record", "work"),
    "log": ("log", "work"),
}


def _with_evidence(chain: tuple[Fact, ...], body: Watch, t: float) -> tuple[Fact, ...]:
    """The chain with what a met clause has shown, unless the chain tells it already."""
    if body.state != "met" or body.kind not in _TOPICS:
        return chain
    topic, tone = _TOPICS[body.kind]
    text = printable(body.detail or body.text)
    if any(text in (fact.text, fact.subject) for fact in chain):
        return chain
    if topic == "repair" and any(fact.topic == topic and fact.subject and fact.subject in text for fact in chain):
        return chain
    return (*chain, Fact(topic, "", text, tone, t))[-KEPT_FACTS:]


def _chain(state: DeckState, body: Chain, _: float) -> DeckState:
    """What was told before a run was taken up again is told anew, and is no news."""
    fact = Fact(
        printable(body.topic), printable(body.subject), printable(body.text), body.tone, max(0.0, body.at), body.since
    )
    same = (known for known in reversed(state.chain) if known[:2] == fact[:2])
    last = next(same, None)
    if last and last.text == fact.text:
        return state
    return state._replace(chain=(*state.chain, fact)[-KEPT_FACTS:])


_FOLD: dict[str, Callable[[DeckState, Any, float], DeckState]] = {
    Start.event: _start,
    Prerequisite.event: _prerequisite,
    StageBegin.event: _stage_begin,
    Watch.event: _watch,
    Chain.event: _chain,
    Output.event: _output,
    Hook.event: _hook,
    StageEnd.event: _stage_end,
    Note.event: _note,
    Finish.event: _finish,
}
