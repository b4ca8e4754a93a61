"""What a drill holds although it uses no proxy, what it cannot hold, and that it sends when it is told to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from nvsx.app.rehearsal.drill import sent_lines
from nvsx.main import main
from nvsx.messages import Message
from nvsx.sim import hold
from tests.rehearsing import CHECKOUT, rehearse_runbook
from tests.test_drill import one_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

# A network of its own

OWN_NETWORK = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False).returncode == 0
needs_network = pytest.mark.skipif(not OWN_NETWORK, reason="the kernel gives this user no network of its own")
CURL = f"{shutil.which('curl')} -sS --max-time 5 --noproxy '*'"


@needs_network
@pytest.mark.parametrize(
    ("line", "method", "url"),
    [
        (f"{CURL} -d x https://literal.example/hook?token=1", "CONNECT", "literal.example:443"),
        (f"{CURL} -d x http://literal.example/hook", "POST", "http://literal.example:80/hook"),
        (f"{CURL} -d x http://192.0.2.7:8080/hook", "POST", "http://192.0.2.7:8080/hook"),
        ("exec 3<>/dev/tcp/literal.example/443; echo GET >&3; cat <&3", "CONNECT", "literal.example:443"),
        ("exec 3<>/dev/tcp/192.0.2.7/25; echo EHLO >&3", "CONNECT", "192.0.2.7:25"),
        (
            "no_proxy='*' python3 -c 'import urllib.request as u; u.urlopen(\"https://a.example/x\", timeout=5)'",
            "CONNECT",
            "a.example:443",
        ),
    ],
)
def test_what_uses_no_proxy_is_held_and_told(line: str, method: str, url: str, tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, f"{line} || true"), drill=True)
    assert told.rehearsed is not None
    assert told.rehearsed.not_held == ""
    assert told.rehearsed.messages == [Message(method, url, "(held back)")]


@needs_network
def test_hooks_are_who_they_are_and_reach_the_simulated_cluster(tmp_path: Path) -> None:
    line = 'echo "uid $(id -u)"; kubectl get node "$NVSX_TARGET_NODE" -o name'
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, line), drill=True)
    assert f"uid {os.geteuid()}" in told.output()
    assert "node/gke-ml-pool-a100-8ksx" in told.output()


@needs_network
def test_the_network_is_gone_with_its_rehearsal(tmp_path: Path) -> None:
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, "echo $PPID"), drill=True)
    assert told.finish.exit_code == 0
    left = [cmdline for file in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in (cmdline := read(file))]
    assert left == []


def read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def test_what_is_not_held_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"{shutil.which('curl')} -sS --max-time 5 https://a.example/x || true"
    monkeypatch.setattr(hold.shutil, "which", lambda *_, **__: None)
    told = rehearse_runbook(tmp_path, runbook="mine", root=one_hook(tmp_path, line), drill=True)
    assert told.rehearsed is not None
    assert told.rehearsed.not_held == "there is no nsenter (util-linux) here"
    assert [message.url for message in told.rehearsed.messages] == ["a.example:443"]
    *_, last = sent_lines(told.rehearsed.messages, 200, told.rehearsed.not_held)
    assert "curl --noproxy" in last
    assert "nsenter" in last


# Really sending


@pytest.fixture
def channel() -> Iterator[tuple[str, list[str]]]:
    """A Slack of our own: its address, and what it was told."""
    told: list[str] = []

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slack)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()
    thread.join()
    server.server_close()


def shipped(directory: Path, url: str) -> list[str]:
    """A project with the shipped runbooks and a channel in its env file; the words that choose it."""
    root = directory / "project"
    for folder in ("runbooks", "scripts"):
        shutil.copytree(CHECKOUT / folder, root / folder)
    file = root / "nvsx.env"
    file.write_text(f"SLACK_WEBHOOK_URL={url}\n")
    file.chmod(0o600)
    return ["--project", str(root), "--state-dir", str(directory / "state")]


def test_a_drill_that_pages_really_sends_and_says_that_it_is_a_drill(
    channel: tuple[str, list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url, told = channel
    words = [*shipped(tmp_path, url), "drill", "thermal-throttle", "--speed", "5000", "--output", "text"]
    assert main(words) == 0
    assert told == []
    assert "would have been sent" in capfd.readouterr().err
    assert main([*words, "--page", "--yes"]) == 0
    (text,) = told
    assert json.loads(text)["text"].startswith("[drill] :information_source: GpuThermalWatch")
    assert "would have been sent" not in capfd.readouterr().err


def test_nobody_is_paged_without_a_yes(
    channel: tuple[str, list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url, told = channel
    assert main([*shipped(tmp_path, url), "drill", "storm", "--page", "--speed", "5000"]) == 4
    assert "hint: nvsx drill storm --page --yes" in capfd.readouterr().err
    assert told == []


def test_the_list_shows_the_last_drill_of_each(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(CHECKOUT), "--state-dir", str(tmp_path)]
    assert main([*words, "list"]) == 0
    assert "LAST DRILL" not in capfd.readouterr().out
    assert main([*words, "drill", "storm", "--speed", "5000", "--output", "quiet"]) == 0
    capfd.readouterr()
    assert main([*words, "list"]) == 0
    heading, *lines = capfd.readouterr().out.splitlines()
    at = heading.index("LAST DRILL")
    days = {line.split()[0]: line[at : at + 10].strip() for line in lines if "#" in line}
    assert days.pop("storm").startswith("20")
    assert set(days.values()) == {"never"}
    assert main([*words, "list", "--output", "json"]) == 0
    drills = {one["name"]: one["last_drill"] for one in json.loads(capfd.readouterr().out)["runbooks"]}
    assert drills["storm"]["scenario"] == "storm"
    assert drills["gpu-off-bus"] is None
