"""Starts one process in a session of its own, tells when it has exited, and ends it with all that came of it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shlex
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar

from nvsx.cluster.processes import family
from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CHUNK = 1 << 18
_DRAIN_LIMIT = 1 << 22  # a writer that nobody can end must not hold the reader
_T = TypeVar("_T")
_observers: list[Callable[[Sequence[str], int], None]] = []


class CannotStart(EnvironmentUnusable):
    """The command could not be started. `status` is what a shell would report: 127 not found, 126 not executable."""

    code = "cannot-start"

    def __init__(self, message: str, *, hint: str = "", status: int = 126) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Exit(NamedTuple):
    """How the main process ended: `code` is None when a signal ended it, or when it could not be ended."""

    code: int | None
    signal: int


@contextmanager
def observing(on_command: Callable[[Sequence[str], int], None]) -> Iterator[None]:
    """Have `on_command(argv, pid)` called for every process that is started inside the block, by whomever."""
    _observers.append(on_command)
    try:
        yield
    finally:
        _observers.remove(on_command)


class Child:
    """A running process: `exited` is done when the main process has gone. Who starts one awaits `end()`."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str, *, script: bool) -> None:
        self.pid = process.pid
        self.start_time = family.start_time(process.pid)
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = process
        self._pidfd = -1
        self._watch_exit()
        self._family = family.Family(process.pid, mark, script=script)

    async def end(self) -> int:
        """End what is left of the family, main process included, and reap it; returns how many others were left.

        A cancellation meanwhile is raised when all of it is done.
        """
        loop = asyncio.get_running_loop()
        try:
            if self.exited.done() and self._family.has_ended():
                return 0
            return await finish(loop.run_in_executor(_enders(), self._family.end))
        finally:
            self._unwatch()
            # Reaped under the lock: while the kernel lists our children, one that goes could hide another.
            with family.STARTED.lock:
                self._process.poll()
                family.STARTED.pids.discard(self.pid)

    @property
    def exit(self) -> Exit:
        """How it ended; to be read after `end()`."""
        status = self._process.returncode
        if status is None:
            return Exit(None, signal.SIGKILL)
        return Exit(status, 0) if status >= 0 else Exit(None, -status)

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
            threading.Thread(target=_wait_in_thread, args=(self._process, loop, self._gone), daemon=True).start()
        else:
            loop.add_reader(self._pidfd, self._gone)

    def _gone(self) -> None:
        self._unwatch()
        if not self.exited.done():
            self.exited.set_result(None)

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


class OutputPipe:
    """The reading end of a child's output: hands every chunk to `take` as it comes. An error of `take` is kept."""

    def __init__(self, take: Callable[[bytes], None], on_error: Callable[[], None]) -> None:
        self.source, self.target = pipe()
        self.size = 0
        self.error: Exception | None = None
        self._take = take
        self._on_error = on_error
        self._reading = False

    def read(self) -> None:
        """Begin to read; the loop does the rest."""
        asyncio.get_running_loop().add_reader(self.source, self._readable)
        self._reading = True

    def close(self) -> None:
        """Take what is in the pipe, then close it."""
        self._stop()
        limit = self.size + _DRAIN_LIMIT
        try:
            while self.size < limit and (chunk := os.read(self.source, CHUNK)):
                self.tell(chunk)
        except BlockingIOError:
            pass
        finally:
            self.discard()

    def discard(self) -> None:
        """Close without reading."""
        self._stop()
        self.source = close(self.source)
        self.target = close(self.target)

    def _readable(self) -> None:
        try:
            chunk = os.read(self.source, CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self.tell(chunk)
        else:
            self._stop()

    def tell(self, chunk: bytes) -> None:
        """Hand over a chunk, as if it had come through the pipe."""
        self.size += len(chunk)
        if self.error:
            return
        try:
            self._take(chunk)
        except Exception as error:  # raised by whoever awaits the process, once it has been ended
            self.error = error
            self._on_error()

    def _stop(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(self.source)
            self._reading = False


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: int | IO[bytes],
    stdout: int,
    stderr: int,
    mark: str,
    script: bool = False,
) -> Child:
    """Start `argv` (found on the PATH of `env`) in a new session; a `script` may do anything. Raises CannotStart."""
    _prepare()
    own, value = family.new_mark(mark, env.get(family.MARK_VARIABLE, ""))
    try:
        with family.STARTED.lock:
            process = subprocess.Popen(
                list(argv),
                env={**env, family.MARK_VARIABLE: value},
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            family.STARTED.pids.add(process.pid)
    except (OSError, ValueError) as error:
        raise _explain(error, argv[0], env, cwd) from error
    for observer in _observers:
        with suppress(Exception):  # who looks on cannot stop it
            observer(argv, process.pid)
    try:
        return Child(process, own, script=script)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


async def finish(future: asyncio.Future[_T]) -> _T:
    """Await `future` to its end even when cancelled; the cancellation is raised afterwards."""
    cancelled = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
    return future.result()


async def end_marked(mark: str) -> int:
    """End every process that carries `mark`: what a killed nvsx left behind. Returns how many there were."""
    loop = asyncio.get_running_loop()
    return await finish(loop.run_in_executor(_enders(), family.Family(0, mark).end))


def pipe() -> tuple[int, int]:
    """A pipe whose reading end does not block, as large as this user may have it."""
    source, target = os.pipe()
    os.set_blocking(source, False)
    with suppress(AttributeError, OSError):
        fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, CHUNK)
    return source, target


def close(handle: int) -> int:
    """Close a descriptor unless it is -1; returns -1."""
    if handle >= 0:
        os.close(handle)
    return -1


@contextmanager
def given_stdin(data: bytes) -> Iterator[int | IO[bytes]]:
    """A stdin that holds `data` and then ends; no writer is needed, and no reader can hold us."""
    if not data:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("nvsx-stdin"), "w+b") if hasattr(os, "memfd_create") else _private_file() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield file


