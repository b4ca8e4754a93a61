"""A server on loopback that plays Claude: each request is answered by the next act of a play, and written down."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.app.drafting.converting import convert_by_rules, read_source
from nvsx.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Act(NamedTuple):
    """`how` is `answer`, `hang` (nothing is said) or `cut` (the connection ends in the middle of the answer)."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    how: str = "answer"


def message(text: str, *, stop: str = "end_turn", **more: Any) -> Act:
    """An answer as the Messages API gives it."""
    content = [{"type": "text", "text": text}] if text else []
    usage = {
        "input_tokens": 1200, "output_tokens": 800, "cache_creation_input_tokens": 9000, "cache_read_input_tokens": 0,
    }  # fmt: skip
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-7", "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": usage, **more,
    }  # fmt: skip
    return Act(body=body)


def tool(data: Any) -> Act:
    """An answer in the form of a tool use."""
    used = {"type": "tool_use", "id": "toolu_1", "name": "draft", "input": data}
    return message("", stop="tool_use", content=[used])


def good_answer(page: Path, root: Path) -> dict[str, Any]:
    """What a good answer about the sample page is, for a project in `root`: what the rules make of the page."""
    draft = convert_by_rules(read_source(page, "", {}), Catalog(root), {"PATH": "/usr/bin:/bin"}).draft
    lines = [
        {"first": 111, "last": 111, "fate": "people", "hook": "", "why": "takes a GPU away"},
        {"first": 93, "last": 94, "fate": "dropped", "hook": "", "why": "fault-quarantine cordons"},
        {"first": 49, "last": 70, "fate": "kept", "hook": "hooks/sample-runbook/acknowledge.sh", "why": "tells people"},
    ]
    hooks = [{"path": path, "script": text} for path, text in draft.hooks.items()]
    return {"runbook": draft.runbook, "hooks": hooks, "lines": lines}


def failure(status: int, kind: str, said: str, **headers: str) -> Act:
    body = {"type": "error", "error": {"type": kind, "message": said}}
    return Act(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Stage(NamedTuple):
    url: str
    requests: list[dict[str, Any]]
    headers: list[dict[str, str]]
    raw: list[bytes]


@contextmanager
def playing(acts: Sequence[Act]) -> Iterator[Stage]:
    """The server, until the end of the block. A request more than there are acts is answered with 500."""
    pending = iter(acts)
    over = threading.Event()
    requests: list[dict[str, Any]] = []
    headers: list[dict[str, str]] = []
    raw: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            raw.append(self.path.encode() + str(self.headers).encode() + body)
            requests.append(json.loads(body))
            headers.append({name.lower(): value for name, value in self.headers.items()})
            self.play(next(pending, failure(500, "api_error", "the play is over")))

        def play(self, act: Act) -> None:
            if act.how == "hang":
                over.wait(30)
                self.close_connection = True
                return
            data = json.dumps(act.body).encode()
            self.send_response(act.status)
            for name, value in {
                "content-type": "application/json",
                "content-length": str(len(data)),
                **act.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if act.how == "cut":
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Tests tell what they saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Stage(f"http://127.0.0.1:{server.server_port}", requests, headers, raw)
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
