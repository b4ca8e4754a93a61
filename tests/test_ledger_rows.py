"""What one write of the ledger changes: its own rows, once, and nothing of its neighbours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nvsx.admission import ATTACH, BY_HAND, DUPLICATE, IGNORE, POLL, REFUSE, START, Incident, Occasion
from nvsx.config import Limits, Silence
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
from nvsx.ledger import Evidence, Ledger, NewRun, admitting, entries, keeping
from nvsx.ledger.rows import Joined

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
    "stage ends that never began": (
        StageEnded(RUN, 30.0, "next", "skipped", "not needed", False, 0.0, 30.0),
        {("stages", "run-1 next"): {"began": 0.0, "ended": 30.0, "status": "skipped", "reason": "not needed"}},
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
    late = Occasion("poll", 26.0, f"node-{ENDED}", "r", status="resolved", key=f"key-{ENDED}")
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
    assert {one.at for one in ledger.decisions()} == {26.0}
    assert pruned(ledger, 99.0) == {("decisions", "4"), ("evidence", "4")}
    assert {run.id for run in ledger.runs()} == {RUN, NEIGHBOUR}


def test_owners_of_nothing_are_forgotten(ledger: Ledger) -> None:
    ledger.write(lambda connection: keeping.prune(connection, 0.0, {f"owner of {RUN}"}))
    assert ledger.ask("SELECT id FROM owners") == [(f"owner of {RUN}",)]


# what admission is told


def gathered(directory: Path) -> Ledger:
    """Incidents that differ in one thing each: cluster, node, runbook, key, page, whether they are over."""
    opened = Ledger.open(directory)
    for cluster, node, runbook, source, key in (
        ("c", "n1", "r", "poll", "k1"),
        ("c", "n1", "r", "hook", "k1"),
        ("c", "n1", "other", "poll", "k2"),
        ("c", "n2", "r", "poll", "k3"),
        ("d", "n1", "r", "poll", "k1"),
    ):
        number = len(opened.runs()) + 1
        begin(opened, f"run-{number}", cluster, node, runbook, source, key)
        entry = EffectIntended(f"run-{number}", 12.0, "s", "hook", "h", "x", 1, "k", f"page-{number}")
        opened.write(writes(entry))
    opened.write(writes(RunEnded("run-1", 13.0, "pass", 0, 0)))
    return opened


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Ledger]:
    opened = gathered(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def crowd_to_ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One for all that only ask."""
    opened = gathered(tmp_path_factory.mktemp("crowd"))
    yield opened
    opened.close()


def begin(ledger: Ledger, run: str, cluster: str, node: str, runbook: str, source: str = BY_HAND, key: str = "") -> Any:
    """Start a run whatever else goes on."""
    occasion = Occasion(source, 11.0, node, runbook, key=key, delivery=f"{cluster}-{key}")
    case = admitting.Case(occasion, cluster, Evidence("said"), NewRun(run, runbook, "text", node), "", ())
    return ledger.write(lambda connection: admitting.begin_by_hand(connection, case, force=True))


def memory_of(ledger: Ledger, cluster: str, ask: Callable[[admitting.SqlMemory], Any]) -> Any:
    found = ledger.write(lambda connection: ask(admitting.SqlMemory(connection, cluster)))
    return found.run_id if isinstance(found, Incident) else found


