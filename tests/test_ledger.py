"""The ledger: durable before it is told, one start for many who ask, and clear words where it cannot be relied on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.admission import ATTACH, DUPLICATE, IGNORE, START, Occasion
from nvsx.config import Limits, Silence
from nvsx.errors import EnvironmentUnusable, NotFoundHere
from nvsx.events import Finish, Note, RunEvent, Start, from_wire, to_wire
from nvsx.journal import EffectEnded, EffectIntended, RunBegan, RunEnded, StageBegan, StageEnded
from nvsx.ledger import Evidence, Ledger, NewRun, opening, owning, schema, troubles
from nvsx.ledger.opening import FILE, LOCK
from nvsx.ledger.writer import Job, Writer
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUN = "20260101-000000-0001"
EVERYBODY_IS_ROOT = os.getuid() == 0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path)
    yield opened
    opened.close()


def new_run(run_id: str = RUN, node: str = "n") -> NewRun:
    return NewRun(run_id, "r", "text of r", node, "brave-wombat", {"source": "test"})


def occasion(node: str = "n", **facts: Any) -> Occasion:
    return Occasion(**{"source": "test", "time": 1000.0, "node": node, "runbook": "r", **facts})


def admit(ledger: Ledger, *, run_id: str = RUN, node: str = "n", **facts: Any) -> Any:
    return asyncio.run(ledger.admit(occasion(node, **facts), run=new_run(run_id, node)))


def append(ledger: Ledger, *entries: Any) -> None:
    async def write() -> None:
        for entry in entries:
            await ledger.append(entry)

    asyncio.run(write())


# what it keeps


def test_everything_of_a_run_is_there_again(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    admit(ledger, delivery="d1", why="check X")
    key = f"{RUN}/detect/onSuccess"
    append(
        ledger,
        RunBegan(RUN, 1001.0, "r", "text of r", "n", "", "", {"source": "test"}, {"target_alias": "brave-wombat"}),
        StageBegan(RUN, 1002.0, "detect"),
        StageEnded(RUN, 1003.0, "detect", "pass", "seen", True, 1.0, 1002.5),
        EffectIntended(RUN, 1004.0, "detect", "hook", "onSuccess", "page.sh", 1, key, "nvsx/abc"),
        EffectEnded(RUN, 1005.0, key, 1, "ok", 0, {"NVSX_OUT_DETECT_PAGE": "P1"}),
        RunEnded(RUN, 1006.0, "pass", 0, 0),
    )
    ledger.close()
    reader = Ledger.reader(tmp_path)
    assert reader
    record = reader.run(RUN)
    assert record.runbook_text == "text of r"
    assert (record.run.status, record.run.incident_key, record.run.ended) == ("pass", "nvsx/abc", 1006.0)
    assert [(stage.stage, stage.status, stage.inferred, stage.decided) for stage in record.stages] == [
        ("detect", "pass", True, 1002.5)
    ]
    (effect,) = record.effects
    assert (effect.outcome, effect.outputs) == ("ok", {"NVSX_OUT_DETECT_PAGE": "P1"})
    assert [decision.verdict for decision in record.decisions] == [START]
    assert reader.incidents()[0].run_ended == 1006.0
    for word in (RUN, "20260101", "last", "n", "brave-wombat"):
        assert reader.find(word).id == RUN
    with pytest.raises(NotFoundHere):
        reader.find("nobody")
    reader.close()


def test_a_key_that_nvsx_issued_comes_back(ledger: Ledger) -> None:
    admit(ledger)
    append(ledger, EffectIntended(RUN, 1.0, "detect", "hook", "onSuccess", "page.sh", 1, "k", "nvsx/abc"))
    echo = admit(ledger, run_id="x", node="other", issued_key="nvsx/abc")
    assert (echo.decision.verdict, echo.run_id) == (ATTACH, RUN)


def test_deliveries_are_answered_as_before_and_all_is_written_down(ledger: Ledger) -> None:
    first = admit(ledger, delivery="d1", key="sender-1")
    again = admit(ledger, delivery="d1", key="sender-1", time=2000.0)
    more = admit(ledger, delivery="d2", key="sender-1", time=2001.0)
    ends = admit(ledger, node="", delivery="d3", key="sender-1", status="resolved", time=2002.0)
    assert [one.decision.verdict for one in (first, again, more, ends)] == [START, DUPLICATE, ATTACH, ATTACH]
    assert {one.run_id for one in (first, again, more, ends)} == {RUN}
    assert [one.verdict for one in ledger.decisions()] == [ATTACH, ATTACH, DUPLICATE, START]
    assert len(ledger.evidence(incident=first.incident)) == 3


def test_many_reports_of_one_incident_are_counted_and_few_kept(ledger: Ledger) -> None:
    async def many() -> None:
        said = Evidence("again", b"x" * 100_000)
        await asyncio.gather(*(ledger.admit(occasion(), run=new_run(), evidence=said) for _ in range(1200)))

    asyncio.run(many())
    (incident,) = ledger.incidents()
    kept = ledger.evidence(incident=incident.id)
    assert incident.evidence == 1200
    assert len(kept) == 1000
    assert sum(1 for one in kept if one.payload) == 20
    assert {len(one.payload) for one in kept} == {0, 64 * 1024}
    assert {one.size for one in kept} == {100_000}


def test_silences_made_by_command_hold_and_end(ledger: Ledger) -> None:
    number = asyncio.run(ledger.add_silence(Silence(5000.0, "swap", "soon", node="gpu-*"), 1000.0))
    assert admit(ledger, node="gpu-1").decision == (IGNORE, "silenced until soon: swap", None)
    assert admit(ledger, node="cpu-1").decision.verdict == START
    assert asyncio.run(ledger.remove_silence(number, 1001.0))
    assert not asyncio.run(ledger.remove_silence(number, 1001.0))
    assert admit(ledger, run_id="b", node="gpu-1").decision.verdict == START


def test_small_things_are_kept(ledger: Ledger) -> None:
    async def keep() -> None:
        await ledger.set_cursor("poll", "a")
        await ledger.set_cursor("poll", "b")

    asyncio.run(keep())
    ledger.remember_drill("r", 1000.0, "xid-79")
    ledger.remember_drill("r", 2000.0, "thermal")
    assert (ledger.cursor("poll"), ledger.cursor("other")) == ("b", "")
    assert ledger.drills() == [("r", 2000.0, "thermal")]


def test_an_incident_lives_on_news_and_ends_once(ledger: Ledger) -> None:
    number = admit(ledger).incident

    async def hear() -> None:
        await ledger.incident_news(number, 3000.0, "q1")
        await ledger.incident_news(number, 2000.0, "q2")  # late: neither older news nor another session
        await ledger.close_incident(number, 4000.0)
        await ledger.close_incident(number, 5000.0)

    asyncio.run(hear())
    assert ledger.incidents() == []
    (incident,) = ledger.incidents(open=False, node="n")
    assert (incident.news, incident.session, incident.closed) == (3000.0, "q1", 4000.0)
    assert ledger.incidents(open=False, node="m") == []


def test_a_cancelled_run_is_told_to_its_owner_once(tmp_path: Path) -> None:
    owner, other = Ledger.open(tmp_path, what="the daemon"), Ledger.open(tmp_path)
    admit(owner)
    assert asyncio.run(owner.claim(RUN))
    assert owner.cancellations() == []

    async def ask() -> None:
        await other.cancel(RUN, by="ann", now=1.0)
        await other.cancel(RUN, by="bob", now=2.0)

    asyncio.run(ask())
    assert (owner.cancellations(), other.cancellations()) == ([RUN], [])
    run = other.find(RUN)
    assert (run.cancelled, run.cancelled_by) == (1.0, "ann")
    assert other.owner(run.owner) == (os.getpid(), owning.start_time(os.getpid()), "the daemon")
    append(owner, RunEnded(RUN, 3.0, "cancelled", 1, 0), RunEnded(RUN, 9.0, "pass", 0, 0))
    assert (other.find(RUN).status, other.find(RUN).ended, other.find(RUN).owner) == ("cancelled", 3.0, "")
    assert not asyncio.run(other.claim(RUN))
    owner.close()
    other.close()


def test_repeats_are_of_one_node_of_one_cluster_and_no_drills(ledger: Ledger) -> None:
    for number, (cluster, node, drill) in enumerate(
        [("a", "n", False), ("a", "n", False), ("b", "n", False), ("a", "m", False), ("a", "n", True)]
    ):
        append(ledger, RunBegan(f"r{number}", 1000.0 + number, "r", "t", node, cluster, plan={"drill": drill}))
    assert ledger.repeat_count("a", "n", 0.0) == 2
    assert ledger.repeat_count("a", "n", 1001.0) == 1


def test_prune_keeps_what_is_open(ledger: Ledger) -> None:
    admit(ledger, node="old")
    append(ledger, RunEnded(RUN, 1500.0, "pass", 0, 0))
    (incident,) = ledger.incidents()
    asyncio.run(ledger.close_incident(incident.id, 1600.0))
    open_run = admit(ledger, node="open").run_id
    assert open_run != RUN
    assert asyncio.run(ledger.prune(9999.0)) == 1
    assert [run.id for run in ledger.runs()] == [open_run]
    assert [one.node for one in ledger.incidents(open=False)] == ["open"]
    assert ledger.run(open_run).runbook_text == "text of r"
    assert ledger.decisions() == []


def test_events_are_followed_and_survive_the_wire(ledger: Ledger) -> None:
    bodies = [
        Start("r", "nick", "T", "n", "a", ("detect",), "0", "/a"),
        Note("reminder", "wäit", "detect", "warning"),
        Finish(True, "pass", 0, 1.0, 0, None, "nvsx/abc", "/a", 0, 0, 0, 0, "PASSED"),
    ]
    events = [RunEvent(RUN, "c", number, 1.5, body) for number, body in enumerate(bodies)]
    for event in events:
        ledger.remember_event(event)
    ledger.write(lambda connection: None)
    assert [from_wire(json.loads(line)) for _, line in ledger.events(RUN)] == events
    assert [seq for seq, _ in ledger.events(RUN, after_seq=1)] == [2]
    assert from_wire({**to_wire(events[1]), "new": 1}) == events[1]
    assert ledger.last_event(RUN) == (2, 1.5)


def test_slow_disk_drops_events_and_counts_them(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, held = threading.Event(), threading.Event()
    settle = Writer.settle

    def slow(self: Writer) -> None:
        busy.set()
        held.wait(10)
        settle(self)

    monkeypatch.setattr(Writer, "settle", slow)
    monkeypatch.setattr("nvsx.ledger.writer.MOST_LATER", 10)
    assert ledger.events_lost == 0
    ledger._writer.submit(Job(lambda connection: None))
    assert busy.wait(10)
    for number in range(100):
        ledger.remember_event(RunEvent(RUN, "c", number, 0.0, Note("record", "x")))
    assert ledger.events_lost == 90
    held.set()
    ledger.write(lambda connection: None)
    assert [seq for seq, _ in ledger.events(RUN)] == list(range(10))


def test_who_waits_is_told_after_the_commit(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    settle = Writer.settle

    def noted(self: Writer) -> None:
        settle(self)
        order.append("committed")

    monkeypatch.setattr(Writer, "settle", noted)

    async def ask() -> None:
        async def one(number: int) -> None:
            await ledger.append(StageBegan(RUN, 1.0, str(number)))
            order.append("told")

        await asyncio.gather(*(one(number) for number in range(50)))

    asyncio.run(ask())
    assert order[0] == "committed"
    assert order.count("told") == 50
    assert order.count("committed") < 10, "many who wait share a commit"


def test_one_bad_write_does_not_spoil_the_others(ledger: Ledger) -> None:
    async def both() -> list[Any]:
        bad = ledger.admit(occasion(), run=None)  # would start, and names no run
        return await asyncio.gather(
            ledger.append(StageBegan(RUN, 1.0, "a")), bad, ledger.append(StageBegan(RUN, 1.0, "b")),
            return_exceptions=True,
        )  # fmt: skip

    first, bad, last = asyncio.run(both())
    assert (first, last) == (None, None)
    assert isinstance(bad, ValueError)
    assert {stage.stage for stage in ledger.stages(RUN)} == {"a", "b"}
    assert ledger.incidents() == []


def test_runs_that_drew_the_same_number_get_the_next(ledger: Ledger) -> None:
    """In a burst of thousands, two runs of one second draw the same four digits."""
    wanted = (
        ["20260101-000000-0010"] * 3 + ["20260101-000000-fffe"] * 2 + ["20260101-000001-ffff"] * 2 + ["by hand"] * 2
    )
    got = [admit(ledger, run_id=one, node=f"n{number}").run_id for number, one in enumerate(wanted)]
    assert [one.rpartition("-")[2] for one in got[:5]] == ["0010", "0011", "0012", "fffe", "ffff"]
    assert len(set(got)) == len(got)
    assert got[6].startswith("20260101-000001-ffff")
    assert got[7] == "by hand"


@pytest.mark.parametrize("wanted", ["20260101-000002-wxyz", "20260101-000002-00ag", "mine-abc", "mine-0000a"])
def test_what_is_no_number_is_not_counted_on(ledger: Ledger, wanted: str) -> None:
    """Ids that something else drew: they are told apart all the same."""
    got = [admit(ledger, run_id=wanted, node=f"n{number}").run_id for number in range(3)]
    assert got == [wanted, f"{wanted}.1", f"{wanted}.2"]


def test_a_commit_that_fails_leaves_nothing_half_done(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:

        def fail(_: Writer) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        broken.setattr(Writer, "settle", fail)
        with pytest.raises(EnvironmentUnusable, match="cannot be written: disk I/O error"):
            admit(ledger)
    assert ledger.runs() == []
    assert admit(ledger).decision.verdict == START


def test_an_effect_that_could_not_be_announced_is_told_all_the_same(ledger: Ledger) -> None:
    append(ledger, EffectEnded(RUN, 1.0, "k", 1, "failed", None, detail="the disk is full"))
    assert [(one.key, one.outcome, one.detail) for one in ledger.effects(RUN)] == [("k", "failed", "the disk is full")]


# who owns a run


def test_an_owner_that_cannot_be_known_owns_nothing(ledger: Ledger, tmp_path: Path) -> None:
    admit(ledger)
    (tmp_path / "owners").write_text("in the way")
    with pytest.raises(EnvironmentUnusable, match="owners"):
        asyncio.run(ledger.claim(RUN))
    assert ledger.find(RUN).owner == ""
    (tmp_path / "owners").unlink()
    assert asyncio.run(ledger.claim(RUN))


def test_only_one_owns_a_run_and_death_frees_it(tmp_path: Path) -> None:
    first, second = Ledger.open(tmp_path), Ledger.open(tmp_path)
    admit(first)
    assert [run.id for run in first.queued()] == [RUN]
    assert not first.owns_all(), "nobody has it yet"
    assert asyncio.run(first.claim(RUN))
    assert not asyncio.run(second.claim(RUN))
    assert first.owns_all()
    assert not second.owns_all()
    assert second.orphans() == second.queued() == []
    first.close()  # gives up what it has
    assert asyncio.run(second.claim(RUN))
    append(second, RunBegan(RUN, 1.0, "r", "text of r", "n", "c"))
    assert not asyncio.run(second.claim(RUN)), "it is second's own already"
    second.close()


@pytest.mark.parametrize(("directory", "files", "folder"), [(0o700, 0o600, 0o700), (0o770, 0o660, 0o770)])
def test_a_group_shares_what_its_directory_shares(tmp_path: Path, directory: int, files: int, folder: int) -> None:
    tmp_path.chmod(directory)
    before = os.umask(0o077)
    try:
        ledger = Ledger.open(tmp_path)
        admit(ledger)
        assert asyncio.run(ledger.claim(RUN))
        locks = [file for file in (tmp_path / "owners").iterdir() if file.is_file()]
        modes = {file.stat().st_mode & 0o777 for file in (*tmp_path.glob("ledger.*"), *locks)}
        assert modes == {files}
        assert (tmp_path / "owners").stat().st_mode & 0o777 == folder
        ledger.close()
    finally:
        os.umask(before)


LIVING = """
import asyncio, sys, time
from pathlib import Path
from nvsx.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
print(asyncio.run(ledger.claim(sys.argv[2])), flush=True)
time.sleep(60)
"""


def owner_process(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LIVING, str(directory), RUN], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    return process


@pytest.mark.parametrize("directory_lost", [False, True])
def test_pause_keeps_and_death_frees(ledger: Ledger, tmp_path: Path, *, directory_lost: bool) -> None:
    admit(ledger)
    process = owner_process(tmp_path)
    try:
        if directory_lost:
            for file in (tmp_path / "owners").iterdir():
                file.unlink()
            (tmp_path / "owners").rmdir()
        process.send_signal(signal.SIGSTOP)
        assert not asyncio.run(ledger.claim(RUN))
        assert ledger.orphans() == []
        process.kill()
        process.wait()
        assert [run.id for run in ledger.orphans()] == [RUN]
        assert asyncio.run(ledger.claim(RUN))
    finally:
        process.kill()
        process.wait()


ADMITTING = """
import asyncio, random, sys
from pathlib import Path
from nvsx.admission import Occasion
from nvsx.ledger import Ledger, NewRun
directory, seed = Path(sys.argv[1]), int(sys.argv[2])
ledger = Ledger.open(directory)
numbers = list(range(200))
random.Random(seed).shuffle(numbers)
async def main():
    async def one(number):
        await asyncio.sleep(0)
        node = f"gpu-{number}"
        return await ledger.admit(
            Occasion(f"source{seed}", 1000.0, node=node, runbook="r", delivery=f"{seed}-{number}"),
            run=NewRun(f"20260101-000000-{random.Random(seed * 1000 + number).randrange(65536):04x}", "r", "t", node),
        )
    found = []
    for start in range(0, 200, 20):
        found += await asyncio.gather(*(one(number) for number in numbers[start:start + 20]))
    return found
