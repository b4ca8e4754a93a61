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


class Found(NamedTuple):
    """Answers that were checked, and those of which the synced files know nothing."""

    answers: int
    lost: list[str]
    syncs: int


def traced(directory: Path, count: int) -> list[Call]:
    """The calls of a process that accepts incidents, in the order in which they ended."""
    log = directory / "strace"
    state = directory / "state"
    state.mkdir()
    subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(log),
         sys.executable, "-m", "tests.trust.accepting", str(state), str(count)],
        stdout=subprocess.DEVNULL, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    calls, begun = [], {}
    for line in log.read_text("ascii", "replace").splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = unfinished[3]
        elif resumed := _RESUMED.match(line):
            calls.append(Call(resumed[2], begun.pop(resumed[1], "") + resumed[3]))
        elif call := _CALL.match(line):
            calls.append(Call(call[1], call[2]))
    return calls


def replay(calls: list[Call], state: Path, scratch: Path) -> Found:
    """At every answer, build the files as a disk that keeps only what was synced has them, and look for the run."""
    written: dict[str, bytearray] = {}
    durable: dict[str, bytes] = {}
    base = str(state)
    answers, lost, syncs = 0, [], 0
    for call in calls:
        if call.name == "pwrite64" and (match := _PWRITE.match(call.text)):
            path, data, offset = _text(match[1]), _bytes(match[2]), int(match[3])
            if path.startswith(base):
                held = written.setdefault(path, bytearray())
                held.extend(bytes(max(0, offset + len(data) - len(held))))
                held[offset : offset + len(data)] = data
        elif call.name in ("fsync", "fdatasync") and (match := _ON_FILE.match(call.text)):
            path = _text(match[1])
            if path in written:
                durable[path] = bytes(written[path])
                syncs += 1
        elif call.name == "link":
            source, target = (_bytes(part).decode() for part in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', call.text))
            if source in written:
                written[target], durable[target] = written[source], durable.get(source, b"")
        elif call.name == "write" and (match := _SAID.match(call.text)):
            for word in _bytes(match[1]).decode().split("\n"):
                if word.startswith("accepted "):
                    answers += 1
                    if not _knows(durable, base, scratch, word.split()[1]):
                        lost.append(word.split()[1])
    return Found(answers, lost, syncs)


def _knows(durable: dict[str, bytes], base: str, scratch: Path, run_id: str) -> bool:
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        for name in ("ledger.db", "ledger.db-wal"):
            if f"{base}/{name}" in durable:
                (Path(directory) / name).write_bytes(durable[f"{base}/{name}"])
        try:
            connection = sqlite3.connect(Path(directory) / "ledger.db")
            found = connection.execute("SELECT count(*) FROM runs WHERE id = ?", (run_id,)).fetchone()[0]
            connection.close()
        except sqlite3.Error:
            return False
        return bool(found)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(path: str) -> str:
    return _bytes(path).decode() if path.startswith("\\x") else path
