"""Rehearsals with the real kubectl: the same story, on the simulator's API server and nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from nvsx.clock import SimulatedClock
from nvsx.sim import simulate
from nvsx.sim.realkubectl import REFUSED, RealKubectl
from tests.rehearsing import rehearse_runbook

if TYPE_CHECKING:
    from pathlib import Path

KUBECTL = shutil.which("kubectl") or ""
pytestmark = pytest.mark.skipif(not KUBECTL, reason="no kubectl on PATH")
COUNTING = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'LOG'\nexec 'KUBECTL' \"$@\"\n"


def counting(directory: Path, text: str = COUNTING) -> tuple[Path, Path]:
    """A kubectl that notes its command lines, and the file where."""
    directory.mkdir()
    program, log = directory / "kubectl", directory / "calls"
    program.write_text(text.replace("LOG", str(log)).replace("KUBECTL", KUBECTL))
    program.chmod(0o700)
    return program, log


def test_the_flagship_is_the_same_story_with_it(tmp_path: Path) -> None:
    program, log = counting(tmp_path / "programs")
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with_it = rehearse_runbook(tmp_path / "with", kubectl=str(program), environment=environment)
    without = rehearse_runbook(tmp_path / "without", environment=environment)
    assert with_it.statuses == without.statuses
    assert set(with_it.statuses.values()) == {"pass"}
    assert with_it.hooks() == without.hooks()
    assert "collected 8 of 8" in with_it.output()
    calls = log.read_text().splitlines()
    assert any("get rebootnodes" in call for call in calls)
    assert all(f"--cache-dir={tmp_path}/with/bin/cache" in call for call in calls)
    assert list(home.iterdir()) == [], "nothing is left in the user's home"


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/nowhere\n"])
def test_a_kubectl_that_does_not_work_is_not_used(tmp_path: Path, text: str) -> None:
    program, _ = counting(tmp_path / "programs", text)
    told = rehearse_runbook(tmp_path / "base", kubectl=str(program))
    assert set(told.statuses.values()) == {"pass"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["get", "nodes", "-o", "name"], 0),
        (["get", "nodes", "--kubeconfig", "/root/.kube/config"], REFUSED),
        (["--kubeconfig=/root/.kube/config", "get", "nodes"], REFUSED),
        (["get", "nodes", "-s", "http://127.0.0.1:9"], REFUSED),
        (["get", "nodes", "--server=http://127.0.0.1:9"], REFUSED),
        (["--context", "prod", "get", "nodes"], 1),
    ],
)
def test_no_other_cluster_can_be_reached(tmp_path: Path, words: list[str], code: int) -> None:
    clock = SimulatedClock(start=1000.0, speed=1)
    real = tmp_path / "real"
    real.write_text("current-context: prod\n")

    async def main() -> subprocess.CompletedProcess[str]:
        import asyncio

        world, _, _ = simulate("quiet", clock, 1)
        async with RealKubectl(world, tmp_path / "bin", KUBECTL) as kubectl:
            env = {"PATH": os.environ["PATH"], "KUBECONFIG": str(real)}
            command = [str(kubectl.bin_dir / "kubectl"), *words]
            return await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=30)

    done = clock.run(main())
    assert done.returncode == code, done.stderr
    assert ("node/" in done.stdout) == (code == 0)
