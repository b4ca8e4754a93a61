"""TRUST.md is made of figures alone, and what it says of the tests is what pytest said."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.trust import hardships
from tests.trust.__main__ import MEASUREMENTS
from tests.trust.page import TITLES, page

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_mongo" name="test_a"/>
<testcase classname="tests.test_mongo.TestB" name="test_b"><skipped message="no mongosh"/></testcase>
<testcase classname="tests.test_ledger" name="test_c"><failure message="x">y</failure></testcase>
<testcase classname="tests.test_ledger_writer" name="test_d"/>
</testsuite></testsuites>"""


def test_tests_are_counted_by_what_they_are_about() -> None:
    found = hardships.counted(REPORT)
    assert found["sources_that_lie"] == {"passed_tests": 1, "skipped": 1}
    assert found["disks_that_fail"] == {"passed_tests": 1, "skipped": 0}
    assert found["failed"] == ["tests.test_ledger::test_c"]
    assert not hardships.passed(found)


def test_a_hardship_without_a_test_that_ran_has_not_passed() -> None:
    ran = {name: {"passed_tests": 1, "skipped": 0} for name in hardships.HARDSHIPS}
    assert hardships.passed({**ran, "failed": []})
    assert not hardships.passed({**ran, "cron_and_clocks": {"passed_tests": 0, "skipped": 3}, "failed": []})
    assert not hardships.passed({**ran, "failed": ["one"]})


@pytest.mark.parametrize("name", [name for names in hardships.HARDSHIPS.values() for name in names.split()])
def test_every_named_file_is_there(name: str) -> None:
    assert (hardships.CHECKOUT / f"tests/test_{name}.py").is_file()


def test_each_measurement_has_a_title() -> None:
    assert set(TITLES) == set(MEASUREMENTS)


def test_figures_of_several_files_are_one_page(tmp_path: Path) -> None:
    kills = {"seed": 7, "kills": {"points": {"kills": 12_345, "good": True}, "passed": True}}
    mutants = {"seed": 7, "mutants": {"survivors": ["a|b", "c"], "passed": False}}
    for number, figures in enumerate((kills, mutants)):
        (tmp_path / f"{number}.json").write_text(json.dumps(figures))
    command = [sys.executable, "-m", "tests.trust.page", str(tmp_path / "0.json"), str(tmp_path / "1.json")]
    text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=hardships.CHECKOUT).stdout
    assert text == page(kills | mutants)
    assert "| points: kills | 12,345 |" in text
    assert "| points: good | yes |" in text
    assert "a\\|b<br>c" in text
    assert "**FAILED**" in text
    assert "Seed 7" in text