def _private_file() -> IO[bytes]:
    import tempfile

    return tempfile.TemporaryFile()


@cache
def _prepare() -> None:
    family.become_subreaper()
    # Some parents leave SIGCHLD ignored, and the kernel then throws exit statuses away: a failed hook would look fine.
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        with suppress(ValueError):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@cache
def _enders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="nvsx-end")


# A fork has none of its parent's threads to wait for, and does not inherit that orphans come to it.
os.register_at_fork(after_in_child=_enders.cache_clear)
os.register_at_fork(after_in_child=_prepare.cache_clear)


def _wait_in_thread(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, gone: Callable[[], None]
) -> None:
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except AttributeError:
        process.wait()
    except ChildProcessError:
        pass
    with suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(gone)


def _explain(error: OSError | ValueError, program: str, env: Mapping[str, str], cwd: str) -> CannotStart:
    if not isinstance(error, OSError):
        return CannotStart(f"cannot start {program}: {error}")
    if error.filename == cwd and program != cwd:
        return CannotStart(f"cannot start {program}: no working directory {cwd}", hint=f"mkdir -p {shlex.quote(cwd)}")
    if error.errno == errno.ENOENT:
        return _explain_missing(program, env)
    quoted = shlex.quote(program)
    if error.errno == errno.ENOEXEC:
        hint = f"sed -i '1i #!/usr/bin/env bash' {quoted}"
        return CannotStart(f"{program} is no program: its first line names no interpreter", hint=hint)
    if error.errno == errno.EACCES:
        return CannotStart(f"{program} is not executable", hint=f"chmod +x {quoted}")
    return CannotStart(f"cannot start {program}: {error.strerror or error}")


def _explain_missing(program: str, env: Mapping[str, str]) -> CannotStart:
    if os.sep not in program:
        hint = f"looked in {env.get('PATH') or 'no directory: PATH is empty'}"
        return CannotStart(f"{program} is not on PATH", hint=hint, status=127)
    first = _first_line(program)
    quoted = shlex.quote(program)
    if not first.startswith("#!"):
        return CannotStart(f"there is no {program}", hint=f"ls -l {quoted}", status=127)
    if first.endswith("\r"):
        return CannotStart(f"{program} has Windows line ends", hint=f"sed -i 's/\\r$//' {quoted}", status=127)
    interpreter = first[2:].strip()
    hint = f"head -1 {quoted}"
    return CannotStart(f"{program} asks for an interpreter that is not here: {interpreter}", hint=hint, status=127)


def _first_line(path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(handle, "rb") as file:
        return file.readline(256).decode("utf-8", "replace").rstrip("\n")
