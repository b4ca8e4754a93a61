"""Scripts that misbehave: each ends in time, keeps its result, and leaves no process behind. Real bash, real /proc."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster import processes
from nvsx.cluster.processes import Ended, family, open_stream
from nvsx.engine.masks import Masker
from nvsx.engine.output import OutputLines
from tests.bench.processes import memory_mb
from tests.rehearsing import project

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds what is left in /proc")

ENV = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).resolve().parent.parent
LENGTH = f"61.{os.getpid()}"  # of every sleep in here: two test runs at once must not end each other's
MARK = f"hostile-{os.getpid()}"
DAEMON = "(setsid bash -c 'trap \"\" TERM HUP; (sleep LONG; sleep LONG) & wait; wait' </dev/null >/dev/null 2>&1 &)"
NAKED_DAEMON = "(env -i /usr/bin/setsid /bin/sleep LONG </dev/null >/dev/null 2>&1 &)"

UNTIL_BOTH_SLEEP = """
both() {
    local count=0 file word
    for file in /proc/[0-9]*/cmdline; do
        IFS= read -rd '' word <"$file" 2>/dev/null && [[ $word == /bin/sleep ]] && count=$((count + 1))
    done
    ((count >= 2))
}
until both; do sleep 0.02; done
"""

NONE, ONE, TWO, SOME, ANY = range(1), range(1, 2), range(2, 3), range(1, 9), range(9)


def bash(script: str, *, timeout_s: float = 30.0, on_output: Any = None) -> tuple[Ended, bytes]:
    printed = bytearray()
    work = processes.run_process(
        ["bash", "-c", script.replace("LONG", LENGTH)],
        env=ENV,
        cwd="/",
        timeout_s=timeout_s,
        clock=RealClock(),
        on_output=on_output or printed.extend,
        mark=MARK,
    )
    return asyncio.run(work), bytes(printed)


def remains() -> list[str]:
    """Command lines of what carries the mark, sleeps as long as ours do, or came back as an orphan."""
    rows = family._table()
    found = [row.pid for row in rows if row.parent == os.getpid() and row.session != os.getsid(0)]
    found += sleepers()
    return [f"{pid} {family._read(pid, 'cmdline')!r}" for pid in {*found, *processes.find_marked(MARK)}]


def sleepers() -> list[int]:
    return [row.pid for row in family._table() if f"sleep\0{LENGTH}\0".encode() in family._read(row.pid, "cmdline")]


@pytest.fixture(autouse=True)
def nothing_left() -> Any:
    yield
    left = remains()
    end(int(line.split()[0]) for line in left)
    assert left == []


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
        family._wait_gone([pid], 5)
    family._reap_orphans(family._table())


@pytest.mark.parametrize(
    ("script", "code", "signal", "left", "output"),
    [
        ("sleep LONG & echo started", 0, 0, ONE, b"started\n"),
        ("sleep LONG & sleep LONG & disown -a; echo started; exit 3", 3, 0, TWO, b"started\n"),
        ("(trap '' TERM; sleep LONG) & echo started", 0, 0, SOME, b"started\n"),
        ("setsid sleep LONG & echo started", 0, 0, ONE, b"started\n"),
        ("nohup sleep LONG >/dev/null 2>&1 & echo started", 0, 0, ONE, b"started\n"),
        (f"{DAEMON}; echo started", 0, 0, SOME, b"started\n"),
        (f"{NAKED_DAEMON}; echo started", 0, 0, ONE, b"started\n"),
        ("env -i /bin/sleep LONG & echo started", 0, 0, ONE, b"started\n"),
        ("sleep LONG & kill -9 0", None, 9, ANY, b""),
        (f"{DAEMON}; kill -9 $$", None, 9, SOME, b""),
        ("bash -c 'sleep LONG & kill -9 -$PPID'; echo not reached", None, 9, ANY, b""),
        ("sleep LONG & kill -STOP $!; echo stopped one", 0, 0, ONE, b"stopped one\n"),
        ("set -m; sleep LONG & echo a group of its own", 0, 0, ONE, b"a group of its own\n"),
        ('cat; read -r line; echo "end $?"', 0, 0, NONE, b"end 1\n"),
        ("cat /dev/tty; echo no terminal", 0, 0, NONE, None),
        ("echo 'error: all is lost' >&2; exit 0", 0, 0, NONE, b"error: all is lost\n"),
        ("ulimit -c 0; kill -SEGV $$", None, 11, NONE, b""),
    ],
)
def test_a_script_that_ends_leaves_nothing(
    script: str, code: int | None, signal: int, left: range, output: bytes | None
) -> None:
    ended, printed = bash(script)
    assert (ended.exit_code, ended.signal, ended.timed_out) == (code, signal, False)
    assert ended.left_behind in left
    assert output is None or printed == output


@pytest.mark.parametrize(
    ("script", "signal"),
    [
        ("exec sleep LONG", 15),
        ("trap '' TERM; sleep LONG; sleep LONG", 9),
        ("trap 'sleep LONG' TERM; sleep LONG & wait; wait; sleep LONG", 9),
        ("kill -STOP $$", 15),
        (f"{DAEMON}; {NAKED_DAEMON}; exec sleep LONG", 15),
        ("trap 'setsid sleep LONG & sleep LONG' TERM; while :; do sleep 0.01; done", 9),
        ("while :; do (sleep LONG &); sleep 0.02; done", 15),
        ("yes | cat", 15),
        ("exec sleep LONG >&- 2>&-", 15),
    ],
)
def test_a_script_that_does_not_end_is_ended(script: str, signal: int) -> None:
    ended, _ = bash(script, timeout_s=0.4)
    assert ended.timed_out
    assert (ended.exit_code, ended.signal) == (None, signal)


def test_a_job_that_holds_the_pipe_does_not_hold_the_stage() -> None:
    """It would have printed for a minute; what it printed before its parent ended is there."""
    ended, printed = bash(
        "(echo early; sleep LONG; echo late) & while ! [ -e /proc/$! ]; do :; done; sleep 0.1; exit 6"
    )
    assert (ended.exit_code, ended.timed_out, printed) == (6, False, b"early\n")


def test_a_job_that_floods_the_pipe_after_its_parent_ended() -> None:
    ended, _ = bash("(trap '' TERM; exec yes) & sleep 0.05; exit 0", on_output=lambda _: None)
    assert (ended.exit_code, ended.left_behind) == (0, 1)
    assert ended.output_bytes > 0


def test_neighbours_and_our_own_children_are_left_alone(tmp_path: Path) -> None:
    """One script's end must not end another's process, nor a stream, nor what somebody else of nvsx started."""

    async def story() -> None:
        other = subprocess.Popen(["sleep", "60"])
        given: dict[str, Any] = {
            "env": ENV,
            "cwd": "/",
            "timeout_s": 30,
            "clock": RealClock(),
            "mark": f"{MARK}-neighbour",
        }
        ready = asyncio.Event()
        word = tmp_path / "go on"
        script = (
            f"setsid sleep 60 & job=$!; echo $job; until [ -e '{word}' ]; do sleep 0.05; done; kill -0 $job && echo ok"
        )
        script = f"{NAKED_DAEMON}; {script}".replace("LONG", LENGTH)
        # Until it is sleep, a daemon may still be in the script's own group, which ends with the script.
        daemons = f"{DAEMON}; {NAKED_DAEMON}; {UNTIL_BOTH_SLEEP}".replace("LONG", LENGTH)
        printed = bytearray()

        def on_output(chunk: bytes) -> None:
            printed.extend(chunk)
            ready.set()

        async with open_stream(["sleep", "60"], env=ENV, cwd="/") as stream:
            neighbour = asyncio.create_task(processes.run_process(["bash", "-c", script], **given, on_output=on_output))
            await ready.wait()
            hostile = processes.run_process(["bash", "-c", daemons], **{**given, "mark": MARK})
            assert (await hostile).exit_code == 0
            assert stream.pid in [row.pid for row in family._table()]
            assert other.poll() is None
            # Of the two naked daemons nobody can tell whose they are, so both live as long as a script does.
            assert len(sleepers()) == 2
            word.touch()
            ended = await neighbour
            assert sleepers() == []
        assert (ended.exit_code, printed.split(b"\n", 1)[1]) == (0, b"ok\n")
        other.kill()
        other.wait()

    asyncio.run(story())


def test_a_program_started_by_nobody_we_know_survives() -> None:
    """What ran before the script, in a session of its own and as our child, is none of the script's."""
    before = subprocess.Popen(["sleep", "60"], start_new_session=True)
    while family.start_time(before.pid) == start_of_a_new_process():
        pass  # the kernel tells starts to a hundredth of a second
    try:
        bash(NAKED_DAEMON)
        assert before.poll() is None
    finally:
        before.kill()
        before.wait()


