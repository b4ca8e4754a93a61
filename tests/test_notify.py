"""What hooks send: JSON whatever stands in it, one page and one ticket an incident, and no secret in sight."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import which
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = CHECKOUT / "runbooks/hooks/lib/notify.sh"
HOOKS = CHECKOUT / "runbooks/hooks/incident"
VARIABLES = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C.UTF-8",
    "NVSX_TARGET_NODE": "gpu-7",
    "NVSX_TARGET_ALIAS": "brave-wombat",
    "NVSX_CLUSTER": "uid",
    "NVSX_RUN_ID": "20261124-1",
    "NVSX_RUNBOOK": "gpu-off-bus",
    "NVSX_STAGE": "remediate",
    "NVSX_STAGE_STATUS": "",
    "NVSX_EVENT_CHECK": "SysLogsXIDError",
    "NVSX_EVENT_CODES": "79",
    "NVSX_EVENT_ACTION": "RESTART_BM",
    "NVSX_EVENT_MESSAGE": 'it said "no" \\ $(reboot) `x`\n\té界',
    "NVSX_WAITING_FOR": "",
    "NVSX_INCIDENT_KEY": "nvsx/0123456789abcdef0123",
    "NVSX_INCIDENT_MS": "372000",
    "NVSX_ELAPSED_MS": "1000",
    "NVSX_TRIGGER_FILE": "",
    "NVSX_OUTPUT": "/dev/null",
}


class Receiver:
    """A server on loopback that keeps every request; `answers` maps a path's begin to (status, body)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[str, list[tuple[int, str]]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(data) if data else None
                receiver.requests.append((self.command, self.path, dict(self.headers), body))
                found = next((queue for start, queue in receiver.answers.items() if self.path.startswith(start)), [])
                status, text = found.pop(0) if found else (200, "{}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def channels(self) -> dict[str, str]:
        return {
            "SLACK_WEBHOOK_URL": f"{self.url}/slack/secret-path",
            "PAGERDUTY_ROUTING_KEY": "pd-secret",
            "PAGERDUTY_EVENTS_URL": f"{self.url}/pagerduty",
            "OPSGENIE_API_KEY": "og-secret",
            "OPSGENIE_URL": f"{self.url}/opsgenie",
            "JIRA_URL": f"{self.url}/jira",
            "JIRA_PROJECT": "GPU",
            "JIRA_TOKEN": "jira-secret",
        }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def run(hook: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(HOOKS / hook)],
        env=VARIABLES | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_every_channel_gets_its_own_form_of_one_incident(receiver: Receiver) -> None:
    done = run("repair-ordered.sh", receiver.channels())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "slack: sent",
        "pagerduty trigger: sent",
        "opsgenie trigger: sent",
        "jira ticket: sent",
    ]
    slack, pagerduty, opsgenie, search, ticket = receiver.requests
    assert slack[3]["text"].startswith(":warning: brave-wombat (gpu-7): SysLogsXIDError 79.")
    assert (pagerduty[3]["event_action"], pagerduty[3]["dedup_key"]) == ("trigger", VARIABLES["NVSX_INCIDENT_KEY"])
    assert pagerduty[3]["payload"]["custom_details"]["message"] == VARIABLES["NVSX_EVENT_MESSAGE"]
    assert opsgenie[2]["Authorization"] == "GenieKey og-secret"
    assert (opsgenie[3]["alias"], opsgenie[3]["entity"]) == (VARIABLES["NVSX_INCIDENT_KEY"], "gpu-7")
    assert search[:2] == (
        "GET",
        "/jira/rest/api/2/search?jql=labels%3D%22nvsx-0123456789abcdef0123%22%20AND%20statusCategory%20!%3D%20Done"
        "&fields=key&maxResults=1",
    )
    assert ticket[2]["Authorization"] == "Bearer jira-secret"
    assert ticket[3]["fields"]["labels"] == ["nvsx", "nvsx-0123456789abcdef0123"]


def test_recovery_closes_what_was_opened_and_opens_nothing(receiver: Receiver) -> None:
    receiver.answers = {"/jira/rest/api/2/search": [(200, '{"issues": [{"id": "1", "key": "GPU-12"}]}')]}
    done = run("recovered.sh", receiver.channels() | {"JIRA_DONE": "31"})
    assert done.returncode == 0, done.stderr
    paths = [path.partition("?")[0] for _, path, _, _ in receiver.requests]
    assert paths == [
        "/slack/secret-path",
        "/pagerduty",
        "/opsgenie/v2/alerts/nvsx%2F0123456789abcdef0123/close",
        "/jira/rest/api/2/search",
        "/jira/rest/api/2/issue/GPU-12/comment",
        "/jira/rest/api/2/issue/GPU-12/transitions",
    ]
    assert receiver.requests[1][3]["event_action"] == "resolve"
    assert "MTTR 6m12s" in done.stdout


