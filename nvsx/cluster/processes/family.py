"""Finds and ends everything that descends from a process nvsx started, however it tried to get away.

Three traces lead to a descendant: its session, the mark in its environment (Linux), and its parent: nvsx is child
subreaper, so that orphans come back to it. All functions here block and belong in a thread, never on the loop.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from nvsx.clock import RealClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MARK_VARIABLE = "NVSX_PROCESS_MARK"
GRACE_S = 1.5
"""Time between TERM and KILL."""

_UNKILLABLE_AFTER_S = 3.0  # a process that survives KILL this long hangs in the kernel: leave it
_ROUND_S = 0.25
_POLL_S = 0.02
_PROC = "/proc"
_PR_SET_CHILD_SUBREAPER = 36
_CLOCK = RealClock()  # processes live in real time, whatever the story's clock says


class Entry(NamedTuple):
    """One row of the process table."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int  # clock ticks since boot: with the pid, it tells a process from a later one of the same number


class _Started:
    """Processes that nvsx itself started and has not reaped; their exit status must not be taken from them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # held while starting too: a new child must be known before anyone may reap it
        self.pids: set[int] = set()
        self.families: set[Family] = set()  # those of scripts, which alone may lose processes
        self.since = 0  # start of the first of `families`
        self.orphans_come_here = False


STARTED = _Started()


def new_mark(mark: str, outer: str = "") -> tuple[str, str]:
    """(own mark, value of the variable) for one process of the run `mark`; keeps the marks of an outer nvsx."""
    if any(char.isspace() or char == "\0" for char in mark):
        raise ValueError(f"a mark has no blanks: {mark!r}")
    own = f"{mark or 'nvsx'}/{secrets.token_hex(8)}"
    return own, f"{outer} {own}".strip()


def find_marked(mark: str) -> list[int]:
    """Living processes that carry `mark`, a run's or one process's (Linux; elsewhere none)."""
    return [row.pid for row in _table() if row.pid != os.getpid() and _alive(row) and _carries(_marks(row.pid), mark)]


def start_time(pid: int) -> str:
    """Start of a process in clock ticks since boot, as text; "" where that cannot be told."""
    row = _row(pid)
    return str(row.started) if row else ""


def become_subreaper() -> None:
    """Have orphaned descendants come to this process instead of init (Linux; elsewhere nothing happens)."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    try:
        STARTED.orphans_come_here = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return  # without it orphans are still found by their mark; init reaps them


class Family:
    """A started process and all that came of it. `main` 0: only the mark is known (after a crash of nvsx).

    The family of a `script` also answers for orphans that shed every trace; a tool such as kubectl makes none.
    """

    def __init__(self, main: int, mark: str, *, script: bool = False) -> None:
        self.main = main
        self.mark = mark
        row = _row(main) if main else None
        self.since = row.started if row else 0
        if script:
            with STARTED.lock:
                STARTED.since = STARTED.since if STARTED.families else self.since
                STARTED.families.add(self)

    def has_ended(self) -> bool:
        """Whether it is sure at a glance that the main process, which must have exited, left nothing behind.

        Whatever came of it would be an orphan here, or descend from one: then nvsx has a child that it did not start.
        This one never blocks. False says nothing: then `end` looks at every process of the machine.
        """
        with STARTED.lock:
            children = _children() if STARTED.orphans_come_here else set()
            # The main process, not reaped yet, must be among them: else the kernel does not list them here.
            if self.main not in children or not children <= STARTED.pids:
                return False
            STARTED.families.discard(self)
            return True

    def end(self, *, grace_s: float = GRACE_S) -> int:
        """TERM, `grace_s`, KILL, reap: returns how many processes beside the main one were there at first."""
        try:
            rows = _table()
            first = self._members(rows)
            if first:
                self._signal(first, signal.SIGTERM)
                self._wait(first, grace_s)
                self._kill()
                rows = _table()
            _reap_orphans(rows)
            return len(set(first) - {self.main})
        finally:
            with STARTED.lock:
                STARTED.families.discard(self)

    def _wait(self, members: list[int], grace_s: float) -> None:
        deadline = _CLOCK.monotonic() + grace_s
        while members and (left := deadline - _CLOCK.monotonic()) > 0:
            _wait_gone(members, left)
            members = self._members(_table())

    def _kill(self) -> None:
        """KILL until nothing is left: what forks faster than one round meets the next."""
        give_up = _CLOCK.monotonic() + _UNKILLABLE_AFTER_S
        while (members := self._members(_table())) and _CLOCK.monotonic() < give_up:
            if not self._signal(members, signal.SIGKILL):
                return  # all that is left belongs to another user
            _wait_gone(members, _ROUND_S)

    def _signal(self, members: Iterable[int], number: int) -> bool:
        """Whether any of `members` took it; False when all belong to another user."""
        if self.main:
            # The main process is reaped after its family, so its number cannot mean a stranger's group here.
            _send(-self.main, number)
        taken = [_send(pid, number) for pid in members]
        return any(taken)

    def _members(self, rows: Sequence[Entry]) -> list[int]:
        if not rows and self.main:
            return [self.main] if _group_lives(self.main) else []
        return [row.pid for row in rows if row.pid != os.getpid() and _alive(row) and self._owns(row)]

    def _owns(self, row: Entry) -> bool:
        if self.main and self.main in (row.pid, row.session, row.group):
            return True
        # An orphan that shed its environment belongs to a script, nobody knows which: the last one to end takes it.
        stray = self._may_take(row)
        if stray:
            # What was forked and has not become its program yet bears no mark: under the lock it is known as ours.
            with STARTED.lock:
                stray = self._may_take(row)
        if row.started < self.since and not stray:
            return False
        marks = _marks(row.pid, patient=stray)
        return _carries(marks, self.mark) if marks else stray

    def _may_take(self, row: Entry) -> bool:
        return STARTED.families == {self} and row.started >= STARTED.since and _is_orphan(row)


