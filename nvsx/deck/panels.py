"""The panels: each draws one part of the state as lines, at most as many as it is given room for."""

from __future__ import annotations

from itertools import pairwise
from time import gmtime, strftime
from typing import TYPE_CHECKING

from nvsx.cells import pad
from nvsx.deck.styled import DIM, GREY, WHITE, Row, Span, Style, row
from nvsx.durations import format_duration

if TYPE_CHECKING:
    from nvsx.deck.state import Clause, DeckState, Fact, StageRow

ICONS = {"pass": "●", "skipped": "○", "pending": "○", "active": "◆", "blind": "?"}
STATUS = {
    "pass": Style("green"),
    "fail": Style("red", bold=True),
    "timeout": Style("red", bold=True),
    "blind": Style("yellow", bold=True),
    "skipped": GREY,
    "pending": DIM,
    "active": Style("cyan", bold=True),
    "cancelled": Style("yellow"),
    "interrupted": Style("yellow"),
}
CLAUSE = {
    "met": (Span("✓ ", Style("green")), GREY),
    "unmet": (Span("○ ", Style("white")), Style("white")),
    "blind": (Span("? ", Style("yellow", bold=True)), Style("yellow")),
    "failed": (Span("✗ ", Style("red")), Style("red")),
}
TONES = {"bad": Style("red"), "work": Style("blue"), "good": Style("green"), "blind": Style("yellow")}
STAGE_CELLS, ELAPSED_CELLS, STATUS_CELLS = 12, 15, 11
ORIGIN_CELLS = 12
DAY_S = 86400.0
NARROWEST_BAR = 8


def clock(seconds: float) -> str:
    """A running time without fractions, which would flicker: `42s`, `6m40s`, `2h05m`."""
    if seconds < 60:
        return f"{max(0, int(seconds))}s"
    return format_duration(float(int(seconds)))


def short(seconds: float) -> str:
    """A limit in as few characters as it has: `5m`, `24h`, `90s`."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return clock(seconds)


def of_day(t: float) -> str:
    """The time of the day, UTC."""
    return strftime("%H:%M:%S", gmtime(t))


def title(state: DeckState) -> tuple[Row, Row]:
    """What runs, and on which node."""
    start = state.start
    if start is None:
        return row(Span("nvsx", Style("cyan", bold=True)), Span(f" · run {state.run_id}", GREY)), row("")
    name = row(Span("nvsx", Style("cyan", bold=True)), Span(" · ", DIM))
    if start.runbook_nickname:
        name = (*name, Span(f"#{start.runbook_nickname}", Style("magenta", bold=True)), Span(" · ", DIM))
    name = (*name, Span(start.title or start.runbook, WHITE))
    if start.drill:
        name = (*name, Span("  DRILL", Style("yellow", bold=True)))
    if not start.target_node:
        return name, row(Span("no node", DIM))
    alias = Span(start.target_alias or start.target_node, Style("magenta"))
    raw = f"  ({start.target_node})" if start.target_alias else ""
    return name, row(Span("target: ", DIM), alias, Span(raw, DIM))


def stage_row(state: DeckState, stage: StageRow, cells: int, now: float) -> Row:
    """Icon, stage, bar, elapsed, status."""
    style = STATUS[stage.status]
    active = stage.status == "active"
    elapsed = now - stage.began if active else stage.elapsed_s
    if stage.status in ("pending", "skipped"):
        told = ""
    elif active:
        told = f"{clock(elapsed)} of {short(stage.timeout_s)}" if stage.timeout_s else clock(elapsed)
    else:
        told = format_duration(elapsed)
    word = "working" if active and not state.clauses else "watching" if active else stage.status
    shown = word.upper() if not active else word
    if stage.hooks_failed:
        shown, style = f"{shown} !hook", Style("yellow", bold=True)
    elif stage.inferred:
        shown = f"{shown} *"
    bar_cells = cells - 2 - STAGE_CELLS - 1 - 1 - ELAPSED_CELLS - 2 - STATUS_CELLS
    bar = _bar(stage, elapsed, bar_cells) if bar_cells >= NARROWEST_BAR else ()
    name = Span(pad(stage.id, STAGE_CELLS), WHITE if active else DIM if stage.status == "pending" else Style())
    gap = Span(" ") if bar else Span(" " * max(0, bar_cells + 1))
    return (
        Span(f"{ICONS.get(stage.status, '✗')} ", style),
        name,
        Span(" "),
        *bar,
        gap,
        Span(pad(told, ELAPSED_CELLS, "right"), GREY if not active else Style("white")),
        Span("  "),
        Span(pad(shown, STATUS_CELLS), style),
    )


def passed_row(stages: list[StageRow]) -> Row:
    """Stages that are over and need no more attention, in one line."""
    names = [part for stage in stages for part in (Span(f"{ICONS['pass']} ", STATUS["pass"]), Span(f"{stage.id} "))]
    return row(*names)


def _bar(stage: StageRow, elapsed: float, cells: int) -> Row:
    """Fills towards the deadline while the stage runs; whole once its verdict is known."""
    if stage.status in ("pending", "skipped"):
        return (Span(" " * cells),)
    if stage.status != "active":
        return (Span("▓" * cells, STATUS[stage.status]._replace(bold=False)),)
    share = min(1.0, elapsed / stage.timeout_s) if stage.timeout_s else 0.0
    full = min(cells, int(share * cells))
    return Span("▓" * full, Style("yellow")), Span("░" * (cells - full), DIM)


def clause_rows(clauses: tuple[Clause, ...], room: int) -> list[Row]:
    """The active stage's clauses; what is unmet or blind comes first where there is too little room for all."""
    if room <= 0:
        return []
    shown = list(clauses)
    hidden = 0
    if len(shown) > room:
        urgent = sorted(range(len(shown)), key=lambda index: (shown[index].state == "met", index))
        keep = sorted(urgent[: max(1, room - 1)])
        hidden = len(shown) - len(keep)
        shown = [shown[index] for index in keep]
    parents = {clause.key.rpartition(".")[0] for clause in shown}
    rows = [_clause_row(clause._replace(text="any of") if clause.key in parents else clause) for clause in shown]
    if hidden and len(rows) < room:
        rows.append(row("    ", Span(f"and {hidden} more", DIM)))
    return rows


