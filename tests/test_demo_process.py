"""The demo as a process of its own: what signals, closed pipes and bare environments do to a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nvsx.errors import Exit
from tests.rehearsing import CHECKOUT

DEMO = [sys.executable, "-m", "nvsx", "demo", "--seed", "1"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def start(env: dict[str, str], *words: str, **streams: Any) -> subprocess.Popen[str]:
    streams.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen(
        [*DEMO, *words],
        cwd=CHECKOUT,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **streams,
    )


def read_until(process: subprocess.Popen[str], event: str, stage: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        found = json.loads(line)
        if (found["event"], found.get("stage")) == (event, stage):
            return
    raise AssertionError(f"no {event} of {stage}")


def rest(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(line) for line in process.stdout]


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)]
)
def test_a_signal_ends_the_stage_collects_the_evidence_and_says_how_it_ended(
    env: dict[str, str], number: int, exit_code: int
) -> None:
    # At real speed the drain lasts for 20 seconds or more, so the signal certainly comes before its end.
    process = start(env, "--speed", "20", "--output", "jsonl")
    read_until(process, "stage_begin", "recover")
    process.send_signal(number)
    lines = rest(process)
    assert process.wait() == exit_code
    ended = {line["stage"]: line["status"] for line in lines if line["event"] == "stage_end"}
    assert ended == {"recover": "interrupted", "postmortem": "pass"}
    assert lines[-1]["event"] == "finish"
    assert lines[-1]["exit_code"] == exit_code


def test_a_dropped_ssh_does_not_stop_the_run(env: dict[str, str]) -> None:
    process = start(env, "--speed", "1000", "--output", "jsonl")
    read_until(process, "stage_begin", "detect")
    process.send_signal(signal.SIGHUP)
    assert rest(process)[-1]["verdict"] == "PASSED"
    assert process.wait() == Exit.DONE


def test_a_reader_that_goes_away_does_not_stop_the_run(env: dict[str, str], tmp_path: Path) -> None:
    process = start(env, "--speed", "1000", "--output", "jsonl")
    read_until(process, "stage_begin", "preflight")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == Exit.DONE
    assert any(tmp_path.glob("nvsx-demo-*/runs/*/artifacts/run.json"))


def test_json_lines_go_to_a_pipe_and_text_to_stderr(env: dict[str, str]) -> None:
    done = subprocess.run([*DEMO, "--speed", "1000"], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (events[0], events[-1]) == ("start", "finish")
    assert "PASSED" in done.stderr
    assert "\x1b" not in done.stderr
    # The verdict and its table must fit a screen of 24 lines together with whatever follows them.
    tail = done.stderr.splitlines()[-22:]
    assert any("PASSED" in line for line in tail)
    kept = Path(tail[-1].rpartition(" ")[2])
    assert kept.name == "messages.txt"
    assert "hooks.slack.example" in kept.read_text()


def test_without_home_and_path_it_still_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--speed", "1000", "--output", "jsonl"],
        cwd=CHECKOUT,
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1])["verdict"] == "PASSED"
