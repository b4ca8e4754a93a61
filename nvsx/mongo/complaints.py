"""What mongosh's and the driver's complaints mean: from name, code and text to a kind of blindness with a next step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from nvsx.errors import (
    BadAddress,
    ClusterError,
    Forbidden,
    NotInstalled,
    TimedOut,
    TlsRefused,
    Unauthorized,
    Unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK = "***"
_LONGEST = 300

_BY_CODE: dict[int, type[ClusterError]] = {
    6: Unreachable,  # HostUnreachable
    7: Unreachable,  # HostNotFound
    11: Unauthorized,  # UserNotFound
    13: Forbidden,  # Unauthorized: known, but not allowed
    18: Unauthorized,  # AuthenticationFailed
    50: TimedOut,  # MaxTimeMSExpired
    89: Unreachable,  # NetworkTimeout
    91: Unreachable,  # ShutdownInProgress
    189: Unreachable,  # PrimarySteppedDown
    8000: Unauthorized,  # AtlasError
    10107: Unreachable,  # NotWritablePrimary
    11600: Unreachable,  # InterruptedAtShutdown
    11602: Unreachable,  # InterruptedDueToReplStateChange
    13435: Unreachable,  # NotPrimaryNoSecondaryOk
    13436: Unreachable,  # NotPrimaryOrSecondary
}


class _Rule(NamedTuple):
    kind: type[ClusterError]
    names: re.Pattern[str]
    text: re.Pattern[str]


def _rule(kind: type[ClusterError], *, names: str = "", text: str = "") -> _Rule:
    return _Rule(kind, re.compile(names), re.compile(text, re.IGNORECASE))


_RULES = (
    _rule(BadAddress, names=r"^Mongo(Parse|InvalidArgument|API|MissingCredentials)Error|^MongoshInvalidInputError"),
    _rule(TlsRefused, text=r"certificate|self[- ]signed|unable to verify|\bSSL\b|\bTLS\b|ERR_TLS|EPROTO|altname"),
    _rule(Unauthorized, text=r"authentication failed|no such user"),
    _rule(Forbidden, text=r"not authorized on"),
    _rule(BadAddress, text=r"ENOENT|no such file or directory"),
    _rule(TimedOut, names=r"^MongoOperationTimeoutError", text=r"exceeded time limit"),
    _rule(
        Unreachable,
        names=r"^Mongo(Network|ServerSelection|NotConnected|PoolClosed|PoolCleared|TopologyClosed|ServerClosed)",
    ),
    _rule(Unreachable, text=r"ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|connection .* closed|EPIPE"),
)

_HINTS: dict[type[ClusterError], str] = {
    Unauthorized: "check user, password and authSource; NVSX_MONGO_URI can name another database user",
    Forbidden: "the database user needs to read this database; watch the node instead: kind nvsentinel-state",
    TlsRefused: "check tls=true, tlsCAFile and tlsCertificateKeyFile in NVSX_MONGO_URI",
    BadAddress: "NVSX_MONGO_URI='mongodb://HOST:27017/?replicaSet=rs0&tls=true', special characters as %XX",
    Unreachable: "kubectl -n nvsentinel get pods -l app.kubernetes.io/name=mongodb",
    TimedOut: "an index on the fields of the filter, or a narrower filter",
}


def classify_answer(error: Mapping[str, Any], *, command: str, secrets: Iterable[str] = ()) -> ClusterError:
    """The error that a failed request tells, without the secrets that drivers put into their messages."""
    name = str(error.get("name", ""))
    message, why = str(error.get("message", "")), str(error.get("why", ""))
    told = message if why in message or not why else f"{message}: {why}"
    kind = _kind(name, error.get("code"), told)
    text = hidden(told, secrets)[:_LONGEST].strip() or name or "the database failed without a word"
    if kind is BadAddress:
        text = f"the address of the database cannot be used: {text}"
    return kind(text, hint=_HINTS.get(kind, ""), command=command)


def _kind(name: str, code: object, text: str) -> type[ClusterError]:
    if "requires authentication" in text:
        return Unauthorized  # no user was given at all
    if isinstance(code, int) and code in _BY_CODE:
        return _BY_CODE[code]
    for rule in _RULES:
        if (rule.names.pattern and rule.names.search(name)) or (rule.text.pattern and rule.text.search(text)):
            return rule.kind
    return ClusterError


def not_in_container(stderr: str, *, command: str) -> ClusterError | None:
    """The error when a container has no mongosh, which the container runtime tells in words of its own."""
    if re.search(r"executable file not found|no such file or directory.*mongosh|mongosh.*not found", stderr):
        hint = "give nvsx a way of its own: --mongo-uri or NVSX_MONGO_URI, with mongosh on this machine"
        return NotInstalled("the database's container has no mongosh", hint=hint, command=command)
    return None


def secrets_of(*texts: str) -> set[str]:
    """What of some addresses and passwords must not be shown, in the forms in which a message could repeat it."""
    found: set[str] = set()
    for text in filter(None, texts):
        found.add(text)
        if "://" not in text:
            found.add(quote(text, safe=""))
            continue
        found |= _passwords(text)
    return {secret for secret in found if secret}


def _passwords(address: str) -> set[str]:
    """Everything between the user's colon and the last @ too: a driver repeats what it could not split either."""
    _, _, rest = address.partition("://")
    known, at, _ = rest.rpartition("@")
    loose = known.partition(":")[2] if at else ""
    try:
        strict = urlsplit(address).password or ""
    except ValueError:
        strict = ""
    return {form for found in (loose, strict) if found for form in (found, unquote(found))}


def hidden(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
