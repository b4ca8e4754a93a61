"""`nvsx test` as people and CI use it: the shipped tests pass, and each mistake that costs a page turns them red."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from nvsx.app.rehearsal.testing import collect
from nvsx.catalog import Catalog
from nvsx.main import main
from tests.rehearsing import CHECKOUT, project

if TYPE_CHECKING:
    from pathlib import Path

GOOD_DAY = "the page that was opened is the page that is resolved"
RUNBOOK = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: mine}\nstages: [{id: detect, hook: hooks/a.sh}]\n"
HEAD = "apiVersion: nvsx/v1\nkind: RunbookTest\nrunbook: mine\ntests:\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The shipped library as a project of somebody's own, to be changed."""
    for folder in ("runbooks", "scripts"):
        shutil.copytree(CHECKOUT / folder, tmp_path / "project" / folder)
    return tmp_path / "project"


def own(directory: Path, tests: str, hook: str = "echo hello") -> Path:
    root = project(directory / "project", RUNBOOK, {"hooks/a.sh": hook})
    (root / "runbooks/tests").mkdir()
    (root / "runbooks/tests/mine.yaml").write_text(HEAD + tests)
    return root


def nvsx_test(root: Path, *words: str) -> int:
    return main(["--project", str(root), "test", *words])


def answer(root: Path, capfd: pytest.CaptureFixture[str], *words: str) -> dict:
    """What `nvsx test --output json` prints, and by its own account whether it passed."""
    code = nvsx_test(root, "--output", "json", *words)
    told = json.loads(capfd.readouterr().out)
    assert told["ok"] is (code == 0)
    return told


def test_every_shipped_runbook_has_tests_of_good_and_bad_days() -> None:
    works = collect(Catalog(CHECKOUT))
    assert len(works) >= 25
    for name in Catalog(CHECKOUT).names():
        scenarios = {work.scenario for work in works if work.case.runbook == name}
        assert len(scenarios) > 1, name


def test_the_shipped_tests_pass(capfd: pytest.CaptureFixture[str]) -> None:
    told = answer(CHECKOUT, capfd)
    failed = {f"{test['runbook']}: {test['name']}": test["problems"] or test["error"] for test in told["tests"]}
    assert {name: problems for name, problems in failed.items() if problems} == {}
    reboot = next(test for test in told["tests"] if test["scenario"] == "reboot-timeout")
    assert reboot["story_s"] > 25 * 60


def test_the_bundled_tests_run_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["test", "storm"]) == 0
    assert "2 tests of 1 runbook: all passed" in capfd.readouterr().out


