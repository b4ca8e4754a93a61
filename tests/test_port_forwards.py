"""scripts/port-forward-all.sh with a kubectl that pretends: what it forwards, and that all of it ends with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBECTL = """#!/bin/sh
echo "$*" >>'HOME/calls'
case "$*" in
  "get services "*) cat 'HOME/services' ;;
  port-forward*) echo $$ >>'HOME/pids'; exec sleep 300 ;;
  *) exit 1 ;;
esac
"""
SERVICES = """\
grafana monitoring grafana 80
prometheus monitoring prometheus-server 9090
prometheus monitoring prometheus-headless 9090
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.replace("HOME", str(tmp_path)))
    program.chmod(0o755)
    (tmp_path / "services").write_text(SERVICES)
    (tmp_path / "pids").touch()
    return tmp_path


@pytest.fixture
def script(home: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": f"{home}:{os.environ['PATH']}", "GRAFANA_PORT": "3300"}
    with subprocess.Popen(
        [str(CHECKOUT / "scripts/port-forward-all.sh")], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
        lines.append(line.split("  (")[0].strip())
    return lines


def alive(home: Path) -> list[int]:
    pids = [int(pid) for pid in (home / "pids").read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_each_dashboard_once_until_it_is_ended(
    home: Path, script: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    assert said(script) == ["grafana       http://127.0.0.1:3300", "prometheus    http://127.0.0.1:9090"]
    for _ in range(200):
        if len(alive(home)) == 2:
            break
        time.sleep(0.01)
    assert len(alive(home)) == 2
    script.send_signal(number)
    script.communicate(timeout=20)
    assert script.returncode == code
    assert alive(home) == []
    calls = (home / "calls").read_text().splitlines()
    assert "port-forward --address 127.0.0.1 -n monitoring service/grafana 3300:80" in calls


def test_a_cluster_without_dashboards(home: Path) -> None:
    (home / "services").write_text("")
    done = subprocess.run(
        [str(CHECKOUT / "scripts/port-forward-all.sh")], env={"PATH": f"{home}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no service of this cluster is labelled" in done.stderr
