"""The server on real sockets: slow, silent, rude and many clients, over TLS too."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvsx.errors import EnvironmentUnusable
from nvsx.httpd.connection import Deadlines
from nvsx.httpd.message import Answer, Request, json_answer
from nvsx.httpd.server import Bounds, Server
from nvsx.httpd.tls import Certificate
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

QUICK = Bounds(deadlines=Deadlines(head=0.3, body=0.3, idle=0.3, answer=0.5, linger=0.2))
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def echo(request: Request) -> Answer:
    if request.path == "/defect":
        raise RuntimeError("the secret of the house")
    if request.path == "/inject":
        return json_answer(200, {}, X_Echo="a\r\nSet-Cookie: b")
    size = int(request.query.removeprefix("size=") or 0) if request.query.startswith("size=") else 0
    said = {"method": request.method, "path": request.path, "query": request.query, "length": len(request.body)}
    return json_answer(200, {**said, "headers": dict(request.headers), "filler": "x" * size})


@contextmanager
def serving(
    bounds: Bounds | None = None,
    application: Callable[[Request], Awaitable[Answer]] = echo,
    certificate: Certificate | None = None,
    defects: list[Exception] | None = None,
) -> Iterator[int]:
    heard: list[Exception] = [] if defects is None else defects
    server = Server(application, heard.append, bounds, certificate.context if certificate else None)
    ((_, port),) = server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        server.stop(0.5)
        if defects is None:
            assert heard == []


@contextmanager
def dialled(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        yield client


def everything(client: socket.socket) -> bytes:
    """All that comes until the server closes; a reset fails the test that meets it."""
    found = b""
    while data := client.recv(65536):
        found += data
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def ask(port: int, data: bytes) -> bytes:
    with dialled(port) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return everything(client)


def body_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_a_client_that_closes_its_side_gets_its_answer() -> None:
    with serving() as port:
        answer = ask(port, GET)
    assert status_of(answer) == 200
    assert body_of(answer)["path"] == "/x"


def test_requests_on_one_connection() -> None:
    with serving() as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        sizes = []
        for number in range(5):
            client.request("POST", "/x", body=b"y" * number)
            sizes.append(json.load(client.getresponse())["length"])
        assert client.sock is not None
        client.close()
    assert sizes == [0, 1, 2, 3, 4]


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving() as port, dialled(port) as client:
        client.sendall(b"".join(GET.replace(b"/x", b"/%d" % number) for number in range(20)))
        client.shutdown(socket.SHUT_WR)
        answers = everything(client)
    assert [f"/{number}" for number in range(20)] == [
        json.loads(line)["path"] for line in answers.splitlines() if line.startswith(b"{")
    ]


def test_a_client_that_asks_and_never_reads_holds_little() -> None:
    """Its answers stop when nobody takes them, and after the deadline it is cut off."""
    asked = []

    async def count(request: Request) -> Answer:
        asked.append(request.path)
        return await echo(request)

    with serving(QUICK, count) as port, dialled(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        request = b"GET /x?size=100000 HTTP/1.1\r\nHost: x\r\n\r\n"
        with pytest.raises((ConnectionError, TimeoutError)):
            client.sendall(request * 1_000_000)
    assert len(asked) < 500


@pytest.mark.parametrize("head", [b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_head_has_the_length_and_no_body(head: bytes) -> None:
    with serving() as port:
        answer = ask(port, head)
    assert b"Content-Length: " in answer
    assert answer.endswith(b"\r\n\r\n")


def test_expect_continue() -> None:
    with serving() as port, dialled(port) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        client.shutdown(socket.SHUT_WR)
        assert body_of(everything(client))["length"] == 2


def test_no_go_for_a_body_that_is_too_long() -> None:
    with serving() as port, dialled(port) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")
        assert status_of(everything(client)) == 413


def test_a_body_that_is_too_long_is_answered_not_reset() -> None:
    with serving() as port, dialled(port) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        for _ in range(20):
            client.sendall(b"x" * 100_000)
        assert status_of(everything(client)) == 413


@pytest.mark.parametrize(
    "part",
    [b"GET", GET[:-2], b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12"],
    ids=["a word", "no empty line", "half a body"],
)
def test_what_does_not_come_in_time_is_answered_408(part: bytes) -> None:
    with serving(QUICK) as port, dialled(port) as client:
        client.sendall(part)
        assert status_of(everything(client)) == 408


@pytest.mark.parametrize("begun", [b"", b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"])
def test_a_deadline_is_for_the_whole_of_it(begun: bytes) -> None:
    """A byte now and then does not prolong it."""
    with serving(QUICK) as port, dialled(port) as client:
        client.sendall(begun)
        client.settimeout(0.02)
        answer = b""
        for _ in range(300):
            client.sendall(b"x")
            try:
                answer = client.recv(1000)
                break
            except TimeoutError:
                continue
        assert status_of(answer) == 408


@pytest.mark.parametrize("first", [b"", b"\r\n\r\n", GET])
def test_a_client_that_says_nothing_more_is_let_go(first: bytes) -> None:
    with serving(QUICK) as port, dialled(port) as client:
        client.sendall(first)
        answer = b""
        try:
            answer = everything(client)
        except ConnectionResetError:  # nothing was to be said
            assert first != GET
        assert status_of(answer) == (200 if first == GET else 0)


def test_when_too_many_are_there_the_one_that_waits_longest_goes() -> None:
    """Idle clients never keep a sender out."""
    with serving(Bounds(connections=10)) as port, ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(dialled(port))
        assert status_of(ask(port, GET)) == 200


@pytest.mark.parametrize(("soft", "hard"), [(100, 2000), (60, 60)])
def test_few_descriptors_are_no_reason_to_stop(soft: int, hard: int) -> None:
    """More are asked for; where they are not given, fewer connections are kept."""
    script = """
