"""Small tools of this machine that read something and answer: `bash -n`, shellcheck.

Several run at once and none outlives its deadline. Whatever talks to the cluster, takes long or belongs to a run is
started in `nvsx.cluster.processes` instead; this door is for commands that must start and end as fast as they can.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

AT_ONCE = 4
TIMEOUT_S = 60.0


class Job(NamedTuple):
    """A command line, and what it reads from its standard input."""

    argv: Sequence[str]
    stdin: bytes = b""


class Answer(NamedTuple):
    """How a tool ended. `exit_code` is None where it could not be started, or was ended at its deadline."""

    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    missing: bool = False


def ask(jobs: Iterable[Job], *, env: Mapping[str, str], cwd: str, timeout_s: float = TIMEOUT_S) -> Iterator[Answer]:
    """The answers of the jobs, in their order."""
    running: list[tuple[Job, subprocess.Popen[bytes] | None]] = []
    try:
        for job in jobs:
            if len(running) == AT_ONCE:
                yield _answer(*running.pop(0), timeout_s)
            running.append((job, _start(job, env, cwd)))
        while running:
            yield _answer(*running.pop(0), timeout_s)
    finally:
        for _, process in running:
            if process:
                _end(process)


def _start(job: Job, env: Mapping[str, str], cwd: str) -> subprocess.Popen[bytes] | None:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            job.argv, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError:
        return None


def _answer(job: Job, process: subprocess.Popen[bytes] | None, timeout_s: float) -> Answer:
    if process is None:
        return Answer(None, missing=True)
    try:
        stdout, stderr = process.communicate(job.stdin, timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return Answer(None)
    return Answer(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
