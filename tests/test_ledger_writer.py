"""The writer's thread: what it was given is written, told once it is, and made up for where the disk failed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import Ledger, keeping
from nvsx.ledger import writer as writing
from nvsx.ledger.opening import FILE
from nvsx.ledger.writer import MOST_PER_COMMIT, Job, Writer
from tests.rehearsing import CHECKOUT
from tests.test_owning import open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 10
Told = SimpleQueue[tuple[Any, Exception | None]]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    Ledger.open(tmp_path).close()
    file = tmp_path / FILE
    made = Writer(file, file.stat().st_ino)
    yield made
    in_time(made.close)


def in_time(work: Callable[[], object]) -> None:
    """Do what ends at once, unless something is wrong: then it may wait for ever, and a test that hangs says little."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it does not end"


def noting(name: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: keeping.set_cursor(connection, name, "kept")


def kept(directory: Path) -> set[str]:
    connection = sqlite3.connect(directory / FILE)
    try:
        return {str(name) for (name,) in connection.execute("SELECT name FROM cursors")}
    finally:
        connection.close()


def given(writer: Writer, work: Callable[[sqlite3.Connection], Any], *, owed: bool = False) -> Told:
    told: Told = SimpleQueue()
    writer.submit(Job(work, lambda result, failure: told.put((result, failure)), owed))
    return told


def failing(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> SimpleQueue[bool]:
    """Let so many commits fail; the queue has one truth for each that was tried."""
    tried: SimpleQueue[bool] = SimpleQueue()
    left = [error] * times
    settle = Writer.settle

    def maybe(self: Writer) -> None:
        tried.put(not left)
        if left:
            raise left.pop()
        settle(self)

    monkeypatch.setattr(Writer, "settle", maybe)
    return tried


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(writing, "LATER_S", 0.01)
    monkeypatch.setattr(writing, "_OWED_S", 0.01)


def test_all_that_was_given_before_the_close_is_written_in_few_commits(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = failing(monkeypatch, 0, OSError())
    gate, order = threading.Event(), list[int]()
    writer.submit(Job(lambda _: gate.wait(PATIENCE_S)))
    number = 2 * MOST_PER_COMMIT + 1
    for each in range(number):
        writer.submit(Job(noting(str(each)), lambda _result, _failure, each=each: order.append(each)))  # type: ignore[misc]
    writer.later(noting("later"))
    in_time(lambda: (gate.set(), writer.close()))  # at once: it closes while most of it still waits
    assert order == list(range(number)), "told in the order in which it was given"
    assert kept(tmp_path) == {*map(str, range(number)), "later"}
    assert commits.qsize() in (3, 4), "the first may have been alone"


def test_what_comes_after_the_close_is_refused(writer: Writer) -> None:
    in_time(writer.close)
    in_time(writer.close)
    with pytest.raises(EnvironmentUnusable, match="is closed"):
        writer.submit(Job(noting("late")))
    writer.later(noting("late"))
    assert writer.dropped == 1


def test_nobody_need_wait_for_a_line(writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = failing(monkeypatch, 0, OSError())
    writer.later(noting("a"))
    writer.later(noting("b"))
    assert commits.get(timeout=PATIENCE_S)
    in_time(writer.close)
    assert kept(tmp_path) == {"a", "b"}
    assert commits.empty(), "lines share a commit"


def test_an_owed_write_is_made_up_for_and_an_intention_is_not(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    commits = failing(monkeypatch, 3, sqlite3.OperationalError("disk I/O error"))
    gate = threading.Event()
    writer.submit(Job(lambda _: gate.wait(PATIENCE_S)))
    owed = given(writer, noting("happened"), owed=True)
    meant = given(writer, noting("meant"))
    gate.set()
    for told in (owed, meant):
        result, failure = told.get(timeout=PATIENCE_S)
        assert result is None
        assert isinstance(failure, EnvironmentUnusable)
        assert "cannot be written: disk I/O error" in failure.message
    assert owed.get(timeout=PATIENCE_S) == (None, None), "without anything else to do"
    assert [commits.get(timeout=PATIENCE_S) for _ in range(4)] == [False, False, False, True]
    assert kept(tmp_path) == {"happened"}
    assert given(writer, lambda _: "on").get(timeout=PATIENCE_S) == ("on", None)
    assert meant.empty()
    assert owed.empty()


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), OSError(28, "full"), RuntimeError("bug")]
)
def test_a_line_outlives_a_commit_that_fails(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    quick(monkeypatch)
    commits = failing(monkeypatch, 2, error)
    writer.later(noting("line"))
    assert [commits.get(timeout=PATIENCE_S) for _ in range(3)] == [False, False, True]
    in_time(writer.close)
    assert kept(tmp_path) == {"line"}
    assert writer.dropped == 0


def test_lines_that_a_failing_disk_leaves_no_room_for_are_counted(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_LATER", 10)
    monkeypatch.setattr(writing, "LATER_S", 3600.0)  # only with a job, or when closed
    failing(monkeypatch, 1, OSError(28, "full"))
    gate, busy = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        busy.set()
        gate.wait(PATIENCE_S)

    for each in range(4):
        writer.later(noting(f"old {each}"))
    writer.submit(Job(wait))
    assert busy.wait(PATIENCE_S)
    for each in range(10):
        writer.later(noting(f"new {each}"))
    gate.set()
    in_time(writer.close)
    assert writer.dropped == 4
    assert len(kept(tmp_path)) == 10


def test_the_beat_goes_on_by_itself_and_with_everything_else(writer: Writer, tmp_path: Path) -> None:
    beats: SimpleQueue[int] = SimpleQueue()
    writer.every(0.01, lambda _: beats.put(1))
    for _ in range(3):
        beats.get(timeout=PATIENCE_S)
    writer.every(3600.0, lambda connection: keeping.set_cursor(connection, "beat", "now"))
    given(writer, noting("work")).get(timeout=PATIENCE_S)
    assert kept(tmp_path) == {"work", "beat"}


def test_beats_that_could_not_be_written_do_not_pile_up(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of a full disk must not fill the room for lines with thousands of them."""
    monkeypatch.setattr(writing, "MOST_LATER", 5)
    quick(monkeypatch)
    commits = failing(monkeypatch, 20, OSError(28, "full"))
    beats: list[int] = []
    writer.every(0.01, lambda _: beats.append(1))
    while not commits.get(timeout=PATIENCE_S):
        pass
    in_time(writer.close)
    assert writer.dropped == 0
    assert len(beats) < 20 + 5 + commits.qsize(), "one a commit"


def test_a_job_that_fails_takes_only_its_own_part_back(writer: Writer, tmp_path: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        keeping.set_cursor(connection, "half", "kept")
        raise ValueError("no")

    gate = threading.Event()
    writer.submit(Job(lambda _: gate.wait(PATIENCE_S)))
    before, bad, after = (given(writer, work) for work in (noting("before"), half, noting("after")))
    gate.set()
    assert before.get(timeout=PATIENCE_S) == after.get(timeout=PATIENCE_S) == (None, None)
    result, failure = bad.get(timeout=PATIENCE_S)
    assert result is None
    assert isinstance(failure, ValueError)
    assert kept(tmp_path) == {"before", "after"}


def test_a_rule_of_the_database_that_is_broken_is_told_in_words(writer: Writer, tmp_path: Path) -> None:
    told = given(writer, lambda connection: connection.execute("INSERT INTO cursors VALUES ('a', NULL)"))
    _, failure = told.get(timeout=PATIENCE_S)
    assert isinstance(failure, EnvironmentUnusable)
    assert str(tmp_path / FILE) in failure.message


def test_a_disk_that_fails_in_the_middle_fails_all_that_waits(writer: Writer, tmp_path: Path) -> None:
    def broken(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    gate = threading.Event()
    writer.submit(Job(lambda _: gate.wait(PATIENCE_S)))
    told = [given(writer, work) for work in (noting("before"), broken, noting("after"))]
    gate.set()
    for one in told:
        assert "disk I/O error" in str(one.get(timeout=PATIENCE_S)[1])
    assert kept(tmp_path) == set()


def test_a_closed_ledger_leaves_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    ledger = Ledger.open(tmp_path)
    in_time(lambda: ledger.write(noting("a")))
    assert open_files() > before
    in_time(ledger.close)
    assert open_files() == before
    assert not (tmp_path / f"{FILE}-wal").exists(), "the last to leave tidies up"
    assert kept(tmp_path) == {"a"}


LEAVING = """
import sys
from pathlib import Path
from nvsx.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
ledger.write(lambda connection: connection.execute("INSERT INTO cursors VALUES ('a', 'kept')"))
"""


def test_a_process_that_never_closes_its_ledger_ends_all_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVING, str(tmp_path)]
    assert subprocess.run(command, cwd=CHECKOUT, timeout=PATIENCE_S * 3, check=False).returncode == 0
    assert kept(tmp_path) == {"a"}