def start_of_a_new_process() -> str:
    return subprocess.run(["cat", "/proc/self/stat"], capture_output=True, text=True, check=True).stdout.split()[21]


def test_a_child_that_is_just_being_started_is_no_stray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between fork and exec it bears no mark. A hook's end that met another hook's start there ended that hook."""
    table, read = family._table, threading.Event()

    def seen() -> list[family.Entry]:
        rows = table()
        read.set()
        return rows

    main = subprocess.Popen(["true"], start_new_session=True)
    ending = family.Family(main.pid, f"{MARK}/1", script=True)
    ender = threading.Thread(target=ending.end)
    with family.STARTED.lock:  # as held while a child is started
        child = subprocess.Popen(["sleep", LENGTH], env={}, executable=shutil.which("sleep"), start_new_session=True)
        monkeypatch.setattr(family, "_table", seen)
        ender.start()
        read.wait()
        ender.join(0.2)  # time enough to do harm, if it may
        family.STARTED.pids.add(child.pid)
    ender.join()
    try:
        assert child.poll() is None
    finally:
        family.STARTED.pids.discard(child.pid)
        for process in (main, child):
            process.kill()
            process.wait()


def test_zombies_of_daemons_are_reaped() -> None:
    bash("for i in 1 2 3 4 5; do (setsid true &); done; sleep 0.1")
    assert [row for row in family._table() if row.parent == os.getpid() and row.state == "Z"] == []


def test_what_belongs_to_another_user_does_not_hold_the_stage() -> None:
    """Seen from an ordinary account: a script that went through sudo leaves a process nobody here may end."""
    code = textwrap.dedent("""
        import asyncio, os, sys
        from nvsx.clock import RealClock
        from nvsx.cluster.processes import family, run_process
        sent = family._send
        def forbidden(pid, number):
            return False if sys.argv[1].encode() in family._read(abs(pid), "cmdline") else sent(pid, number)
        family._send = forbidden
        env = {"PATH": os.environ["PATH"]}
        argv = ["bash", "-c", f"setsid sleep {sys.argv[1]} & exit 0"]
        ended = asyncio.run(run_process(argv, env=env, cwd="/", timeout_s=9, clock=RealClock()))
        print(ended.exit_code, ended.left_behind, ended.elapsed_s < family.GRACE_S + family._UNKILLABLE_AFTER_S)
    """)
    answer = subprocess.run([sys.executable, "-c", code, LENGTH], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.stdout == "0 1 True\n", answer.stderr
    end(sleepers())


# volume


OUTPUT_MB = int(os.environ.get("NVSX_TRUST_OUTPUT_MB", "100"))
"""What a script prints here; a release is held to 1000 (`python -m tests.trust hardships`)."""

FLOOD = """
import asyncio, json, os, resource, sys
from nvsx.clock import RealClock
from nvsx.cluster.processes import run_process
from nvsx.engine.masks import Masker
from nvsx.engine.output import OutputLines

