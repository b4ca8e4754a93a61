"""What one write of the ledger changes: its own rows, once, and nothing of its neighbours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nvsx.admission import Occasion
from nvsx.config import Silence
from nvsx.events import Note, RunEvent
from nvsx.journal import (
    EffectEnded,
    EffectIntended,
    EffectStarted,
    EvidenceSeen,
    IncidentSeen,
    RunBegan,
    RunEnded,
    StageBegan,
    StageEnded,
)
from nvsx.ledger import Evidence, Ledger, NewRun, entries, keeping

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN, NEIGHBOUR, ENDED = "run-1", "run-2", "run-3"
TABLES = {
    "runs": "id", "stages": "run_id || ' ' || stage", "effects": "run_id || ' ' || key || ' ' || attempt",
    "clauses": "run_id || ' ' || stage || ' ' || clause", "incidents": "id", "owners": "id", "issued": "key",
    "sender_keys": "source || ' ' || key", "deliveries": "source || ' ' || delivery", "evidence": "id",
    "decisions": "id", "cursors": "name", "drills": "runbook", "silences": "id", "events": "run_id || ' ' || seq",
    "texts": "text",
}  # fmt: skip


Row = tuple[str, str]  # table, key


class Difference(NamedTuple):
    """What a write changed: columns of rows that were there, rows that it made, rows that are gone."""

    changed: dict[Row, dict[str, Any]]
    made: dict[Row, dict[str, Any]]
    gone: set[Row]


def content(ledger: Ledger) -> dict[Row, dict[str, Any]]:
    found: dict[Row, dict[str, Any]] = {}
    for table, key in TABLES.items():
        columns = [str(row[1]) for row in ledger.ask(f"PRAGMA table_info({table})")]
        for row, *values in ledger.ask(f"SELECT {key}, * FROM {table}"):
            found[table, str(row)] = dict(zip(columns, values, strict=True))
    return found


def difference(ledger: Ledger, work: Any) -> Difference:
    before = content(ledger)
    ledger.write(work)
    after = content(ledger)
    changed = {
        row: {column: value for column, value in after[row].items() if value != before[row][column]}
        for row in before.keys() & after.keys()
        if after[row] != before[row]
    }
    return Difference(changed, {row: after[row] for row in after.keys() - before.keys()}, before.keys() - after.keys())


NOTHING = Difference({}, {}, set())


def writes(entry: Any, owner: str = "me") -> Any:
    return lambda connection: entries.write(connection, entry, owner)


def began(run: str, at: float = 20.0, *, alias: str = "") -> RunBegan:
    return RunBegan(
        run, at, "r", f"text of {run}", f"node-{run}", "c", "", {}, {"target_alias": alias} if alias else {}
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Two runs under way with the same stages and hooks, and one that has ended and whose incident is closed."""
    opened = Ledger.open(tmp_path)
    lived: list[Any] = []

    async def fill() -> None:
        for number, run in enumerate((RUN, NEIGHBOUR, ENDED), 1):
            occasion = Occasion("poll", 10.0, f"node-{run}", "r", key=f"key-{run}", delivery=f"delivery-{run}")
            new = NewRun(run, "r", f"text of {run}", occasion.node)
            await opened.admit(occasion, cluster="c", run=new, evidence=Evidence("said", b"{}"))
            opened.remember_event(RunEvent(run, "c", 0, 22.0, Note("record", "x")))
            lived.extend(
                (
                    began(run),
                    StageBegan(run, 21.0, "detect"),
                    EffectIntended(run, 22.0, "detect", "hook", "onSuccess", "x", 1, "hook", f"page-{run}"),
                    EvidenceSeen(run, 23.0, "detect", "clause", "seen", f"v{number}", inferred=False),
                )
            )

    asyncio.run(fill())
    for entry in (*lived, EffectEnded(ENDED, 24.0, "hook", 1, "ok", 0), RunEnded(ENDED, 25.0, "pass", 0, 0)):
        opened.write(writes(entry, f"owner of {entry.run_id}"))
    for run in (RUN, NEIGHBOUR, ENDED):
        opened.write(lambda connection, run=run: keeping.register(connection, f"owner of {run}", 4711, "77", "nvsx"))
    opened.write(lambda connection: keeping.close_incident(connection, 3, 25.0))
    for until in (25.0, 99.0):
        opened.write(lambda connection, until=until: keeping.add_silence(connection, Silence(until, "why"), 10.0))
    yield opened
    opened.close()


