"""Disks that fail: full, read-only, or with a byte that is not what was written; no memory is silently less."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import Ledger
from nvsx.ledger.opening import FILE, LOCK
from tests.rehearsing import CHECKOUT
from tests.test_ledger import made

RUNS = 150


@cache
def whole() -> bytes:
    with TemporaryDirectory() as directory:
        return made(Path(directory), RUNS).read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_hides_nothing(place: float, bit: int) -> None:
    """Wherever it is, an index included: a run that is in the file and not in its index would never go on."""
    data = bytearray(whole())
    data[int(place * len(data))] ^= 1 << bit
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / FILE).write_bytes(data)
        (directory / LOCK).write_text("made")
        with suppress(EnvironmentUnusable), closing(Ledger.open(directory)) as ledger:
            found = {len(ledger.runs(limit=1000)), len(ledger.unfinished()), len(ledger.incidents())}
            for run in ledger.runs(limit=1000):
                ledger.run(run.id)
            assert found == {RUNS}


# Real file systems, in a mount namespace of our own


def can_mount() -> bool:
    words = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(words, check=False, capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="no mount namespace of one's own is allowed here")

BEGIN = """
import asyncio, os, subprocess, sys
from pathlib import Path
from nvsx.errors import EnvironmentUnusable
from nvsx.journal import EffectIntended, StageBegan
from nvsx.ledger import Ledger
state = Path(sys.argv[1])

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(state)], check=True)

def tried(work):
    try:
        return "done" if work() is None else "done"
    except EnvironmentUnusable as error:
        return f"{error.message} | {error.hint}"

def append(ledger, *entries):
    async def write():
        for entry in entries:
            await ledger.append(entry)
    asyncio.run(write())

def intend(key):
    return EffectIntended("r", 1.0, "s", "hook", "h", "x", 1, key)
"""

FULL = """
mount("size=1m")
filler = state / "filler"
def fill():
    handle = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(handle, b"x" * 4096)
    except OSError as error:
        print(error.strerror)
    os.close(handle)
fill()
print("new:", tried(lambda: Ledger.open(state)))
print("left:", sorted(file.name for file in state.iterdir()))
filler.unlink()
ledger = Ledger.open(state)
append(ledger, StageBegan("r", 1.0, "first"))
fill()
print("stage:", tried(lambda: append(ledger, *(StageBegan("r", 1.0, f"s{number}") for number in range(200)))))
print("intent:", tried(lambda: append(ledger, *(intend(f"k{number}") for number in range(200)))))
begun = len(ledger.effects("r"))
filler.unlink()
append(ledger, StageBegan("r", 1.0, "last"))
ledger.close()
ledger = Ledger.open(state)
names = [stage.stage for stage in ledger.stages("r")]
print("kept:", "first" in names, "last" in names, len(ledger.effects("r")) == begun)
"""

READ_ONLY = """
mount("size=8m")
ledger = Ledger.open(state)
append(ledger, StageBegan("r", 1.0, "first"))
def turn(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(state)], check=True)
ledger.close()
turn("ro")
print("open:", tried(lambda: Ledger.open(state)))
reader = Ledger.reader(state)
print("read:", [stage.stage for stage in reader.stages("r")])
reader.close()
print("serve:", subprocess.run(
    [sys.executable, "-m", "nvsx", "--state-dir", str(state), "runs"], capture_output=True, text=True).returncode)
print("silence:", subprocess.run(
    [sys.executable, "-m", "nvsx", "--state-dir", str(state), "silence", "add", "--all", "--for", "1h", "--why", "x"],
    capture_output=True, text=True).stderr.strip().splitlines())
turn("rw")
ledger = Ledger.open(state)
append(ledger, StageBegan("r", 1.0, "second"))
print("kept:", [stage.stage for stage in ledger.stages("r")])
"""


def told(script: str, directory: Path) -> dict[str, str]:
    state = directory / "state"
    state.mkdir()
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", BEGIN + script, str(state)],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {key: value.strip() for key, _, value in (line.partition(":") for line in done.stdout.splitlines())}


@needs_mounts
def test_a_full_disk_is_refused_and_what_has_happened_is_made_up_for(tmp_path: Path) -> None:
    said = told(FULL, tmp_path)
    assert "No space left on device" in said
    assert "No space left" in said["new"] or "full" in said["new"]
    assert "df -h" in said["new"] or "--state-dir" in said["new"]
    assert "ledger.db'" not in said["left"], "no half of a ledger that a later start would take for one"
    assert "cannot be written" in said["stage"]
    assert "df -h" in said["intent"]
    assert said["kept"] == "True True True"


@needs_mounts
def test_a_read_only_mount_is_refused_by_who_writes_and_read_by_who_reads(tmp_path: Path) -> None:
    said = told(READ_ONLY, tmp_path)
    assert "Read-only file system" in said["open"]
    assert "--state-dir" in said["open"]
    assert said["read"] == "['first']"
    assert said["serve"] == "0"
    assert "on a read-only file system" in said["silence"]
    assert "--state-dir" in said["silence"]
    assert said["kept"] == "['first', 'second']"
