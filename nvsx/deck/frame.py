"""The frame: the whole screen as lines, a pure function of the state, the size, the time and the view.

The verdict and the active stage are always on it; what yields, when there is little room, are output and chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.deck import panels
from nvsx.deck.styled import DIM, GREY, Row, Span, Style, both_ends, boxed, centered, fit, row, row_width, ruled
from nvsx.deck.view import HELP, KEYS, View
from nvsx.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.deck.state import DeckState

SMALLEST = (60, 15)
"""Columns and rows below which only the essence is drawn."""
BOXES_FROM = 34
"""Rows from which panels have whole frames and the title a box."""
COLUMNS_FROM = 160
"""Columns from which the output stands beside the rest."""
MOST_CLAUSES = 12
LEAST_CLAUSES = 4
"""As many of the active stage's clauses are worth more than the bars of stages that are over."""
CLUSTER_CELLS = 8
"""As much of a cluster's UID as tells it from others."""

NO_VIEW = View()


def frame(state: DeckState, columns: int, rows: int, now: float, view: View = NO_VIEW) -> list[Row]:
    """Exactly `rows` lines, each exactly `columns` wide. `now` is epoch seconds."""
    if columns < SMALLEST[0] or rows < SMALLEST[1]:
        drawn = _essence(state, columns, now)
    elif view.help:
        drawn = _help(state, columns, rows, now)
    elif view.tall_output:
        drawn = _tall(state, columns, rows, now, view)
    elif columns >= COLUMNS_FROM:
        drawn = _wide(state, columns, rows, now, view)
    else:
        drawn = _stacked(state, columns, rows, now, view)
    lines = [fit(line, columns) for line in drawn[:rows]]
    return lines + [fit((), columns)] * (rows - len(lines))


