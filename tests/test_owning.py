"""Owners of runs: who lives is told from who died, whatever became of files and numbers in between."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nvsx.cluster.processes import start_time
from nvsx.errors import EnvironmentUnusable
from nvsx.ledger import owning
from nvsx.ledger.owning import Owner, is_dead, sweep
from tests.rehearsing import CHECKOUT
from tests.test_ledger import as_nobody


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def owners(directory: Path) -> set[str]:
    return {file.name for file in (directory / owning.DIRECTORY).iterdir()}


def test_an_owner_lives_while_it_holds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = open_files()
    owner = Owner(tmp_path, 0o600)
    assert not owner.holds
    owner.hold()
    owner.hold()  # once more is the same
    assert owner.holds
    assert owners(tmp_path) == {owner.id}
    assert not is_dead(tmp_path, owner.id, owner.pid, owner.start_time)
    assert open_files() == before + 1
    owner.release()
    owner.release()
    assert not owner.holds
    assert owners(tmp_path) == set()
    assert is_dead(tmp_path, owner.id)
    assert open_files() == before


def test_an_owner_whose_directory_was_removed_leaves_in_peace(tmp_path: Path) -> None:
    owner = Owner(tmp_path, 0o600)
    owner.hold()
    (tmp_path / owning.DIRECTORY / owner.id).unlink()
    (tmp_path / owning.DIRECTORY).rmdir()
    owner.release()
    assert not owner.holds
    owner.hold()
    assert owner.holds
    owner.release()


def test_an_owner_that_could_not_hold_tries_again(tmp_path: Path) -> None:
    """What was locked for the failed attempt must not be in the way of the next."""
    before = open_files()
    owner = Owner(tmp_path, 0o600)
    in_the_way = tmp_path / owning.DIRECTORY / owner.id
    in_the_way.mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(EnvironmentUnusable, match="cannot be kept"):
            owner.hold()
    assert not owner.holds
    assert open_files() == before
    in_the_way.rmdir()
    owner.hold()
    assert not is_dead(tmp_path, owner.id)
    owner.release()


def test_where_the_lock_file_is_gone_the_process_table_answers(tmp_path: Path) -> None:
    me = os.getpid()
    assert not is_dead(tmp_path, "x", me, start_time(me))
    assert is_dead(tmp_path, "x", me, "1"), "another process has its number now"
    assert is_dead(tmp_path, "x"), "nobody knows who it was"
    gone = subprocess.Popen(["true"])
    started = start_time(gone.pid)
    gone.wait()
    assert is_dead(tmp_path, "x", gone.pid, started or "1")


def test_asking_takes_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / owning.DIRECTORY).mkdir()
    file = tmp_path / owning.DIRECTORY / "dead"
    file.touch()
    before = open_files()
    asking = os.open(file, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)  # somebody else asks at the same moment
    assert is_dead(tmp_path, "dead")
    os.close(asking)
    assert open_files() == before


def test_an_owner_that_may_not_be_asked_is_not_taken_for_dead(tmp_path: Path) -> None:
    owner = Owner(tmp_path, 0o600)
    (tmp_path / owning.DIRECTORY).mkdir()
    for parent in (tmp_path / owning.DIRECTORY, tmp_path, *tmp_path.parents):
        if parent.name.startswith(("pytest-", "popen-", "test_", owning.DIRECTORY)):
            parent.chmod(0o755)
    owner.hold()
    assert as_nobody(lambda: str(is_dead(tmp_path, owner.id))) == "False"
    owner.release()


@pytest.mark.parametrize("umask", [0, 0o077])
@pytest.mark.parametrize(("mode", "folder"), [(0o600, 0o700), (0o660, 0o770)])
def test_modes_are_those_of_the_ledger_whatever_the_umask(tmp_path: Path, mode: int, folder: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        owner = Owner(tmp_path, mode)
        owner.hold()
        assert (tmp_path / owning.DIRECTORY).stat().st_mode & 0o7777 == folder
        assert (tmp_path / owning.DIRECTORY / owner.id).stat().st_mode & 0o7777 == mode
        owner.release()
    finally:
        os.umask(before)


def test_a_child_of_the_owner_does_not_keep_it_alive(tmp_path: Path) -> None:
    """A hook that outlives nvsx must not make its runs look owned."""
    script = (
        "import subprocess, sys; from pathlib import Path; from nvsx.ledger.owning import Owner\n"
        "owner = Owner(Path(sys.argv[1]), 0o600); owner.hold()\n"
        "nothing = subprocess.DEVNULL\n"
        "child = subprocess.Popen(['sleep', '30'], close_fds=False, stdout=nothing, stderr=nothing)\n"
        "print(owner.id, child.pid, flush=True)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True).stdout
    owner, child = told.split()
    try:
        assert is_dead(tmp_path, owner)
    finally:
        os.kill(int(child), 9)


def test_dead_owners_of_nothing_are_swept_and_no_others(tmp_path: Path) -> None:
    living = Owner(tmp_path, 0o600)
    living.hold()
    for name in ("kept", "dead", ".fresh"):
        (tmp_path / owning.DIRECTORY / name).touch()
    (tmp_path / owning.DIRECTORY / "a directory").mkdir()
    sweep(tmp_path, {"kept"})
    assert owners(tmp_path) == {living.id, "kept", ".fresh", "a directory"}
    living.release()
    sweep(tmp_path / "nowhere", set())