import socket, sys
from tests.test_httpd import GET, ask, serving, status_of
with serving() as port:
    clients = []
    try:
        for _ in range(200):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
    except OSError:  # this process has no more descriptors itself
        del clients[-20:]
    print(status_of(ask(port, GET)))
"""
    limits = f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", limits, "bash", sys.executable, "-c", script],
        capture_output=True, text=True, check=False, timeout=60, cwd=CHECKOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


def test_when_all_are_at_work_one_more_is_told_so() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    async def wait(request: Request) -> Answer:
        begun.release()
        await asyncio.to_thread(go_on.wait, 10)
        return await echo(request)

    with serving(Bounds(connections=3), wait) as port, ExitStack() as stack:
        clients = [stack.enter_context(dialled(port)) for _ in range(3)]
        for client in clients:
            client.sendall(GET.replace(b"GET", b"POST"))
            begun.acquire(timeout=10)
        with dialled(port) as late:
            refused = late.recv(1000)
        go_on.set()
        answers = [client.recv(1000) for client in clients]
    assert status_of(refused) == 503
    assert [status_of(answer) for answer in answers] == [200] * 3


def test_reads_do_not_wait_for_writes() -> None:
    go_on = threading.Event()

    async def wait(request: Request) -> Answer:
        if request.method == "POST":
            await asyncio.to_thread(go_on.wait, 10)
        return await echo(request)

    with serving(application=wait) as port, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(dialled(port)).sendall(GET.replace(b"GET", b"POST"))
        assert status_of(ask(port, GET)) == 200
        go_on.set()


def test_a_burst_is_not_reset() -> None:
    with serving() as port:
        answers: list[bytes] = []
        ready = threading.Barrier(200)

        def post() -> None:
            ready.wait(20)
            answers.append(ask(port, b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))

        threads = [threading.Thread(target=post) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [status_of(answer) for answer in answers] == [200] * 200


def test_a_defect_is_reported_and_not_shown() -> None:
    defects: list[Exception] = []
    with serving(defects=defects) as port:
        answer = ask(port, GET.replace(b"/x", b"/defect"))
    assert status_of(answer) == 500
    assert b"secret" not in answer
    assert b"Traceback" not in answer
    assert [str(each) for each in defects] == ["the secret of the house"]


def test_no_text_of_a_value_becomes_a_header() -> None:
    with serving() as port:
        answer = ask(port, GET.replace(b"/x", b"/inject"))
    assert b"X-Echo: a??Set-Cookie: b\r\n" in answer


@pytest.mark.parametrize("target", [b"//x", b"http://other/x", b"HTTP://other/x", b"/x"])
def test_the_target_is_a_path(target: bytes) -> None:
    with serving() as port:
        assert body_of(ask(port, b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target))["path"] == "/x"


def test_nobody_else_hears_of_the_version() -> None:
    with serving() as port:
        answer = ask(port, GET)
    assert b"Python" not in answer
    assert b"Server: nvsx\r\n" in answer


def test_what_is_under_way_is_answered_when_it_stops() -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def wait(request: Request) -> Answer:
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)
        return await echo(request)

    server = Server(wait, lambda _: None)
    ((_, port),) = server.start("127.0.0.1", 0)
    with dialled(port) as busy, dialled(port) as idle:
        busy.sendall(GET)
        begun.wait(10)
        stopping = threading.Thread(target=server.stop, args=(10,))
        stopping.start()
        assert idle.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        go_on.set()
        answer = everything(busy)
        stopping.join(10)
    assert status_of(answer) == 200
    assert b"Connection: close" in answer
    assert not stopping.is_alive()


def test_a_taken_port_is_said_with_what_to_do() -> None:
    with serving() as port:
        server = Server(echo, lambda _: None)
        with pytest.raises(EnvironmentUnusable) as caught:
            server.start("127.0.0.1", port)
        server.stop(0)
    assert str(port) in caught.value.message
    assert "ss -ltnp" in caught.value.hint


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([GET, b"\r\n", b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 3\r\n\r\nabc"]),
        ),
        max_size=8,
    )
)
def test_whatever_is_sent_the_server_answers_or_closes_and_lives(shared_port: int, pieces: list[bytes]) -> None:
    answer = ask(shared_port, b"".join(pieces))
    assert status_of(answer) in {0, 200, 400, 413, 417, 431, 501, 505}
    assert b"Traceback" not in answer


@pytest.fixture(scope="module")
def shared_port() -> Iterator[int]:
    with serving() as port:
        yield port
        assert status_of(ask(port, GET)) == 200


trustme = pytest.importorskip("trustme")


class Identity:
    """A certificate for localhost in files, and a client that trusts its maker."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        authority = trustme.CA()
        issued = authority.issue_cert(name, "127.0.0.1")
        self.chain, self.key = folder / "tls.crt", folder / "tls.key"
        issued.private_key_pem.write_to_path(self.key)
        self.chain.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)

    def ask(self, port: int, data: bytes = GET) -> bytes:
        with dialled(port) as plain, self.client.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return everything(client)