@pytest.mark.parametrize(
    ("cluster", "ask", "expected"),
    [
        ("c", lambda m: m.latest("n1", "r"), "run-2"),
        ("c", lambda m: m.latest("n1", "other"), "run-3"),
        ("c", lambda m: m.latest("n2", "r"), "run-4"),
        ("d", lambda m: m.latest("n1", "r"), "run-5"),
        ("c", lambda m: m.latest("n2", "other"), None),
        ("d", lambda m: m.latest("n2", "r"), None),
        ("c", lambda m: m.on_node("n1"), "run-3"),
        ("c", lambda m: m.on_node("n2"), "run-4"),
        ("d", lambda m: m.on_node("n1"), "run-5"),
        ("d", lambda m: m.on_node("n2"), None),
        ("c", lambda m: m.with_key("poll", "k1"), "run-1"),
        ("c", lambda m: m.with_key("hook", "k1"), "run-2"),
        ("c", lambda m: m.with_key("poll", "k2"), "run-3"),
        ("d", lambda m: m.with_key("poll", "k1"), "run-5"),
        ("d", lambda m: m.with_key("hook", "k1"), None),
        ("c", lambda m: m.issued("page-2"), "run-2"),
        ("d", lambda m: m.issued("page-2"), "run-2"),  # a page is nvsx's own, whichever cluster it speaks of
        ("c", lambda m: m.issued("page-9"), None),
        ("c", lambda m: m.answered("poll", "c-k1"), "run-1"),
        ("c", lambda m: m.answered("hook", "c-k1"), "run-2"),
        ("c", lambda m: m.answered("hook", "c-k2"), None),
        ("c", lambda m: m.active("r"), 2),
        ("c", lambda m: m.active("other"), 1),
        ("d", lambda m: m.active("r"), 1),
        ("d", lambda m: m.active("other"), 0),
        ("c", lambda m: m.waiting(), 3),
        ("d", lambda m: m.waiting(), 1),
        ("e", lambda m: m.waiting(), 0),
    ],
)
def test_admission_is_told_of_its_own_cluster_node_runbook_and_sender(
    crowd_to_ask: Ledger, cluster: str, ask: Callable[[admitting.SqlMemory], Any], expected: object
) -> None:
    assert memory_of(crowd_to_ask, cluster, ask) == expected


def test_a_node_that_is_well_again_has_its_older_incident_open(crowd: Ledger) -> None:
    crowd.write(lambda connection: keeping.close_incident(connection, 3, 20.0))
    assert memory_of(crowd, "c", lambda memory: memory.on_node("n1")) == "run-2"
    crowd.write(lambda connection: keeping.close_incident(connection, 2, 20.0))
    assert memory_of(crowd, "c", lambda memory: memory.on_node("n1")) is None
    assert memory_of(crowd, "c", lambda memory: memory.latest("n1", "r")) == "run-2"


def test_a_new_incident_ends_the_older_one_of_its_node_and_runbook_only(crowd: Ledger) -> None:
    assert {one.run_id for one in crowd.incidents()} == {"run-2", "run-3", "run-4", "run-5"}
    begin(crowd, "run-6", "c", "n1", "r")
    assert {one.run_id for one in crowd.incidents()} == {"run-3", "run-4", "run-5", "run-6"}
    closed = {one.run_id: one.closed for one in crowd.incidents(open=False)}
    crowd.write(lambda connection: connection.execute("UPDATE incidents SET closed = 5 WHERE run_id = 'run-2'"))
    begin(crowd, "run-7", "c", "n1", "r")
    assert closed["run-2"] == 11.0
    again = {one.run_id: one.closed for one in crowd.incidents(open=False)}
    assert (again["run-2"], again["run-6"]) == (5.0, 11.0), "what was over stays over since then"


def test_a_silence_made_by_command_holds_until_its_end_or_removal(crowd: Ledger) -> None:
    def standing(now: float) -> list[str]:
        found = crowd.write(lambda connection: admitting.standing_silences(connection, now))
        return [one.why for one in found]

    for why, until in (("a", 20.0), ("b", 30.0), ("c", 40.0)):
        crowd.write(lambda c, why=why, until=until: keeping.add_silence(c, Silence(until, why), 10.0))
    crowd.write(lambda connection: keeping.remove_silence(connection, 2, 15.0))
    assert standing(19.0) == ["a", "c"]
    assert standing(20.0) == ["c"]
    assert standing(40.0) == []


def test_what_a_report_says_of_an_incident_is_newer_than_what_was_known(crowd: Ledger) -> None:
    def hear(time: float, session: str, **facts: Any) -> Any:
        occasion = Occasion("poll", time, "n2", "r", session=session, **facts)
        return asyncio.run(crowd.admit(occasion, cluster="c", run=NewRun("x", "r", "text", "n2")))

    assert hear(50.0, "q1").incident == 4
    assert hear(40.0, "q2").incident == 4  # late
    assert hear(60.0, "q1", elsewhere="prod-b").incident == 0
    (incident,) = crowd.incidents(node="n2")
    assert (incident.news, incident.session, incident.evidence) == (50.0, "q1", 3)
    assert {one.news for one in crowd.incidents()} == {11.0, 50.0}


