"""One request through `http.server`: it reads the head and writes the answer, both in memory."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.httpd.message import Request, json_answer

if TYPE_CHECKING:
    from nvsx.httpd.framing import Whole
    from nvsx.httpd.message import Answer

_SCHEMES = ("http://", "https://")


class Caller(NamedTuple):
    """Who is at the other end of a connection."""

    address: str
    secure: bool


class Written(NamedTuple):
    """The bytes of an answer, and whether the connection ends with it."""

    data: bytes
    last: bool


def refusal(status: int, reason: str) -> bytes:
    """An answer outside any request, after which the connection is closed."""
    exchange = Exchange(None, Caller("", secure=False))
    return exchange.written(json_answer(status, {"status": "invalid", "reason": reason}), last=True).data


class Exchange(BaseHTTPRequestHandler):
    """A request and its answer. `request` is None where http.server finds fault with it; `refused` is then the answer.

    The socket, and waiting for anything, are somebody else's.
    """

    protocol_version = "HTTP/1.1"
    wfile: BytesIO

    def __init__(self, whole: Whole | None, caller: Caller) -> None:
        self.request: Request | None = None  # (http.server has its socket by that name)
        self.refused: Answer | None = None
        self._whole = whole
        self._caller = caller
        super().__init__(None, (caller.address, 0), None)  # type: ignore[arg-type]

    def setup(self) -> None:
        self.rfile = BytesIO(self._whole.head if self._whole else b"")
        self.wfile = BytesIO()

    def handle(self) -> None:
        self.close_connection = True
        self.request = None
        if self._whole is None:
            self.command, self.request_version, self.requestline = "", self.protocol_version, ""
            return
        self.raw_requestline = self.rfile.readline()
        if self.parse_request():
            self.request = self._request(self._whole)

    def finish(self) -> None:
        """Nothing is open."""

    def handle_expect_100(self) -> bool:
        """The body is here already: whoever waited was told to go on."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself finds wrong, in the form in which everything is answered."""
        self.close_connection = True
        self.refused = json_answer(int(code), {"status": "invalid", "reason": message or "not a request"})

    def version_string(self) -> str:
        return "nvsx"  # which version of what is nobody's business

    def log_message(self, *_: Any) -> None:
        """Who uses the server says what is worth saying."""

    def written(self, answer: Answer, *, last: bool) -> Written:
        """The answer's bytes; `last` closes the connection after it, as the client may have asked for, too."""
        last = last or self.close_connection
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.headers.items():
            self.send_header(name, _one_line(value))
        self.send_header("Connection", "close" if last else "keep-alive")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        return Written(self.wfile.getvalue(), last)

    def _request(self, whole: Whole) -> Request:
        target = self.path
        for scheme in _SCHEMES:  # the absolute form, as a proxy is asked
            if target.lower().startswith(scheme):
                target = "/" + target[len(scheme) :].partition("/")[2]
        path, _, query = target.partition("?")
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        return Request(whole.method, path, query, headers, whole.body, self._caller.address, self._caller.secure)


def _one_line(value: str) -> str:
    """Header injection ends here, whatever an application puts into a value."""
    return "".join(sign if sign.isprintable() and sign.isascii() else "?" for sign in value)