KEYED = r'\"dedup_key\": $(json "$NVSX_INCIDENT_KEY")'
MISTAKES = {
    # what goes wrong in notify.sh: the text, what becomes of it
    "the wrong key": (KEYED, r'\"dedup_key\": $(json "$NVSX_RUN_ID")'),
    "a key that differs": (KEYED, r'\"dedup_key\": $(json "$NVSX_INCIDENT_KEY-$1")'),
    "no key": (KEYED, r"\"x\": 1"),
    "two pages": ("    pagerduty trigger", '    pagerduty trigger "$1" "$2"; pagerduty trigger'),
    "no resolve": ("    pagerduty resolve info", "    : pagerduty resolve info"),
    "to somebody else": ("https://events.pagerduty.com/v2/enqueue", "https://pager.example.com/v2/enqueue"),
    "the wrong severity": (r"\"severity\": \"$2\"", r"\"severity\": \"info\""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_hook_turns_the_good_day_red(
    mistake: str, library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = library / "runbooks/hooks/lib/notify.sh"
    before, after = MISTAKES[mistake]
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    told = answer(library, capfd, "gpu-off-bus", "--case", GOOD_DAY)
    problems = [problem for test in told["tests"] for problem in test["problems"]]
    assert problems
    assert all(problem["path"].startswith("messages[") for problem in problems)
    assert all(problem["file"].endswith("runbooks/tests/gpu-off-bus.yaml") and problem["line"] for problem in problems)


V02 = {
    "as v0.2 did": ("    hook: hooks/incident/recovered.sh\n", "    hooks: {finally: hooks/incident/recovered.sh}\n"),
    "on failure": (
        "    hook: hooks/incident/recovered.sh\n",
        "    hooks: {onSuccess: hooks/incident/recovered.sh, onFailure: hooks/incident/recovered.sh}\n",
    ),
}


@pytest.mark.parametrize("mistake", V02)
def test_a_recover_hook_that_fires_without_recovery_is_caught(
    mistake: str, library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = library / "runbooks/gpu-off-bus.yaml"
    before, after = V02[mistake]
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    assert nvsx_test(library, "gpu-off-bus", "--case", "is not called recovered") == 1
    out = capfd.readouterr().out
    assert "expected  hooks/incident/recovered.sh never" in out
    assert "seen      once" in out
    assert "expected  message to pagerduty event_action=resolve never" in out
    assert "nvsx test gpu-off-bus --case" in out


def test_a_failure_shows_place_expectation_sight_and_the_way_to_look_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own(tmp_path, "  - name: bad\n    scenario: quiet\n    expect:\n      exitCode: 1\n      output: [bye]\n")
    monkeypatch.chdir(root)
    assert nvsx_test(root, "-v", "--junit", "results.xml") == 1
    out = capfd.readouterr().out
    assert out.startswith("mine\n  ✗ bad  quiet")
    assert (
        "      runbooks/tests/mine.yaml:8:17: exitCode\n          expected  1\n          seen      0 (PASSED)\n" in out
    )
    assert "runbooks/tests/mine.yaml:9:16: output[0]" in out
    assert "│ hello" in out  # -v shows the run
    assert "nvsx drill mine --scenario quiet --seed 1" in out
    assert "1 test of 1 runbook: 1 failed" in out
    case = ElementTree.parse(root / "results.xml").getroot().find("testsuite/testcase")
    assert case is not None
    assert (case.attrib["file"], case.attrib["line"]) == ("runbooks/tests/mine.yaml", "5")
    assert "hello" in (case.findtext("system-out") or "")


def test_variables_of_a_test_are_all_that_changes_the_environment(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSGENIE_API_KEY", "exported-by-somebody")
    tests = (
        "  - {name: bare, scenario: quiet, expect: {output: [key= slack=https]}}\n"
        "  - {name: set, scenario: quiet, variables: {OPSGENIE_API_KEY: mine, SLACK_WEBHOOK_URL: null},"
        " expect: {output: [key=mine slack=none]}}\n"
    )
    root = own(tmp_path, tests, 'echo "key=${OPSGENIE_API_KEY:-} slack=${SLACK_WEBHOOK_URL:-none}"')
    assert answer(root, capfd)["tests"][1]["problems"] == []


def test_a_scenario_of_ones_own_lies_beside_the_tests(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path, "  - {name: own, scenario: ./ours.yaml, expect: {exitCode: 0}}\n")
    scenario = root / "runbooks/tests/ours.yaml"
    scenario.write_text("apiVersion: nvsx/v1\nkind: Scenario\nmetadata: {name: ours}\nbase: [cluster]\nsteps: []\n")
    assert nvsx_test(root) == 2  # it is no file of tests
    assert "must be RunbookTest, not 'Scenario'" in capfd.readouterr().err
    (root / "runbooks/tests/scenarios").mkdir()
    scenario.rename(root / "runbooks/tests/scenarios/ours.yaml")
    (root / "runbooks/tests/mine.yaml").write_text(
        f"{HEAD}  - {{name: own, scenario: ./scenarios/ours.yaml, expect: {{exitCode: 0}}}}\n"
    )
    assert answer(root, capfd)["tests"][0]["passed"]


def test_a_process_that_is_killed_costs_its_test_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tests = "".join(f"  - {{name: '{number}', scenario: quiet, expect: {{exitCode: 0}}}}\n" for number in range(3))
    flag = tmp_path / "killed"
    root = own(tmp_path, tests, f"mkdir {flag} 2>/dev/null && kill -9 $PPID; echo on")
    told = answer(root, capfd, "--jobs", "2")
    assert sorted(test["passed"] for test in told["tests"]) == [False, True, True]
    assert [test["error"] for test in told["tests"] if test["error"]] == ["its process ended by itself (-9)"]


@pytest.mark.parametrize(
    ("tests", "words", "said"),
    [
        ("  - {name: a, scenario: xid-97, expect: {exitCode: 0}}\n", (), "no scenario 'xid-97'"),
        ("  - {name: a, scenario: ./none.yaml, expect: {exitCode: 0}}\n", (), "there is no file"),
        ("  - {name: a, scenario: ../../../etc/passwd, expect: {exitCode: 0}}\n", (), "there is no file"),
        ("  - {name: a, scenario: quiet, expect: {stages: {recover: pass}}}\n", (), "mine has no stage recover"),
        ("  - {name: a, scenario: quiet, expect: {stages: {detect: passed}}}\n", (), "must be pass"),
        ("  - {name: a, scenario: quiet, expect: {exitCode: 0}}\n", ("--case", "zzz"), "no test's name contains 'zzz'"),
        ("  - {name: a, scenario: quiet, expect: {exitCode: 0}}\n", ("--jobs", "0"), "not a number of tests"),
        ("  - {name: a, scenario: quiet, expect: {exitCode: 0}}\n", ("other",), "there is no runbook other"),
    ],
)
def test_what_cannot_be_tested_is_a_matter_of_usage(
    tests: str, words: tuple[str, ...], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert nvsx_test(own(tmp_path, tests), *words) == 2
    assert said in capfd.readouterr().err


def test_no_tests_at_all_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "project", RUNBOOK, {"hooks/a.sh": "true"})
    assert nvsx_test(root) == 2
    assert nvsx_test(root, "mine") == 2
    err = capfd.readouterr().err
    assert "there are no tests in" in err
    assert "mine has no tests" in err
    assert "write runbooks/tests/mine.yaml" in err


def test_another_seed_draws_other_times(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path, "  - {name: a, scenario: xid-79, expect: {exitCode: 0}}\n")
    (seven,) = answer(root, capfd, "--seed", "7")["tests"]
    assert seven["seed"] == 7


def test_nothing_of_a_test_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path, "  - {name: a, scenario: quiet, expect: {exitCode: 0}}\n", 'echo "$NVSX_ARTIFACT_DIR" >where')
    assert nvsx_test(root) == 0
    capfd.readouterr()
    place = tmp_path / (root / "where").read_text().strip()
    assert place.is_absolute()
    assert not any(parent.exists() for parent in place.parents if parent.name.startswith("nvsx-test-"))
