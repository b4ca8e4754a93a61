"""What kubectl's complaint means: a table from its last line of stderr to a kind of blindness with a next step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import (
    ClusterError,
    Expired,
    Forbidden,
    NoContext,
    NotFound,
    NotInstalled,
    TimedOut,
    TlsRefused,
    Unauthorized,
    Unreachable,
)

if TYPE_CHECKING:
    from nvsx.ports import Object


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    kind: type[ClusterError]


def _rule(kind: type[ClusterError], *patterns: str) -> _Rule:
    return _Rule(re.compile("|".join(patterns), re.IGNORECASE), kind)


_RULES = (
    # The reason in parentheses is the server's own word and decides before any text does.
    _rule(Forbidden, r"^Error from server \(Forbidden\)"),
    _rule(NotFound, r"^Error from server \(NotFound\)"),
    _rule(Expired, r"^Error from server \((Expired|Gone)\)"),
    _rule(TimedOut, r"^Error from server \((Timeout|GatewayTimeout|ServerTimeout)\)"),
    _rule(Unauthorized, r"\(Unauthorized\)", r"must be logged in to the server"),
    _rule(
        Unreachable,
        r"^Error from server \((ServiceUnavailable|InternalError|TooManyRequests|BadGateway)\)",
        r"^an error on the server",
    ),
    _rule(NotInstalled, r"getting credentials: exec: executable .* not found"),
    _rule(Unauthorized, r"getting credentials:", r"no Auth Provider found", r"token .*expired", r"refresh token"),
    _rule(
        NoContext,
        r"context \S+ (does not exist|was not found)",
        r"no context exists",
        r"current-context is not set",
        r"no configuration has been provided",
        r"invalid configuration",
        r"error loading config file",
        r"(cluster|auth info) \S+ does not exist",
    ),
    _rule(Forbidden, r"\bis forbidden\b"),
    _rule(
        NotFound, r"the server doesn't have a resource type", r"could not find the requested resource", r"404 not found"
    ),
    _rule(Expired, r"too old resource version", r"continue parameter is too old"),
    _rule(
        TlsRefused,
        r"x509: ",
        r"remote error: tls: ",
        r"tls: (first record|failed|no |bad |unsupported|handshake failure|private key)",
        r"server gave HTTP response to HTTPS client",
        r"sent an HTTP request to an HTTPS server",
    ),
    _rule(Unreachable, r"dial tcp.*i/o timeout", r"TLS handshake timeout"),
    _rule(
        TimedOut,
        r"Client\.Timeout exceeded",
        r"context deadline exceeded",
        r"request canceled",
        r"timed? ?out waiting",
        r"request did not complete within",
    ),
    _rule(
        Unreachable,
        r"The connection to the server .* was refused",
        r"Unable to connect to the server",
        r"connection (refused|reset)",
        r"no such host",
        r"no route to host",
        r"network is unreachable",
        r"http2: ",
        r"unexpected EOF|: EOF$",
        r"error dialing backend",
    ),
)

_BY_CODE: dict[int, type[ClusterError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: TimedOut,
    410: Expired,
    429: Unreachable,
    500: Unreachable,
    502: Unreachable,
    503: Unreachable,
    504: TimedOut,
}

_LOG_LINE = re.compile(r"^[EWIF]\d{4} ")
_LOG_HEAD = re.compile(r"^[EWIF]\d{4} .*?\] ")
_HEAD = re.compile(r"^(?:error: |Error from server(?: \(\w+\))?: )+", re.IGNORECASE)
_MAY_NOT = re.compile(r'cannot (\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?')


def is_warning(line: str) -> bool:
    """A line that kubectl, or a wrapper around it, prints beside its answer."""
    return line.startswith("Warning:") or bool(_LOG_LINE.match(line))


def classify(stderr: str, *, command: str, kubectl: str = "kubectl") -> ClusterError:
    """The error that `stderr` of a failed `command` tells; `kubectl` begins the hints (with its `--context`)."""
    message = last_word(stderr)
    kind = next((rule.kind for rule in _RULES if rule.pattern.search(message)), ClusterError)
    fact = _HEAD.sub("", message) or "kubectl failed without a word"
    return kind(fact, hint=_hint(kind, fact, command, kubectl), command=command)


def from_status(status: Object, *, command: str, kubectl: str = "kubectl") -> ClusterError:
    """The error in a `Status` document: an ERROR event of a watch, or a failure that was answered as a document."""
    code = status.get("code")
    kind = _BY_CODE.get(code, ClusterError) if isinstance(code, int) else ClusterError
    fact = str(status.get("message") or status.get("reason") or f"the server answered {code}")
    return kind(fact, hint=_hint(kind, fact, command, kubectl), command=command)


def last_word(stderr: str) -> str:
    """The line that is the message: the last that is neither a warning nor a log line, else the last of those."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    spoken = [line for line in lines if not is_warning(line)]
    if spoken:
        return spoken[-1]
    return _LOG_HEAD.sub("", lines[-1]) if lines else ""


def _hint(kind: type[ClusterError], fact: str, command: str, kubectl: str) -> str:
    if kind is Forbidden and (found := _MAY_NOT.search(fact)):
        verb, resource, group, namespace = found.groups()
        what = f"{resource}.{group}" if group else resource
        return f"{kubectl} auth can-i {verb} {what}" + (f" --namespace={namespace}" if namespace else "")
    return _HINTS.get(kind, command).format(kubectl=kubectl)


_HINTS: dict[type[ClusterError], str] = {
    NotInstalled: "echo $PATH",
    NoContext: "kubectl config get-contexts",
    Unreachable: "{kubectl} get --raw /readyz",
    TimedOut: "{kubectl} get --raw /readyz",
    TlsRefused: "{kubectl} config view --minify",
    Unauthorized: "{kubectl} auth can-i --list",
    Forbidden: "{kubectl} auth can-i --list",
    NotFound: "{kubectl} api-resources",
}