def _children() -> set[int]:
    """Children of this process's first thread, to which orphans come; none where the kernel does not list them."""
    return {int(pid) for pid in _read(os.getpid(), f"task/{os.getpid()}/children").split()}


def _is_orphan(row: Entry) -> bool:
    """A child that nvsx did not start: it came back here because its own parent is gone."""
    return row.parent == os.getpid() and row.session != os.getsid(0) and row.pid not in STARTED.pids


def _reap_orphans(rows: Iterable[Entry]) -> None:
    zombies = [row for row in rows if row.state == "Z"]
    if not zombies:
        return
    with STARTED.lock:
        for row in filter(_is_orphan, zombies):
            try:
                os.waitpid(row.pid, os.WNOHANG)
            except ChildProcessError:
                continue


def _send(target: int, number: int) -> bool:
    """Whether `target` took the signal or has gone; False when it belongs to another user."""
    try:
        os.kill(target, number)
        if number == signal.SIGTERM:
            os.kill(target, signal.SIGCONT)  # a stopped process could not react
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return True


def _wait_gone(pids: Iterable[int], timeout_s: float) -> None:
    """Return when all of `pids` have exited, or after `timeout_s`."""
    deadline = _CLOCK.monotonic() + timeout_s
    poll, waiting = select.poll(), set()
    try:
        for pid in pids:
            try:
                waiting.add(handle := os.pidfd_open(pid))
                poll.register(handle, select.POLLIN)
            except ProcessLookupError:
                continue
        while (left := deadline - _CLOCK.monotonic()) > 0 and waiting:
            for handle, _ in poll.poll(left * 1000):
                poll.unregister(handle)
                waiting.discard(handle)
                os.close(handle)
    except (AttributeError, OSError):  # no pidfd here: look again a little later
        threading.Event().wait(min(_POLL_S, timeout_s))
    finally:
        for handle in waiting:
            os.close(handle)


def _table() -> list[Entry]:
    return [row for row in map(_row, _pids()) if row]


def _pids() -> Iterator[int]:
    try:
        with os.scandir(_PROC) as entries:
            yield from (int(entry.name) for entry in entries if entry.name.isdigit())
    except OSError:
        return


def _row(pid: int) -> Entry | None:
    text = _read(pid, "stat")
    if not text:
        return None
    # The name in parentheses may itself hold blanks and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    return Entry(pid, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _marks(pid: int, *, patient: bool = False) -> list[str]:
    """The marks in a process's environment. It reads as empty for an instant during exec: `patient` looks again."""
    for _ in range(4 if patient else 1):
        environment = _read(pid, "environ")
        if environment:
            break
        if patient:
            threading.Event().wait(0.002)
    name = MARK_VARIABLE.encode() + b"="
    if name not in environment:
        return []
    values = [item[len(name) :] for item in environment.split(b"\0") if item.startswith(name)]
    return b" ".join(values).decode("utf-8", "replace").split()


def _carries(marks: list[str], mark: str) -> bool:
    return any(each == mark or each.startswith(f"{mark}/") for each in marks)


def _alive(row: Entry) -> bool:
    return row.state not in "ZX"


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _read(pid: int, name: str) -> bytes:
    try:
        handle = os.open(f"{_PROC}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while part := os.read(handle, 1 << 17):
            parts.append(part)
    except OSError:  # it has just gone, or it is another user's
        return b""
    finally:
        os.close(handle)
    return b"".join(parts)
