from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from nvsx import settings as module
from nvsx.errors import DocumentInvalid, EnvironmentUnusable, NotFoundHere, UsageError
from nvsx.settings import (
    VARIABLES,
    Settings,
    load,
    process_environment,
    secret_values,
    state_directory,
    state_directory_or_scratch,
)

RUNBOOK = "apiVersion: nvsx/v1\nkind: Runbook\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SHARED_STATE", str(tmp_path / "var"))
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def make_project(root: Path, text: str = RUNBOOK, name: str = "gpu.yaml") -> Path:
    (root / "runbooks").mkdir(parents=True)
    (root / "runbooks" / name).write_text(text)
    return root


def write_env(root: Path, text: str, mode: int = 0o640) -> Path:
    file = root / "nvsx.env"
    file.write_text(text)
    file.chmod(mode)
    return file


def settings_of(
    home: Path, project: Path | None = None, /, *, directory: Path | None = None, **environ: str
) -> Settings:
    flags = {"--project": str(project)} if project else {}
    return load(flags, environ={"HOME": str(home), **environ}, directory=directory or home)


@pytest.mark.parametrize(
    ("flag", "variable", "field", "value", "other"),
    [
        ("--context", "NVSX_CONTEXT", "context", "prod", "lab"),
        ("--namespace", "NVSX_NAMESPACE", "namespace", "sentinel", "lab"),
        ("--mongo-uri", "NVSX_MONGO_URI", "mongo_uri", "mongodb://a", "mongodb://b"),
        ("--state-dir", "NVSX_STATE_DIR", "state_dir", "/a", "/b"),
    ],
)
def test_flags_before_variables_before_the_env_file_before_the_config(
    home: Path, project: Path, flag: str, variable: str, field: str, value: str, other: str
) -> None:
    def chosen(flags: dict[str, str], **environ: str) -> str:
        found = load({"--project": str(project), **flags}, environ={"HOME": str(home), **environ}, directory=home)
        return str(getattr(found, field))

    default = chosen({})
    if flag != "--mongo-uri":
        key = {"--state-dir": "stateDir"}.get(flag, flag[2:])
        (project / "nvsx.yaml").write_text(f"{key}: {other}\n")
        assert chosen({}) == other != default
    write_env(project, f"{variable}={value}\n")
    assert chosen({}) == value
    assert chosen({}, **{variable: other}) == other
    assert chosen({flag: value}, **{variable: other}) == value


def test_without_anything_there_are_defaults(home: Path) -> None:
    found = settings_of(home)
    assert (found.project, found.context, found.namespace) == (None, "", "nvsentinel")
    assert found.bundled
    assert found.state_dir == home / ".local/state/nvsx"
    assert found.color == "auto"


def test_variables_meant_for_hooks_are_not_settings(home: Path, project: Path) -> None:
    found = settings_of(home, project, NVSX_TARGET_NODE="n", NVSX_RUNBOOK="r", NVSX_CLUSTER="c", NVSX_STAGE="s")
    assert found == settings_of(home, project)
    assert set(VARIABLES) == {
        f"NVSX_{word}" for word in ["PROJECT_ROOT", "CONTEXT", "NAMESPACE", "STATE_DIR", "ENV_FILE", "MONGO_URI"]
    }


@pytest.mark.parametrize("environ", [{"NVSX_CONTEXT": "--server=http://evil"}, {"NVSX_NAMESPACE": "a b"}])
def test_names_that_could_become_options_are_refused(home: Path, environ: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        settings_of(home, **environ)


def test_the_nearest_ancestor_with_a_runbook_is_the_project(home: Path, project: Path) -> None:
    below = project / "a/b"
    below.mkdir(parents=True)
    assert settings_of(home, directory=below).project == project
    inner = make_project(project / "a")
    assert settings_of(home, directory=below).project == inner


def test_the_config_directory_is_the_next_choice(home: Path) -> None:
    root = make_project(home / ".config/nvsx")
    assert settings_of(home, directory=Path("/")).project == root


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (RUNBOOK, True),
        ('# head\napiVersion: "nvsx/v1"  # ours\n', True),
        ("apiVersion: v1\nkind: Pod\n", False),
        ("apiVersion: nvsx/v2\n", False),
        ("", False),
        ("text: |\n  apiVersion: nvsx/v1\n", False),
    ],
)
def test_only_our_own_kind_of_runbooks_makes_a_project(home: Path, tmp_path: Path, text: str, found: bool) -> None:
    root = make_project(tmp_path / "p", text)
    assert (settings_of(home, directory=root).project == root) is found


