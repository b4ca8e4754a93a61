"""The front door as a process: exit codes, errors with a next step, and manners towards pipes and closed streams."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nvsx import __version__
from nvsx.commands import COMMANDS
from nvsx.errors import Exit
from tests.rehearsing import CHECKOUT

NVSX = [sys.executable, "-m", "nvsx"]


def nvsx(*words: str, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", shell] if shell else [*NVSX, *words]
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", **env},
    )


@pytest.mark.parametrize("words", [["--help"], ["help"], ["-h"], []])
def test_help_names_every_command(words: list[str]) -> None:
    done = nvsx(*words)
    assert done.returncode == Exit.DONE
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    done = nvsx(name, "--help")
    assert done.returncode == Exit.DONE
    assert done.stdout


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version(words: list[str]) -> None:
    assert nvsx(*words).stdout.split()[:2] == ["nvsx", __version__]


@pytest.mark.parametrize(
    ("words", "code", "fact", "hint"),
    [
        (["lst"], Exit.USAGE, "no command 'lst'", "nvsx list"),
        (["--colour", "x", "list"], Exit.USAGE, "--colour", "nvsx --help"),
        (["show", "gpu-of-bus"], Exit.USAGE, "no runbook gpu-of-bus", "gpu-off-bus"),
        (["show", "../../etc/passwd"], Exit.USAGE, "", "hint"),
        (["demo", "--speed", "0"], Exit.USAGE, "above 0", ""),
        (["demo", "--scenario", "xid-80"], Exit.USAGE, "xid-80", "hint"),
        (["run", "gpu-off-bus", "--since", "soon"], Exit.USAGE, "soon", ""),
        (["run", "gpu-off-bus", "--drill"], Exit.USAGE, "--target-node", "hint"),
        (["run", "gpu-off-bus", "--drill", "--target-node", "n"], Exit.REFUSED, "confirmed", "--yes"),
    ],
)
def test_bad_input_gets_one_error_and_a_next_step(words: list[str], code: int, fact: str, hint: str) -> None:
    done = nvsx(*words, HOME="/nonexistent")
    assert done.returncode == code
    assert "error[" in done.stderr
    assert fact in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_hears_nothing_more() -> None:
    done = nvsx(shell=f"{sys.executable} -m nvsx show gpu-off-bus | head -1")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_break_nothing(streams: str) -> None:
    done = nvsx(shell=f"{sys.executable} -m nvsx list {streams}")
    assert "Traceback" not in done.stderr
    assert done.returncode in (Exit.DONE, 141)


def test_another_encoding_gets_text_it_can_show() -> None:
    done = nvsx("list", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert done.returncode == Exit.DONE
    assert done.stdout.isascii()


def test_no_path_is_said_when_kubectl_is_needed() -> None:
    done = subprocess.run(
        [*NVSX, "run", "gpu-off-bus", "--target-node", "n"],
        cwd=CHECKOUT, env={"PATH": "/nonexistent", "HOME": "/tmp"}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == Exit.BLIND
    assert "kubectl" in done.stderr


@pytest.mark.parametrize("command", ["--help", "version"])
def test_what_must_start_at_once_imports_nothing_heavy(command: str) -> None:
    heavy = {
        "argparse",
        "asyncio",
        "dataclasses",
        "json",
        "pathlib",
        "jsonschema",
        "yaml",
        "typing",
        "subprocess",
        "ssl",
    }
    probe = (
        "import sys, atexit; before = set(sys.modules); sys.argv = ['nvsx', sys.argv[1]]\n"
        "from nvsx.main import main\n"
        "main(sys.argv[1:])\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", probe, command], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0
    assert not heavy & set(done.stderr.split())


def test_help_tells_every_variable_that_hooks_get(capsys: pytest.CaptureFixture[str]) -> None:
    from nvsx.hookvariables import VARIABLES
    from nvsx.main import main

    assert main(["help", "environment"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told and meaning in told for name, meaning in VARIABLES.items())


def test_help_tells_every_format_that_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    from nvsx.main import main
    from nvsx.triggers.formats import FORMATS
    from nvsx.triggers.formats.datadog import TEMPLATE

    assert main(["help", "webhook"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in FORMATS)
    assert all(f'"{name}": "{value}"' in told for name, value in TEMPLATE.items())