def test_what_a_cooldown_ignores_is_no_news_of_the_incident_that_was(crowd: Ledger) -> None:
    crowd.write(writes(RunEnded("run-4", 20.0, "pass", 0, 0)))
    crowd.write(lambda connection: keeping.close_incident(connection, 4, 21.0))
    before = crowd.incidents(open=False, node="n2")
    occasion = Occasion("poll", 50.0, "n2", "r", session="q1", cooldown_s=100.0)
    told = asyncio.run(crowd.admit(occasion, cluster="c", run=NewRun("x", "r", "text", "n2")))
    assert (told.decision.verdict, told.incident) == (IGNORE, 4)
    assert crowd.incidents(open=False, node="n2") == before


def test_a_key_follows_the_incident_it_was_last_told_with(crowd: Ledger) -> None:
    begin(crowd, "run-6", "c", "n2", "r", "poll", "k1")
    assert memory_of(crowd, "c", lambda memory: memory.with_key("poll", "k1")) == "run-6"
    assert memory_of(crowd, "c", lambda memory: memory.answered("poll", "c-k1")) == "run-1", "an answer stays as it was"


def test_of_very_many_reports_only_the_first_are_kept(crowd: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "REPORTS_KEPT", 3)
    monkeypatch.setattr(admitting, "PAYLOADS_KEPT", 2)

    def hear() -> Any:
        new, said = NewRun("x", "r", "text", "n2"), Evidence("said", b"raw")
        return asyncio.run(crowd.admit(Occasion("poll", 50.0, "n2", "r"), cluster="c", run=new, evidence=said))

    found = [hear() for _ in range(3)]
    assert [bool(one.decision_id) for one in found] == [True, True, False]
    assert [one.decision.verdict for one in found] == [ATTACH] * 3
    assert [one.payload for one in crowd.evidence(incident=4)] == [b"", b"raw", b""]
    assert [len(crowd.decisions(run_id="run-4")), crowd.incidents(node="n2")[0].evidence] == [3, 4]


@pytest.mark.parametrize(
    ("facts", "room", "verdict"),
    [
        ({"node": "n9"}, 0, REFUSE),
        ({"node": "n9", "elsewhere": "prod-b"}, 9, IGNORE),
        ({"node": "n9"}, 9, START),
        ({"node": "n2"}, 0, ATTACH),
    ],
)
@pytest.mark.parametrize("source", ["alerts", POLL])
def test_what_started_nothing_is_judged_anew_unless_nvsx_itself_has_read_it_again(
    crowd: Ledger, facts: dict[str, Any], room: int, verdict: str, source: str
) -> None:
    """Who is refused is asked to come again, and an alert that is told again because it goes on may be run for now."""

    def hear() -> Any:
        occasion = Occasion(source, 50.0, runbook="r", delivery="d", **facts)
        new = NewRun("x", "r", "text", facts["node"])
        return asyncio.run(crowd.admit(occasion, Limits(max_waiting=room), cluster="c", run=new))

    first, second = hear(), hear()
    anew = verdict == REFUSE or (verdict == IGNORE and source != POLL)
    assert first.decision.verdict == verdict
    assert second.decision.verdict == (verdict if anew else DUPLICATE)
    assert second.run_id == first.run_id
    written = 7 if anew or source != POLL else 6
    assert len(crowd.decisions()) == written, "and each is written down, but for what nvsx itself has read again"


def test_who_is_told_of_a_run_by_hand_is_no_evidence(crowd: Ledger) -> None:
    def ask(force: bool, run: str) -> Any:
        occasion = Occasion(BY_HAND, 50.0, "n2", "r", key="k9")
        case = admitting.Case(occasion, "c", Evidence("asked"), NewRun(run, "r", "text", "n2"), "", ())
        return crowd.write(lambda connection: admitting.begin_by_hand(connection, case, force=force))

    told = ask(False, "x")
    assert (told.decision.verdict, told.run_id, told.joined) == (ATTACH, "run-4", Joined("r", "n2", "page-4"))
    assert told.decision_id
    assert len(crowd.evidence(incident=4)) == 1
    assert memory_of(crowd, "c", lambda memory: memory.with_key(BY_HAND, "k9")) is None
    started = ask(True, "x")
    assert (started.decision.verdict, started.joined) == (START, None)
    assert len(crowd.evidence(incident=started.incident)) == 1


def test_what_would_start_and_names_no_run_is_refused_loudly(crowd: Ledger) -> None:
    with pytest.raises(ValueError, match="r may start, but no run was given"):
        asyncio.run(crowd.admit(Occasion("poll", 50.0, "n9", "r"), cluster="c"))
