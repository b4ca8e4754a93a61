"""Who sent this? Checks a delivery's secret or signature on its raw bytes, in constant time, before anything is parsed.

Several secrets may be valid at once, so that they can be rotated without losing a delivery.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REPLAY_WINDOW_S = 300.0
"""How old, or how far in the future, a signed timestamp may be."""
MOST_SIGNATURES = 16
"""Signatures of one header that are looked at: PagerDuty sends one for each active secret."""
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Auth(NamedTuple):
    """How a source proves who it is. Without `secrets` nothing is proven."""

    kind: str  # "bearer", "basic", "header" (a plain secret in `header`) or "hmac" (SHA-256, in `header`)
    secrets: Sequence[bytes]
    header: str = "Authorization"
    prefix: str = ""  # of each signature in the header's list, "v1=" at PagerDuty
    timestamp_header: str = ""  # where the signature also covers `<unix seconds>:` before the body


class Proof(NamedTuple):
    """Whether a delivery is from whom it claims; `reason` is for nvsx's own log and is never sent back."""

    ok: bool
    reason: str = ""
    missing: bool = False  # nothing was offered at all: answer 401 rather than 403


PROVEN = Proof(ok=True)


def verify(auth: Auth, headers: Mapping[str, str], body: bytes, now: float) -> Proof:
    """Check one delivery. `headers` have lower-case names, `body` is raw, `now` is epoch seconds."""
    given = headers.get(auth.header.lower(), "").strip()
    if not given:
        return Proof(ok=False, reason=f"no {auth.header} header", missing=True)
    if auth.kind == "hmac":
        return _verify_signature(auth, given, headers, body, now)
    if auth.kind == "header":
        return _equal_to_any(given.encode("utf-8", "surrogateescape"), auth.secrets, f"the {auth.header} header")
    scheme, _, rest = given.partition(" ")
    if scheme.lower() != auth.kind:
        return Proof(ok=False, reason=f"the Authorization header is not {auth.kind}")
    if auth.kind == "basic":
        return _equal_to_any(_basic(rest), auth.secrets, "user and password")
    return _equal_to_any(rest.strip().encode("utf-8", "surrogateescape"), auth.secrets, "the token")


def sign(secret: bytes, body: bytes, timestamp: str = "") -> str:
    """The lower-case hex HMAC-SHA256 that a sender puts into its header."""
    covered = f"{timestamp}:".encode() + body if timestamp else body
    return hmac.new(secret, covered, hashlib.sha256).hexdigest()


def _verify_signature(auth: Auth, given: str, headers: Mapping[str, str], body: bytes, now: float) -> Proof:
    timestamp = ""
    if auth.timestamp_header:
        timestamp = headers.get(auth.timestamp_header.lower(), "").strip()
        if not _TIMESTAMP.fullmatch(timestamp):
            return Proof(ok=False, reason=f"no usable {auth.timestamp_header} header", missing=not timestamp)
        if abs(now - int(timestamp)) > REPLAY_WINDOW_S:
            return Proof(ok=False, reason=f"signed {abs(now - int(timestamp)):.0f} s away from now")
    offered = [
        item.removeprefix(auth.prefix).lower()
        for part in given.split(",", MOST_SIGNATURES)[:MOST_SIGNATURES]
        if (item := part.strip()).startswith(auth.prefix) and _HEX_DIGEST.fullmatch(item.removeprefix(auth.prefix))
    ]
    if not offered:
        return Proof(ok=False, reason=f"no {auth.prefix}<hex SHA-256> in the {auth.header} header")
    expected = [sign(secret, body, timestamp) for secret in auth.secrets]
    found = False
    for signature in offered:
        for wanted in expected:
            found |= hmac.compare_digest(signature, wanted)
    return PROVEN if found else Proof(ok=False, reason="the signature fits none of the secrets")


def _equal_to_any(given: bytes, secrets: Iterable[bytes], what: str) -> Proof:
    """Compared by digest, so that neither content nor length of a secret can be timed."""
    digest = hashlib.sha256(given).digest()
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(digest, hashlib.sha256(secret).digest())
    return PROVEN if found else Proof(ok=False, reason=f"{what} fits none of the secrets")


def _basic(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
