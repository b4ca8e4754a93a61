"""The soak in seconds: the built archive is killed and started again, and what it holds is measured and judged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.rehearsing import CHECKOUT
from tests.trust import soak, vitals
from tests.trust.soak import Pace
from tests.trust.vitals import Vitals

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.skipif(not (CHECKOUT / "nvsx.pyz").exists(), reason="nvsx.pyz is not built: make build")
@pytest.mark.timeout(180)
def test_a_soak_in_seconds(tmp_path: Path) -> None:
    """What grows cannot be told after so short a time; what was done can."""
    found = soak.soaked(tmp_path, 6.0, Pace(1.5, 0.7), seed=7, forgets=False)
    assert soak.passed(found), found
    assert found["lives"] == len(found["by_life"]) > 1  # type: ignore[arg-type]
    assert found["incidents"] == sum(found["told_by"].values()) > 1  # type: ignore[attr-defined]
    assert found["database"] == "none"


def life(*memory: float, descriptors: int = 20) -> list[Vitals]:
    return [Vitals(descriptors, 6, 4, one, 0.0) for one in memory]


STEADY = life(*[40.0] * 100)
COURSES = {
    # lives: the figures that are not flat
    "steady": ([STEADY] * 5, set()),
    "warm only at first": ([life(30.0, 35.0, *[40.0] * 50)] * 3, set()),
    "busy now and then": ([life(*[40.0, 41.0, 55.0] * 15)] * 3, set()),
    "a leak within one long life": ([life(*[40.0 + number for number in range(100)])], {"memory_mb"}),
    "a leak from life to life": (
        [life(*[40.0] * 12, descriptors=20 + 2 * number) for number in range(9)],
        {"descriptors"},
    ),
    "too short a time to tell": ([life(*[40.0 + number for number in range(99)])], set()),
    "some had no time to be looked at": ([[], STEADY, []], set()),
}


@pytest.mark.parametrize("name", COURSES)
def test_what_grows_is_told_from_what_comes_and_goes(name: str) -> None:
    lives, growing = COURSES[name]
    found: dict[str, Any] = vitals.course(lives)
    assert {name for name, one in found.items() if not one["flat"]} == growing
    assert vitals.flat(found) == (not growing)


def test_the_vitals_of_a_process_are_its_own(tmp_path: Path) -> None:
    wal = tmp_path / "wal"
    before = vitals.taken(os.getpid(), wal)
    wal.write_bytes(b"x" * 2048)
    with (tmp_path / "more").open("w"):
        after = vitals.taken(os.getpid(), wal)
    assert before
    assert after
    assert after.descriptors == before.descriptors + 1
    assert (before.wal_kb, after.wal_kb) == (0.0, 2.0)
    assert after.memory_mb > 10
    assert vitals.taken(2**22 + 1, wal) is None, "no process has that number"


def test_what_is_left_of_a_life_is_found_by_its_mark(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    mark = f"NVSX_TEST_MARK={tmp_path}"
    process = subprocess.Popen(command, env={"NVSX_TEST_MARK": str(tmp_path)})
    try:
        assert process.pid in vitals.below(os.getpid())
        assert vitals.strays(mark.encode(), daemon=process.pid) == []
        while not vitals.strays(mark.encode(), daemon=2**22 + 1):  # it is ours until it has become the program
            assert process.poll() is None
        assert "time.sleep(60)" in vitals.strays(mark.encode(), daemon=2**22 + 1)[0]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("what", ["lost", "doubled", "stuck", "unfinished", "unrecorded", "repeated", "strays"])
def test_each_wrong_is_enough_to_fail(what: str) -> None:
    wrongs = ("lost", "doubled", "stuck", "unfinished", "unrecorded", "repeated", "strays", "complaints")
    good: dict[str, object] = {one: [] for one in wrongs}
    good |= {"incidents": 3, "runs": 3, "passed_runs": 3, "state": {"runs_after_forgetting": 0}}
    good |= {name: {"flat": True} for name in vitals.RISES}
    assert soak.passed(good)
    assert not soak.passed({**good, what: ["one"]})
    assert not soak.passed({**good, "runs": 4})
    assert not soak.passed({**good, "state": {"runs_after_forgetting": 1}})
    assert not soak.passed({**good, "threads": {"flat": False}})