@pytest.mark.parametrize(("status", "mark"), [("pass", "white_check_mark"), ("cancelled", "grey_question")])
def test_the_end_of_what_nvsx_itself_called_for_closes_that_page(receiver: Receiver, status: str, mark: str) -> None:
    text = "nvsx sees the cluster again, after 12m"
    channels = {name: value for name, value in receiver.channels().items() if name[:5] in ("PAGER", "SLACK")}
    about = {"NVSX_WAITING_FOR": text, "NVSX_TARGET_NODE": "", "NVSX_STAGE": "", "NVSX_STAGE_STATUS": status}
    done = run("resolved.sh", channels | about)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["slack: sent", "pagerduty resolve: sent"])
    slack, resolved = receiver.requests
    assert slack[3]["text"] == f":{mark}: {text}"
    assert (resolved[3]["event_action"], resolved[3]["dedup_key"]) == ("resolve", VARIABLES["NVSX_INCIDENT_KEY"])


def test_a_ticket_that_is_open_is_not_opened_again(receiver: Receiver) -> None:
    receiver.answers = {"/jira/rest/api/2/search": [(200, '{"issues": [{"key": "GPU-12"}]}')]}
    done = run("repair-ordered.sh", receiver.channels())
    assert "jira comment on GPU-12: sent" in done.stdout
    assert not any(path == "/jira/rest/api/2/issue" for _, path, _, _ in receiver.requests)


def test_where_jira_cannot_be_searched_no_second_ticket_is_guessed(receiver: Receiver) -> None:
    receiver.answers = {"/jira/rest/api/2/search": [(401, "")]}
    done = run("repair-ordered.sh", receiver.channels())
    assert done.returncode == 1
    assert "jira search: NOT answered: " in done.stderr
    assert not any(path == "/jira/rest/api/2/issue" for _, path, _, _ in receiver.requests)


def test_what_may_pass_is_tried_again_and_what_may_not_is_said(receiver: Receiver) -> None:
    receiver.answers = {"/slack": [(503, ""), (200, "")], "/pagerduty": [(400, "bad")] * 9}
    channels = {name: value for name, value in receiver.channels().items() if name.startswith(("SLACK", "PAGER"))}
    done = run("repair-ordered.sh", channels)
    assert done.returncode == 1
    assert "slack: sent" in done.stdout
    assert "pagerduty trigger: NOT sent: " in done.stderr
    assert "400" in done.stderr
    assert [path for _, path, _, _ in receiver.requests] == ["/slack/secret-path"] * 2 + ["/pagerduty"]


def test_nobody_to_tell_is_not_configured() -> None:
    for hook in sorted(HOOKS.glob("*.sh")):
        done = run(hook.name, {})
        assert done.returncode == 78, hook.name
        assert "nobody was told" in done.stdout


def test_no_secret_is_on_a_command_line(receiver: Receiver, tmp_path: Any) -> None:
    seen = tmp_path / "seen"
    spy = tmp_path / "curl"
    spy.write_text(f'#!/bin/sh\ntr "\\0" " " </proc/$$/cmdline >>{seen}\nexec {which("curl")} "$@"\n')
    spy.chmod(0o755)
    subprocess.run(
        ["bash", str(HOOKS / "repair-ordered.sh")],
        env=VARIABLES | receiver.channels() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=60,
    )
    told = seen.read_bytes()
    assert b"--data-binary" in told
    assert not any(secret in told for secret in (b"secret-path", b"pd-secret", b"og-secret", b"jira-secret"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=12))
def test_any_bytes_become_json(texts: list[bytes]) -> None:
    arguments = [text.replace(b"\0", b"") for text in texts]
    script = f'source {LIBRARY}; for text in "$@"; do json "$text"; printf "\\n"; done'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *arguments], env=VARIABLES, capture_output=True, check=True, timeout=60
    )
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(arguments)
    for line, given_bytes in zip(lines, arguments, strict=True):
        value = json.loads(line)
        expected = given_bytes.decode("utf-8", "ignore")
        if expected.isprintable() and expected.encode() == given_bytes:
            assert value == expected


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_very_long_text_is_cut_and_stays_json(locale: str) -> None:
    script = f'source {LIBRARY}; json "$1"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", 'é"\\' * 10_000],
        env=VARIABLES | {"LC_ALL": locale},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert 300 < len(json.loads(done.stdout)) <= 1000
