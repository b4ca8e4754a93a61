"""Senders: who may post, how each proves who it is, and the files that hold their secrets.

A secret file is read again when it has changed, so secrets are rotated by writing files and nothing is restarted.
"""

from __future__ import annotations

import os
from functools import lru_cache
from ipaddress import ip_address
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import EnvironmentUnusable
from nvsx.triggers.formats import FORMATS
from nvsx.triggers.inbox import OWN_SOURCE
from nvsx.triggers.signatures import Auth, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nvsx.config import Source
    from nvsx.httpd.message import Request

PROVEN, LOCAL, OBSERVED, MISSING, WRONG = "proven", "local", "observed", "missing", "wrong"
"""How a sender was admitted (by its secret; because it is on this machine; in observe mode only), or why it was not."""

_LONGEST_SECRET = 4096
_LONGEST_ADDRESS = 100
_HEADERS = {"header": "X-Nvsx-Token", "hmac": "X-Nvsx-Signature"}
"""Where a secret or signature is looked for if neither nvsx.yaml nor the format says it."""
_RELAYED = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via", "origin"})
"""Headers of a proxy or a browser: then the peer is not the one who asks."""


class Admittance(NamedTuple):
    """Whether a request is let in, and how or why not; `reason` is for nvsx's own log."""

    ok: bool
    how: str
    reason: str = ""


class SecretFile:
    """A file with one secret. `read` gives b"" while there is none to be had, and `problem` then says why."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._held: tuple[tuple[int, int, int], bytes] | None = None

    def read(self) -> bytes:
        try:
            with self.path.open("rb") as stream:
                facts = os.fstat(stream.fileno())
                version = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                held = self._held
                if held and held[0] == version:
                    return held[1]
                text = stream.read(_LONGEST_SECRET + 1).strip()
        except OSError as error:
            self._held, self.problem = None, f"cannot read {self.path}: {error.strerror}"
            return b""
        self.problem = self._fault(facts, text)
        secret = b"" if self.problem else text
        self._held = (version, secret)
        return secret

    def check(self) -> None:
        """EnvironmentUnusable if the file is of no use: asked before anything is accepted."""
        if not self.read():
            exposed = "every user" in self.problem
            hint = f"chmod 640 {self.path}" if exposed else f"ls -l {self.path}; one secret on one line"
            raise EnvironmentUnusable(self.problem, hint=hint)

    def _fault(self, facts: os.stat_result, text: bytes) -> str:
        if S_ISREG(facts.st_mode) and facts.st_mode & 0o004:
            return f"the secret in {self.path} can be read by every user of this machine"
        if not text:
            return f"{self.path} is empty"
        if len(text) > _LONGEST_SECRET or b"\n" in text:
            return f"{self.path} holds more than one secret"
        return ""


class Sender(NamedTuple):
    """One who may post. Empty `format`: it is told from the message."""

    name: str
    format: str
    auth: Auth  # its `secrets` stay empty: they are read from `files` at each delivery
    files: tuple[SecretFile, ...] = ()
    observe: bool = False
    runbooks: tuple[str, ...] = ()
    map: Mapping[str, str] = {}

    def admits(self, request: Request, now: float) -> Admittance:
        """Whether the request is the sender's. Without secrets only those on this machine are believed."""
        if not self.files:
            if is_local(request):
                return Admittance(ok=True, how=LOCAL)
            found = Admittance(ok=False, how=MISSING, reason=f"{self.name} has no secret, and the peer is elsewhere")
        else:
            found = self._proof(request, now)
        if not found.ok and self.observe:
            return Admittance(ok=True, how=OBSERVED, reason=found.reason)
        return found

    def _proof(self, request: Request, now: float) -> Admittance:
        secrets = [secret for file in self.files if (secret := file.read())]
        if not secrets:
            return Admittance(ok=False, how=WRONG, reason="; ".join(file.problem for file in self.files))
        proof = verify(self.auth._replace(secrets=secrets), request.headers, request.body, now)
        if proof.ok:
            return Admittance(ok=True, how=PROVEN)
        return Admittance(ok=False, how=MISSING if proof.missing else WRONG, reason=proof.reason)


def own_sender(tokens: Iterable[SecretFile]) -> Sender:
    """Who posts to `/webhook` itself: bearer of one of the tokens."""
    return Sender(OWN_SOURCE, "", Auth("bearer", ()), tuple(tokens))


def sender_of(source: Source, root: Path) -> Sender:
    """A sender as nvsx.yaml describes it; what it leaves open is what the format's sender usually does."""
    usual = FORMATS.get(source.format)
    kind = source.auth or (usual.auth if usual else "bearer")
    same = usual is not None and kind == usual.auth
    header = source.header or (usual.header if usual and same else _HEADERS.get(kind, "Authorization"))
    auth = Auth(kind, (), header, usual.prefix if usual and same else "", source.timestamp_header)
    files = tuple(SecretFile(root / name) for name in source.secret_files)
    return Sender(source.name, source.format, auth, files, source.observe, source.runbooks, source.map)


def is_local(request: Request) -> bool:
    """Whether somebody on this machine asks: no proxy in between, no browser that a web page has sent here."""
    if not is_loopback(request.peer) or _RELAYED & request.headers.keys():
        return False
    host = request.headers.get("host", "").lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    # A name with a dot may be anybody's, and lead here by the will of a web page.
    return is_loopback(name) or name == "0.0.0.0" or "." not in name.rstrip(".") or name.endswith(".localhost")  # noqa: S104


def is_loopback(address: str) -> bool:
    return len(address) <= _LONGEST_ADDRESS and _is_loopback(address)


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
