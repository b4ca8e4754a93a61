"""Signatures and tokens: the senders' own test vectors, and everything that must not pass."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.triggers.signatures import Auth, Proof, sign, verify

SECRET = b"nvsx-test-secret"
BODY = b'{"event":{"id":"t1"}}'
HEX = "063bea52a2c4ef9ff27cf043cbe8a59b43570f6ffb7460020832aaf4f9681565"
STAMPED = "51f4e712df2d7c7c2875229cd055d5ac8ab2f4b1f0f477671f104de3f7bdef81"
NOW = 1787364847.0

PAGERDUTY = Auth("hmac", [b"an old secret", SECRET], "X-PagerDuty-Signature", "v1=")
GRAFANA = Auth("hmac", [SECRET], "X-Grafana-Alerting-Signature")
GRAFANA_STAMPED = GRAFANA._replace(timestamp_header="X-Grafana-Alerting-Timestamp")


def pagerduty(header: str, body: bytes = BODY) -> Proof:
    return verify(PAGERDUTY, {"x-pagerduty-signature": header}, body, NOW)


def test_the_vectors_of_the_senders() -> None:
    assert sign(SECRET, BODY) == HEX
    assert sign(SECRET, BODY, "1787364847") == STAMPED


@pytest.mark.parametrize(
    "header",
    [f"v1={HEX}", f"v1={'0' * 64},v1={HEX}", f"v1={'0' * 64} ,  v1={HEX} ", f"v1={HEX.upper()}", f"v2=abc,v1={HEX}"],
)
def test_any_signature_of_the_list_may_fit(header: str) -> None:
    assert pagerduty(header).ok


@pytest.mark.parametrize(
    "header",
    [
        HEX,
        f"v2={HEX}",
        f"v1={HEX[:-1]}",
        f"v1={HEX}0",
        "v1=",
        "v1=" + "é" * 64,
        f"v1 ={HEX}",
        f"v1={'0' * 64},",
        ",".join([f"v1={'0' * 64}"] * 16 + [f"v1={HEX}"]),
    ],
)
def test_what_does_not_fit_does_not_pass(header: str) -> None:
    proof = pagerduty(header)
    assert not proof.ok
    assert not proof.missing
    assert proof.reason


def test_the_raw_bytes_are_signed_and_nothing_else() -> None:
    assert not pagerduty(f"v1={HEX}", b'{"event": {"id": "t1"}}').ok
    assert not pagerduty(f"v1={HEX}", BODY + b"\n").ok
    assert pagerduty("").missing


def test_grafana_signs_with_and_without_a_time() -> None:
    name = "x-grafana-alerting-signature"
    stamp = "x-grafana-alerting-timestamp"
    assert verify(GRAFANA, {name: HEX}, BODY, NOW).ok
    assert verify(GRAFANA_STAMPED, {name: STAMPED, stamp: "1787364847"}, BODY, NOW + 299).ok
    for away in (300, -300):
        assert verify(GRAFANA_STAMPED, {name: STAMPED, stamp: "1787364847"}, BODY, NOW + away).ok
    for away in (301, -301):
        late = verify(GRAFANA_STAMPED, {name: STAMPED, stamp: "1787364847"}, BODY, NOW + away)
        assert (late.ok, late.missing, late.reason) == (False, False, "signed 301 s away from now")
    assert not verify(GRAFANA_STAMPED, {name: STAMPED, stamp: "1787364848"}, BODY, NOW).ok
    unstamped = verify(GRAFANA_STAMPED, {name: HEX}, BODY, NOW)
    assert (unstamped.ok, unstamped.missing) == (False, True)
    garbled = verify(GRAFANA_STAMPED, {name: HEX, stamp: "²"}, BODY, NOW)
    assert (garbled.ok, garbled.missing) == (False, False)


def test_a_token_a_password_and_a_plain_header() -> None:
    bearer = Auth("bearer", [b"old", b"t0ken"])
    assert verify(bearer, {"authorization": "Bearer t0ken"}, b"", NOW).ok
    assert verify(bearer, {"authorization": "bearer  old "}, b"", NOW).ok
    assert not verify(bearer, {"authorization": "Bearer t0ken2"}, b"", NOW).ok
    assert not verify(bearer, {"authorization": "Basic t0ken"}, b"", NOW).ok
    assert verify(bearer, {}, b"", NOW).missing
    basic = Auth("basic", [b"nvsx:pass word"])
    assert verify(basic, {"authorization": "Basic " + base64.b64encode(b"nvsx:pass word").decode()}, b"", NOW).ok
    assert not verify(basic, {"authorization": "Basic ***"}, b"", NOW).ok
    spoilt = base64.b64encode(b"nvsx:pass word").decode().replace("n", "*n", 1)
    assert spoilt.count("*") == 1
    assert not verify(basic, {"authorization": f"Basic {spoilt}"}, b"", NOW).ok, "nearly base64 is not base64"
    plain = Auth("header", ["schlüssel".encode()], "X-Nvsx-Token")
    assert verify(plain, {"x-nvsx-token": "schlüssel"}, b"", NOW).ok
    assert not verify(plain, {"x-nvsx-token": "schlussel"}, b"", NOW).ok


def test_without_a_secret_nothing_is_proven() -> None:
    assert not verify(Auth("bearer", []), {"authorization": "Bearer "}, b"", NOW).ok
    assert not verify(Auth("hmac", [], "X-S"), {"x-s": sign(b"", b"")}, b"", NOW).ok


@given(st.text(), st.binary(), st.sampled_from(["bearer", "basic", "header", "hmac"]), st.floats(0, 4e9))
def test_no_header_raises_and_none_passes_by_chance(header: str, body: bytes, kind: str, now: float) -> None:
    auth = Auth(kind, [SECRET], "X-S", timestamp_header="X-T")
    assert not verify(auth, {"x-s": header, "x-t": header}, body, now).ok