def test_a_folder_that_everybody_may_write_to_is_passed_over_and_says_so(home: Path, project: Path) -> None:
    (project / "runbooks").chmod(0o777)
    found = settings_of(home, directory=project)
    assert found.project is None
    assert "everybody may write" in found.notes[0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_passed_over(home: Path, project: Path) -> None:
    os.chown(project / "runbooks", 4711, 4711)
    found = settings_of(home, directory=project)
    assert found.project is None
    assert "another user" in found.notes[0]
    assert settings_of(home, project).project == project


def test_a_named_project_must_exist(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundHere, match="not a directory"):
        settings_of(home, tmp_path / "nowhere")


def test_a_removed_working_directory_is_no_obstacle(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({}, environ={"HOME": str(home)}).project is None


def test_without_home_the_user_database_is_asked(home: Path) -> None:
    import pwd

    assert load({}, environ={}, directory=home).home == Path(pwd.getpwuid(os.getuid()).pw_dir)


class TestEnvFile:
    def test_its_values_reach_what_nvsx_starts(self, home: Path, project: Path) -> None:
        write_env(project, "PATH=/opt/bin\nSLACK_WEBHOOK_URL='https://x/y'\n")
        environment = process_environment(settings_of(home, project), environ={"PATH": "/usr/bin", "LANG": "C"})
        assert environment == {"PATH": "/opt/bin", "LANG": "C", "SLACK_WEBHOOK_URL": "https://x/y"}

    def test_a_setting_of_the_process_is_nearer_than_the_file(self, home: Path, project: Path) -> None:
        write_env(project, "NVSX_CONTEXT=filed\n")
        found = settings_of(home, project, NVSX_CONTEXT="given")
        assert found.context == "given"
        assert process_environment(found, environ={"NVSX_CONTEXT": "given"})["NVSX_CONTEXT"] == "given"

    def test_rehearsals_leave_it_out(self, home: Path, project: Path) -> None:
        write_env(project, "A=1\n", mode=0o644)
        assert process_environment(settings_of(home, project), env_file=False, environ={"B": "2"}) == {"B": "2"}

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
    def test_what_everybody_can_read_is_refused_where_it_is_needed(self, home: Path, project: Path, mode: int) -> None:
        file = write_env(project, "NVSX_CONTEXT=prod\n", mode)
        found = settings_of(home, project)
        assert found.context == ""
        with pytest.raises(EnvironmentUnusable) as caught:
            process_environment(found)
        assert caught.value.hint == f"chmod 640 {file}"

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o400])
    def test_what_the_group_can_read_is_fine(self, home: Path, project: Path, mode: int) -> None:
        write_env(project, "NVSX_CONTEXT=prod\n", mode)
        assert settings_of(home, project).context == "prod"

    def test_a_named_file_must_exist(self, home: Path, project: Path) -> None:
        found = settings_of(home, project, NVSX_ENV_FILE="/nowhere/nvsx.env")
        with pytest.raises(EnvironmentUnusable, match=r"/nowhere/nvsx\.env"):
            process_environment(found)

    def test_a_named_file_takes_the_place_of_the_projects(self, home: Path, project: Path, tmp_path: Path) -> None:
        write_env(project, "A=project\n")
        other = write_env(tmp_path, "A=other\n")
        assert settings_of(home, project, NVSX_ENV_FILE=str(other)).env_values == {"A": "other"}

    def test_an_empty_device_means_none(self, home: Path, project: Path) -> None:
        write_env(project, "A=project\n")
        found = settings_of(home, project, NVSX_ENV_FILE="/dev/null")
        # /dev/null can be read by everybody, and holds no secret
        assert (found.env_values, found.env_problem) == ({}, None)

    def test_a_wrong_line_is_shown_with_its_place(self, home: Path, project: Path) -> None:
        file = write_env(project, "A=1\nnot an assignment\n")
        with pytest.raises(DocumentInvalid) as caught:
            process_environment(settings_of(home, project))
        assert str(caught.value.place) == f"{file}:2:1"


