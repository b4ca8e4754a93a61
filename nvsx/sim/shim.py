"""The simulator's kubectl as a program on the PATH: a small client in a private directory, and what answers it."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.sim.kubectl import answer, kubeconfig

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from nvsx.sim.world import World

_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
_LIMIT = 64 << 20

# Little of the standard library, because it starts for every kubectl call of every hook: `_socket` is the part of
# `socket` in C, and takes a fifth of its time to import.
CLIENT = '''"""Asks the simulator what kubectl would print. Written by nvsx."""
import sys
from _socket import AF_UNIX, socket

def main(path, argv):
    words = b"\\0".join(word.encode(sys.getfilesystemencoding(), "surrogateescape") for word in argv)
    stdin = b""
    if any(word in ("-", "-f-", "--filename=-", "-f=-") for word in argv):
        stdin = sys.stdin.buffer.read()
    try:
        link = socket(AF_UNIX)
        link.connect(path)
        link.sendall(b"%d %d\\n%b%b" % (len(words), len(stdin), words, stdin))
        answer = b"".join(iter(lambda: link.recv(1 << 16), b""))
        head, _, rest = answer.partition(b"\\n")
        code, out, err = (int(number) for number in head.split())
        if len(rest) != out + err:
            raise ValueError("cut off")
    except (OSError, ValueError):
        sys.stderr.write("The connection to the server simulator was refused - did you specify the right host or port?")
        sys.stderr.write("\\n")
        return 1
    try:
        sys.stdout.buffer.write(rest[:out])
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        import os
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.buffer.write(rest[out:])
    return code

sys.exit(main(sys.argv[1], sys.argv[2:]))
'''


class ShimServer:
    """Answers `kubectl` for as long as it is entered: `async with ShimServer(world, directory) as shim`.

    `bin_dir` goes first on the PATH of scripts, `env` into their environment; both lead to this world and nowhere else.
    `calls` are the command lines that came, oldest first.
    """

    def __init__(self, world: World, directory: str | PathLike[str]) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._world = world
        self._directory = Path(directory).absolute()
        self._server: asyncio.Server | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bin_dir(self) -> Path:
        return self._directory / "bin"

    @property
    def env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self._directory / "kubeconfig")}

    async def __aenter__(self) -> ShimServer:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.bin_dir.mkdir(mode=0o700, exist_ok=True)
        path = self._socket_path()
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=_LIMIT)
        path.chmod(0o600)
        client = self._directory / "kubectl.py"
        client.write_text(CLIENT, encoding="utf-8")
        words = shlex.join([sys.executable, "-I", "-S", str(client), str(path)])
        program = self.bin_dir / "kubectl"
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        program.chmod(0o700)
        (self._directory / "kubeconfig").write_text(json.dumps(kubeconfig(self._world.context)), encoding="utf-8")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket_path().unlink(missing_ok=True)
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None

    def _socket_path(self) -> Path:
        path = self._directory / "socket"
        if len(bytes(path)) <= _LONGEST_SOCKET_PATH:
            return path
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="nvsx-")
        return Path(self._temporary.name) / "socket"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            words, stdin = (int(size) for size in (await reader.readline()).split())
            listed = await reader.readexactly(words)
            argv = tuple(word.decode("utf-8", "replace") for word in listed.split(b"\0")) if listed else ()
            given = await reader.readexactly(stdin)
            self.calls.append(argv)
            reply = await answer(self._world, argv, given)
            writer.write(b"%d %d %d\n" % (reply.code, len(reply.out), len(reply.err)) + reply.out + reply.err)
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass  # the script's kubectl is gone, or it never was one
        finally:
            self._tasks.discard(task)
            writer.close()
