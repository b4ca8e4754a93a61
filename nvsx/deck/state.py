"""DeckState: what the deck knows of one run, folded from its events. Nothing is shown that no event said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.cells import printable
from nvsx.events import Finish, Hook, Note, Output, Prerequisite, StageBegin, StageEnd, Start, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.events import RunEvent

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
    """A line of NVSentinel's chain: what was seen, and when nvsx saw it."""

    label: str
    text: str
    tone: str  # "bad", "work", "good" or "blind"
    t: float


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
    fault_time: float = 0.0
    finish: Finish | None = None
    finished: float = 0.0

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
    state = state._replace(chain=_chained(state.chain, body, t))
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


_LABELS = {
    # kind of a met clause: (its line in the chain, its tone)
    "taint": ("taint", "bad"),
    "node-event": ("event", "bad"),
    "pod-event": ("pods", "work"),
    "crd": ("repair", "work"),
    "stalled": ("stalled", "blind"),
    "mongo-event": ("record", "work"),
    "back-in-service": ("recovery", "good"),
}


def _chained(chain: tuple[Fact, ...], body: Watch, t: float) -> tuple[Fact, ...]:
    """The chain with what a clause showed. A fact keeps the time at which it was first seen; what was never wrong is
    not told as healthy again.
    """
    label, tone = _fact_of(chain, body)
    text = printable(body.detail or body.text)
    if not label or any(fact.label == label and fact.text == text for fact in chain):
        return chain
    return (*chain, Fact(label, text, tone, t))


def _fact_of(chain: tuple[Fact, ...], body: Watch) -> tuple[str, str]:
    """A fact's label and tone; empty for what is none."""
    if body.state == "blind":
        return "", ""
    if body.kind == "nvsentinel-state":
        told = body.detail.startswith("state ") and body.detail != "state (none)"
        return ("state", "work") if told else ("", "")
    if body.kind == "node-condition":
        return _condition_of(chain, body)
    if body.state != "met":
        return "", ""
    if body.kind == "node" and "unschedulable" in body.text:
        return "cordon", "bad"
    return _LABELS.get(body.kind, ("", ""))


def _condition_of(chain: tuple[Fact, ...], body: Watch) -> tuple[str, str]:
    """A condition that became bad, or good again after it was bad. `Ready` is good when True, all others when False."""
    type_, _, rest = body.detail.partition("=")
    status = rest.partition(",")[0].strip()
    if not status:
        return "", ""
    good = status == ("True" if type_ == "Ready" else "False")
    last = next((fact for fact in reversed(chain) if fact.text.startswith(f"{type_}=")), None)
    if good:
        return ("healthy", "good") if last and last.tone == "bad" else ("", "")
    if last and last.text.partition(",")[0] == f"{type_}={status}":
        return "", ""
    return ("condition" if type_ != "Ready" else "node", "bad")


_FOLD: dict[str, Callable[[DeckState, Any, float], DeckState]] = {
    Start.event: _start,
    Prerequisite.event: _prerequisite,
    StageBegin.event: _stage_begin,
    Watch.event: _watch,
    Output.event: _output,
    Hook.event: _hook,
    StageEnd.event: _stage_end,
    Note.event: _note,
    Finish.event: _finish,
}