JOURNAL: dict[str, tuple[Any, dict[tuple[str, str], dict[str, Any]]]] = {
    "stage begins": (StageBegan(RUN, 30.0, "next"), {("stages", "run-1 next"): {"began": 30.0}}),
    "stage ends": (
        StageEnded(RUN, 30.0, "detect", "pass", "seen", True, 9.0, 29.0),
        {
            ("stages", "run-1 detect"): {
                "ended": 30.0, "status": "pass", "reason": "seen", "inferred": 1, "elapsed": 9.0, "decided": 29.0,
            }
        },
    ),
    "hook is meant again": (
        EffectIntended(RUN, 30.0, "detect", "hook", "onSuccess", "x", 2, "hook", "page-run-1"),
        {("effects", "run-1 hook 2"): {"intended": 30.0}},
    ),
    "hook without a page is meant": (
        EffectIntended(RUN, 30.0, "detect", "hook", "finally", "x", 1, "other"),
        {("effects", "run-1 other 1"): {"intended": 30.0}},
    ),
    "hook with another page is meant": (
        EffectIntended(RUN, 30.0, "detect", "hook", "finally", "x", 1, "other", "page-9"),
        {
            ("effects", "run-1 other 1"): {"intended": 30.0},
            ("issued", "page-9"): {"run_id": RUN, "incident": 1},
            ("runs", RUN): {"incident_key": "page-9"},
        },
    ),
    "page of a neighbour is meant": (
        EffectIntended(RUN, 30.0, "detect", "hook", "finally", "x", 1, "other", "page-run-2"),
        {("effects", "run-1 other 1"): {"intended": 30.0}, ("runs", RUN): {"incident_key": "page-run-2"}},
    ),
    "hook starts": (
        EffectStarted(RUN, 30.0, "hook", 1, 4711, "77"),
        {("effects", "run-1 hook 1"): {"started": 30.0, "pid": 4711, "start_time": "77"}},
    ),
    "hook ends": (
        EffectEnded(RUN, 30.0, "hook", 1, "failed", 2, {"NVSX_OUT_X": "1"}, ("pods",), "said no"),
        {
            ("effects", "run-1 hook 1"): {
                "ended": 30.0, "outcome": "failed", "exit_code": 2, "outputs": '{"NVSX_OUT_X": "1"}',
                "missing": '["pods"]', "detail": "said no",
            }
        },
    ),
    "clause is met by another version": (
        EvidenceSeen(RUN, 30.0, "detect", "clause", "seen", "v9", inferred=True),
        {("clauses", "run-1 detect clause"): {"at": 30.0, "version": "v9", "inferred": 1}},
    ),
    "incident is seen": (IncidentSeen(RUN, 30.0, {"check": "X"}), {("runs", RUN): {"facts": '{"check": "X"}'}}),
    "run ends": (
        RunEnded(RUN, 30.0, "fail", 1, 2),
        {
            ("runs", RUN): {"ended": 30.0, "status": "fail", "exit_code": 1, "hooks_failed": 2, "owner": ""},
            ("incidents", "1"): {"run_ended": 30.0},
        },
    ),
    "ended run ends again": (RunEnded(ENDED, 30.0, "fail", 1, 2), {}),
    "ended run begins again": (began(ENDED, 30.0, alias="wombat"), {}),
    "run goes on": (began(RUN, 30.0, alias="wombat"), {("runs", RUN): {
        "resumed": 1, "alias": "wombat", "plan": '{"target_alias": "wombat"}', "owner": "me",
    }}),
}  # fmt: skip
"""Entry -> the values that it writes, beside those that are the same in every row."""


@pytest.mark.parametrize("name", JOURNAL)
def test_an_entry_changes_its_own_rows_and_no_other(ledger: Ledger, name: str) -> None:
    entry, expected = JOURNAL[name]
    found = difference(ledger, writes(entry))
    assert found.gone == set()
    assert found.changed.keys() | found.made.keys() == expected.keys()
    for row, values in expected.items():
        if row in found.made:
            assert {column: found.made[row][column] for column in values} == values
        else:
            assert found.changed[row] == values


@pytest.mark.parametrize("name", [name for name in JOURNAL if name != "run goes on"])
def test_an_entry_that_comes_twice_changes_nothing_more(ledger: Ledger, name: str) -> None:
    ledger.write(writes(JOURNAL[name][0]))
    assert difference(ledger, writes(JOURNAL[name][0])) == NOTHING


