"""The ledger's file is examined: at the start what runs rest on, whatever its size, and all of it while nvsx works."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.app.daemon import checkup
from nvsx.app.daemon.checkup import NAME
from nvsx.app.daemon.front import Front
from nvsx.config import Config
from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import Ledger, examining, opening
from nvsx.ledger.opening import FILE, LOCK, WHOLLY_EXAMINED
from tests.daemon_story import QUICK, Place, runbooks
from tests.story import T0
from tests.test_ledger import made, spoil_page

if TYPE_CHECKING:
    from nvsx.app.daemon.core import Daemon

RUNS = 60


@cache
def large() -> bytes:
    """A ledger that is too large to be examined whole at every start."""
    with TemporaryDirectory() as directory:
        file = made(Path(directory), RUNS)
        grow(file, WHOLLY_EXAMINED)
        return file.read_bytes()


def grow(file: Path, size: int) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        row = "INSERT INTO evidence (incident, run_id, at, about, source, key, summary, size, payload)"
        connection.execute(f"{row} VALUES (0, 'r', 0, 0, 's', 'k', 'x', 0, zeroblob(?))", (size,))


def place(directory: Path, data: bytes) -> Path:
    (directory / FILE).write_bytes(data)
    (directory / LOCK).write_text("made")
    return directory


def page_of(file: Path, name: str) -> tuple[int, int]:
    """Where the root page of a table or index begins, and where it ends."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return (root - 1) * size, root * size


def spoil(file: Path, name: str, what: bytes) -> None:
    """Change the last byte of a text in a table's or an index's root page."""
    data = bytearray(file.read_bytes())
    begin, end = page_of(file, name)
    at = data.index(what, begin, end) + len(what) - 1
    data[at] ^= 1
    file.write_bytes(data)


def hidden(file: Path) -> int:
    """How many unfinished runs are in the file and cannot be found by the index."""
    found = "SELECT 1 FROM runs AS found INDEXED BY runs_open WHERE found.ended = 0 AND found.id = there.id"
    asked = f"SELECT count(*) FROM runs AS there WHERE +ended = 0 AND NOT EXISTS ({found})"
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(asked).fetchone()[0])


@pytest.mark.skipif(sqlite3.sqlite_version_info < examining._ONE_TABLE, reason="this SQLite is older")
def test_a_run_that_a_flipped_byte_hides_in_a_large_ledger_is_not_hidden_in_silence(tmp_path: Path) -> None:
    file = place(tmp_path, large()) / FILE
    with closing(Ledger.open(tmp_path)) as ledger:
        assert not ledger.seen_whole
        assert len(ledger.unfinished()) == RUNS
    assert hidden(file) == 0
    spoil(file, "runs_open", b"20260101-000000-0007")
    assert hidden(file) == 1
    with pytest.raises(EnvironmentUnusable, match=r"is damaged: .*runs_open"):
        Ledger.open(tmp_path)


def test_an_older_sqlite_looks_at_all_of_it_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a table's name for no name at all, and would examine the whole file once for each table."""
    monkeypatch.setattr(examining, "_ONE_TABLE", (99,))
    monkeypatch.setattr(opening, "WHOLLY_EXAMINED", 0)
    asked: list[str] = []
    connect = opening.connect

    def traced(path: Path, *, writing: bool = True) -> sqlite3.Connection:
        connection = connect(path, writing=writing)
        connection.set_trace_callback(asked.append)
        return connection

    file = made(tmp_path, 20)
    monkeypatch.setattr(opening, "connect", traced)
    Ledger.open(tmp_path).close()
    assert [one for one in asked if "check" in one] == ["PRAGMA quick_check(1)"]
    spoil_page(file)
    with pytest.raises(EnvironmentUnusable, match="is damaged"):
        Ledger.open(tmp_path)


def test_a_small_ledger_is_seen_whole(tmp_path: Path) -> None:
    file = made(tmp_path, 50)
    with closing(Ledger.open(tmp_path)) as ledger:
        assert ledger.seen_whole
        with closing(Ledger.open(tmp_path)) as second:
            assert not second.seen_whole, "who opened it first has examined it"
    spoil(file, "decisions_by_node", b"n7")
    with pytest.raises(EnvironmentUnusable, match=r"is damaged: .*decisions_by_node"):
        Ledger.open(tmp_path)