def test_secrets_are_known_by_name_and_by_file(home: Path, project: Path) -> None:
    write_env(project, "CHANNEL=gpu-incidents\nSHORT=1234567\nNVSX_CONTEXT=production\n")
    environ = {
        "SLACK_BOT_TOKEN": "xoxb-long-token",
        "PAGERDUTY_KEY": "pd-routing-key",
        "TEAM_WEBHOOK_URL": "https://hooks/x",
        "KEYBOARD": "us-international",
        "NVSX_INCIDENT_KEY": "nvsx/0123456789",
        "MY_PASSWORD": "short",
    }
    found = settings_of(home, project, NVSX_MONGO_URI="mongodb://user:pw@host/")
    assert secret_values(found, environ) == {
        "gpu-incidents",
        "xoxb-long-token",
        "pd-routing-key",
        "https://hooks/x",
        "mongodb://user:pw@host/",
    }


class TestStateDirectory:
    def test_it_is_made_on_demand_and_private(self, home: Path) -> None:
        found = settings_of(home)
        assert not found.state_dir.exists()
        assert stat.S_IMODE(state_directory(found).stat().st_mode) == 0o700
        assert state_directory(found) == found.state_dir

    def test_xdg(self, home: Path, tmp_path: Path) -> None:
        assert settings_of(home, XDG_STATE_HOME=str(tmp_path)).state_dir == tmp_path / "nvsx"
        assert settings_of(home, XDG_STATE_HOME="relative").state_dir == home / ".local/state/nvsx"

    def test_the_shared_one_is_taken_where_it_is_ours(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "var").mkdir()
        assert settings_of(home).state_dir == tmp_path / "var"

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
    def test_the_shared_one_is_left_alone_where_it_is_not(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "var").mkdir()
        os.chown(tmp_path / "var", 4711, 4711)
        assert settings_of(home).state_dir == home / ".local/state/nvsx"
        os.chown(tmp_path / "var", 4711, os.getgid())
        (tmp_path / "var").chmod(0o770)
        assert settings_of(home).state_dir == tmp_path / "var"

    def test_where_none_can_be_made_it_says_so(self, home: Path) -> None:
        (home / "file").write_text("")
        with pytest.raises(EnvironmentUnusable, match="cannot create the state directory"):
            state_directory(settings_of(home, NVSX_STATE_DIR=str(home / "file/state")))

    def test_a_run_goes_on_in_a_temporary_one_with_a_note(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(home))
        (home / "file").write_text("")
        path, note = state_directory_or_scratch(settings_of(home, NVSX_STATE_DIR=str(home / "file/state")))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert str(path) in note
        assert state_directory_or_scratch(settings_of(home))[1] == ""


@pytest.mark.parametrize(
    ("flag", "environ", "color"),
    [
        ("", {}, "auto"),
        ("", {"NO_COLOR": "1"}, "never"),
        ("", {"NO_COLOR": ""}, "auto"),
        ("", {"TERM": "dumb"}, "never"),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, "always"),
        ("never", {}, "never"),
        ("auto", {"NO_COLOR": "1"}, "never"),
    ],
)
def test_color(home: Path, flag: str, environ: dict[str, str], color: str) -> None:
    flags = {"--color": flag} if flag else {}
    assert load(flags, environ={"HOME": str(home), **environ}, directory=home).color == color


def test_a_broken_config_is_an_error_with_its_place(home: Path, project: Path) -> None:
    (project / "nvsx.yaml").write_text("context: [\n")
    with pytest.raises(DocumentInvalid) as caught:
        settings_of(home, project)
    assert caught.value.problems[0].place.file.endswith("nvsx.yaml")


def test_a_config_that_cannot_be_read_is_an_error_and_no_defect(home: Path, project: Path) -> None:
    (project / "nvsx.yaml").symlink_to(
        "/proc/self/mem"
    )  # a regular file of which nothing can be read, not even by root
    with pytest.raises(DocumentInvalid, match="cannot be read"):
        settings_of(home, project)


def test_a_project_that_the_user_may_not_enter_is_told_apart_from_one_that_is_not_there(
    home: Path, project: Path
) -> None:
    """As when a service's user is given a directory of root's."""
    project.chmod(0o600)
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.setuid(65534)
        try:
            settings_of(home, project)
        except EnvironmentUnusable as error:
            os._exit(0 if "may not enter the project root" in error.message else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
