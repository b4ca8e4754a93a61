"""`nvsx init`: what it makes runs and lints as it is, whatever it is told, and it writes over nothing."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvsx.app.checking.linting import lint_project
from nvsx.app.drafting.files import File, write_files
from nvsx.app.drafting.hookstubs import _TEXTS, hook_stub
from nvsx.app.drafting.scaffold import new_runbook
from nvsx.catalog import Catalog, read_runbook
from nvsx.errors import EnvironmentUnusable, Refused, UsageError
from nvsx.main import main
from nvsx.names import is_slug
from nvsx.runbook.faults import FAULTS
from tests.rehearsing import CHECKOUT, rehearse_runbook

if TYPE_CHECKING:
    from pathlib import Path

MODES = {"yaml": 0o644, "sh": 0o755}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NVSX_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("NVSX_PROJECT_ROOT", raising=False)
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_what_is_made_lints_clean_and_passes_a_drill(
    fault: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "mine", *(["--fault", fault] if fault else [])]) == 0
    told = capfd.readouterr().out
    made = files(project)
    hooks = {path for path in made if path.startswith("runbooks/hooks/mine/")}
    assert len(hooks) == 3
    assert made == {"runbooks/mine.yaml", "scripts/collect-metrics.sh", *hooks}
    assert all(path in told for path in made)
    assert all((project / path).stat().st_mode & 0o777 == MODES[path.rpartition(".")[2]] for path in made)
    assert main(["lint", "--strict"]) == 0
    assert "nothing to complain about" in capfd.readouterr().out
    rehearsal = rehearse_runbook(project / "drill", runbook="mine", root=project, drill=True, scenario=_scenario(fault))
    assert rehearsal.finish.verdict == "PASSED"


def _scenario(fault: str) -> str:
    from nvsx.app.rehearsal.drill import fitting_scenario

    return fitting_scenario(Catalog(None).load(FAULTS[fault].runbook))[0] if fault else "xid-79"


@pytest.mark.parametrize("name", _TEXTS)
def test_a_hook_runs_alone_and_says_what_it_would_do(name: str, tmp_path: Path) -> None:
    script = tmp_path / f"{name}.sh"
    script.write_text(hook_stub(name))
    done = subprocess.run(["bash", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("would ")
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "--enable=all", "--severity=info", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_next_commands_are_said_and_exist(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine"]) == 0
    lines = [line.split()[1:3] for line in capfd.readouterr().out.partition("next:\n")[2].splitlines()]
    assert [words[1] for words in lines] == ["mine"] * 3
    for command, name in lines:
        flags = ["--speed", "5000", "--output", "quiet"] if command == "drill" else []
        assert main([command, name, *flags]) == 0
    elsewhere = project / "else where"
    assert main(["--project", str(elsewhere.parent), "init", "other"]) == 0
    elsewhere.mkdir()
    capfd.readouterr()
    assert main(["--project", str(elsewhere), "init", "third"]) == 0
    assert f"nvsx --project '{elsewhere}' drill third" in capfd.readouterr().out


def test_the_runbook_that_is_there_comes_first(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a-first", "b-second", "a-third"):
        assert main(["init", name, "--fault", "xid-79"]) == 0
    told = capfd.readouterr().out
    assert "a-first answers to the same events and still comes first" in told
    priorities = [Catalog(project).load(name).trigger.priority for name in ("a-first", "b-second", "a-third")]  # type: ignore[union-attr]
    assert priorities == [0, -1, -2]
    assert main(["lint", "--strict"]) == 0
    nicknames = {summary.nickname for summary in Catalog(project).summaries()}
    assert len(nicknames) == 3


@pytest.mark.parametrize(
    ("slug", "code"),
    [
        ("Mine", 2), ("***", 2), ("../up", 2), ("a/b", 2), ("", 2), (".", 2), ("-x", 2), ("--title", 2), ("a\nb", 2),
        ("a" * 64, 2), ("a" * 63, 0), ("hooks", 0),
    ],
)  # fmt: skip
def test_only_slugs_are_names(slug: str, code: int, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["init", slug]) == code
    assert (code == 0) == bool(files(project))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("path", ["runbooks/mine.yaml", "runbooks/mine.yml", "runbooks/hooks/mine/x.sh"])
def test_nothing_is_overwritten(path: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    there = project / path
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    assert main(["--project", str(project), "init", "mine"]) == 4
    assert files(project) == {path}
    assert there.read_text() == "mine"
    assert "overwrites nothing" in capfd.readouterr().err


def test_a_link_that_leads_nowhere_is_something_too(project: Path) -> None:
    (project / "runbooks").mkdir()
    (project / "runbooks/mine.yaml").symlink_to("/nonexistent/elsewhere.yaml")
    assert main(["init", "mine"]) == 4


def test_a_directory_that_leads_out_of_the_project_is_refused(project: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (project / "runbooks").mkdir()
    (project / "runbooks/hooks").symlink_to(outside)
    assert main(["init", "mine"]) == 3
    assert files(outside) == set()
    assert files(project) == set()


@pytest.mark.parametrize("folder", [".", "runbooks"])
def test_a_project_that_everybody_may_write_to_is_refused(folder: str, project: Path) -> None:
    (project / "runbooks").mkdir()
    (project / folder).chmod(0o777)
    assert main(["init", "mine"]) == 3
    assert files(project) == set()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_project_of_somebody_else_is_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.chown(project, 12345, 12345)
    assert main(["init", "mine"]) == 3
    assert "belongs to another user" in capfd.readouterr().err
    assert files(project) == set()


def test_when_one_file_cannot_be_made_none_is(tmp_path: Path) -> None:
    blocked = tmp_path / "p/b"
    blocked.mkdir(parents=True)
    (blocked / "there").mkdir()
    wanted = [File("new/a", "a"), File("b/there", "b")]
    with pytest.raises(Refused):
        write_files(tmp_path / "p", wanted)
    assert files(tmp_path) == set()
    assert not (tmp_path / "p/new").exists()
    with pytest.raises(EnvironmentUnusable):
        write_files(tmp_path / "p", [File("new/a", "a"), File("b/" + "n" * 300, "b")])
    assert files(tmp_path) == set()
    assert not (tmp_path / "p/new").exists()


def test_a_file_may_be_replaced_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_files(tmp_path, [File("a", "new", 0o600, replace=True)])
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert files(tmp_path) == {"a"}


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(title=PRINTABLE, summary=PRINTABLE)
def test_every_character_of_title_and_summary_survives(title: str, summary: str, tmp_path: Path) -> None:
    made = new_runbook(Catalog(tmp_path), "mine", title=title, summary=summary)
    runbook = read_runbook(made.files[0].text, "mine.yaml")
    assert (runbook.title, runbook.summary) == (title, summary)


@pytest.mark.parametrize(("flag", "value"), [("title", "two\nlines"), ("title", "  "), ("title", "x" * 501)])
def test_what_cannot_be_a_title_is_said(flag: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--title"):
        new_runbook(Catalog(tmp_path), "mine", **{flag: value})


def test_a_summary_may_have_lines(tmp_path: Path) -> None:
    made = new_runbook(Catalog(tmp_path), "mine", summary="one\ntwo\n\n  three: # four")
    assert read_runbook(made.files[0].text, "mine.yaml").summary == "one\ntwo\n\n  three: # four"


def test_a_new_runbook_is_the_same_as_the_shipped_one_for_lint(tmp_path: Path) -> None:
    made = new_runbook(Catalog(tmp_path), "mine", fault="inforom")
    write_files(tmp_path, made.files)
    report = lint_project(Catalog(tmp_path), (), {"PATH": os.environ["PATH"]})
    assert [problem for problem in report.problems if problem.severity != "note"] == []
    assert is_slug(made.nickname)


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 4), (b"\n", 0), (b"what?\ny\n", 0), (b"\x04", 4)])
def test_the_terminal_is_asked_before_a_project_is_made(answer: bytes, code: int, project: Path) -> None:
    control, terminal = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "HOME": str(project)}
    process = subprocess.Popen(
        [sys.executable, "-m", "nvsx", "init", "mine"],
        cwd=project, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    told = os.read(control, 4096)
    assert b"there is no project here yet" in told
    os.write(control, answer)
    assert process.wait(60) == code
    assert bool(files(project)) == (code == 0)
    os.close(control)
