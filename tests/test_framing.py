"""Where a request ends: whole requests however they are cut, and one reading only of everything else (RFC 9112)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.httpd.framing import Framer, FramingLimits, Unframed, Whole

HOST = b"Host: nvsx\r\n"
POST = b"POST /webhook HTTP/1.1\r\n" + HOST
SMALL = FramingLimits(head=300, headers=5, body=100)


def read(data: bytes, limits: FramingLimits = SMALL) -> list[Whole]:
    framer = Framer(limits)
    framer.feed(data)
    found = []
    while whole := framer.next():
        found.append(whole)
    return found


ONE = {
    "no body": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", b""),
    "HTTP/1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", b""),
    "empty lines before it": (b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", b""),
    "a length": (POST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "length zero": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "blanks around a value": (POST + b"Content-Length: \t 5 \t\r\n\r\nhello", b"hello"),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello"),
    "upper-case chunks": (POST + b"TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "a trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", b"x"),
    "no chunk at all": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    "line ends in a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "the longest body": (POST + b"Content-Length: 100\r\n\r\n" + b"x" * 100, b"x" * 100),
    "text beyond ASCII in a value": (POST + b"X: caf\xc3\xa9 \xff\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", ONE)
def test_a_whole_request(name: str) -> None:
    data, body = ONE[name]
    (whole,) = read(data)
    assert whole.body == body
    assert whole.head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("name", ONE)
def test_one_byte_at_a_time_is_the_same(name: str) -> None:
    data, body = ONE[name]
    framer = Framer(SMALL)
    found = []
    for index in range(len(data)):
        assert not found, "complete before its last byte"
        framer.feed(data[index : index + 1])
        if whole := framer.next():
            found.append(whole)
    assert [whole.body for whole in found] == [body]
    assert not framer.begun


@pytest.mark.parametrize("name", ONE)
def test_a_part_of_it_is_not_it(name: str) -> None:
    data, _ = ONE[name]
    assert read(data[:-1]) == []


REFUSED = {
    # what comes: the status, and a word of the reason
    "both lengths": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "both Content-Length",
    ),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "not one number"),
    "one length twice": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "not one number"),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\n", 400, "not one number"),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400, "not one number"),
    "a signed length": (POST + b"Content-Length: +5\r\n\r\n", 400, "not one number"),
    "a hexadecimal length": (POST + b"Content-Length: 0x5\r\n\r\n", 400, "not one number"),
    "no length in it": (POST + b"Content-Length:\r\n\r\n", 400, "not one number"),
    "too long a body": (POST + b"Content-Length: 101\r\n\r\n", 413, "longer than"),
    "an astronomical length": (POST + b"Content-Length: " + b"9" * 60 + b"\r\n\r\n", 413, "longer than"),
    "too long in chunks": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + b"x" * 64 + b"\r\n40\r\n",
        413,
        "longer than",
    ),
    "a huge chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413, "longer than"),
    "a chunk that overflows": (POST + b"Transfer-Encoding: chunked\r\n\r\n100000000000000005\r\n", 400, "no length"),
    "a chunk without a length": (POST + b"Transfer-Encoding: chunked\r\n\r\n;x\r\n", 400, "no length"),
    "a chunk with a sign": (POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n", 400, "no length"),
    "a chunk that goes on": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", 400, "does not end"),
    "bare line feeds in chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", 400, "CR LF"),
    "an endless chunk line": (POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 300, 400, "too long"),
    "a trailer that is none": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx\r\n\r\n", 400, "trailer"),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "only"),
    "a disguised coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501, "only"),
    "two codings": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "only"),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"),
    "a blank before the colon": (POST + b"Content-Length : 5\r\n\r\n", 400, "a header"),
    "a folded header": (POST + b"X: a\r\n b\r\n\r\n", 400, "a header"),
    "a header without a colon": (POST + b"nothing\r\n\r\n", 400, "a header"),
    "a carriage return in a value": (POST + b"X: a\rContent-Length: 5\r\n\r\n", 400, "a header"),
    "a NUL in a value": (POST + b"X: a\0b\r\n\r\n", 400, "a header"),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: x\n\n", 400, "CR LF"),
    "one bare line feed": (POST + b"X: y\nContent-Length: 5\r\n\r\n", 400, "CR LF"),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"),
    "two blanks": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "no version": (b"GET /\r\n\r\n", 400, "request line"),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "bytes in the target": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "TLS where none is spoken": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "request line"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\n\r\n", 505, "HTTP/1.1"),
    "too many headers": (POST + b"X: y\r\n" * 5 + b"\r\n", 431, "headers"),
    "too long a head": (b"GET /" + b"x" * 400, 431, "too long"),
    "another expectation": (POST + b"Expect: a-miracle\r\n\r\n", 417, "Expect"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(name: str) -> None:
    data, status, word = REFUSED[name]
    with pytest.raises(Unframed) as caught:
        read(data)
    assert caught.value.status == status
    assert word in caught.value.reason


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_single_bytes_too(name: str) -> None:
    data, status, _ = REFUSED[name]
    framer = Framer(SMALL)

    def drip() -> None:
        for index in range(len(data)):
            framer.feed(data[index : index + 1])
            assert framer.next() is None

    with pytest.raises(Unframed) as caught:
        drip()
    assert caught.value.status == status


def test_requests_that_follow_each_other() -> None:
    data = (
        POST
        + b"Content-Length: 2\r\n\r\nab"
        + POST
        + b"Transfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
        + b"GET / HTTP/1.1\r\n"
        + HOST
        + b"\r\n"
    )
    assert [(whole.method, whole.body) for whole in read(data)] == [("POST", b"ab"), ("POST", b"c"), ("GET", b"")]


def test_a_client_that_waits_for_a_go() -> None:
    framer = Framer(SMALL)
    framer.feed(POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert framer.next() is None
    assert framer.expects_continue
    framer.feed(b"ok")
    whole = framer.next()
    assert whole
    assert whole.body == b"ok"
    assert not framer.expects_continue


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(
    bodies=st.lists(st.tuples(st.binary(max_size=60), st.lists(st.integers(1, 20), max_size=6)), max_size=4),
    places=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_bodies_in_any_pieces(bodies: list[tuple[bytes, list[int]]], places: list[int]) -> None:
    """Bodies as one length or as chunks of any sizes, cut anywhere: the same bodies come out."""
    sent = b""
    for body, sizes in bodies:
        if not sizes:
            sent += POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            continue
        chunks, rest = b"", body
        for size in sizes:
            if part := rest[:size]:
                chunks += b"%x\r\n%s\r\n" % (len(part), part)
            rest = rest[size:]
        if rest:
            chunks += b"%X;last\r\n%s\r\n" % (len(rest), rest)
        sent += POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    framer = Framer(SMALL)
    found = []
    for piece in cut(sent, places):
        framer.feed(piece)
        while whole := framer.next():
            found.append(whole.body)
    assert found == [body for body, _ in bodies]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([POST, HOST, b"\r\n", b"\n", b"0\r\n\r\n", b"Content-Length: 3\r\n", b"5\r\nhello\r\n"]),
            st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"GET / HTTP/1.1\r\n", b" ", b":", b"\0"]),
        ),
        max_size=12,
    )
)
def test_whatever_comes_is_a_request_a_refusal_or_not_all_of_it(pieces: list[bytes]) -> None:
    """Nothing else: no other exception, and the same verdict whether it comes at once or in pieces."""

    def verdict(parts: list[bytes]) -> list[object]:
        framer, told = Framer(SMALL), []
        try:
            for part in parts:
                framer.feed(part)
                while whole := framer.next():
                    told.append((whole.method, whole.body))
                    assert len(whole.body) <= SMALL.body
        except Unframed as problem:
            told.append(problem.status)
        return told

    assert verdict(pieces) == verdict([b"".join(pieces)])
