"""Manners of every command, whatever it is started with: bare environments, closed streams, full and read-only disks.

Parametrised over the table of commands, so that a new command is held to them without a word here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nvsx.commands import COMMANDS
from nvsx.topics import exit_codes
from tests.rehearsing import CHECKOUT

WORDS = {
    # what a command needs to do something; the others are started without any word
    "run": ["gpu-off-bus", "--target-node", "no-such-node"],
    "demo": ["--speed", "2000", "--output", "text"],
    "drill": ["thermal-throttle", "--speed", "5000", "--output", "text"],
    "test": ["storm"],
    "show": ["gpu-off-bus"],
    "completion": ["bash"],
    "manifest": ["kubernetes"],
    "init": ["my-fault"],
    "convert": [str(CHECKOUT / "examples/sample-runbook.md"), "--offline", "--dry-run"],
    "cancel": ["last"],
    "silence": ["add", "--all", "--for", "1h", "--why", "a test"],
    "explain": [str(CHECKOUT / "tests/examples/events/alertmanager.json")],
}
UNHEARD = {"run", "demo", "drill", "serve", "status", "attach", "cancel", "report"}
"""Whose stdout may go without a word, or who find nothing here to say on it."""
INTERACTIVE = {"shell", "setup"}
ANSWERS = set(exit_codes())
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing at all": {"PATH": ""},
    "no HOME": {},
    "a HOME that is not there": {"HOME": "/nonexistent/home"},
    "NO_COLOR": {"NO_COLOR": "1", "TERM": "xterm-256color"},
    "a dumb terminal": {"TERM": "dumb"},
    "ASCII only": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an unknown locale": {"LC_ALL": "xx_YY.ISO-8859-1", "PYTHONUTF8": "0"},
    "a state directory that cannot be": {"NVSX_STATE_DIR": "/proc/nvsx"},
    "an env file that is not there": {"NVSX_ENV_FILE": "/nonexistent/nvsx.env"},
}


def start(command: str, variables: dict[str, str], *, cwd: Path, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    for name in ("stdout", "stderr"):
        streams.setdefault(name, subprocess.PIPE)
    streams.setdefault("stdin", subprocess.DEVNULL)
    own = {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(cwd), "XDG_STATE_HOME": f"{cwd}/state"}
    environment = BARE | own | variables
    argv = [sys.executable, "-m", "nvsx", command, *WORDS.get(command, [])]
    return subprocess.run(argv, env=environment, cwd=cwd, check=False, timeout=100, **streams)


def check(done: subprocess.CompletedProcess[bytes]) -> None:
    told = (done.stdout or b"") + (done.stderr or b"")
    assert b"Traceback" not in told, told.decode("utf-8", "replace")
    assert b"error[bug]" not in told, told.decode("utf-8", "replace")
    assert done.returncode in ANSWERS, (done.returncode, told)


@pytest.fixture(params=[name for name in COMMANDS if name not in INTERACTIVE])
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_environment_is_too_strange(command: str, name: str, tmp_path: Path) -> None:
    done = start(command, ENVIRONMENTS[name], cwd=tmp_path)
    check(done)
    if name == "ASCII only":
        assert done.stdout.isascii()
    assert b"\x1b[" not in done.stdout + done.stderr


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_closed_streams_are_no_reason_to_fail(command: str, closed: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nvsx", command, *WORDS.get(command, [])]
    redirections = " ".join(f"{number}>&-" for number in closed.split())
    environment = BARE | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *words],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
    )
    check(done)


def test_a_reader_that_has_seen_enough_is_no_failure(command: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nvsx", command, *WORDS.get(command, [])]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1 >/dev/null; echo "${PIPESTATUS[0]}" >&2', "bash", *words],
        env=BARE | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
    )
    check(done)
    assert int(done.stderr.split()[-1]) in ANSWERS


def test_a_full_disk_under_stdout_is_said_and_is_not_success(command: str, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = start(command, {"HOME": str(tmp_path)}, cwd=tmp_path, stdout=full)
    check(done)
    if command not in UNHEARD:
        assert done.returncode == 3
        assert b"cannot write to stdout" in done.stderr


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_user_who_may_write_nowhere_gets_an_answer(command: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nvsx", command, *WORDS.get(command, [])]
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o555)
    environment = BARE | {"PYTHONPATH": str(CHECKOUT), "HOME": str(sealed), "TMPDIR": str(sealed)}
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    python = subprocess.run(
        [*nobody, sys.executable, "-c", "import nvsx"], cwd=CHECKOUT, capture_output=True, check=False
    )
    if python.returncode:
        pytest.skip("another user may not start this Python or read this checkout")
    done = subprocess.run(
        [*nobody, *words],
        env=environment,
        cwd=sealed,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
    )
    check(done)


def test_a_defect_leaves_a_report_where_it_can_and_says_where(tmp_path: Path) -> None:
    """A broken module stands for a defect: one of the table is pointed at it."""
    broken = tmp_path / "broken.py"
    broken.write_text("def add_arguments(parser): pass\ndef run(args, settings):\n    return 1 / 0\n")
    script = (
        "import sys; sys.path.insert(0, '.'); from nvsx import commands; "
        "commands.COMMANDS['list'] = ('broken', 'x', 'y'); from nvsx.main import main; sys.exit(main(['list']))"
    )
    for variables, kept in (({"HOME": str(tmp_path)}, True), ({"HOME": "/proc", "TMPDIR": "/proc"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=BARE | {"PYTHONPATH": str(CHECKOUT)} | variables,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 70
        assert "error[bug]: ZeroDivisionError: division by zero" in done.stderr
        if kept:
            report = next(word for word in done.stderr.split() if word.startswith("/"))
            assert "return 1 / 0" in Path(report).read_text()
            assert "Traceback" not in done.stderr
