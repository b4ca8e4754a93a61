"""A child that lives long and talks on the way: a kubectl watch, a mongosh loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

from nvsx.cluster.processes.spawn import CHUNK, OutputPipe, close, pipe, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

ERRORS_KEPT = 1 << 16


def open_stream(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, writable: bool = False, mark: str = ""
) -> LongProcess:
    """Start `argv`; with `writable` its stdin is a pipe, else empty. Needs a running loop. Raises CannotStart."""
    return LongProcess(argv, env=env, cwd=cwd, writable=writable, mark=mark)


class LongProcess:
    """A running child: iterate over its stdout, `write` to its stdin, `close` it (or use `async with`).

    It is read only as fast as it is iterated over. One reader and one writer at a time.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, writable: bool = False, mark: str = ""
    ) -> None:
        self.argv = tuple(argv)
        self._tail = bytearray()
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._closed: asyncio.Event | None = None
        self._errors = OutputPipe(self._keep_error, lambda: None)
        self._source, target = pipe()
        stdin, self._sink = os.pipe() if writable else (-1, -1)
        try:
            self._child = start(
                argv,
                env=env,
                cwd=cwd,
                stdin=stdin if writable else subprocess.DEVNULL,
                stdout=target,
                stderr=self._errors.target,
                mark=mark,
            )
        except BaseException:
            self._release()
            raise
        finally:
            close(target)
            close(stdin)
        self.pid = self._child.pid
        self._errors.target = close(self._errors.target)
        self._errors.read()
        if writable:
            os.set_blocking(self._sink, False)

    async def __aenter__(self) -> LongProcess:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    async def read(self) -> bytes:
        """The next bytes of stdout; b"" when it has ended or is closed."""
        while self._source >= 0:
            try:
                return os.read(self._source, CHUNK)
            except BlockingIOError:
                await self._ready(self._source, writing=False)
        return b""

    async def write(self, data: bytes) -> None:
        """Write all of `data` to its stdin. Raises BrokenPipeError when the child no longer reads."""
        view = memoryview(data)
        while view:
            if self._sink < 0:
                raise BrokenPipeError(f"stdin of {self.argv[0]} is closed")
            try:
                view = view[os.write(self._sink, view) :]
            except BlockingIOError:
                await self._ready(self._sink, writing=True)

    async def wait(self) -> int | None:
        """Wait until it has exited by itself; its exit code, None when a signal ended it."""
        await asyncio.shield(self._child.exited)
        await self.close()
        return self.exit_code

    async def close(self) -> None:
        """End the child and all that came of it, and reap it. May be called again, and while another task reads."""
        if self._closed:
            await self._closed.wait()
            return
        self._closed = asyncio.Event()
        try:
            await self._child.end()
        finally:
            self._release()
            self._closed.set()

    @property
    def exit_code(self) -> int | None:
        """Its exit code once it is closed; None when a signal ended it."""
        return self._child.exit.code

    @property
    def errors(self) -> str:
        """The last 64 KiB of its stderr."""
        return self._tail.decode("utf-8", "replace")

    async def _ready(self, handle: int, *, writing: bool) -> None:
        """Wait until `handle` can be read or written, or the process is closed."""
        loop = asyncio.get_running_loop()
        waiter = self._waiters[handle] = loop.create_future()
        (loop.add_writer if writing else loop.add_reader)(handle, _wake, waiter)
        try:
            await waiter
        finally:
            if self._waiters.pop(handle, None):
                (loop.remove_writer if writing else loop.remove_reader)(handle)

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        for handle, waiter in self._waiters.items():
            loop.remove_reader(handle)
            loop.remove_writer(handle)
            _wake(waiter)
        self._waiters.clear()
        self._errors.close()
        self._source = close(self._source)
        self._sink = close(self._sink)

    def _keep_error(self, chunk: bytes) -> None:
        self._tail += chunk
        del self._tail[:-ERRORS_KEPT]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
