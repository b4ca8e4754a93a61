"""The webhook as senders meet it: who may post, what is answered, what nobody is told. Real sockets, a small inbox."""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nvsx.config import Source
from nvsx.errors import EnvironmentUnusable
from nvsx.httpd.message import Request
from nvsx.triggers.inbox import UNKNOWN, Delivery, Receipt
from nvsx.triggers.senders import SecretFile, is_local
from nvsx.triggers.signatures import sign
from nvsx.triggers.webhook import told
from tests.inboxes import MemoryInbox, Reception, receiving
from tests.test_formats import alert, alertmanager, opsgenie, pagerduty

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JSON = {"Content-Type": "application/json"}
SEED = {"runbook": "gpu-off-bus", "target_node": "gke-ml-pool-t4-abc1", "source": "pagerduty"}
SECRETS = {"pd": b"nvsx-test-secret", "pd-old": b"the old one", "am": b"a token", "gf": b"nvsx-test-secret"}
SOURCES = {
    "pagerduty": Source("pagerduty", "pagerduty", ("pd", "pd-old")),
    "alerts": Source("alerts", "alertmanager", ("am",)),
    "basic": Source("basic", "alertmanager", ("am",), auth="basic"),
    "grafana": Source("grafana", "grafana", ("gf",), timestamp_header="X-Time"),
    "opsgenie": Source("opsgenie", "opsgenie", ("am",)),
    "exporter": Source("exporter", "nvsentinel", ("am",)),
    "own": Source("own", "nvsx", ("am",)),
    "watched": Source("watched", "alertmanager", ("am",), observe=True),
    "narrow": Source("narrow", "alertmanager", ("am",), runbooks=("thermal-throttle",)),
    "mapped": Source("mapped", "map", ("am",), map={"node": "host.name", "runbook": "do", "key": "id"}),
    "open": Source("open", "alertmanager"),
}


class Told(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.text)