answers = asyncio.run(main())
print(sum(one.decision.verdict == "start" for one in answers), sum(one.decision.verdict == "attach" for one in answers))
ledger.close()
"""


def test_eight_processes_start_two_hundred_incidents_once(tmp_path: Path) -> None:
    seed = random.randrange(1000)
    print(f"seed {seed}")
    commands = [[sys.executable, "-c", ADMITTING, str(tmp_path), str(seed + each)] for each in range(8)]
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) for one in commands]
    told = [tuple(map(int, process.communicate()[0].split())) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert sum(started for started, _ in told) == 200
    assert sum(attached for _, attached in told) == 1400
    reader = Ledger.reader(tmp_path)
    assert reader
    assert len(reader.runs(limit=10_000)) == len({run.node for run in reader.runs(limit=10_000)}) == 200
    assert [incident.evidence for incident in reader.incidents()] == [8] * 200
    reader.close()


# what is refused


def refusal(directory: Path) -> EnvironmentUnusable:
    with pytest.raises(EnvironmentUnusable) as refused:
        Ledger.open(directory).close()
    assert str(directory) in refused.value.message
    assert refused.value.hint
    return refused.value


def made(directory: Path, runs: int = 300) -> Path:
    """A ledger with something in it, closed in order."""
    ledger = Ledger.open(directory)

    async def fill() -> None:
        await asyncio.gather(
            *(ledger.admit(occasion(f"n{each}"), run=new_run(f"20260101-000000-{each:04x}")) for each in range(runs))
        )

    asyncio.run(fill())
    ledger.close()
    return directory / FILE


def test_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opening, "_sync", broken)
    assert "No space left" in refusal(tmp_path).message
    assert [file.name for file in tmp_path.iterdir()] == [LOCK]
    monkeypatch.undo()
    Ledger.open(tmp_path).close()


def test_newer_ledger_is_left_alone(tmp_path: Path) -> None:
    file = made(tmp_path, 1)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    assert "newer nvsx (format 99" in refusal(tmp_path).message
    with pytest.raises(EnvironmentUnusable, match="newer nvsx"):
        Ledger.reader(tmp_path)
    assert file.read_bytes() == before


def test_older_ledger_is_migrated_by_who_has_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, 3)
    old = Ledger.open(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN shift TEXT",)])
    assert "in use by an older nvsx" in refusal(tmp_path).message
    old.close()
    ledger = Ledger.open(tmp_path)
    assert len(ledger.runs()) == 3
    assert ledger.ask("SELECT shift FROM runs LIMIT 1") == [(None,)]
    ledger.close()


def test_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, 3)
    broken = ("ALTER TABLE runs ADD COLUMN shift TEXT", "CREATE TABLE runs (x)")
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, broken])
    refusal(tmp_path)
    monkeypatch.undo()
    ledger = Ledger.open(tmp_path)
    assert "shift" not in {row[1] for row in ledger.ask("PRAGMA table_info(runs)")}
    ledger.close()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not a ledger"), (b"hello\n" * 100, "not a ledger"), (b"SQLite format 3\0" + bytes(200), "not a ledger")],
)
def test_foreign_file_is_left_alone(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert says in refusal(tmp_path).message
    assert (tmp_path / FILE).read_bytes() == content


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    assert "is not a ledger of nvsx" in refusal(tmp_path).message


def spoil_page(file: Path) -> None:
    """Flip the type of a page in the middle."""
    data = bytearray(file.read_bytes())
    position = (len(data) // 2) // 4096 * 4096
    data[position] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_page,
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
        lambda file: file.write_bytes(b"\0" * 100 + file.read_bytes()[100:]),
        lambda file: file.write_bytes(b""),
    ],
    ids=["flipped byte", "cut in half", "head lost", "emptied"],
)
def test_damaged_file_is_refused(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    file = made(tmp_path)
    spoil(file)
    assert "is damaged" in refusal(tmp_path).message
    assert "mv" in refusal(tmp_path).hint


def test_torn_end_of_the_write_ahead_log_is_dropped(tmp_path: Path) -> None:
    """After a power loss the last transaction may be half there: what was told is kept, the half is not."""
    ledger = Ledger.open(tmp_path)
    admit(ledger)
    copy = tmp_path / "copy"
    copy.mkdir()
    wal = (tmp_path / f"{FILE}-wal").read_bytes()
    admit(ledger, run_id="b", node="m")
    longer = (tmp_path / f"{FILE}-wal").read_bytes()
    (copy / FILE).write_bytes((tmp_path / FILE).read_bytes())
    (copy / f"{FILE}-wal").write_bytes(longer[: len(wal) + (len(longer) - len(wal)) // 2])
    (copy / LOCK).write_text("made")
    ledger.close()
    again = Ledger.open(copy)
    assert [run.id for run in again.runs()] == [RUN]
    again.close()


@pytest.mark.parametrize("traces", [(LOCK,), (f"{FILE}-wal",)])
def test_vanished_ledger_is_not_taken_for_a_new_one(tmp_path: Path, traces: tuple[str, ...]) -> None:
    file = made(tmp_path, 1)
    file.unlink()
    (tmp_path / f"{FILE}-wal").write_bytes(b"x")
    for name in (LOCK, f"{FILE}-wal"):
        if name not in traces:
            (tmp_path / name).unlink()
    assert "is gone" in refusal(tmp_path).message
    if LOCK in traces:
        with pytest.raises(EnvironmentUnusable, match="is gone"):
            Ledger.reader(tmp_path)
    assert not file.exists()
    for trace in tmp_path.glob("ledger.*"):
        trace.unlink()  # what the hint says
    Ledger.open(tmp_path).close()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_file_that_goes_while_it_is_used_is_noticed(tmp_path: Path, how: str) -> None:
    ledger = Ledger.open(tmp_path)
    admit(ledger)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    if how == "replaced":
        (tmp_path / FILE).write_bytes((tmp_path / "elsewhere").read_bytes())
    with pytest.raises(EnvironmentUnusable, match="moved, deleted or replaced"):
        append(ledger, StageBegan(RUN, 1.0, "detect"))
    (tmp_path / "elsewhere").rename(tmp_path / FILE)
    append(ledger, StageBegan(RUN, 1.0, "quarantine"))
    assert {stage.stage for stage in ledger.stages(RUN)} == {"detect", "quarantine"}, "what was owed is made up for"
    ledger.close()


MOUNTINFO = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 0:41 / /home/of\\040one rw - ext4 /dev/vdb rw
32 22 0:42 / /mnt/s rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home", "nfs4"),
        ("/home/x/y", "nfs4"),
        ("/home/of one/x", "ext4"),
        ("/mnt/s/x", "fuse.sshfs"),
        ("/homes", "ext4"),
    ],
)
def test_file_systems_are_told_apart(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO)
    assert troubles.file_system(path, str(mounts))[0] == kind


def test_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/x rw\n")
    with pytest.raises(EnvironmentUnusable, match="network file system") as refused:
        troubles.refuse_network_file_system(tmp_path, str(mounts))
    assert "--state-dir" in refused.value.hint
    troubles.refuse_network_file_system(Path("/"), str(tmp_path / "no such file"))


def as_nobody(work: Callable[[], str]) -> str:
    """What `work` returns in a child that is nobody: root may write everywhere."""
    source, target = os.pipe()
    child = os.fork()
    if not child:
        try:
            if EVERYBODY_IS_ROOT:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(target, work().encode())
        finally:
            os._exit(0)
    os.close(target)
    with os.fdopen(source) as told:
        answer = told.read()
    os.waitpid(child, 0)
    return answer


def test_read_only_directory_is_refused_and_can_be_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    made(state, 3)
    for file in state.iterdir():
        file.chmod(0o444)
    state.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == tmp_path.owner() and parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)

    def look() -> str:
        try:
            Ledger.open(state)
        except EnvironmentUnusable as error:
            reader = Ledger.reader(state)
            return f"{error.message} | {error.hint} | {len(reader.runs()) if reader else None} runs"
        return "opened"

    told = as_nobody(look)
    state.chmod(0o755)
    assert "cannot be kept: Permission denied" in told
    assert "--state-dir" in told
    assert told.endswith("3 runs")


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from nvsx.errors import EnvironmentUnusable
from nvsx.journal import EffectIntended, StageBegan
from nvsx.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger.open(Path(sys.argv[1]))
async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = (Path(sys.argv[1]) / "ledger.db-wal")
    size = wal.stat().st_size if wal.exists() else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, hard))
    failed = 0
    for number in range(20):
        try:
            await ledger.append(StageBegan("r", 1.0, f"s{number}"))
        except EnvironmentUnusable as error:
            failed += 1
            message = error.message
        try:
            await ledger.append(EffectIntended("r", 1.0, "s", "hook", "h", "x", 1, f"k{number}"))
        except EnvironmentUnusable:
            failed += 1
    print(failed, message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await ledger.append(StageBegan("r", 1.0, "last"))
asyncio.run(main())
print(len(ledger.stages("r")), len(ledger.effects("r")))
ledger.close()
"""


def test_full_disk_fails_what_waits_and_recovers(tmp_path: Path) -> None:
    """What has happened is written when there is room again; what was only intended did not begin and is not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert hard == resource.RLIM_INFINITY or soft == hard
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    failed, _, message = first.partition(" ")
    assert int(failed) >= 35, first
    assert "cannot be written" in message
    stages, effects = map(int, last.split())
    assert stages == 21
    assert effects < 5


def test_limits_are_those_of_the_ledger(ledger: Ledger) -> None:
    limits = Limits(max_waiting=2)

    async def three() -> list[Any]:
        return [
            await ledger.admit(occasion(f"n{each}"), limits, run=new_run(f"a-{each}", f"n{each}")) for each in range(3)
        ]

    assert [one.decision.verdict for one in asyncio.run(three())] == [START, START, "refuse"]
