"""Runs one process to its end: hooks, actions and checks (`run_process`), and tools that answer at once (`capture`)."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cluster.processes.spawn import CannotStart, Child, OutputPipe, close, given_stdin, start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nvsx.clock import Clock

CAPTURE_LIMIT = 64 << 20


class Ended(NamedTuple):
    """How a process ended. Times are seconds from its start until nothing of it was left."""

    exit_code: int | None  # None: a signal ended it
    signal: int  # 0: it exited by itself
    timed_out: bool
    elapsed_s: float
    output_bytes: int
    pid: int  # 0: it could not be started, and the output says why
    left_behind: int  # processes that outlived the main one and were ended; 0 where nvsx ended the main one itself


class Captured(NamedTuple):
    """What a tool answered. `exit_code` is None when a signal ended it, as after `timed_out` or `too_large`."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool
    too_large: bool


async def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    timeout_s: float,
    clock: Clock,
    on_output: Callable[[bytes], None] | None = None,
    on_started: Callable[[int, str], Awaitable[None]] | None = None,
    stdin: bytes = b"",
    merge_stderr: bool = True,
    mark: str = "",
) -> Ended:
    """Run `argv` and leave nothing of it behind, however it ends; cancelling ends it too.

    `timeout_s` counts from the start; then TERM, 1.5 s, KILL. `on_output` gets stdout and stderr as they come (without
    stderr when not `merge_stderr`); `on_started(pid, start_time)` is awaited before any of it. What either raises ends
    the process and is raised here. A command that cannot be started is an ordinary result, as in a shell: exit code 127
    or 126, and a line of output that says why. `mark` (the run's id) lets `end_marked` find it after a crash of nvsx.
    """
    with clock.holding():
        began = clock.monotonic()
        wake = asyncio.Event()
        output = OutputPipe(on_output or _ignore, wake.set)
        try:
            with given_stdin(stdin) as source:
                errors = output.target if merge_stderr else subprocess.DEVNULL
                child = start(
                    argv, env=env, cwd=cwd, stdin=source, stdout=output.target, stderr=errors, mark=mark, script=True
                )
        except CannotStart as error:
            return _not_started(error, output)
        except BaseException:
            output.discard()
            raise
        output.target = close(output.target)
        left = 0
        try:
            timed_out = not await _within(began + timeout_s, _live(child, [output], wake, on_started))
        finally:
            try:
                left = await child.end()
            finally:
                output.close()
        if output.error:
            raise output.error
        code, number = child.exit
        elapsed = clock.monotonic() - began
        return Ended(code, number, timed_out, elapsed, output.size, child.pid, 0 if timed_out else left)


async def capture(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    timeout_s: float,
    clock: Clock,
    stdin: bytes = b"",
    limit: int = CAPTURE_LIMIT,
    mark: str = "",
) -> Captured:
    """Run `argv` and return stdout and stderr apart; it is ended once either holds more than `limit` bytes.

    Raises CannotStart: a tool that is missing is a fault of this machine, not an answer.
    """
    with clock.holding(), ExitStack() as cleanup:
        began = clock.monotonic()
        wake = asyncio.Event()
        answers = [_Kept(limit), _Kept(limit)]
        pipes = [OutputPipe(kept.take, wake.set) for kept in answers]
        for each in pipes:
            cleanup.callback(each.discard)
        with given_stdin(stdin) as source:
            child = start(
                argv, env=env, cwd=cwd, stdin=source, stdout=pipes[0].target, stderr=pipes[1].target, mark=mark
            )
        for each in pipes:
            each.target = close(each.target)
        try:
            in_time = await _within(began + timeout_s, _live(child, pipes, wake, None))
        finally:
            try:
                await child.end()
            finally:
                for each in pipes:
                    each.close()
        too_large = any(isinstance(each.error, _TooLarge) for each in pipes)
        return Captured(child.exit.code, bytes(answers[0].data), bytes(answers[1].data), not in_time, too_large)


async def _live(
    child: Child,
    pipes: Sequence[OutputPipe],
    wake: asyncio.Event,
    on_started: Callable[[int, str], Awaitable[None]] | None,
) -> None:
    """Return when the main process has exited, or when its output cannot be taken any more."""
    if on_started:
        await on_started(child.pid, child.start_time)
    for pipe in pipes:
        pipe.read()
    child.exited.add_done_callback(lambda _: wake.set())
    await wake.wait()


async def _within(deadline: float, work: Awaitable[None]) -> bool:
    """Whether `work` was done before `deadline` (loop time)."""
    try:
        async with asyncio.timeout_at(deadline) as limit:
            await work
    except TimeoutError:
        if not limit.expired():
            raise
        return False
    return True


def _not_started(error: CannotStart, output: OutputPipe) -> Ended:
    output.discard()
    text = f"nvsx: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
    output.tell(text.encode("utf-8", "replace"))
    if output.error:
        raise output.error
    return Ended(error.status, 0, False, 0.0, output.size, 0, 0)


def _ignore(_chunk: bytes) -> None:
    """Output that nobody asked for."""


class _TooLarge(Exception):
    pass


class _Kept:
    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self._limit = limit

    def take(self, chunk: bytes) -> None:
        room = self._limit - len(self.data)
        self.data += chunk[:room]
        if len(chunk) > room:
            raise _TooLarge