def test_over_tls(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    with serving(certificate=Certificate(identity.chain, identity.key)) as port:
        assert status_of(identity.ask(port)) == 200


def test_silent_and_plain_clients_do_not_hold_up_tls(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    bounds = Bounds(connections=40)
    with serving(bounds, certificate=Certificate(identity.chain, identity.key)) as port, ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(dialled(port))
            if number % 2:
                client.sendall(GET)
        assert status_of(identity.ask(port)) == 200


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path: Path) -> None:
    first = Identity(tmp_path)
    certificate = Certificate(first.chain, first.key)
    with serving(certificate=certificate) as port:
        assert status_of(first.ask(port)) == 200
        first.chain.write_text("nothing\n")
        with pytest.raises(EnvironmentUnusable):
            certificate.refresh()
        assert status_of(first.ask(port)) == 200
        second = Identity(tmp_path)
        assert certificate.refresh()
        assert not certificate.refresh()
        assert status_of(second.ask(port)) == 200
        with pytest.raises(ssl.SSLError):
            first.ask(port)


@pytest.mark.parametrize("kind", ["missing", "not PEM", "another key", "a password"])
def test_a_certificate_that_is_of_no_use_is_said_before_anything_is_served(kind: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    identity = Identity(tmp_path)
    if kind == "missing":
        identity.key.unlink()
    elif kind == "not PEM":
        identity.chain.write_text("hello\n")
    elif kind == "another key":
        other = tmp_path / "other"
        other.mkdir()
        Identity(other).key.rename(identity.key)
    else:
        key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
        sealed = serialization.BestAvailableEncryption(b"secret")
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        identity.key.write_bytes(key.private_bytes(pem, form, sealed))
    with pytest.raises(EnvironmentUnusable) as caught:
        Certificate(identity.chain, identity.key)
    assert "tls.crt" in caught.value.message
    assert "openssl" in caught.value.hint