@settings(deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_large_ledger_is_told_sooner_or_later_or_hides_nothing(place: float, bit: int) -> None:
    """At once where runs rest on it, else by the checkup. The threshold is lowered, not the file made large."""
    data = bytearray(small())
    data[int(place * len(data))] ^= 1 << bit
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch, suppress(EnvironmentUnusable):
        patch.setattr(opening, "WHOLLY_EXAMINED", 0)
        (Path(name) / FILE).write_bytes(data)
        (Path(name) / LOCK).write_text("made")
        with closing(Ledger.open(Path(name))) as ledger:
            found = {len(ledger.runs(limit=1000)), len(ledger.unfinished()), len(ledger.incidents())}
            assert found == {RUNS}
            asyncio.run(ledger.examine())
            assert len(ledger.decisions(limit=1000)) == RUNS
            assert all(len(ledger.decisions(node=f"n{number}")) == 1 for number in range(RUNS))


@cache
def small() -> bytes:
    with TemporaryDirectory() as directory:
        return made(Path(directory), RUNS).read_bytes()


# While nvsx works


@pytest.fixture
def story_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place whose ledger is never examined whole at the start."""
    monkeypatch.setattr(opening, "WHOLLY_EXAMINED", 0)
    place = Place(tmp_path, runbooks(xid=QUICK), Config(hooks={"onFailure": "last.sh"}))
    place.node("gpu-1")
    return place


async def damaged(daemon: Daemon) -> float:
    return float((await Front(daemon, dict, T0).metrics())["nvsx_ledger_damaged"][()])  # type: ignore[arg-type]


def test_damage_that_the_start_did_not_see_calls_people_once(story_place: Place) -> None:
    place = story_place
    states: list[float] = []

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            place.break_node("gpu-1")
            await asyncio.sleep(60)
            states.append(await damaged(daemon))
        spoil(place.directory / "state" / FILE, "decisions_by_node", b"gpu-1")
        for _ in range(2):
            async with place.daemon() as daemon:
                await asyncio.sleep(60)
                states.append(await damaged(daemon))

    place.play(story)
    assert place.started() == ["page.sh gpu-1", "last.sh"]
    assert states == [0.0, 1.0, 1.0]
    told = place.env("last.sh")
    assert "is damaged: " in told["NVSX_WAITING_FOR"]
    said = [text for text in place.said("record") if "is damaged" in text]
    assert len(said) == 2
    assert "keep it and go on with a new one: mkdir" in said[0]


def test_it_is_examined_at_the_start_and_every_day(story_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place, day = story_place, 600.0
    looked: list[float] = []
    examine = Ledger.examine
    monkeypatch.setattr(checkup, "EVERY_S", day)

    async def counted(self: Ledger) -> None:
        looked.append(place.clock.monotonic() // day)
        await examine(self)

    monkeypatch.setattr(Ledger, "examine", counted)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(2.5 * day)
            assert float(daemon.tools.ledger.cursor(NAME)) == pytest.approx(T0 + 2 * day, abs=5)
            assert looked == [0, 1, 2]
            for _ in range(3):
                await daemon.checkup.sweep()
            assert looked == [0, 1, 2], "a sweep knows when it was examined last"
            await daemon.tools.ledger.set_cursor(NAME, str(T0 + 9 * day))
            await daemon.checkup.sweep()
            assert looked == [0, 1, 2, 2], "the clock was set back"
            await daemon.tools.ledger.set_cursor(NAME, "nonsense")
            await daemon.checkup.sweep()
            assert looked == [0, 1, 2, 2, 2]

    place.play(story)


def test_who_stops_does_not_wait_for_the_examination(story_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = story_place
    ended: list[str] = []

    def forever(connection: sqlite3.Connection) -> str:
        try:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
            ).fetchone()
        except sqlite3.OperationalError as error:
            ended.append(str(error))
            raise
        return ""

    async def story() -> None:
        ledger = Ledger.open(place.directory / "state")
        monkeypatch.setattr(examining, "whole", forever)
        task = asyncio.create_task(ledger.examine())
        await asyncio.sleep(0.2)
        task.cancel()
        outcome: Any = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError)
        ledger.close()

    asyncio.run(story())
    assert ended == ["interrupted"]