def ask(port: int, path: str, body: object = None, headers: Mapping[str, str] = JSON, method: str = "") -> Told:
    """One request of somebody who is not on this machine, unless told otherwise by `Host`."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    client.request(method or ("GET" if body is None else "POST"), path, body=data, headers=dict(headers))
    answer = client.getresponse()
    found = Told(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    client.close()
    return found


ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}
"""What makes a request on loopback one from elsewhere: a proxy has passed it on."""


@pytest.fixture
def inbox() -> MemoryInbox:
    return MemoryInbox(["gpu-off-bus", "thermal-throttle"])


@pytest.fixture
def reception(inbox: MemoryInbox, tmp_path: Path) -> Iterator[Reception]:
    """With every kind of source, and a token for `/webhook`, `/metrics` and `/runs`."""
    for name, secret in SECRETS.items():
        write_secret(tmp_path / name, secret)
    with receiving(inbox, tmp_path, SOURCES, [write_secret(tmp_path / "token", b"own token")]) as reception:
        yield reception
        assert reception.defects == []


@pytest.fixture
def bare(inbox: MemoryInbox, tmp_path: Path) -> Iterator[Reception]:
    """Without any secret, as somebody starts it for the first time."""
    with receiving(inbox, tmp_path, host="0.0.0.0") as reception:
        yield reception
        assert reception.defects == []


def write_secret(path: Path, secret: bytes) -> Path:
    path.write_bytes(secret + b"\n")
    path.chmod(0o640)
    return path


def bearer(secret: bytes) -> dict[str, str]:
    return JSON | {"Authorization": f"Bearer {secret.decode()}"}


def signed(body: bytes, secret: bytes = SECRETS["pd"]) -> dict[str, str]:
    return JSON | {"X-PagerDuty-Signature": f"v1={sign(secret, body)}"}


# The first words of anybody's README.


def test_the_first_curl_that_anybody_tries(bare: Reception, inbox: MemoryInbox) -> None:
    answer = ask(bare.port, "/webhook", SEED)
    assert answer.status == 200
    assert answer.said == {
        "status": "fired",
        "runbook": "gpu-off-bus",
        "run_id": "run-1",
        "target_node": "gke-ml-pool-t4-abc1",
        "incident": "nvsx/run-1",
        "reason": "the test's rule",
    }
    assert inbox.deliveries[0].payload == json.dumps(SEED).encode()


def test_the_same_again_is_a_duplicate_of_the_first(bare: Reception, inbox: MemoryInbox) -> None:
    ask(bare.port, "/webhook", SEED)
    answer = ask(bare.port, "/webhook", SEED)
    assert (answer.status, answer.said["status"], answer.said["duplicate_of"]) == (200, "duplicate", "run-1")
    assert len(inbox.incidents) == 1


def test_without_a_secret_only_this_machine_is_answered(bare: Reception, inbox: MemoryInbox) -> None:
    for path in ("/webhook", "/metrics", "/runs", "/runs/x", "/webhook/alerts"):
        body = SEED if path.startswith("/webhook") else None
        answer = ask(bare.port, path, body, JSON | ELSEWHERE)
        assert (path, answer.status, answer.said) == (path, 401, {"status": "unauthorized"})
    assert inbox.deliveries == []
    assert ask(bare.port, "/healthz", headers=ELSEWHERE).status == 200
    assert ask(bare.port, "/readyz", headers=ELSEWHERE).status == 200
    assert bare.listener is not None
    assert "--token-file" in bare.listener.warnings("0.0.0.0")[0]
    assert bare.listener.warnings("127.0.0.1") == []


def test_a_web_page_cannot_post(bare: Reception, inbox: MemoryInbox) -> None:
    for headers in (
        {"Content-Type": "text/plain"},  # the type that needs no permission of the server
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
    ):
        assert ask(bare.port, "/webhook", SEED, headers).status == 415
    assert ask(bare.port, "/webhook", SEED, JSON | {"Origin": "https://example.com"}).status == 401
    assert ask(bare.port, "/webhook", SEED, JSON | {"Host": "rebound.example.com"}).status == 401
    assert inbox.deliveries == []


LOCAL = {
    # peer and headers: whether somebody on this machine asks
    ("127.0.0.1", ()): True,
    ("127.8.9.10", ()): True,
    ("::1", (("host", "[::1]:8080"),)): True,
    ("::ffff:127.0.0.1", ()): True,
    ("127.0.0.1", (("host", "localhost:8080"),)): True,
    ("127.0.0.1", (("host", "bastion:8080"),)): True,
    ("127.0.0.1", (("host", "0.0.0.0:8080"),)): True,
    ("127.0.0.1", (("host", "nvsx.localhost"),)): True,
    ("127.0.0.1", (("host", "attacker.example:8080"),)): False,
    ("127.0.0.1", (("host", "10.0.0.1"),)): False,
    ("127.0.0.1", (("forwarded", "for=203.0.113.7"),)): False,
    ("127.0.0.1", (("via", "1.1 proxy"),)): False,
    ("10.0.0.1", ()): False,
    ("10.0.0.1", (("host", "localhost"),)): False,
    ("::ffff:10.0.0.1", ()): False,
    ("fe80::1%eth0", ()): False,
    ("not an address", ()): False,
}


@pytest.mark.parametrize(("peer", "headers"), LOCAL, ids=str)
def test_who_is_on_this_machine(peer: str, headers: tuple[tuple[str, str], ...]) -> None:
    request = Request("GET", "/", "", dict(headers), b"", peer)
    assert is_local(request) is LOCAL[peer, headers]


# Proof, on raw bytes.


def test_pagerduty_with_any_of_its_secrets(reception: Reception) -> None:
    body = json.dumps(pagerduty(title="XID 79 on gpu-7")).encode()
    for secret, status in ((SECRETS["pd"], 202), (SECRETS["pd-old"], 200)):  # the second one is a duplicate
        assert ask(reception.port, "/webhook/pagerduty", body, signed(body, secret)).status == status
    assert ask(reception.port, "/webhook/pagerduty", body, signed(body, b"another")).status == 403


PROOFS = {
    # signature header of the vector's body: the status
    "v1=063bea52a2c4ef9ff27cf043cbe8a59b43570f6ffb7460020832aaf4f9681565": 400,  # proven; the body says too little
    "v1=" + "0" * 64 + ", v1=063bea52a2c4ef9ff27cf043cbe8a59b43570f6ffb7460020832aaf4f9681565": 400,
    " v1=063BEA52A2C4EF9FF27CF043CBE8A59B43570F6FFB7460020832AAF4F9681565 ": 400,
    "v2=063bea52a2c4ef9ff27cf043cbe8a59b43570f6ffb7460020832aaf4f9681565": 403,
    "063bea52a2c4ef9ff27cf043cbe8a59b43570f6ffb7460020832aaf4f9681565": 403,
    "v1=063bea52": 403,
    "v1=": 403,
    "": 401,
}


@pytest.mark.parametrize("signature", PROOFS)
def test_the_vector_of_pagerduty(reception: Reception, signature: str) -> None:
    body = b'{"event":{"id":"t1"}}'
    answer = ask(reception.port, "/webhook/pagerduty", body, JSON | {"X-PagerDuty-Signature": signature})
    assert answer.status == PROOFS[signature]


def test_a_body_that_was_written_anew_does_not_fit_its_signature(reception: Reception) -> None:
    body = json.dumps(pagerduty()).encode()
    again = json.dumps(json.loads(body), indent=1).encode()
    assert ask(reception.port, "/webhook/pagerduty", again, signed(body)).status == 403


def test_a_signed_body_in_chunks(reception: Reception) -> None:
    body = json.dumps(pagerduty(title="größer als gpu-7 …")).encode()
    client = http.client.HTTPConnection("127.0.0.1", reception.port, timeout=10)
    pieces = (body[start : start + 7] for start in range(0, len(body), 7))
    client.request("POST", "/webhook/pagerduty", body=pieces, headers=signed(body), encode_chunked=True)
    assert client.getresponse().status == 202
    client.close()


def test_a_signature_with_a_time_cannot_be_replayed(reception: Reception) -> None:
    import time

    body = json.dumps({"orgId": 1, "version": "1", "alerts": []}).encode()
    for age, status in ((0, 200), (1000, 403)):
        moment = str(int(time.time()) - age)
        headers = {"X-Grafana-Alerting-Signature": sign(SECRETS["gf"], body, moment), "X-Time": moment}
        assert ask(reception.port, "/webhook/grafana", body, JSON | headers).status == status


TOKENS = {
    # path and Authorization: the status
    ("/webhook/alerts", "Bearer a token"): 202,
    ("/webhook/alerts", "bearer a token"): 202,
    ("/webhook/alerts", "Bearer a toke"): 403,
    ("/webhook/alerts", "Bearer own token"): 403,
    ("/webhook/alerts", "Bearer caf\xe9"): 403,
    ("/webhook/alerts", "Basic YSB0b2tlbg=="): 403,
    ("/webhook/alerts", ""): 401,
    ("/webhook/basic", "Basic YSB0b2tlbg=="): 202,
    ("/webhook/basic", "Basic !!!"): 403,
    ("/webhook/own", "Bearer a token"): 400,
    ("/webhook", "Bearer own token"): 202,
    ("/webhook", "Bearer a token"): 403,
    ("/webhook", ""): 401,
}


@pytest.mark.parametrize(("path", "given"), TOKENS, ids=str)
def test_tokens(reception: Reception, path: str, given: str) -> None:
    answer = ask(reception.port, path, alertmanager(alert(node="gpu-7")), JSON | {"Authorization": given})
    assert answer.status == TOKENS[path, given]
    if answer.status in (401, 403):
        assert answer.said == {"status": "unauthorized" if answer.status == 401 else "forbidden"}


def test_what_401_says_of_how_to_ask(reception: Reception) -> None:
    assert ask(reception.port, "/webhook/alerts", {}).headers["www-authenticate"] == "Bearer"
    assert ask(reception.port, "/webhook/basic", {}).headers["www-authenticate"] == "Basic"
    assert "www-authenticate" not in ask(reception.port, "/webhook/pagerduty", {}).headers


def test_who_is_elsewhere_cannot_find_out_which_sources_there_are(reception: Reception) -> None:
    there = ask(reception.port, "/webhook/alerts", {}, JSON | ELSEWHERE)
    not_there = ask(reception.port, "/webhook/nothing", {}, JSON | ELSEWHERE)
    assert (there.status, there.text) == (not_there.status, not_there.text)
    assert "pagerduty" in ask(reception.port, "/webhook/nothing", {}).said["reason"]


def test_a_source_without_a_secret_is_believed_on_this_machine_only(reception: Reception) -> None:
    body = alertmanager(alert(node="gpu-7"))
    assert ask(reception.port, "/webhook/open", body).status == 202
    assert ask(reception.port, "/webhook/open", body, JSON | ELSEWHERE).status == 401


def test_observe_mode_reports_and_accepts(reception: Reception) -> None:
    assert ask(reception.port, "/webhook/watched", alertmanager(alert(node="gpu-7")), JSON | ELSEWHERE).status == 202
    heard = reception.heard[-1]
    assert (heard.auth, heard.verdict, heard.source) == ("observed", "start", "watched")
    assert "no Authorization header" in heard.reason


def test_secrets_are_rotated_by_writing_files(reception: Reception, tmp_path: Path) -> None:
    body = alertmanager(alert(node="gpu-7"))
    assert ask(reception.port, "/webhook/alerts", body, bearer(b"a token")).status == 202
    write_secret(tmp_path / "new", b"the next token").rename(tmp_path / "am")
    assert ask(reception.port, "/webhook/alerts", body, bearer(b"a token")).status == 403
    assert ask(reception.port, "/webhook/alerts", body, bearer(b"the next token")).status == 200
    (tmp_path / "am").unlink()
    assert ask(reception.port, "/webhook/alerts", body, bearer(b"the next token")).status == 403
    assert "cannot read" in reception.heard[-1].reason


BAD_SECRETS = {
    # content and mode: a word of the reason
    "missing": (None, 0, "No such file"),
    "empty": (b"", 0o600, "is empty"),
    "two lines": (b"one\ntwo", 0o600, "more than one secret"),
    "for everybody": (b"secret", 0o644, "read by every user"),
    "endless": (b"x" * 5000, 0o600, "more than one secret"),
}


@pytest.mark.parametrize("name", BAD_SECRETS)
def test_a_secret_file_that_is_of_no_use_is_said_at_the_start(name: str, tmp_path: Path) -> None:
    content, mode, word = BAD_SECRETS[name]
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(EnvironmentUnusable, match=word) as caught:
        SecretFile(path).check()
    assert str(path) in caught.value.hint


def test_a_set_of_sources_that_cannot_be_used_leaves_the_old_one(reception: Reception) -> None:
    assert reception.listener
    with pytest.raises(EnvironmentUnusable):
        reception.listener.configure({"new": Source("new", "alertmanager", ("nothing-there",))})
    assert ask(reception.port, "/webhook/alerts", alertmanager(), bearer(b"a token")).status == 200
    reception.listener.configure({})
    assert ask(reception.port, "/webhook/alerts", alertmanager(), bearer(b"a token")).status == 404


# What is answered.


def test_alerts_of_one_delivery_are_answered_each(reception: Reception, inbox: MemoryInbox) -> None:
    body = alertmanager(
        alert(node="gpu-1"), alert(node="gpu-2"), alert("resolved", node="gpu-9") | {"fingerprint": "another"}
    )
    answer = ask(reception.port, "/webhook/alerts", body, bearer(b"a token"))
    assert answer.status == 202
    assert [one["status"] for one in answer.said["alerts"]] == ["fired", "fired", "ignored"]
    assert {incident.node for incident in inbox.incidents} == {"gpu-1", "gpu-2"}


def test_what_starts_nothing_is_accepted_all_the_same(reception: Reception) -> None:
    answers = [
        ask(reception.port, "/webhook/alerts", alertmanager(), bearer(b"a token")),
        ask(reception.port, "/webhook/alerts", alertmanager(alert("resolved", node="x")), bearer(b"a token")),
        ask(reception.port, "/webhook/narrow", alertmanager(alert(node="x")), bearer(b"a token")),
        ask(reception.port, "/webhook/opsgenie", opsgenie("Close"), JSON | {"X-Nvsx-Token": "a token"}),
    ]
    assert [(answer.status, answer.said["status"]) for answer in answers] == [(200, "ignored")] * 4
    assert all(answer.said["reason"] for answer in answers)


def test_a_sender_that_names_a_runbook_which_is_not_there_is_not_disabled_for_it(reception: Reception) -> None:
    body = alertmanager(alert(node="x") | {"annotations": {"nvsx_runbook": "gone"}})
    answer = ask(reception.port, "/webhook/alerts", body, bearer(b"a token"))
    assert (answer.status, answer.said["status"], answer.said["runbook"]) == (200, "ignored", "gone")


@pytest.mark.parametrize("runbook", ["no-such-runbook", "../../evil/x", "/etc/passwd", "a/b", "GPU", "-x", "x" * 100])
def test_a_runbook_that_is_not_there_is_404_for_whoever_posts_by_hand(bare: Reception, runbook: str) -> None:
    answer = ask(bare.port, "/webhook", {"runbook": runbook, "target_node": "gpu-7"})
    assert (answer.status, answer.said["status"]) == (404, "unknown")


def test_a_name_that_can_be_no_runbook_goes_no_further(bare: Reception, inbox: MemoryInbox) -> None:
    ask(bare.port, "/webhook", {"runbook": "../../evil/x", "target_node": "gpu-7"})
    assert inbox.deliveries == []


WRONG = {
    # body: the path that is named, and a word of the reason
    b"": ("", "not JSON"),
    b"{": ("", "line 1 column 2"),
    b"\xff\xfe{}": ("", "not JSON"),
    b"[]": ("", "must be an object"),
    b"null": ("", "must be an object"),
    b'"x"': ("", "must be an object"),
    b"{}": ("runbook", "is missing"),
    b'{"target_node": "gpu-7"}': ("runbook", "is missing"),
    b'{"runbook": {"a": 1}}': ("runbook", "must be a text"),
    b'{"runbook": "gpu-off-bus", "target_node": "--server=http://127.0.0.1:9"}': ("target_node", "cannot be a node"),
    b'{"runbook": "gpu-off-bus", "target_node": "a b"}': ("target_node", "cannot be a node"),
    b'{"runbook": "gpu-off-bus", "target_node": "' + b"x" * 5000 + b'"}': ("target_node", "cannot be a node"),
    b'{"runbook": NaN}': ("", "NaN"),
    b'{"runbook": ' + b"9" * 5000 + b"}": ("", "not JSON that can be read"),
    b"[" * 100_000: ("", "nested too deeply"),
    b'{"version": "4", "alerts": [{"labels": []}]}': ("alerts[0].labels", "must be an object"),
    b'{"version": "4", "alerts": {}}': ("alerts", "must be a list"),
}


@pytest.mark.parametrize("body", WRONG, ids=lambda body: repr(body[:40]))
def test_what_is_wrong_is_named_with_its_place(bare: Reception, body: bytes) -> None:
    path, word = WRONG[body]
    answer = ask(bare.port, "/webhook", body)
    assert (answer.status, answer.said["status"], answer.said["path"]) == (400, "invalid", path)
    assert word in answer.said["reason"]


def test_another_senders_message_on_a_typed_path(reception: Reception) -> None:
    answer = ask(reception.port, "/webhook/alerts", SEED, bearer(b"a token"))
    assert (answer.status, answer.said["reason"]) == (400, "is no message in the form of alertmanager")


def test_a_body_of_any_shape(reception: Reception, inbox: MemoryInbox) -> None:
    body = {"host": {"name": "gpu-7"}, "do": "gpu-off-bus", "id": 12}
    assert ask(reception.port, "/webhook/mapped", body, bearer(b"a token")).said["target_node"] == "gpu-7"
    assert inbox.deliveries[-1].format == "map"


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json"]
)
def test_the_types_that_are_json(bare: Reception, content_type: str) -> None:
    assert ask(bare.port, "/webhook", SEED, {"Content-Type": content_type}).status == 200


def test_a_compressed_body_is_not_read(bare: Reception) -> None:
    assert ask(bare.port, "/webhook", SEED, JSON | {"Content-Encoding": "gzip"}).status == 415


def test_half_a_character_does_no_harm(bare: Reception, inbox: MemoryInbox) -> None:
    body = b'{"runbook": "gpu-off-bus", "title": "a \\ud800 b", "labels": {"\\udfff": "x"}}'
    assert ask(bare.port, "/webhook", body).status == 200
    (alert,) = inbox.deliveries[0].alerts
    assert alert.title.encode() == b"a ? b"
    assert list(alert.labels) == ["?"]


def test_put_is_post(bare: Reception) -> None:
    assert ask(bare.port, "/webhook", SEED, method="PUT").status == 200


METHODS = {
    ("GET", "/webhook"): "POST, PUT",
    ("DELETE", "/webhook/alerts"): "POST, PUT",
    ("OPTIONS", "/webhook"): "POST, PUT",
    ("POST", "/healthz"): "GET, HEAD",
    ("PATCH", "/runs"): "GET, HEAD",
    ("DELETE", "/runs/run-1"): "GET, HEAD",
}


@pytest.mark.parametrize(("method", "path"), METHODS, ids=str)
def test_methods(reception: Reception, method: str, path: str) -> None:
    answer = ask(reception.port, path, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, METHODS[method, path])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/webhook/",
        "/webhooks",
        "/webhook/../metrics",
        "/webhook/%2e%2e/runs",
        "/healthz/x",
        "/metrics/x",
        "/runs/../../etc/passwd",
        "/runs/%2e%2e",
        "/runs/nothing",
        "/..",
        "/[/x]",
    ],
)
def test_there_is_nothing_else(reception: Reception, path: str) -> None:
    assert ask(reception.port, path, method="GET").status in (404, 405)
    assert ask(reception.port, path, b"{}").status in (404, 405)


@pytest.mark.parametrize("why", ["the disk is full", "refused"])
def test_what_cannot_be_taken_now_shall_come_again(bare: Reception, inbox: MemoryInbox, why: str) -> None:
    if why == "refused":
        inbox.limits = inbox.limits._replace(max_waiting=0)
    else:
        inbox.broken = why
    answer = ask(bare.port, "/webhook", SEED)
    assert (answer.status, answer.said["status"]) == (503, "refused")
    assert answer.said["reason"]
    assert int(answer.headers["retry-after"]) > 0
    inbox.broken, inbox.limits = "", inbox.limits._replace(max_waiting=10)
    assert ask(bare.port, "/webhook", SEED).said["status"] == "fired"


def test_a_commit_that_takes_too_long_is_a_duplicate_next_time(
    bare: Reception, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvsx.triggers.listener.TAKING_S", 0.1)
    inbox.commit_s = 1.0
    assert ask(bare.port, "/webhook", SEED).status == 503
    inbox.commit_s = 0.0
    assert ask(bare.port, "/webhook", SEED).said["duplicate_of"] == "run-1"


def test_a_defect_behind_the_inbox_is_reported_and_not_shown(
    inbox: MemoryInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> list[Receipt]:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(inbox, "take", broken)
    with receiving(inbox, tmp_path) as reception:
        answer = ask(reception.port, "/webhook", SEED)
        assert (answer.status, answer.said["status"]) == (500, "error")
        assert b"secret" not in answer.text
    assert [str(defect) for defect in reception.defects] == ["the secret of the house"]  # told after the answer


VERDICTS = {
    # format and verdicts of one delivery: status of the answer and the word that stands for all
    ("nvsx", "start"): (200, "fired"),
    ("nvsx", "queue"): (200, "queued"),
    ("nvsx", "attach"): (200, "duplicate"),
    ("nvsx", UNKNOWN): (404, "unknown"),
    ("alertmanager", "start"): (202, "fired"),
    ("alertmanager", "queue"): (202, "queued"),
    ("alertmanager", "duplicate"): (200, "duplicate"),
    ("alertmanager", "ignore"): (200, "ignored"),
    ("alertmanager", UNKNOWN): (200, "ignored"),
    ("alertmanager", "refuse"): (503, "refused"),
    ("alertmanager", "ignore start attach"): (202, "fired"),
    ("alertmanager", "ignore attach"): (200, "duplicate"),
    ("alertmanager", "start refuse"): (503, "refused"),  # so that the whole delivery comes again
    ("alertmanager", ""): (200, "ignored"),
}


@pytest.mark.parametrize(("form", "verdicts"), VERDICTS, ids=str)
def test_the_verdict_of_a_delivery(form: str, verdicts: str) -> None:
    receipts = [Receipt(verdict, f"because of {verdict}") for verdict in verdicts.split()]
    answer, _ = told(Delivery("x", form, (), b"", (), 0.0), receipts)
    assert (answer.status, json.loads(answer.body)["status"]) == VERDICTS[form, verdicts]


# What there is to read.


def test_health_and_readiness_are_open(reception: Reception, inbox: MemoryInbox) -> None:
    assert ask(reception.port, "/healthz", headers=ELSEWHERE).said == {"status": "ok"}
    assert ask(reception.port, "/readyz", headers=ELSEWHERE).said == {"status": "ready"}
    inbox.not_ready = "the ledger cannot be written"
    assert ask(reception.port, "/readyz").said == {"status": "not ready", "reason": "the ledger cannot be written"}
    away = ask(reception.port, "/readyz", headers=ELSEWHERE)
    assert (away.status, away.said) == (503, {"status": "not ready"})


def test_a_loop_that_does_not_turn_is_not_healthy(
    reception: Reception, inbox: MemoryInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvsx.triggers.listener.STUCK_S", -1.0)
    assert ask(reception.port, "/healthz").status == 503


def test_runs_and_metrics_want_a_token_from_elsewhere(reception: Reception) -> None:
    for path in ("/runs", "/metrics"):
        assert ask(reception.port, path).status == 200
        assert ask(reception.port, path, headers=ELSEWHERE).status == 401
        assert ask(reception.port, path, headers=ELSEWHERE | bearer(b"own token")).status == 200
        assert ask(reception.port, path, headers=ELSEWHERE | bearer(b"a token")).status == 401


def test_runs(bare: Reception) -> None:
    for number in range(3):
        ask(bare.port, "/webhook", SEED | {"target_node": f"gpu-{number}"})
    shown = ask(bare.port, "/runs?limit=2").said
    assert [run["run_id"] for run in shown["runs"]] == ["run-3", "run-2"]
    assert [call["hook"] for call in shown["calls"]] == ["onBlind"], "nvsx's own calls, as `nvsx runs` has them"
    assert ask(bare.port, "/runs/run-1").said["target_node"] == "gpu-0"
    assert ask(bare.port, "/runs/run-1", method="HEAD").text == b""
    for query in ("limit=0", "limit=x", "limit=99999", "unfinished=maybe", "nothing=1"):
        assert ask(bare.port, f"/runs?{query}").status == 400


def test_what_is_counted(reception: Reception, tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    body = alertmanager(alert(node="gpu-7"))
    ask(reception.port, "/webhook/alerts", body, bearer(b"a token"))
    ask(reception.port, "/webhook/alerts", body, bearer(b"a token"))
    ask(reception.port, "/webhook/alerts", body)
    ask(reception.port, "/webhook/alerts", {}, bearer(b"wrong"))
    ask(reception.port, "/webhook/alerts", b"{", bearer(b"a token"))
    answer = ask(reception.port, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.text.decode())}
    counted = {
        tuple(sample.labels[label] for label in ("source", "verdict", "auth")): sample.value
        for sample in families["nvsx_webhook_deliveries"].samples
        if sample.name.endswith("_total")
    }
    assert counted == {
        ("alerts", "start", "proven"): 1,
        ("alerts", "duplicate", "proven"): 1,
        ("alerts", "unauthorized", "missing"): 1,
        ("alerts", "unauthorized", "wrong"): 1,
        ("alerts", "invalid", "proven"): 1,
    }
    assert families["nvsx_webhook_answer_duration_seconds"].type == "histogram"


def test_a_log_of_what_came(reception: Reception) -> None:
    ask(reception.port, "/webhook/alerts", {}, bearer(b"wrong"))
    ask(reception.port, "/healthz")
    (heard,) = reception.heard
    assert (heard.peer, heard.source, heard.status) == ("127.0.0.1", "alerts", 403)
    assert heard.reason == "the token fits none of the secrets"
    assert "wrong" not in heard.reason


def test_basic_is_user_and_password(tmp_path: Path, inbox: MemoryInbox) -> None:
    write_secret(tmp_path / "basic", b"alertmanager:pass:word")
    source = Source("am", "alertmanager", ("basic",), auth="basic")
    with receiving(inbox, tmp_path, {"am": source}) as reception:
        for given, status in ((b"alertmanager:pass:word", 200), (b"alertmanager:", 403)):
            headers = JSON | {"Authorization": "Basic " + base64.b64encode(given).decode()}
            assert ask(reception.port, "/webhook/am", alertmanager(), headers).status == status


def test_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()  # root may read every file, but nobody reads a directory
    with pytest.raises(EnvironmentUnusable, match="Is a directory"):
        SecretFile(tmp_path / "secret").check()
