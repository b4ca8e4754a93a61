"""What the daemon says of its webhook, and the metrics that it leaves in a file."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from typing import TYPE_CHECKING

import pytest

from nvsx.admission import UNRELATED
from nvsx.app.daemon.hearing import QUIET_S, Hearing
from nvsx.app.daemon.log import Log
from nvsx.clock import SimulatedClock
from nvsx.triggers.listener import Heard
from tests.daemon_site import Site, stop, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.events import RunEvent


class Lines:
    """A sink that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def emit(self, event: RunEvent) -> None:
        self.said.append(getattr(event.body, "text", ""))

    def close(self) -> None: ...


def heard(status: int = 403, auth: str = "wrong", source: str = "pd") -> Heard:
    return Heard(0.0, "203.0.113.7", source, status, "unauthorized", auth, "the signature fits none", 0.001)


def test_an_alarm_for_which_nothing_runs_is_said_and_the_end_of_what_nobody_knows_is_not() -> None:
    clock, lines = SimulatedClock(start=0.0), Lines()
    hearing = Hearing(Log(lines, clock), clock)
    good = heard(200, "proven")

    async def story() -> None:
        hearing.heard(good._replace(verdict="ignore", reason=f"resolved, {UNRELATED}"))
        hearing.heard(good._replace(verdict="ignore", reason=f"no runbook answers to Xid; resolved, {UNRELATED}"))
        hearing.heard(good._replace(verdict="unknown", reason="there is no runbook gpu-of-bus"))
        hearing.heard(good._replace(verdict="start", reason="code 79"))

    clock.run(story())
    assert lines.said == [
        f"203.0.113.7 posted to pd: 200 ignore: no runbook answers to Xid; resolved, {UNRELATED}",
        "203.0.113.7 posted to pd: 200 unknown: there is no runbook gpu-of-bus",
    ]


def test_what_went_well_is_not_said_and_a_flood_is_said_once_a_minute() -> None:
    clock, lines = SimulatedClock(start=0.0), Lines()
    hearing = Hearing(Log(lines, clock), clock)

    async def story() -> None:
        hearing.heard(heard(200, "proven"))
        for _ in range(1000):
            hearing.heard(heard())
        hearing.heard(heard(source="alerts"))
        await asyncio.sleep(QUIET_S)
        hearing.heard(heard())

    clock.run(story())
    assert lines.said == [
        "203.0.113.7 posted to pd: 403 unauthorized: the signature fits none",
        "203.0.113.7 posted to alerts: 403 unauthorized: the signature fits none",
        "203.0.113.7 posted to pd: 403 unauthorized: the signature fits none (999 more like it)",
    ]


def test_what_observe_mode_lets_in_is_said() -> None:
    clock, lines = SimulatedClock(start=0.0), Lines()
    Hearing(Log(lines, clock), clock).heard(heard(202, "observed"))
    assert "posted to pd and was accepted: observe mode" in lines.said[0]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_the_first_curl_and_the_metrics_of_a_real_daemon(tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    with Site(tmp_path) as site:
        site.do(lambda: site.place.node("gpu-1"))
        file = tmp_path / "nvsx.prom"
        daemon = site.start("--mode", "webhook", "--host", "0.0.0.0", "--port", "0", "--metrics-file", str(file))
        wait_for(lambda: "ready:" in site.said() or daemon.poll() is not None, "ready")
        assert "no --token-file" in site.said()
        port = site.said().rpartition("listening at http://0.0.0.0:")[2].partition("/")[0]
        body = json.dumps({"runbook": "xid", "target_node": "gpu-1", "source": "pagerduty"}).encode()
        request = urllib.request.Request(f"http://localhost:{port}/webhook", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            said = json.load(answer)
        assert (said["status"], said["runbook"], said["target_node"]) == ("fired", "xid", "gpu-1")
        with urllib.request.urlopen(f"http://localhost:{port}/runs/{said['run_id']}", timeout=10) as answer:
            assert json.load(answer)["node"] == "gpu-1"
        with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
            scraped = answer.read().decode()
        for text in (scraped, file.read_text()):
            names = {family.name for family in parser.text_string_to_metric_families(text)}
            assert {"nvsx_build_info", "nvsx_ready", "nvsx_runs_open", "nvsx_admissions"} & names
        assert 'nvsx_webhook_deliveries_total{source="webhook",verdict="start",auth="local"} 1' in scraped
        assert stop(daemon) == 0


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_a_sweep_leaves_its_metrics_too(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        file = tmp_path / "nvsx.prom"
        done = site.run("--mode", "poll", "--once", "--events", "nodes", "--metrics-file", str(file))
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
        assert "nvsx_blind 0\n" in file.read_text()
        done = site.run("--mode", "poll", "--once", "--events", "nodes", "--metrics-file", "/nonexistent/nvsx.prom")
        assert "cannot write the metrics file" in done.stdout + done.stderr