def _stacked(state: DeckState, columns: int, rows: int, now: float, view: View) -> list[Row]:
    boxes = rows >= BOXES_FROM
    head, foot = _head(state, columns, boxes=boxes), _foot(state, columns, now, view, boxes=boxes)
    room = rows - len(head) - len(foot)
    edges = 2 if boxes else 1
    least = edges + (3 if boxes else 2)  # what chain and output each need to be worth a panel
    panels_below = 1 if rows < 20 else 2
    timeline = _timeline(state, columns, room - panels_below * least, now, boxes=boxes)
    room -= len(timeline)
    # The chain goes before the output; a line of it stands even where the output has none.
    kept = max(least, room // 3) if panels_below > 1 else 0
    chain_room = min(max(len(state.chain), 1), max(0, room - edges - kept))
    chain = (
        _panel(panels.chain_rows(state, chain_room, now), columns, "NVSentinel", boxes=boxes) if chain_room > 0 else []
    )
    room -= len(chain)
    return [*head, *timeline, *chain, *_output(state, columns, room, view, boxes=boxes), *foot]


def _wide(state: DeckState, columns: int, rows: int, now: float, view: View) -> list[Row]:
    boxes = rows >= BOXES_FROM
    left_cells = max(100, columns * 11 // 20)
    right_cells = columns - left_cells - 1
    head, foot = _head(state, columns, boxes=boxes), _foot(state, columns, now, view, boxes=boxes)
    room = rows - len(head) - len(foot)
    edges = 2 if boxes else 1
    timeline = _timeline(state, left_cells, room - edges - 3, now, boxes=boxes)
    chain_room = room - len(timeline) - edges
    chain = _panel(
        _filled(panels.chain_rows(state, chain_room, now), chain_room), left_cells, "NVSentinel", boxes=boxes
    )
    left = [*timeline, *chain]
    right = _output(state, right_cells, room, view, boxes=boxes)
    body = [
        (*fit(one, left_cells), Span(" "), *fit(other, right_cells)) for one, other in zip(left, right, strict=False)
    ]
    return [*head, *body, *foot]


def _tall(state: DeckState, columns: int, rows: int, now: float, view: View) -> list[Row]:
    head, foot = _head(state, columns, boxes=False), _foot(state, columns, now, view)
    active = [panels.stage_row(state, stage, columns - 1, now) for stage in state.stages if stage.status == "active"]
    return [
        *head,
        *active,
        *_output(state, columns, rows - len(head) - len(foot) - len(active), view, boxes=False),
        *foot,
    ]


def _help(state: DeckState, columns: int, rows: int, now: float) -> list[Row]:
    head, foot = _head(state, columns, boxes=False), _foot(state, columns, now, NO_VIEW)
    lines = [row(Span(f"{key:>8}  ", Style("cyan", bold=True)), text) for key, text in HELP]
    body = _filled(ruled([row(""), *lines], columns, "keys"), rows - len(head) - len(foot))
    return [*head, *body, *foot]


def _essence(state: DeckState, columns: int, now: float) -> list[Row]:
    """A terminal too small for a deck: the verdict or the active stage, and what it waits for."""
    verdict = [_verdict(state)] if state.finish else []
    active = [
        row(Span(f"◆ {stage.id} {panels.clock(now - stage.began)}", panels.STATUS["active"]))
        for stage in state.stages
        if stage.status == "active"
    ]
    return [*verdict, *active, *panels.clause_rows(state.clauses, 4), panels.title(state)[0]]


def _head(state: DeckState, columns: int, *, boxes: bool) -> list[Row]:
    name, target = panels.title(state)
    if boxes:
        inner = columns - 4
        where = (*target, Span(f"  cluster {state.cluster[:CLUSTER_CELLS]}", DIM)) if state.cluster else target
        return boxed([centered(name, inner), centered(where, inner)], columns, style=Style("cyan"))
    return [both_ends(name, (Span("  "), *target[1:]), columns)]


def _timeline(state: DeckState, columns: int, room: int, now: float, *, boxes: bool) -> list[Row]:
    """All stages, the active one with its clauses. Where even the stages have no room, those that wait are dropped."""
    inner = columns - (4 if boxes else 1)
    edges = 2 if boxes else 1
    stages = list(state.stages)
    most = max(1, room - edges)
    while len(stages) > most:
        waiting = [index for index, stage in enumerate(stages) if stage.status in ("pending", "skipped")]
        done = [index for index, stage in enumerate(stages) if stage.status not in ("active", "pending")]
        del stages[waiting[-1] if waiting else done[0] if done else -1]
    clause_room = min(MOST_CLAUSES, most - len(stages))
    lines: list[Row] = []
    passed = [stage for stage in stages if stage.status == "pass" and not (stage.hooks_failed or stage.inferred)]
    if (
        len(stages) + min(len(state.clauses), LEAST_CLAUSES) > most
        and len(passed) > 1
        and stages[: len(passed)] == passed
    ):
        lines.append(panels.passed_row(passed))
        stages = stages[len(passed) :]
        clause_room = min(MOST_CLAUSES, most - len(stages) - 1)
    for stage in stages:
        lines.append(panels.stage_row(state, stage, inner, now))
        if stage.status == "active":
            lines += panels.clause_rows(state.clauses, clause_room)
        elif stage.status not in ("pass", "pending", "skipped") and stage.reason and len(stages) < most:
            lines.append(row("    ", Span(stage.reason, panels.STATUS[stage.status]._replace(bold=False))))
    return _panel(lines[:most], columns, "timeline", boxes=boxes)


def _output(state: DeckState, columns: int, room: int, view: View, *, boxes: bool) -> list[Row]:
    inside = room - (2 if boxes else 1)
    if inside < 1:
        return [row("")] * max(0, room)
    lines = _filled(panels.output_rows(state, inside, max(0, view.unread)), inside)
    return _panel(lines, columns, panels.output_title(state, view.unread), boxes=boxes)


def _panel(lines: Sequence[Row], columns: int, title: str, *, boxes: bool) -> list[Row]:
    return boxed(lines, columns, title) if boxes else ruled(lines, columns, title)


def _filled(lines: list[Row], count: int) -> list[Row]:
    return lines[:count] + [row("")] * (count - len(lines))


def _foot(state: DeckState, columns: int, now: float, view: View, *, boxes: bool = False) -> list[Row]:
    """One line that says what is now, one with the clock and the keys."""
    keys = _keys(view)
    clocks = _clocks(state, now, columns - row_width(keys), boxes=boxes)
    return [fit((Span(" "), *_now(state)), columns), both_ends(clocks, keys, columns)]


def _now(state: DeckState) -> Row:
    if state.finish:
        return _verdict(state)
    if state.warning:
        return row(Span(f"! {state.warning}", Style("yellow")))
    return row(Span(state.narration, Style("grey", italic=True)))


def _verdict(state: DeckState) -> Row:
    finish = state.finish
    assert finish is not None
    good = finish.exit_code == 0
    color = "green" if good else "yellow" if finish.status in ("pass", "blind", "interrupted", "cancelled") else "red"
    parts = [Span(finish.verdict, Style(color, bold=True)), Span(f"  total {format_duration(finish.total_s)}", Style())]
    if finish.mttr_s is not None:
        parts.append(Span(f"  MTTR {format_duration(finish.mttr_s)}", Style("green", bold=True)))
    if finish.reason:
        parts.append(Span(f"  {finish.reason}", GREY))
    return row(*parts)


def _clocks(state: DeckState, now: float, room: int, *, boxes: bool) -> Row:
    """The clocks, the most telling first: what has no room is left out whole."""
    end = state.finished if state.finish else now
    parts: list[Span] = []
    if state.trouble_since and not (state.finish and state.finish.mttr_s is not None):
        incident = panels.clock((state.recovered_at or end) - state.trouble_since)
        parts += [Span(" incident ", DIM), Span(f"{incident} ", Style("green" if state.recovered_at else "white"))]
    if state.hooks_failed:
        count = state.hooks_failed
        parts.append(Span(f" {count} hook{'s' if count > 1 else ''} failed ", Style("yellow", bold=True)))
    if state.began:
        parts.append(Span(f" run {panels.clock(end - state.began)} ", GREY))
    if state.cluster and not boxes:
        parts.append(Span(f" cluster {state.cluster[:CLUSTER_CELLS]}", DIM))
    while len(parts) > 1 and row_width(parts) > room:
        parts.pop()
    return row(*parts)


def _keys(view: View) -> Row:
    parts: list[Span] = []
    for key, word in KEYS:
        on = (key == "p" and view.paused) or (key == "o" and view.tall_output) or (key == "?" and view.help)
        parts += [
            Span(f"  {key}", Style("cyan", bold=True)),
            Span(f" {word}", Style("white", bold=True) if on else DIM),
        ]
    return row(*parts, Span(" "))
