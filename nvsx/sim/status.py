"""What a simulated API server refuses with, beyond the failures of looking that `nvsx.errors` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx import errors

if TYPE_CHECKING:
    from collections.abc import Mapping


class BadRequest(errors.ClusterError):
    """The request itself is wrong: a selector, a body, a field."""

    code = "bad-request"
    lasting = True


class AlreadyExists(errors.ClusterError):
    code = "already-exists"
    lasting = True


class Conflict(errors.ClusterError):
    """The object was changed since the version that the writer had read."""

    code = "conflict"


class TooManyRequests(errors.Unreachable):
    """The server is busy and says when to come again (`retry_s`, whole seconds)."""

    code = "too-many-requests"
    retry_s = 1


class Reset(errors.Unreachable):
    """The connection breaks off without a word."""

    code = "reset"


class Torn(Reset):
    """It does so in the middle of a line."""


class NotSimulated(errors.ClusterError):
    """A real cluster does this and the simulated one does not."""

    code = "not-simulated"
    lasting = True


STATUS: Mapping[type[errors.NvsxError], tuple[int, str]] = {
    BadRequest: (400, "BadRequest"),
    errors.Unauthorized: (401, "Unauthorized"),
    errors.Forbidden: (403, "Forbidden"),
    errors.NotFound: (404, "NotFound"),
    AlreadyExists: (409, "AlreadyExists"),
    Conflict: (409, "Conflict"),
    errors.Expired: (410, "Expired"),
    TooManyRequests: (429, "TooManyRequests"),
    NotSimulated: (501, "NotImplemented"),
    errors.TimedOut: (504, "Timeout"),
}
"""HTTP status and reason of each refusal; what is not here never reached the API server."""


def status_object(refusal: errors.NvsxError) -> dict[str, Any]:
    """The `Status` document that the API server answers a refused request with."""
    number, reason = STATUS.get(type(refusal), (500, "InternalError"))
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refusal.message,
        "reason": reason,
        "code": number,
    }
