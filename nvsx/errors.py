"""Everything that nvsx can tell a user went wrong, with its exit code, its place and the next step.

Raised anywhere, drawn in one place (`nvsx.main`). A class is a kind of failure, never a message: the facts
are arguments. This module stands on the lowest floor and imports nothing of nvsx.
"""

from __future__ import annotations

from typing import NamedTuple


class Exit:
    """Process exit codes; `nvsx help exit-codes` prints this table."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BLIND = 3
    REFUSED = 4
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class Place(NamedTuple):
    """Where in a file something stands; line and column count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class Problem(NamedTuple):
    """One thing wrong in a document: where, what, and what to write instead."""

    place: Place
    path: str  # dotted path inside the document, "" for the whole
    message: str
    hint: str = ""
    severity: str = "error"  # "error", "warning" or, for what is about this machine only, "note"

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place.file else ""
        path = f"{self.path}: " if self.path else ""
        return f"{where}{path}{self.message}"


class NvsxError(Exception):
    """An expected failure: one fact, an optional place, and a next step that can be pasted."""

    code = "error"
    exit_code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place


class UsageError(NvsxError):
    """The command line does not say something nvsx can do."""

    code = "usage"
    exit_code = Exit.USAGE


class NotFoundHere(NvsxError):
    """A runbook, run, node or file that was named does not exist."""

    code = "not-found"
    exit_code = Exit.USAGE


class DocumentInvalid(NvsxError):
    """A YAML or JSON document is unusable; carries every problem found in it, not only the first."""

    code = "invalid"
    exit_code = Exit.USAGE

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint, place=problems[0].place if problems else None)
        self.problems = problems


class EnvironmentUnusable(NvsxError):
    """This machine lacks something nvsx needs: a program, a writable directory, a newer Python."""

    code = "environment"
    exit_code = Exit.BLIND


class Refused(NvsxError):
    """nvsx could do it and will not: a duplicate, a lock, a write where only reads are allowed."""

    code = "refused"
    exit_code = Exit.REFUSED


class Interrupted(NvsxError):
    """The user or the system asked nvsx to stop."""

    code = "interrupted"
    exit_code = Exit.INTERRUPTED


class ClusterError(NvsxError):
    """The cluster could not be looked at. Never evidence of anything: a watch that meets one is blind.

    `command` is the failing command line as it was run; `lasting` says that trying again in a moment cannot help.
    """

    code = "cluster"
    exit_code = Exit.BLIND
    lasting = False

    def __init__(self, message: str, *, hint: str = "", command: str = "") -> None:
        super().__init__(message, hint=hint)
        self.command = command


class NotInstalled(ClusterError):
    code = "not-installed"
    lasting = True


class NoContext(ClusterError):
    code = "no-context"
    lasting = True


class Unreachable(ClusterError):
    code = "unreachable"


class Unauthorized(ClusterError):
    code = "unauthorized"
    lasting = True


class Forbidden(ClusterError):
    code = "forbidden"
    lasting = True


class NotFound(ClusterError):
    """The path names something the API server does not have: an object, or a resource type."""

    code = "no-such-object"
    lasting = True


class Expired(ClusterError):
    """The resource version is too old (410): list again."""

    code = "expired"


class TimedOut(ClusterError):
    code = "timed-out"


class TlsRefused(ClusterError):
    """One side did not accept the other's certificate, or one spoke TLS and the other did not."""

    code = "tls-refused"
    lasting = True


class BadAddress(ClusterError):
    """An address (a database's URI) that nothing can be connected to because of how it is written."""

    code = "bad-address"
    lasting = True


class Garbled(ClusterError):
    """An answer came and is not what the API speaks."""

    code = "garbled"