env = {"PATH": os.environ["PATH"]}

def run(script):
    lines = OutputLines(Masker(["a-secret-value"]), ["the last words"])
    shown = []
    work = run_process(["bash", "-c", script], env=env, cwd="/", timeout_s=3600, clock=RealClock(),
                       on_output=lambda chunk: shown.extend(lines.feed(chunk)))
    ended = asyncio.run(work)
    return ended, shown + lines.end(), lines

run("head -c 3000000 /dev/zero | tr '\\\\0' 'x'; seq 100000")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ended, shown, lines = run(sys.argv[1])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"code": ended.exit_code, "bytes": ended.output_bytes, "grown_kib": after - before,
    "found": sorted(lines.found), "first": shown[0][:60], "last": shown[-1][:60],
    "shown": sum(map(len, shown)), "omitted": lines.omitted_bytes}))
"""


@pytest.mark.parametrize(
    "script",
    [
        "seq -f 'line %.0f of a long log, with some text in it' 999999999 | head -c SIZE; echo; echo the last words",
        "head -c SIZE /dev/zero | tr '\\0' x; echo; echo the last words",
        "yes '' | head -c SIZE; echo the last words",
        "head -c SIZE /dev/urandom; echo; echo the last words",
        "yes $'50%\\r' | tr -d '\\n' | head -c SIZE; echo; echo the last words",
    ],
    ids=["lines", "one line", "empty lines", "binary", "progress"],
)
@pytest.mark.timeout(120 + OUTPUT_MB)
def test_memory_stays_flat_while_a_script_prints_more_than_anybody_reads(script: str) -> None:
    command = [sys.executable, "-c", FLOOD, script.replace("SIZE", f"{OUTPUT_MB}000000")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    seen = json.loads(answer.stdout)
    assert seen["code"] == 0
    assert seen["bytes"] >= OUTPUT_MB * 1_000_000
    assert seen["found"] == ["the last words"]
    assert seen["last"] == "the last words"
    assert seen["shown"] <= 4_500_000  # a megabyte as printed; escaped binary is up to four times as long
    assert seen["grown_kib"] < 16 * 1024


LOUD = f"""
echo the first words
yes 'a line of a log that nobody reads' | head -c {OUTPUT_MB}000000
echo; echo the last words
"""
RUNBOOK = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine, title: Mine}
stages: [{id: detect, hook: hooks/loud.sh, hookTimeout: 1h}]
"""


