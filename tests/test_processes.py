"""Processes as they should be: results, deadlines, streams, and what is told about them. Real ones, all of them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nvsx.clock import RealClock, SimulatedClock
from nvsx.cluster import processes
from nvsx.cluster.processes import CannotStart, Captured, Ended, LongProcess, family, open_stream, spawn

ENV = {"PATH": os.environ["PATH"]}
RUN = f"run-{os.getpid()}"  # two test runs at once must not find each other's processes


def run(argv: list[str], **changes: Any) -> tuple[Ended, bytes]:
    printed = bytearray()
    given: dict[str, Any] = {"env": ENV, "cwd": "/", "timeout_s": 20, "clock": RealClock(), "on_output": printed.extend}
    ended = asyncio.run(processes.run_process(argv, **{**given, **changes}))
    return ended, bytes(printed)


def bash(script: str, **changes: Any) -> tuple[Ended, bytes]:
    return run(["bash", "-c", script], **changes)


def capture(argv: list[str], **changes: Any) -> Captured:
    given: dict[str, Any] = {"env": ENV, "cwd": "/", "timeout_s": 20, "clock": RealClock()}
    return asyncio.run(processes.capture(argv, **{**given, **changes}))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


# results


@pytest.mark.parametrize(
    ("script", "code", "signal", "output"),
    [
        ("echo fine", 0, 0, b"fine\n"),
        ("echo bad; exit 3", 3, 0, b"bad\n"),
        ("echo one; echo two >&2; echo three", 0, 0, b"one\ntwo\nthree\n"),
        ("printf 'no end'", 0, 0, b"no end"),
        ("kill -9 $$", None, 9, b""),
        ("kill -TERM $$", None, 15, b""),
        ("cat", 0, 0, b""),
        ("exec >&- 2>&-; exit 4", 4, 0, b""),
        ("pwd", 0, 0, b"/\n"),
    ],
)
def test_result_of_a_script(script: str, code: int | None, signal: int, output: bytes) -> None:
    ended, printed = bash(script)
    assert (ended.exit_code, ended.signal, printed) == (code, signal, output)
    assert (ended.timed_out, ended.left_behind, ended.output_bytes) == (False, 0, len(output))
    assert ended.pid > 0


def test_stdin_is_given_whole() -> None:
    assert bash("wc -c", stdin=b"x" * 3_000_000)[1].strip() == b"3000000"


def test_stderr_can_be_left_out() -> None:
    assert bash("echo kept; echo dropped >&2", merge_stderr=False)[1] == b"kept\n"


def test_the_environment_is_the_given_one_and_a_mark() -> None:
    _, printed = run(["/usr/bin/env"], env={"A": "1"}, mark="run-7")
    names = dict(line.split("=", 1) for line in printed.decode().splitlines())
    assert names.pop(processes.MARK_VARIABLE).startswith("run-7/")
    assert names == {"A": "1"}


def test_the_program_is_looked_up_on_the_given_path(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "kubectl").chmod(0o755)
    assert run(["kubectl"], env={"PATH": f"{tmp_path}:{ENV['PATH']}"})[1] == b"mine\n"


def test_a_session_of_its_own() -> None:
    ended, printed = bash("ps -o sid= -p $$")
    assert int(printed) == ended.pid


# what cannot be started


def script_file(tmp_path: Path, text: str, mode: int = 0o755) -> str:
    path = tmp_path / "hook.sh"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("text", "mode", "status", "fact"),
    [
        (None, 0o755, 127, "there is no "),
        ("#!/bin/sh\n", 0o644, 126, "is not executable"),
        ("echo hi\n", 0o755, 126, "names no interpreter"),
        ("#!/no/such/bash\n", 0o755, 127, "an interpreter that is not here: /no/such/bash"),
        ("#!/bin/bash\r\necho hi\r\n", 0o755, 127, "has Windows line ends"),
    ],
)
def test_what_cannot_be_started_is_a_result_that_says_why(
    tmp_path: Path, text: str | None, mode: int, status: int, fact: str
) -> None:
    path = str(tmp_path / "none.sh") if text is None else script_file(tmp_path, text, mode)
    ended, printed = run([path])
    assert (ended.exit_code, ended.pid) == (status, 0)
    assert fact in printed.decode()
    assert "\nhint: " in printed.decode()


@pytest.mark.parametrize(
    ("argv", "changes", "fact"),
    [
        (["no-such-tool"], {}, "no-such-tool is not on PATH"),
        (["no-such-tool"], {"env": {"PATH": ""}}, "PATH is empty"),
        (["true"], {"cwd": "/no/where"}, "no working directory /no/where"),
        (["true", "a\0b"], {}, "null byte"),
        (["true", "x" * 3_000_000], {}, "Argument list too long"),
    ],
)
def test_other_reasons(argv: list[str], changes: dict[str, Any], fact: str) -> None:
    ended, printed = run(argv, **changes)
    assert fact in printed.decode()
    assert ended.exit_code in (126, 127)


def test_a_missing_tool_is_an_error_of_this_machine() -> None:
    with pytest.raises(CannotStart, match="no-such-tool is not on PATH") as caught:
        capture(["no-such-tool"])
    assert caught.value.status == 127

    async def stream() -> None:
        open_stream(["no-such-tool"], env=ENV, cwd="/")

    with pytest.raises(CannotStart):
        asyncio.run(stream())


@linux
def test_no_descriptor_is_lost() -> None:
    async def rounds() -> tuple[int, int]:
        await once()
        before = descriptors()
        for _ in range(5):
            await once()
        return before, descriptors()

    async def once() -> None:
        given: dict[str, Any] = {"env": ENV, "cwd": "/", "timeout_s": 20, "clock": RealClock()}
        await processes.run_process(["no-such-tool"], **given)
        await processes.run_process(["cat"], **given, stdin=b"x")
        await processes.capture(["cat"], **given, stdin=b"x")
        with pytest.raises(CannotStart):
            await processes.capture(["no-such-tool"], **given)
        with pytest.raises(CannotStart):
            open_stream(["no-such-tool"], env=ENV, cwd="/", writable=True)
        async with open_stream(["cat"], env=ENV, cwd="/", writable=True) as cat:
            await cat.write(b"x")
            await cat.read()

    before, after = asyncio.run(rounds())
    assert after == before


# deadlines, cancellation, callbacks


@pytest.mark.parametrize("clock", [RealClock(), SimulatedClock(start=0.0)], ids=["real", "simulated"])
def test_the_deadline_ends_it(clock: Any) -> None:
    work = processes.run_process(["sleep", "60"], env=ENV, cwd="/", timeout_s=0.2, clock=clock)
    ended = clock.run(work) if isinstance(clock, SimulatedClock) else asyncio.run(work)
    assert (ended.timed_out, ended.exit_code, ended.signal) == (True, None, 15)
    assert ended.elapsed_s >= 0.2


def test_simulated_time_passes_while_a_process_lives_and_meets_the_deadline_of_one_that_never_stops_printing() -> None:
    clock = SimulatedClock(start=0.0)
    ended = clock.run(processes.run_process(["yes"], env=ENV, cwd="/", timeout_s=0.2, clock=clock))
    assert ended.timed_out
    assert 0.2 <= clock.monotonic() < 30


def test_simulated_time_does_not_jump_while_a_process_lives() -> None:
    clock = SimulatedClock(start=0.0)
    ended = clock.run(processes.run_process(["sleep", "0.3"], env=ENV, cwd="/", timeout_s=60, clock=clock))
    assert (ended.exit_code, ended.timed_out) == (0, False)
    assert 0.3 <= clock.monotonic() < 30


def test_last_words_after_term_are_heard() -> None:
    ended, printed = bash("trap 'echo cleaned up; exit 5' TERM; echo ready; sleep 60 & wait", timeout_s=0.5)
    assert ended.timed_out
    # Twice where the group is told while the background job is still a copy of the shell, with its trap.
    assert printed in (b"ready\ncleaned up\n", b"ready\ncleaned up\ncleaned up\n")
    assert ended.exit_code == 5


def test_started_is_told_before_any_output() -> None:
    told: list[object] = []

    async def on_started(pid: int, started: str) -> None:
        told.append((pid, started, family.start_time(pid)))
        await asyncio.sleep(0.05)
        told.append("slept")

    ended, _ = bash("echo out", on_started=on_started, on_output=told.append)
    first = told[0]
    assert isinstance(first, tuple)
    assert first[0] == ended.pid
    assert first[1] == first[2]
    assert told[1:] == ["slept", b"out\n"]


def test_the_deadline_covers_the_telling() -> None:
    async def on_started(_pid: int, _started: str) -> None:
        await asyncio.sleep(60)

    assert bash("exit 0", on_started=on_started, timeout_s=0.2)[0].timed_out


@linux
@pytest.mark.parametrize("where", ["on_started", "on_output"])
def test_an_error_of_a_callback_ends_the_process_and_is_raised(where: str) -> None:
    def on_output(_chunk: bytes) -> None:
        raise TimeoutError("the sink is full")  # not to be taken for the deadline

    async def on_started(_pid: int, _started: str) -> None:
        raise TimeoutError("the journal is full")

    callback = on_output if where == "on_output" else on_started
    with pytest.raises(TimeoutError, match="is full"):
        bash("echo x; sleep 60", mark=RUN, **{where: callback})
    assert processes.find_marked(RUN) == []


@linux
def test_cancelling_twice_still_ends_it_all() -> None:
    async def story() -> None:
        ready = asyncio.Event()
        work = asyncio.create_task(
            processes.run_process(
                ["bash", "-c", "trap '' TERM; setsid sleep 60 & echo ready; sleep 60; sleep 60"],
                env=ENV,
                cwd="/",
                timeout_s=60,
                clock=RealClock(),
                on_output=lambda _: ready.set(),
                mark=RUN,
            )
        )
        await ready.wait()
        work.cancel()
        await asyncio.sleep(0.1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert processes.find_marked(RUN) == []

    asyncio.run(story())


@linux
def test_a_cancellation_while_the_rest_is_ended_is_not_lost() -> None:
    async def story() -> None:
        gone = asyncio.Event()

        async def on_started(pid: int, _started: str) -> None:
            while family._alive(family._row(pid) or family.Entry(pid, "X", 0, 0, 0, 0)):
                await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.3, gone.set)

        given: dict[str, Any] = {"env": ENV, "cwd": "/", "timeout_s": 60, "clock": RealClock(), "mark": RUN}
        script = "exec 3< <(trap '' TERM; echo set; exec sleep 60); read -r _ <&3; exit 0"
        work = asyncio.create_task(processes.run_process(["bash", "-c", script], **given, on_started=on_started))
        await gone.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert processes.find_marked(RUN) == []

    asyncio.run(story())


def test_what_is_in_the_pipe_at_the_end_is_taken() -> None:
    async def story() -> bytes:
        taken = bytearray()
        output = spawn.OutputPipe(taken.extend, lambda: None)
        os.write(output.target, b"last words")
        output.target = spawn.close(output.target)
        output.close()
        return bytes(taken)

    assert asyncio.run(story()) == b"last words"


def test_without_pidfd_a_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_pid: int) -> int:
        raise OSError("not permitted here")

    monkeypatch.setattr(os, "pidfd_open", absent, raising=False)
    assert bash("echo hi; exit 3")[0].exit_code == 3
    assert bash("trap '' TERM; sleep 60; sleep 60", timeout_s=0.2)[0].signal == 9
    assert bash("setsid sleep 60 & exit 0")[0].left_behind == 1


def test_many_at_once() -> None:
    async def story() -> list[Ended]:
        given: dict[str, Any] = {"env": ENV, "cwd": "/", "timeout_s": 20, "clock": RealClock()}
        scripts = [f"setsid sleep 60 & exit {number}" for number in range(16)]
        return await asyncio.gather(*(processes.run_process(["bash", "-c", each], **given) for each in scripts))

    ended = asyncio.run(story())
    assert [each.exit_code for each in ended] == list(range(16))
    assert [each.left_behind for each in ended] == [1] * 16


# capture


def test_capture_keeps_stdout_and_stderr_apart() -> None:
    answer = capture(["bash", "-c", "cat; echo err >&2; exit 3"], stdin=b"in")
    assert answer == Captured(3, b"in", b"err\n", timed_out=False, too_large=False)


def test_capture_has_a_deadline() -> None:
    answer = capture(["bash", "-c", "echo half; exec sleep 60"], timeout_s=0.3)
    assert answer == Captured(None, b"half\n", b"", timed_out=True, too_large=False)


@pytest.mark.parametrize("to", ["", ">&2"])
def test_capture_has_a_limit(to: str) -> None:
    answer = capture(["bash", "-c", f"yes {to}"], limit=1000)
    assert answer.too_large
    assert len(answer.stdout + answer.stderr) == 1000


def test_an_answer_as_large_as_the_limit_is_not_too_large() -> None:
    answer = capture(["head", "-c", "300000", "/dev/zero"], limit=300_000)
    assert (answer.exit_code, len(answer.stdout), answer.too_large) == (0, 300_000, False)


# streams


def test_a_stream_gives_lines_as_they_come_and_its_exit_code() -> None:
    async def story() -> tuple[bytes, int | None, str]:
        stream = open_stream(["bash", "-c", "echo a; echo b; echo why >&2; exit 4"], env=ENV, cwd="/")
        text = b"".join([chunk async for chunk in stream])
        return text, await stream.wait(), stream.errors

    assert asyncio.run(story()) == (b"a\nb\n", 4, "why\n")


def test_a_conversation() -> None:
    async def story() -> list[bytes]:
        answers = []
        async with open_stream(["cat"], env=ENV, cwd="/", writable=True) as cat:
            for word in (b"one\n", b"two\n"):
                await cat.write(word)
                answers.append(await cat.read())
        return answers

    assert asyncio.run(story()) == [b"one\n", b"two\n"]


def test_more_than_a_pipe_holds_can_be_written() -> None:
    async def story() -> int:
        size = 0
        async with open_stream(["cat"], env=ENV, cwd="/", writable=True) as cat:
            writing = asyncio.create_task(cat.write(b"x" * 3_000_000))
            while size < 3_000_000:
                size += len(await cat.read())
            await writing
        return size

    assert asyncio.run(story()) == 3_000_000


def test_writing_to_the_dead_and_to_the_closed() -> None:
    async def story() -> None:
        stream = open_stream(["true"], env=ENV, cwd="/", writable=True)
        assert await stream.wait() == 0
        with pytest.raises(BrokenPipeError):
            await stream.write(b"x")

    asyncio.run(story())


@linux
def test_who_is_behind_holds_the_writer() -> None:
    async def story() -> None:
        async with open_stream(["bash", "-c", "yes & wait"], env=ENV, cwd="/") as stream:
            await stream.read()
            child = stream.pid
            written = []
            while len(written) < 3 or written[-1] != written[-2]:  # until it stands still
                await asyncio.sleep(0.05)
                written.append(bytes_written(child))
            assert written[-1] < 3_000_000

    def bytes_written(parent: int) -> int:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        table = dict(line.split(": ") for line in Path(f"/proc/{children[0]}/io").read_text().splitlines())
        return int(table["wchar"])

    asyncio.run(story())


def test_closing_wakes_the_reader_and_keeps_the_last_errors() -> None:
    async def story() -> None:
        stream = open_stream(
            ["bash", "-c", "head -c 200000 /dev/zero | tr '\\0' e >&2; echo; sleep 60"], env=ENV, cwd="/"
        )
        assert await stream.read() == b"\n"
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        await asyncio.gather(stream.close(), stream.close())
        assert await reading == b""
        assert await stream.read() == b""
        assert stream.exit_code is None
        assert stream.errors == "e" * 65536

    asyncio.run(story())


# what is told, and what is found


def test_every_start_can_be_observed() -> None:
    seen = []

    def failing(_argv: object, _pid: int) -> None:
        raise RuntimeError("a broken display")

    with processes.observing(failing), processes.observing(lambda argv, pid: seen.append((list(argv), pid))):
        ended, _ = run(["true"])
        capture(["true", "2"])
        run(["no-such-tool"])
    run(["true", "unseen"])
    assert [argv for argv, _ in seen] == [["true"], ["true", "2"]]
    assert seen[0][1] == ended.pid


async def running(mark: str, **env: str) -> LongProcess:
    """A process that has certainly got past its start: during it the environment reads as empty."""
    cat = open_stream(["cat"], env={**ENV, **env}, cwd="/", writable=True, mark=mark)
    await cat.write(b"x")
    await cat.read()
    return cat


@linux
@pytest.mark.parametrize(
    ("script", "leaves"),
    [
        ("true", False),
        ("sleep 0.01; exit 3", False),
        ("sleep 600 >&- 2>&- & exit 0", True),
        ("(setsid env -i sleep 600 >&- 2>&- &) ; exit 0", True),
        ("(setsid bash -c 'sleep 600 & sleep 600 & wait' >&- 2>&- &) ; exit 0", True),
    ],
)
def test_the_machine_is_searched_only_where_something_may_be_left(
    script: str, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    table, children = family._table, family._children
    others = children()  # of earlier tests, which look like something that was left
    monkeypatch.setattr(family, "_children", lambda: children() - others)
    monkeypatch.setattr(family, "_table", lambda: looks.append(script) or table())
    ended, _ = bash(script)
    assert bool(ended.left_behind) is leaves
    assert bool(looks) is leaves
    assert family.STARTED.families == set()


@linux
def test_where_the_kernel_lists_no_children_the_machine_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "_children", set)
    assert bash("sleep 600 >&- 2>&- & exit 0")[0].left_behind == 1


@linux
def test_marks_find_and_end_what_a_crash_left() -> None:
    async def story() -> None:
        streams = [await running(mark) for mark in (f"{RUN}-1", f"{RUN}-1", f"{RUN}-10")]
        pids = [stream.pid for stream in streams]
        assert sorted(processes.find_marked(f"{RUN}-1")) == sorted(pids[:2])
        assert processes.find_marked(RUN) == []
        assert await processes.end_marked(f"{RUN}-1") == 2
        assert processes.find_marked(f"{RUN}-1") == []
        assert processes.find_marked(f"{RUN}-10") == pids[2:]
        for stream in streams:
            await stream.close()

    asyncio.run(story())


@linux
def test_an_inner_nvsx_keeps_the_outer_mark() -> None:
    async def story() -> None:
        async with await running(f"{RUN}-inner", **{processes.MARK_VARIABLE: f"{RUN}-outer/1"}) as inner:
            assert processes.find_marked(f"{RUN}-outer") == processes.find_marked(f"{RUN}-inner") == [inner.pid]

    asyncio.run(story())


@pytest.mark.parametrize("mark", ["a b", "a\0b", "a\nb"])
def test_a_mark_is_one_word(mark: str) -> None:
    with pytest.raises(ValueError, match="blanks"):
        run(["true"], mark=mark)


@linux
def test_ignored_sigchld_does_not_turn_failures_into_successes() -> None:
    code = (
        "import asyncio, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from nvsx.clock import RealClock; from nvsx.cluster.processes import run_process\n"
        "false = run_process(['/bin/false'], env={}, cwd='/', timeout_s=9, clock=RealClock())\n"
        "print(asyncio.run(false).exit_code)"
    )
    answer = capture([sys.executable, "-c", code], cwd=str(Path(__file__).parent.parent))
    assert answer.stdout == b"1\n", answer.stderr


def test_a_start_that_fails_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(spawn.Child):
        def _watch_exit(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(spawn, "Child", Broken)
    with pytest.raises(RuntimeError):
        run(["sleep", "60"], mark=RUN)
    assert processes.find_marked(RUN) == []