KEPT: dict[str, tuple[Any, dict[Row, dict[str, Any]], set[Row]]] = {
    "take": (lambda c: keeping.take(c, RUN, "new"), {("runs", RUN): {"owner": "new"}}, set()),
    "take what has ended": (lambda c: keeping.take(c, ENDED, "new"), {}, set()),
    "beat": (
        lambda c: keeping.beat(c, f"owner of {RUN}", 40.0), {("owners", f"owner of {RUN}"): {"alive": 40.0}}, set()
    ),
    "be somebody else": (
        lambda c: keeping.register(c, f"owner of {RUN}", 4712, "78", "the daemon"),
        {("owners", f"owner of {RUN}"): {"pid": 4712, "start_time": "78", "what": "the daemon"}},
        set(),
    ),
    "leave": (
        lambda c: keeping.give_up(c, f"owner of {RUN}", 40.0),
        {("runs", RUN): {"owner": "", "alive": 40.0}},
        {("owners", f"owner of {RUN}")},
    ),
    "leave without a run": (
        lambda c: keeping.give_up(c, f"owner of {ENDED}", 40.0), {}, {("owners", f"owner of {ENDED}")}
    ),
    "cancel": (
        lambda c: keeping.cancel(c, RUN, "ann", 40.0),
        {("runs", RUN): {"cancelled": 40.0, "cancelled_by": "ann"}},
        set(),
    ),
    "cancel what has ended": (lambda c: keeping.cancel(c, ENDED, "ann", 40.0), {}, set()),
    "close": (lambda c: keeping.close_incident(c, 1, 40.0), {("incidents", "1"): {"closed": 40.0}}, set()),
    "close again": (lambda c: keeping.close_incident(c, 3, 40.0), {}, set()),
    "news": (
        lambda c: keeping.incident_news(c, 1, 40.0, "q1"), {("incidents", "1"): {"news": 40.0, "session": "q1"}}, set()
    ),
    "end a silence": (lambda c: keeping.remove_silence(c, 2, 40.0), {("silences", "2"): {"removed": 40.0}}, set()),
    "end a silence that has passed": (lambda c: keeping.remove_silence(c, 1, 25.0), {}, set()),
    "end no silence": (lambda c: keeping.remove_silence(c, 9, 24.0), {}, set()),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_a_small_write_changes_its_own_rows_and_no_other(ledger: Ledger, name: str) -> None:
    work, changed, gone = KEPT[name]
    assert difference(ledger, work) == Difference(changed, {}, gone)
    if name != "beat":
        assert difference(ledger, work) == NOTHING


def claims(run: str, *, dead: bool) -> Callable[[sqlite3.Connection], bool]:
    return lambda connection: keeping.claim(connection, run, "new", lambda _: dead)


def test_a_claim_asks_whether_the_owner_is_dead_and_keeps_when_it_last_lived(ledger: Ledger) -> None:
    assert not ledger.write(claims(RUN, dead=False))
    assert not ledger.write(claims(ENDED, dead=True))
    assert not ledger.write(claims("no such run", dead=True))
    ledger.write(lambda connection: keeping.beat(connection, f"owner of {RUN}", 40.0))
    found = difference(ledger, claims(RUN, dead=True))
    assert found == Difference({("runs", RUN): {"owner": "new", "alive": 40.0}}, {}, set())
    ledger.write(lambda connection: keeping.register(connection, "new", 1, "1", "nvsx"))  # has not lived that long
    assert ledger.write(claims(RUN, dead=True))
    assert ledger.find(RUN).alive == 40.0, "what was known is not forgotten"
    ledger.write(lambda connection: keeping.give_up(connection, "new", 50.0))
    assert ledger.write(claims(RUN, dead=False)), "nobody's run is anybody's"
    assert ledger.write(claims(RUN, dead=True)), "an owner without a row has nothing to say"
    assert ledger.find(RUN).alive == 50.0


def pruned(ledger: Ledger, before: float) -> set[Row]:
    found = difference(ledger, lambda connection: keeping.prune(connection, before, {f"owner of {RUN}"}))
    assert (found.changed, found.made) == ({}, {})
    return {row for row in found.gone if row[0] != "owners"}


def test_what_is_pruned_is_older_than_told_and_over(ledger: Ledger) -> None:
    late = Occasion("poll", 30.0, f"node-{ENDED}", "r", status="resolved", key=f"key-{ENDED}")
    assert asyncio.run(ledger.admit(late, cluster="c")).incident == 3
    assert pruned(ledger, 10.0) == set(), "nothing is older"
    assert {table for table, _ in pruned(ledger, 25.0)} == {"decisions", "deliveries"}, "the run ended at 25"
    assert pruned(ledger, 26.0) == {
        ("runs", ENDED),
        ("texts", f"text of {ENDED}"),
        ("stages", f"{ENDED} detect"),
        ("effects", f"{ENDED} hook 1"),
        ("clauses", f"{ENDED} detect clause"),
        ("events", f"{ENDED} 0"),
        ("issued", f"page-{ENDED}"),
        ("incidents", "3"),
        ("evidence", "3"),
        ("sender_keys", f"poll key-{ENDED}"),
        ("silences", "1"),
    }
    assert {one.at for one in ledger.decisions()} == {30.0}
    assert pruned(ledger, 99.0) == {("decisions", "4"), ("evidence", "4")}
    assert {run.id for run in ledger.runs()} == {RUN, NEIGHBOUR}


def test_owners_of_nothing_are_forgotten(ledger: Ledger) -> None:
    ledger.write(lambda connection: keeping.prune(connection, 0.0, {f"owner of {RUN}"}))
    assert ledger.ask("SELECT id FROM owners") == [(f"owner of {RUN}",)]
