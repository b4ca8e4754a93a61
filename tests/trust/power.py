"""T1, power loss: a process is traced, and its files are built anew from what was synced before each answer.

SIGKILL never loses the page cache, so what a kill sweep shows says nothing of a machine that goes dark.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CALLS = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,link,unlink"
_CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+=\s+(-?\d+)")
_UNFINISHED = re.compile(r"^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)\)\s+=\s+(-?\d+)")
_PWRITE = re.compile(r'^\d+<([^>]*)>, "((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?, \d+, (\d+)')
_ON_FILE = re.compile(r"^\d+<([^>]*)>")
_SAID = re.compile(r'^1<[^>]*>, "((?:\\x[0-9a-f]{2})*)"')


class Call(NamedTuple):
    name: str
    text: str
    result: int


class Found(NamedTuple):
    """Answers that were checked, and those of which the synced files know nothing."""

    answers: int
    lost: list[str]
    refused: list[str]


def traced(directory: Path, count: int, *inject: str) -> list[Call]:
    """The calls of a process that accepts incidents in `directory/state`, in the order in which they ended. `inject`
    are strace's words for calls that are to fail.
    """
    log = directory / "strace"
    state = directory / "state"
    failing = [word for each in inject for word in ("-e", f"inject={each}")]
    subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", *failing, "-o", str(log),
         sys.executable, "-m", "tests.trust.accepting", str(state), str(count)],
        stdout=subprocess.DEVNULL, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    calls, begun = [], {}
    for line in log.read_text("ascii", "replace").splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = unfinished[3]
        elif resumed := _RESUMED.match(line):
            calls.append(Call(resumed[2], begun.pop(resumed[1], "") + resumed[3], int(resumed[4])))
        elif call := _CALL.match(line):
            calls.append(Call(call[1], call[2], int(call[3])))
    return calls


class Disk:
    """The files below a directory as they are, and as they would be after a power loss."""

    def __init__(self, base: Path) -> None:
        self._base = str(base)
        self.durable = {str(file): file.read_bytes() for file in base.iterdir() if file.is_file()}
        self._written = {path: bytearray(data) for path, data in self.durable.items()}

    def apply(self, call: Call) -> None:
        """One call that succeeded."""
        if call.name == "pwrite64" and (match := _PWRITE.match(call.text)):
            path, data, offset = _text(match[1]), _bytes(match[2]), int(match[3])
            if path.startswith(self._base):
                held = self._written.setdefault(path, bytearray())
                held.extend(bytes(max(0, offset + len(data) - len(held))))
                held[offset : offset + len(data)] = data
        elif call.name in ("fsync", "fdatasync") and (match := _ON_FILE.match(call.text)):
            path = _text(match[1])
            if path in self._written:
                self.durable[path] = bytes(self._written[path])

    def knows(self, run_id: str) -> bool:
        """Whether the ledger that is left knows a run."""
        with tempfile.TemporaryDirectory() as directory:
            for name in ("ledger.db", "ledger.db-wal"):
                if f"{self._base}/{name}" in self.durable:
                    (Path(directory) / name).write_bytes(self.durable[f"{self._base}/{name}"])
            try:
                connection = sqlite3.connect(Path(directory) / "ledger.db")
                found = connection.execute("SELECT count(*) FROM runs WHERE id = ?", (run_id,)).fetchone()[0]
                connection.close()
            except sqlite3.Error:
                return False
            return bool(found)


def replay(calls: list[Call], disk: Disk) -> Found:
    """At every answer, look for its run on a disk that keeps only what was synced until then."""
    answers, lost, refused = 0, [], []
    for call in calls:
        said = _SAID.match(call.text) if call.name == "write" else None
        if call.result >= 0 and not said:
            disk.apply(call)
        for line in _bytes(said[1]).decode().splitlines() if said else ():
            word, _, rest = line.partition(" ")
            if word == "refused":
                refused.append(rest)
            elif word == "accepted":
                answers += 1
                lost += [] if disk.knows(rest) else [rest]
    return Found(answers, lost, refused)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(path: str) -> str:
    return _bytes(path).decode() if path.startswith("\\x") else path
