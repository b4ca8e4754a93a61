"""Request and Answer: what an application behind the server gets and gives, without a socket in sight."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"


class Request(NamedTuple):
    """One complete request. `path` is as it was sent, still percent-encoded; header names are lower case."""

    method: str
    path: str
    query: str  # what stands after `?`
    headers: Mapping[str, str]
    body: bytes
    peer: str  # address of the other end
    secure: bool = False  # came over TLS


class Answer(NamedTuple):
    """What goes back. Header names and values are the application's own, never a client's text."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = {}


def json_answer(status: int, data: Mapping[str, object], **headers: str) -> Answer:
    """A JSON answer with a last newline, so that it reads well under curl. `Retry_After=…` names a header."""
    text = json.dumps(data, ensure_ascii=False, default=str) + "\n"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, text.encode("utf-8", "replace"), headers=named)
