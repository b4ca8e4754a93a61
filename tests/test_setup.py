"""The first-run wizard: what it writes, what it never writes, and that it can be left at every question."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from nvsx.app.checking.linting import lint_project
from nvsx.app.drafting.files import write_files
from nvsx.app.wizard.firstfiles import starter_files
from nvsx.app.wizard.fitting import ACTIONS, fitted, offered
from nvsx.app.wizard.survey import Survey, survey
from nvsx.catalog import Catalog
from nvsx.envfile import parse_env
from nvsx.runbook.faults import FAULTS
from nvsx.settings import load
from nvsx.sim.scenario import scenario_names
from tests.doctoring import ground_on
from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
QUICK = CHECKOUT / "tests/fakes/setup_at_once.py"
SLACK = "https://hooks.slack.example/services/T0/B0/it-is-secret"


def surveyed(scenario: str = "quiet", change: Callable[[Any], object] | None = None, **flags: str) -> Survey:
    """What the wizard learns of a scenario at its begin."""
    found: Survey = ground_on(scenario, survey, change=change, **flags)
    return found


def set_config(name: str, text: str) -> Callable[[Any], object]:
    return lambda world: world.patch(
        world.resources.named("configmaps"), name, "nvsentinel", {"data": {"config.toml": text}}
    )


@pytest.fixture(scope="module")
def picked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("survey") / "survey"
    file.write_bytes(pickle.dumps((surveyed(), ())))
    return file


@pytest.fixture(scope="module")
def clean() -> dict[tuple[str, ...], str]:
    """Sets of starters that lint has nothing to say about."""
    return {}


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(CHECKOUT), "TERM": "xterm",
        "NVSX_STATE_DIR": str(home / "state"), "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


# What is written


@pytest.mark.parametrize("scenario", [name for name in scenario_names() if name != "unreachable"])
def test_the_starters_of_every_cluster_are_lint_clean(
    scenario: str, tmp_path: Path, clean: dict[tuple[str, ...], str]
) -> None:
    found = surveyed(scenario)
    starters = [fitted(name, found) for name in offered(found)]
    texts = tuple(one.text for one in starters)
    if texts in clean:
        return  # most scenarios begin on the same cluster
    write_files(tmp_path, [one.file for one in starter_files(tmp_path, starters)])
    # Without a PATH there is no shellcheck: the hooks are those that ship, and have tests of their own.
    problems = lint_project(Catalog(tmp_path), (), {"PATH": "/nonexistent"}).problems
    assert [str(problem) for problem in problems if problem.severity != "note"] == []
    assert len(starters) >= 8
    clean[texts] = scenario


def test_a_starter_says_what_the_shipped_runbook_says_where_the_cluster_is_as_nvsentinel_ships() -> None:
    found = fitted("gpu-off-bus", surveyed())
    assert found.text.splitlines()[1:] == found.before.splitlines()
    assert found.text.startswith("# Fitted by nvsx setup to gke_research-prod_europe-west4_ml.\n")


def test_the_repairs_are_those_of_the_cluster() -> None:
    text = fitted("ecc-memory", surveyed()).text
    assert "rebootnodes" in text
    assert "gpuresets" not in text
    text = fitted("nvlink-down", surveyed("gpu-reset")).text
    assert "gpuresets" in text
    assert "rebootnodes" in text
    assert "rebootnodes" not in fitted("gpu-reset", surveyed("gpu-reset")).text
    assert "gpu-reset" in offered(surveyed("gpu-reset"))
    assert "gpu-reset" not in offered(surveyed())


@pytest.mark.parametrize(
    ("modes", "timeout"),
    [
        ('[[userNamespaces]]\nname = "*"\nmode = "AllowCompletion"\n', "24h"),
        ('[[userNamespaces]]\nname = "*"\nmode = "Immediate"\n', "40m"),
        ('deleteAfterTimeoutMinutes = 90\n[[userNamespaces]]\nname = "*"\nmode = "DeleteAfterTimeout"\n', "120m"),
        (
            '[[userNamespaces]]\nname = "a"\nmode = "Immediate"\n'
            '[[userNamespaces]]\nname = "*"\nmode = "AllowCompletion"\n',
            "24h",
        ),
        ('[customDrain]\nenabled = true\nkind = "DrainRequest"\n', "24h"),
        ("mode = = broken", "24h"),
    ],
)
def test_drains_get_what_node_drainer_may_take(modes: str, timeout: str) -> None:
    text = fitted("gpu-off-bus", surveyed(change=set_config("node-drainer", modes))).text
    assert f"    timeout: {timeout}\n" in text
    assert ("By default NVSentinel waits for jobs" in text) is (timeout == "24h")


def test_where_nothing_repairs_people_are_paged_at_once_and_nothing_waits_for_a_repair() -> None:
    found = surveyed("monitor-only")
    for name in ("gpu-off-bus", "ecc-memory", "driver-hang"):
        text = fitted(name, found).text
        assert "needs-people.sh" in text
        assert not any(stage in text for stage in ("id: quarantine", "id: drain", "id: remediate", "id: recover"))
        assert "prerequisites" not in text
        assert "self-heal" not in text
        assert "Nothing on this cluster repairs it: people are paged." in " ".join(text.split())
    assert "gpu-reset" not in offered(found)


def test_the_namespace_is_the_clusters() -> None:
    moved = surveyed()
    moved = moved._replace(install=moved.install._replace(namespace="gpu-health"))
    assert "${NVSX_NAMESPACE:-gpu-health}" in fitted("gpu-off-bus", moved).text


def test_every_fault_with_a_repair_has_its_actions() -> None:
    repaired = {fault.runbook for fault in FAULTS.values()} - {"thermal-throttle", "contact-support"}
    assert repaired == set(ACTIONS)


# How it is agreed to


def typed(home: Path, picked: Path, *words: str) -> Any:
    return pexpect.spawn(
        sys.executable, [str(QUICK), str(picked), "setup", *words], cwd=str(home), env=environment(home),  # type: ignore[arg-type]
        encoding="utf-8", timeout=30, dimensions=(24, 80),
    )  # fmt: skip


QUESTIONS = (
    # what is asked, what is answered
    (r"Which context\? \[[^]]*\]: ", ""),
    (r"Use this cluster\? \[Y/n\] ", ""),
    (r"Where should they be kept\? \[\./\]: ", ""),
    (r"Which\? \[all\]: ", "1, thermal-throttle"),
    (r"Write these \d+ files to [^?]*\? \[y/n[^]]*\] ", "y"),
    (r"Slack, incoming webhook: ", SLACK),
    (r"PagerDuty, [^:]*: ", ""),
    (r"Opsgenie, [^:]*: ", ""),
    (r"Jira, address: ", "https://jira.example"),
    (r"project key: ", "OPS"),
    (r"user, [^:]*: ", ""),
    (r"token: ", "t0ken'with\"quotes"),
    (r"Write this file to [^?]*\? \[y/n[^]]*\] ", "y"),
    (r"Rehearse gpu-off-bus now\? \[Y/n\] ", ""),
)


def answer(child: Any, number: int) -> None:
    """Answer the first questions."""
    for question, reply in QUESTIONS[:number]:
        child.expect(question)
        child.sendline(reply)


def test_a_person_answers_and_gets_what_was_agreed_to(tmp_path: Path, picked: Path) -> None:
    child = typed(tmp_path, picked)
    answer(child, len(QUESTIONS))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    written = tree(tmp_path)
    assert {name for name in written if name.endswith(".yaml")} == {
        "runbooks/gpu-off-bus.yaml", "runbooks/thermal-throttle.yaml",
    }  # fmt: skip
    assert "runbooks/hooks/lib/notify.sh" in written
    assert os.access(tmp_path / "runbooks/hooks/incident/note.sh", os.X_OK)
    values = parse_env(written["nvsx.env"], "nvsx.env")
    assert values == {
        "SLACK_WEBHOOK_URL": SLACK, "JIRA_URL": "https://jira.example", "JIRA_PROJECT": "OPS",
        "JIRA_TOKEN": "t0ken'with\"quotes",
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "nvsx.env").stat().st_mode) == 0o600
    assert "PASSED gpu-off-bus" in child.before


def interrupt(child: Any) -> None:
    """Ctrl-C until it is heard: Python hears none that comes in the instant in which it begins to read."""
    for _ in range(10):
        child.sendintr()
        if child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=3) == 0:
            return
    pytest.fail(f"Ctrl-C is not heard: {child.before}")


@pytest.mark.parametrize("number", range(len(QUESTIONS)))
def test_ctrl_c_at_any_question_leaves_nothing_half_written(number: int, tmp_path: Path, picked: Path) -> None:
    child = typed(tmp_path, picked)
    answer(child, number)
    child.expect(QUESTIONS[number][0])
    before = tree(tmp_path)
    interrupt(child)
    child.close()
    assert child.exitstatus == 130
    assert "stopped from the keyboard" in child.before
    assert "Traceback" not in child.before
    assert tree(tmp_path) == before
    asked_to_write = [index for index, (question, _) in enumerate(QUESTIONS) if question.startswith("Write")]
    assert any(name.startswith("runbooks/") for name in before) is (number > asked_to_write[0])
    assert ("nvsx.env" in before) is (number > asked_to_write[1])
    assert not [name for name in before if "/.nvsx-" in f"/{name}"]


def test_secrets_are_not_shown(tmp_path: Path, picked: Path) -> None:
    child = typed(tmp_path, picked)
    told = []
    for question, reply in QUESTIONS:
        child.expect(question)
        told.append(child.before)
        if question.startswith("Write this"):
            child.sendline("v")
            child.expect(question)
            told.append(child.before)
            child.sendline("n")
            child.expect(QUESTIONS[-1][0])
            child.sendline("n")
            break
        child.sendline(reply)
    child.expect(pexpect.EOF)
    text = "".join(told) + child.before
    assert "it-is-secret" not in text
    assert "t0ken" not in text
    assert f"SLACK_WEBHOOK_URL=… ({len(SLACK)} characters)" in text
    assert "JIRA_URL=https://jira.example" in text
    assert not (tmp_path / "nvsx.env").exists()


def test_a_no_and_return_alone_write_nothing(tmp_path: Path, picked: Path) -> None:
    child = typed(tmp_path, picked)
    answer(child, 4)
    question = QUESTIONS[4][0]
    child.expect(question)
    child.sendline("")  # not a yes: asked again
    child.expect(question)
    child.sendline("n")
    child.expect("not written")
    child.expect(QUESTIONS[5][0])
    assert tree(tmp_path) == {}
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert tree(tmp_path) == {}


def test_another_cluster_can_be_chosen_and_is_remembered(tmp_path: Path, picked: Path) -> None:
    child = typed(tmp_path, picked)
    child.expect(QUESTIONS[0][0])
    child.sendline("2")
    for question, reply in QUESTIONS[1:5]:
        child.expect(question)
        child.sendline(reply)
    child.expect(QUESTIONS[5][0])
    interrupt(child)
    assert "context: another" in (tmp_path / "nvsx.yaml").read_text()
    assert load({}, environ={"HOME": str(tmp_path)}, directory=tmp_path).context == "another"


# Without anybody to ask


def unattended(home: Path, picked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(QUICK), str(picked), "setup", *words], cwd=home, env=environment(home),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_a_terminal_it_says_what_it_would_do_and_writes_nothing(tmp_path: Path, picked: Path) -> None:
    done = unattended(tmp_path, picked)
    assert done.returncode == 0
    assert "+ runbooks/gpu-off-bus.yaml" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Nothing was written.")
    assert tree(tmp_path) == {}


def test_yes_writes_and_a_second_time_finds_nothing_to_write(tmp_path: Path, picked: Path) -> None:
    first = unattended(tmp_path, picked, "--yes")
    assert first.returncode == 0, first.stderr
    written = tree(tmp_path)
    assert len([name for name in written if name.startswith("runbooks/") and name.endswith(".yaml")]) == 8
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    second = unattended(tmp_path, picked, "--yes")
    assert second.returncode == 0
    assert "Nothing was written." in second.stdout
    assert tree(tmp_path) == written
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_what_a_team_has_changed_stays(tmp_path: Path, picked: Path) -> None:
    unattended(tmp_path, picked, "--yes")
    own = tmp_path / "runbooks/gpu-off-bus.yaml"
    own.write_text(own.read_text().replace("24h", "12h"))
    (tmp_path / "nvsx.env").write_text("SLACK_WEBHOOK_URL=mine\n")
    (tmp_path / "runbooks/hooks/incident/note.sh").unlink()
    before = tree(tmp_path)
    done = unattended(tmp_path, picked, "--yes")
    assert done.returncode == 0
    assert "yours is another one, and stays" in done.stdout
    after = tree(tmp_path)
    assert after.pop("runbooks/hooks/incident/note.sh")
    assert after == before


def test_answers_from_a_file(tmp_path: Path, picked: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(
        f"project: ops\nrunbooks: [ecc-memory]\ndrill: false\nchannels: {{SLACK_WEBHOOK_URL: '{SLACK}', EXTRA: x}}\n"
    )
    answers.chmod(0o600)
    done = unattended(tmp_path, picked, "--answers", str(answers))
    assert done.returncode == 0, done.stderr
    written = tree(tmp_path / "ops")
    assert [name for name in written if name.endswith(".yaml")] == ["runbooks/ecc-memory.yaml"]
    assert parse_env(written["nvsx.env"], "x") == {"SLACK_WEBHOOK_URL": SLACK, "EXTRA": "x"}
    assert "PASSED" not in done.stdout
    assert "it-is-secret" not in done.stdout
    assert "nvsx --project" in done.stdout  # it would not be found from here


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("runbooks: [no-such]\n", "there is no starter no-such"),
        ("runbook: [ecc-memory]\n", "runbook"),
        ("channels: {slack: x}\n", "channels"),
        ("drill: maybe\n", "drill"),
        ("- a\n", "list"),
    ],
)
def test_answers_that_cannot_be_meant_are_refused_before_anything_is_written(
    text: str, told: str, tmp_path: Path, picked: Path
) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(text)
    done = unattended(tmp_path, picked, "--answers", str(answers))
    assert done.returncode == 2
    assert told in done.stderr
    assert set(tree(tmp_path)) == {"answers.yaml"}


def test_answers_with_secrets_that_everybody_can_read_are_refused(tmp_path: Path, picked: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text("channels: {SLACK_WEBHOOK_URL: https://x.example}\n")
    answers.chmod(0o644)
    done = unattended(tmp_path, picked, "--answers", str(answers))
    assert done.returncode == 3
    assert "chmod 600" in done.stderr


def test_a_directory_that_everybody_may_write_to_is_refused(tmp_path: Path, picked: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    done = unattended(tmp_path, picked, "--yes", "--project", str(shared))
    assert done.returncode == 3
    assert "everybody may write" in done.stderr
    assert tree(tmp_path) == {}


def test_the_env_file_of_a_groups_project_is_the_groups(tmp_path: Path, picked: Path) -> None:
    team = tmp_path / "team"
    team.mkdir()
    team.chmod(0o2770)
    assert unattended(tmp_path, picked, "--yes", "--project", str(team)).returncode == 0
    assert stat.S_IMODE((team / "nvsx.env").stat().st_mode) == 0o640


# On real ways to a cluster


def setup_process(home: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvsx", "setup", *words], cwd=home, env=environment(home) | env,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_without_kubectl_nothing_is_written(tmp_path: Path) -> None:
    done = setup_process(tmp_path, {"PATH": "/nonexistent"}, "--yes")
    assert done.returncode == 3
    assert "kubectl" in done.stderr
    assert tree(tmp_path) == {}


@needs_kubectl
def test_without_a_context_nothing_is_written(tmp_path: Path) -> None:
    done = setup_process(tmp_path, {"KUBECONFIG": str(tmp_path / "none")}, "--yes")
    assert done.returncode == 3
    assert "no current context" in done.stderr
    assert tree(tmp_path) == {}


@needs_kubectl
def test_nvsentinel_in_another_namespace_is_found(tmp_path: Path) -> None:
    with KubeServer("quiet", tmp_path) as kube:
        env = kube.env | {"HOME": str(tmp_path)}
        found = setup_process(tmp_path, env, "--namespace", "gpu-operator")
        assert found.returncode == 0, found.stderr
        assert "NVSentinel is not in the namespace gpu-operator" in found.stdout
        assert "13 workloads in namespace nvsentinel" in found.stdout


@needs_kubectl
def test_a_cluster_without_nvsentinel_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    from nvsx.sim.faults import fault

    with KubeServer("quiet", tmp_path) as kube:
        body = {"kind": "forbidden", "namespaces": ["nvsentinel"]}
        kube.do(lambda: fault(kube.world, body).begin())
        done = setup_process(tmp_path, kube.env | {"HOME": str(tmp_path)}, "--yes")
    assert done.returncode == 3
    assert "forbidden" in done.stderr
    assert not (tmp_path / "runbooks").exists()
