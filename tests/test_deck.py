"""The deck: golden frames through a terminal emulator, and what must hold of every frame whatever happened."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.cells import width
from nvsx.deck import NEW, View, fold, frame
from nvsx.deck.styled import row_width
from nvsx.deck.view import HELP, KEYS, pressed
from nvsx.events import Chain, Hook, Note, Output, RunEvent, StageBegin, StageEnd, Start, Watch
from nvsx.sinks.ansi import ENTER, LEAVE, Painter
from tests.frames.runs import LAST, NOON, RUNS, bodies, saw, start, state
from tests.frames.sizes import SIZES, drawn, file_of, shown


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", RUNS)
def test_the_golden_frames(name: str, size: tuple[int, int]) -> None:
    """`python -m tests.frames` draws them anew."""
    assert [line.rstrip() for line in drawn(name, size)] == file_of(name, size).read_text("utf-8").split("\n")[:-1]


@pytest.mark.parametrize("name", ["passed", "hook-failed", "timeout", "failed"])
@pytest.mark.parametrize("size", [(20, 3), (59, 14), *SIZES])
def test_the_verdict_is_on_every_screen(name: str, size: tuple[int, int]) -> None:
    known = state(RUNS[name])
    assert known.finish is not None
    assert known.finish.verdict[: size[0] - 3] in "\n".join(shown(known, size, NOON + LAST[name]))


@pytest.mark.parametrize("name", ["waiting", "draining", "recovering", "blind"])
@pytest.mark.parametrize("view", [View(), View(tall_output=True)])
@pytest.mark.parametrize("size", [(20, 3), (60, 15), *SIZES])
def test_the_active_stage_is_on_every_screen(name: str, view: View, size: tuple[int, int]) -> None:
    known = state(RUNS[name])
    assert any(f"◆ {known.active}" in line for line in shown(known, size, NOON + LAST[name], view))


def test_blindness_is_told_apart_and_says_why() -> None:
    lines = shown(state(RUNS["blind"]), (80, 24), NOON + LAST["blind"])
    assert any("? cannot look:" in line and "connection refused" in line for line in lines)
    assert any("! cannot see the cluster: connection refused" in line for line in lines)


def test_the_chain_shows_what_was_seen_and_when_and_nothing_else() -> None:
    known = state(RUNS["passed"])
    assert [(fact.topic, fact.text.partition(",")[0], fact.t - NOON) for fact in known.chain] == [
        ("condition", "SysLogsXIDError=True", 12),
        ("cordon", "cordoned by NVSentinel", 13),
        ("state", "quarantined", 13),
        ("state", "draining", 14),
        ("drain", "waits for default/train-0", 14.5),
        ("state", "drain-succeeded", 38),
        ("repair", "RebootNode SignalSent=absent", 39),
        ("repair", "RebootNode SignalSent=True", 48),
        ("node", "Ready=Unknown (NodeStatusUnknown)", 97),
        ("node", "Ready=True", 330),
        ("node", "booted anew (boot ID 1f0c77aa)", 330),
        ("repair", "RebootNode NodeReady=True (Succeeded)", 341),
        ("condition", "SysLogsXIDError=False", 356),
        ("cordon", "can be scheduled again", 357),
        ("recovery", "NVSentinel released the node", 357),
    ]
    lines = shown(known, (120, 40), NOON + LAST["passed"])
    assert any("12:00:38   +23.5s  state     drain-succeeded" in line for line in lines)


def test_what_a_clause_shows_is_told_once() -> None:
    """The maintenance object of the chain is the one that a clause waits for; an Event is told by its clause alone."""
    known = state(
        [*RUNS["recovering"], saw(50, "recover", "3", "node-event", "node event X", "met", "gpu-node-1: X 79")]
    )
    assert [fact.text for fact in known.chain if fact.topic == "event"] == ["gpu-node-1: X 79"]
    assert all(fact.subject for fact in known.chain if fact.topic == "repair")


def test_a_fact_from_before_the_run_has_no_time_of_its_own_or_the_clusters() -> None:
    told = [start(), (1.0, Chain("state", "node", "draining", "work", 0.0)),
            (1.0, Chain("condition", "X", "X=True", "bad", NOON - 200_000.0))]  # fmt: skip
    lines = shown(state(told), (120, 40), NOON + 2)
    assert any("earlier " in line and "draining" in line for line in lines)
    assert any("22 Dec " in line and "X=True" in line for line in lines)


def test_a_repair_at_work_shows_its_age() -> None:
    line = next(line for line in shown(state(RUNS["recovering"]), (80, 24), NOON + 100) if "12:00:48" in line)
    assert "1m01s old  RebootNode SignalSent=True" in line


def test_the_incident_clock_runs_until_the_node_is_back() -> None:
    assert "incident 1m28s" in shown(state(RUNS["recovering"]), (60, 15), NOON + 100)[-1]
    back = state(RUNS["passed"])._replace(finish=None)
    assert "incident 5m45s" in shown(back, (60, 15), NOON + 900)[-1]
    assert "incident" not in shown(state(RUNS["passed"]), (120, 40), NOON + 900)[-1]  # the MTTR stands above it


@pytest.mark.parametrize("size", [(60, 15), (80, 24)])
def test_the_chain_is_on_the_smallest_screens(size: tuple[int, int]) -> None:
    lines = shown(state(RUNS["recovering"]), size, NOON + 100)
    assert any("node      Ready=Unknown (Node" in line for line in lines)


def test_pausing_holds_the_output_and_counts_what_came() -> None:
    told = RUNS["storm"]
    known, view = NEW, View()
    for seq, (at, body) in enumerate(told):
        if seq == 30:
            view = pressed(view, "p")
        before = known.lines_seen
        known = fold(known, RunEvent("r", "c", seq, NOON + at, body))
        if view.paused:
            view = view._replace(unread=view.unread + known.lines_seen - before)
    lines = shown(known, (80, 24), NOON + 9, view)
    assert any("paused, 34 new" in line for line in lines)
    assert any("gpu-025" in line for line in lines)
    assert not any("gpu-026" in line for line in lines)
    assert any("gpu-059" in line for line in shown(known, (80, 24), NOON + 9, pressed(view, "p")))


def test_help_names_every_key() -> None:
    lines = "\n".join(shown(state(RUNS["waiting"]), (80, 24), NOON, View(help=True)))
    assert all(key in lines and text[:40] in lines for key, text in HELP)
    assert {key for key, _ in KEYS} <= {key for key, _ in HELP}


def test_hostile_output_is_shown_and_does_nothing() -> None:
    evil = "\x1b[2J\x1b[31m\x07\r\n\t\x00\u202eabc\u2066\x9b31m界é"
    known = state([*RUNS["waiting"], (1.0, Output("detect", evil, evil)), (1.0, Note("narration", evil))])
    lines = shown(known, (120, 40), NOON + 3)
    text = "\n".join(lines)
    assert "\\x1b[2J" in text
    assert "\\u202eabc" in text
    assert not any(char in text for char in "\x1b\x07\r\x00\u202e\u2066\x9b")
    assert lines[0].startswith("╭")


ODD_TEXT = st.text(
    st.sampled_from("abc →●界語é\u0301\u200d👩\U0001f3fd🇩🇪ﷺ\t\x1b[m\u202e\x00\u00ad한") | st.characters(), max_size=60
)
EVENTS = st.one_of(
    st.sampled_from([body for told in RUNS.values() for body in bodies(told)]),
    st.builds(Output, st.just("drain"), ODD_TEXT, ODD_TEXT),
    st.builds(Note, st.sampled_from(["narration", "blind", "reminder", "recovered"]), ODD_TEXT),
    st.builds(StageBegin, st.sampled_from(["drain", "zz"]), ODD_TEXT, st.floats(0, 1e6), st.tuples(ODD_TEXT)),
    st.builds(Watch, st.just("drain"), st.sampled_from(["0", "1", "0.1", "x"]), ODD_TEXT, ODD_TEXT,
              st.sampled_from(["met", "unmet", "blind"]), ODD_TEXT),
    st.builds(Chain, st.sampled_from(["condition", "repair", "recovery"]), ODD_TEXT, ODD_TEXT,
              st.sampled_from(["bad", "work", "good", "blind"]), st.floats(0, 4e9), st.floats(0, 4e9)),
    st.builds(StageEnd, st.sampled_from(["drain", "recover"]), st.sampled_from(["pass", "fail", "blind", "skipped"]),
              st.floats(0, 1e6), ODD_TEXT, st.booleans()),
    st.builds(Hook, st.just("drain"), ODD_TEXT, ODD_TEXT, st.just(1), st.just("end"), st.just("failed"), st.just(1)),
    st.builds(Start, ODD_TEXT, ODD_TEXT, ODD_TEXT, ODD_TEXT, ODD_TEXT, st.lists(ODD_TEXT, max_size=12).map(tuple),
              ODD_TEXT, ODD_TEXT),
)  # fmt: skip
VIEWS = st.builds(View, st.booleans(), st.booleans(), st.integers(-1, 50))
SCREENS = st.tuples(st.integers(1, 210), st.integers(1, 60))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, SCREENS, VIEWS), min_size=1, max_size=12), st.sampled_from([0, 4, 8, 24]))
def test_whatever_happens_the_screen_is_what_a_full_repaint_shows(steps: list, depth: int) -> None:  # type: ignore[type-arg]
    known, painter = NEW, Painter(depth=depth)
    size = (1, 1)
    screen, stream = fresh(size)
    for number, (body, wanted, view) in enumerate(steps):
        known = fold(known, RunEvent("r", "cluster", number, NOON + number, body))
        if number % 3 == 0 and wanted != size:
            size = wanted
            screen.resize(size[1], size[0])
        rows = frame(known, *size, NOON + number + 2, view)
        assert len(rows) == size[1]
        assert all(row_width(row) == size[0] for row in rows)
        stream.feed(painter.paint(rows, size[0]))
        whole, other = fresh(size)
        other.feed(Painter(depth=depth).paint(rows, size[0]))
        assert screen.display == whole.display
        assert painter.paint(rows, size[0]) == b""
    stream.feed(LEAVE)
    assert not screen.cursor.hidden


def fresh(size: tuple[int, int]) -> tuple[pyte.Screen, pyte.ByteStream]:
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    stream.feed(ENTER)
    return screen, stream


def test_only_clocks_moving_costs_few_bytes() -> None:
    known, painter = state(RUNS["recovering"]), Painter(depth=24)
    painter.paint(frame(known, 200, 50, NOON + 100), 200)
    second = painter.paint(frame(known, 200, 50, NOON + 101), 200)
    assert 0 < len(second) < 300


def test_a_terminal_without_colour_gets_none_and_one_without_glyphs_gets_ascii() -> None:
    known = state(RUNS["recovering"])
    rows = frame(known, 120, 40, NOON + 100)
    assert b";38;" not in Painter(depth=0).paint(rows, 120)
    assert b";36m" in Painter(depth=4).paint(rows, 120)
    plain = Painter(depth=8, encoding="ascii", ascii_only=True).paint(rows, 120)
    assert plain.isascii()
    screen, stream = fresh((120, 40))
    stream.feed(plain)
    assert screen.display[0].startswith("+---")
    assert all(width(line) == 120 for line in screen.display)