@pytest.mark.timeout(120 + OUTPUT_MB)
def test_a_whole_run_keeps_the_head_and_the_tail_and_little_else(tmp_path: Path) -> None:
    root = project(tmp_path / "project", RUNBOOK, {"hooks/loud.sh": LOUD})
    command = [sys.executable, "-m", "nvsx", "drill", "mine", "--project", str(root), "--output", "text"]
    with (tmp_path / "said").open("wb") as said:
        environment = {**ENV, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "LC_ALL": "C.UTF-8"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        peak = 0.0
        while process.poll() is None:  # what wait4 tells counts this process, of which that one was forked
            with suppress(OSError, StopIteration):
                peak = max(peak, memory_mb(process.pid))
            time.sleep(0.02)
    text = (tmp_path / "said").read_text()
    assert process.returncode == 0, text[-2000:]
    assert "the first words\n" in text
    assert "the last words\n" in text
    assert "lines left out here" in text
    assert 10 < peak < 128, "MB"
    files = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert files < 16 << 20, "a megabyte is kept, line by line as events, and once as text"


def test_binary_and_escape_sequences_are_shown_harmlessly() -> None:
    lines = OutputLines(Masker([]))
    shown: list[str] = []
    bash(
        r"printf '\033[2J\033]0;owned\007red\n\377\376 bad\n\0zero\n[rank0]: Traceback [/x]\n'",
        on_output=lambda chunk: shown.extend(lines.feed(chunk)),
    )
    assert shown + lines.end() == [
        "\\x1b[2J\\x1b]0;owned\\x07red",
        "\ufffd\ufffd bad",
        "\\x00zero",
        "[rank0]: Traceback [/x]",
    ]
