"""The commands that remember: runs, attach, cancel, silence, explain, run --resume; on a real kubectl where one is."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.admission import Occasion
from nvsx.journal import EffectIntended, EffectStarted, RunBegan, RunEnded, StageBegan
from nvsx.ledger import Evidence, Ledger, NewRun
from nvsx.main import main
from nvsx.names import alias
from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN = "20260101-000000-0001"
KUBECTL = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
RUNBOOK = """
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: mine, nickname: calm-otter, title: Mine}
hooks: {finally: close.sh}
stages:
  - id: detect
    watch: [{kind: node-condition, type: Ready}]
    hooks: {onSuccess: told.sh}
  - id: remediate
    action: {script: runbooks/act.sh}
  - id: recover
    watch: [{kind: node, field: metadata.labels.repaired, expect: "yes"}]
    hooks: {onSuccess: resolve.sh}
  - id: postmortem
    action: {script: runbooks/collect.sh}
"""


def words(state: Path, *more: str) -> list[str]:
    return ["--state-dir", str(state), *more]


def nvsx(capfd: pytest.CaptureFixture[str], state: Path, *more: str) -> tuple[int, str, str]:
    code = main(words(state, *more))
    out, err = capfd.readouterr()
    return code, out, err


def write(state: Path, work: Callable[[Ledger], Any]) -> Any:
    import asyncio

    state.mkdir(exist_ok=True)
    ledger = Ledger.open(state)
    try:
        return asyncio.run(work(ledger))
    finally:
        ledger.close()


async def one_run(ledger: Ledger, *, ended: bool = True) -> None:
    """A run of the daemon that started, with a hook that was cut off."""
    now = time.time() - 60
    occasion = Occasion("poll", now, node="gpu-1", runbook="mine", why="check X", delivery="d1")
    considered = [
        ("mine", True, "check X", "mine.yaml:3"),
        ("other", False, "asks for code 79, it has 31", "other.yaml:4"),
    ]
    said = Evidence("X 31 on gpu-1, RESET", b'{"check": "X"}')
    new = NewRun(RUN, "mine", RUNBOOK, "gpu-1", "brave-wombat", {"source": "poll"})
    await ledger.admit(occasion, cluster="c", evidence=said, run=new, rule="mine.yaml:3", considered=considered)
    await ledger.admit(occasion._replace(runbook="", why="no runbook answers to Y", delivery="d2", node="gpu-2"),
                       cluster="c", evidence=Evidence("Y on gpu-2"), considered=considered)  # fmt: skip
    await ledger.append(RunBegan(RUN, now, "mine", RUNBOOK, "gpu-1", "c", plan={"target_alias": "brave-wombat"}))
    await ledger.append(StageBegan(RUN, now, "detect"))
    key = f"{RUN}/detect/onSuccess"
    await ledger.append(EffectIntended(RUN, now, "detect", "hook", "onSuccess", "told.sh", 1, key, "nvsx/abc"))
    await ledger.append(EffectStarted(RUN, now, key, 1, 4_000_000, "1"))
    if ended:
        await ledger.append(RunEnded(RUN, now + 30, "pass", 1, 1))


def test_nothing_recorded_is_said_and_no_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert nvsx(capfd, tmp_path, "runs") == (0, f"no run is recorded yet in {tmp_path}\n", "")
    assert json.loads(nvsx(capfd, tmp_path, "runs", "--output", "json")[1]) == {"v": 1, "runs": [], "calls": []}
    assert nvsx(capfd, tmp_path, "silence", "list")[0] == 0
    for command in (["attach"], ["cancel", "last"], ["explain", "last"], ["silence", "rm", "1"]):
        code, out, err = nvsx(capfd, tmp_path, *command)
        assert (code, out) == (2, "")
        assert err.startswith(f"error[not-found]: nothing is recorded in {tmp_path} yet")
    assert not list(tmp_path.iterdir()), "a look leaves nothing behind"


def test_the_table_of_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, one_run)
    code, out, err = nvsx(capfd, tmp_path, "runs")
    assert (code, err) == (0, "")
    heading, line = out.splitlines()
    assert heading.split() == ["RUN", "RUNBOOK", "NODE", "STATUS", "TOOK", "BEGAN", "BY"]
    assert line.split()[:5] == [RUN, "mine", "brave-wombat", "pass", "30.0s"]
    (run,) = json.loads(nvsx(capfd, tmp_path, "runs", "--output", "json", "--node", "gpu-1", "--since", "1d")[1])[
        "runs"
    ]
    assert run["unknown"] == ["onSuccess told.sh of detect"]
    assert "no run like that" in nvsx(capfd, tmp_path, "runs", "--unfinished")[1]
    assert nvsx(capfd, tmp_path, "runs", "--since", "yesterday")[0] == 2


def test_explain_says_why_something_fired_and_why_not(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, one_run)
    for word in (RUN, "gpu-1", "brave-wombat"):
        code, out, err = nvsx(capfd, tmp_path, "explain", word)
        assert (code, err) == (0, "")
        assert f"started mine, {RUN} (pass): check X  mine.yaml:3" in out
        assert "other  asks for code 79, it has 31" in out
        assert "poll  X 31 on gpu-1, RESET" in out
    out = nvsx(capfd, tmp_path, "explain", "gpu-2")[1]
    assert "✗ started nothing: no runbook answers to Y" in out
    found = json.loads(nvsx(capfd, tmp_path, "explain", "last", "--output", "json")[1])
    assert [one["verdict"] for one in found["decisions"]] == ["ignore"]
    assert nvsx(capfd, tmp_path, "explain", "gpu-9")[0] == 2


def test_explain_finds_what_started_nothing_and_has_no_node_and_folds_what_came_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def heard(ledger: Ledger) -> None:
        await one_run(ledger, ended=False)
        now, new = time.time(), NewRun("x", "mine", RUNBOOK, "gpu-1")
        for at in range(30):
            again = Occasion("poll", now + at, "gpu-1", "mine")
            await ledger.admit(again, cluster="c", evidence=Evidence("X 31 on gpu-1"), run=new)
        for node, why, said in (("", "no runbook answers to it", "help"), ("gpu-3", "nor to this", "gpu-3 burns")):
            await ledger.admit(Occasion("pd", now, node, why=why), cluster="c", evidence=Evidence(said))

    write(tmp_path, heard)
    lines = nvsx(capfd, tmp_path, "explain", "gpu-1")[1].splitlines()
    assert [line for line in lines if "30 times since" in line], lines
    assert [line for line in lines if "started mine" in line], "how it began is not buried"
    told = nvsx(capfd, tmp_path, "explain", "pd")[1]
    assert "pd: help\n  ✗ started nothing: no runbook answers to it" in told
    assert "nor to this" in nvsx(capfd, tmp_path, "explain", alias("gpu-3"))[1]


def test_cancelling_what_nobody_runs_ends_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, lambda ledger: one_run(ledger, ended=False))
    assert "orphaned" in nvsx(capfd, tmp_path, "runs")[1]
    code, out, _ = nvsx(capfd, tmp_path, "cancel", "brave-wombat")
    assert (code, out) == (0, f"run {RUN} is cancelled; nobody was running it, so no postmortem ran\n")
    assert "cancelled" in nvsx(capfd, tmp_path, "runs")[1]
    assert nvsx(capfd, tmp_path, "cancel", RUN)[0] == 2
    assert nvsx(capfd, tmp_path, "run", "--resume", RUN)[0] in (2, 3)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--node", "gpu-*", "--for", "2h"], "needs a reason"),
        (["--why", "x", "--for", "2h"], "say what is silent"),
        (["--why", "x", "--all", "--node", "a", "--for", "2h"], "say what is silent"),
        (["--why", "x", "--all"], "say how long"),
        (["--why", "x", "--all", "--for", "2h", "--until", "2999-01-01"], "say how long"),
        (["--why", "x", "--all", "--for", "soon"], "--for soon is no time"),
        (["--why", "x", "--all", "--until", "2000-01-01"], "has passed"),
        (["--why", "x", "--selector", "a=b=c", "--for", "2h"], "--selector"),
        (["7", "--why", "x", "--all", "--for", "2h"], "takes no number"),
    ],
)
def test_a_silence_must_make_sense(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    code, out, err = nvsx(capfd, tmp_path, "silence", "add", *more)
    assert (code, out) == (2, "")
    assert says in err
    assert "hint: " in err


def test_a_silence_is_made_listed_and_taken_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = nvsx(capfd, tmp_path, "silence", "add", "--node", "gpu-*", "--for", "2h", "--why", "board swap")
    assert made[0] == 0
    assert made[1].startswith("silence 1: node gpu-* until 2")
    _, out, _ = nvsx(capfd, tmp_path, "silence", "list")
    assert out.splitlines()[1].split()[:3] == ["1", "node", "gpu-*"]
    assert out.rstrip().endswith("board swap")
    assert nvsx(capfd, tmp_path, "silence", "rm", "1") == (0, "silence 1 is over\n", "")
    assert nvsx(capfd, tmp_path, "silence", "rm", "1")[0] == 2
    assert nvsx(capfd, tmp_path, "silence", "rm", "one")[0] == 2


class Bench:
    """A project, a cluster and nvsx processes on them."""

    def __init__(self, directory: Path, kube: KubeServer) -> None:
        self.state = directory / "state"
        self.log = directory / "log"
        self.node = kube.director.node
        self._directory = directory
        self._env = {**kube.env, "PYTHONPATH": str(CHECKOUT), "NVSX_PROJECT_ROOT": str(directory / "project")}
        scripts = directory / "project/runbooks"
        scripts.mkdir(parents=True)
        (scripts / "mine.yaml").write_text(RUNBOOK)
        for name in ("told", "act", "resolve", "collect", "close"):
            file = scripts / f"{name}.sh"
            file.write_text(f"#!/bin/sh\necho {name} $NVSX_ATTEMPT $NVSX_REPEAT_COUNT >>'{self.log}'\n")
            file.chmod(0o755)

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nvsx", *words(self.state, *more)],
            env=self._env, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def done(self, *more: str) -> tuple[int, str, str]:
        process = self.start(*more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def run(self, *more: str) -> subprocess.Popen[str]:
        return self.start("run", "mine", "--target-node", self.node, "--output", "jsonl", *more)

    def until(self, process: subprocess.Popen[str], event: str, **facts: str) -> None:
        """Read a process's events up to one of them."""
        assert process.stdout
        for line in process.stdout:
            told = json.loads(line)
            if told["event"] == event and facts.items() <= told.items():
                return
        raise AssertionError(f"it ended before {event} {facts}: {process.stderr.read() if process.stderr else ''}")

    @property
    def effects(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with KubeServer("quiet", tmp_path) as kube:
        yield Bench(tmp_path, kube)


@KUBECTL
def test_killed_found_refused_resumed_followed_and_cancelled(bench: Bench) -> None:
    process = bench.run()
    bench.until(process, "stage_begin", stage="recover")
    process.kill()
    process.communicate()
    code, out, _ = bench.done("status")
    assert code == 0
    assert "mine on " in out
    assert "orphaned" in out

    code, _, err = bench.done("run", "mine", "--target-node", bench.node)
    assert code == 4
    assert "whose process is gone" in err
    assert "nvsx run --resume" in err

    resumed = bench.start("run", "--resume", "last", "--output", "jsonl")
    bench.until(resumed, "stage_begin", stage="recover")
    code, _, err = bench.done("run", "mine", "--target-node", bench.node)
    assert code == 4
    assert "nvsx attach " in err
    attached = bench.start("attach", "--output", "jsonl")
    bench.until(attached, "start")
    code, out, _ = bench.done("cancel", "last")
    assert (code, "is asked to end" in out) == (0, True)
    followed = attached.communicate(timeout=60)[0].splitlines()
    own = resumed.communicate(timeout=60)[0].splitlines()
    assert json.loads(own[-1])["status"] == json.loads(followed[-1])["status"] == "cancelled"
    assert attached.returncode == resumed.returncode == 1
    assert bench.effects == ["told 1 1", "act 1 1", "collect 1 1", "close 1 1"]
    again = [json.loads(line) for line in bench.done("attach", "last", "--output", "jsonl")[1].splitlines()]
    assert [event["seq"] for event in again] == list(range(len(again)))
    assert again[-1]["event"] == "finish"


@KUBECTL
def test_repeats_are_counted_and_force_starts_a_second(bench: Bench) -> None:
    first = bench.run()
    bench.until(first, "stage_begin", stage="recover")
    second = bench.run("--force")
    bench.until(second, "stage_begin", stage="recover")
    for process in (first, second):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 143
    assert bench.effects.count("told 1 1") == bench.effects.count("told 1 2") == 1


@KUBECTL
def test_a_run_goes_on_where_nothing_can_be_recorded(bench: Bench) -> None:
    bench.state.mkdir()
    (bench.state / "ledger.db").write_text("not a ledger\n")
    process = bench.run()
    bench.until(process, "stage_begin", stage="recover")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.count("not a ledger of nvsx; this run is not recorded") == 1
    assert (bench.state / "ledger.db").read_text() == "not a ledger\n"
