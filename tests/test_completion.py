"""Completion in the real shells: the script is sourced by each of them, and each is asked what it would offer."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from nvsx.commands import COMMANDS
from nvsx.topics import TOPICS
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNBOOK = """
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: my-own}
stages: [{id: detect, watch: [{kind: node-condition, type: Ready}]}]
"""
ENVIRONMENT = {"PATH": "", "TERM": "dumb", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with `nvsx` on the PATH and a project with one runbook of its own."""
    home = tmp_path_factory.mktemp("home")
    command = home / "bin" / "nvsx"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m nvsx "$@"\n')
    command.chmod(0o755)
    project = home / "project"
    (project / "runbooks").mkdir(parents=True)
    (project / "runbooks" / "my-own.yaml").write_text(RUNBOOK)
    return home


def environment(machine: Path) -> dict[str, str]:
    return ENVIRONMENT | {"PATH": f"{machine}/bin:{os.environ['PATH']}", "HOME": str(machine)}


def ask_bash(machine: Path, line: str) -> set[str]:
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = (
        'source <(nvsx completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nvsx; '
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return run(["bash", "--norc", "-c", script, "bash", *words], machine)


def ask_fish(machine: Path, line: str) -> set[str]:
    script = f"nvsx completion fish | source; complete -C {shlex.quote(line)}"
    return {word.partition("\t")[0] for word in run(["fish", "--no-config", "-c", script], machine)}


def ask_zsh(machine: Path, line: str) -> set[str]:
    """zsh tells what it would offer only to a terminal: a list below the line."""
    child = pexpect.spawn(
        "zsh", ["-f", "-i"], env=environment(machine), cwd=str(machine / "project"), timeout=60, dimensions=(200, 300)
    )
    try:
        setup = "PS1=READY; autoload -Uz compinit; compinit -u -D; setopt nolistpacked; LISTMAX=1000"
        child.sendline(
            f"unsetopt zle promptsp promptcr; {setup}; source <(nvsx completion zsh); print LO''ADED; setopt zle"
        )
        child.expect("LOADED")
        child.expect("READY")
        child.send(f"{line}\x04")  # Ctrl-D lists the choices
        child.expect_exact("READY", timeout=30)
        listed = child.before.decode()
    finally:
        child.close(force=True)
    return set(listed.split())


def run(argv: list[str], machine: Path) -> set[str]:
    done = subprocess.run(
        argv,
        env=environment(machine),
        cwd=machine / "project",
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert done.stderr == ""
    return {line.strip() for line in done.stdout.split("\n") if line.strip()}


SHELLS = {"bash": ask_bash, "fish": ask_fish, "zsh": ask_zsh}


@pytest.fixture(params=sorted(SHELLS))
def offer(request: pytest.FixtureRequest, machine: Path) -> Callable[[str], set[str]]:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return lambda line: SHELLS[request.param](machine, line)


def test_commands(offer: Callable[[str], set[str]]) -> None:
    assert set(COMMANDS) <= offer("nvsx ")
    assert {"lint", "list"} <= offer("nvsx li")
    assert "run" not in offer("nvsx li")


def test_flags_of_the_command_and_those_of_every_command(offer: Callable[[str], set[str]]) -> None:
    offered = offer("nvsx run --")
    assert {"--target-node", "--output", "--since", "--project", "--context"} <= offered
    assert "--speed" not in offered


def test_values_of_a_flag(offer: Callable[[str], set[str]]) -> None:
    assert {"auto", "deck", "plain", "text", "jsonl", "quiet"} <= offer("nvsx run --output ")


def test_runbooks_of_the_project_at_hand(offer: Callable[[str], set[str]]) -> None:
    offered = offer("nvsx show ")
    assert "my-own" in offered
    assert "gpu-off-bus" not in offered


def test_topics_and_commands_of_help(offer: Callable[[str], set[str]]) -> None:
    assert {*TOPICS, "run"} <= offer("nvsx help ")