def _clause_row(clause: Clause) -> Row:
    mark, style = CLAUSE.get(clause.state, CLAUSE["unmet"])
    indent = "    " + "  " * clause.key.count(".")
    text = f"cannot look: {clause.text}" if clause.state == "blind" else clause.text
    detail = () if not clause.detail or clause.detail == clause.text else (Span(f"  {clause.detail}", GREY),)
    return row(indent, mark, Span(text, style), *detail)


def chain_rows(state: DeckState, room: int, now: float) -> list[Row]:
    """What NVSentinel was seen to do: each fact with its own time and what passed since the one before."""
    facts = state.chain
    if not facts:
        return [row(Span("nothing of NVSentinel's chain was seen yet", DIM))][:room]
    shown = _most_telling(facts, room)
    working = _repair_at_work(state)
    before = {fact: earlier.t for earlier, fact in pairwise(facts)}
    return [_fact_row(state, fact, before.get(fact, 0.0), now if fact is working else 0.0) for fact in shown]


def _most_telling(facts: tuple[Fact, ...], room: int) -> list[Fact]:
    """As many facts as there is room for: what a later one of the same thing has overtaken goes first, then the old."""
    spare = len(facts) - room
    last = {_thing(fact): fact for fact in facts}
    shown = []
    for fact in facts:
        if spare > 0 and fact.tone == "work" and last[_thing(fact)] is not fact:
            spare -= 1
        else:
            shown.append(fact)
    return shown[max(0, len(shown) - room) :]


def _thing(fact: Fact) -> tuple[str, str]:
    """What a fact is about; a drain and its pods are overtaken by the state that follows."""
    return ("state", "node") if fact.topic == "drain" else (fact.topic, fact.subject)


def _fact_row(state: DeckState, fact: Fact, earlier: float, now: float) -> Row:
    """One fact; with `now`, how old a maintenance object is that is still at work."""
    delta = f"+{format_duration(max(0.0, fact.t - earlier))}" if earlier and fact.t else ""
    age = f"{clock(now - fact.since)} old  " if now and fact.since else ""
    node = state.start.target_node if state.start else ""  # stands in the title; a name that has it in is too long
    name = f"  {fact.subject.replace(node, '…') if node else fact.subject}" if fact.topic == "repair" else ""
    return row(
        Span(f"{_when(fact.t, state.began)} ", GREY),
        Span(pad(delta, 8, "right"), DIM),
        "  ",
        Span(pad(fact.topic, 10), DIM),
        Span(age, Style("white")),
        Span(fact.text, TONES[fact.tone]),
        Span(name, DIM),
    )


def _repair_at_work(state: DeckState) -> Fact | None:
    """The newest maintenance object, as it was last seen, unless it has ended."""
    last = next((fact for fact in reversed(state.chain) if fact.topic == "repair"), None)
    over = state.finish or state.recovered_at
    return last if last and last.tone == "work" and not over else None


def _when(t: float, began: float) -> str:
    """The time of the day; the day itself for what is older than the run by a day."""
    if not t:
        return "earlier "
    return strftime("%d %b  ", gmtime(t)) if began - t > DAY_S else of_day(t)


def output_rows(state: DeckState, room: int, unread: int) -> list[Row]:
    """The last lines of hooks and actions; each process is named where its lines begin."""
    lines = state.output[: len(state.output) - unread] if unread > 0 else state.output
    rows: list[Row] = []
    for index in range(max(0, len(lines) - room), len(lines)):
        line = lines[index]
        first = not rows or lines[index - 1].origin != line.origin
        origin = pad(line.origin if first else "", ORIGIN_CELLS)
        rows.append(row(Span(f"{origin} ", DIM), Span("│ ", DIM), Span(line.text)))
    return rows or [row(Span("no output yet", DIM))][:room]


def output_title(state: DeckState, unread: int) -> str:
    if unread >= 0:
        return f"output · paused, {unread} new" if unread else "output · paused"
    return f"output · {state.process}" if state.process else "output"
