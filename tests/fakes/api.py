"""The least of an API server that a real kubectl needs, on loopback: nodes, one pod with a log, faults on demand."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

WORDS = {403: "it is forbidden: User cannot", 410: "too old resource version", 404: "not found"}
KINDS = {"nodes": "Node", "namespaces": "Namespace", "pods": "Pod"}
RESOURCES = [
    {"name": name, "singularName": "", "namespaced": name == "pods", "kind": kind, "verbs": ["get", "list", "watch"]}
    for name, kind in KINDS.items()
]
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}},
    "spec": {"containers": [{"name": "main"}]},
    "status": {"phase": "Running"},
}
DOCUMENTS: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": RESOURCES},
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api/v1/namespaces/kube-system": {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": "uid-1"}},
    "/api/v1/namespaces/ns/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [POD]},
    "/api/v1/namespaces/ns/pods/p": POD,
}


class Api:
    """`nodes` are listed in pages of two; a watch sends `events` (objects with a type) and ends. `asked` grows."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.events: list[Any] = []
        self.asked: list[str] = []
        self.statuses: dict[str, int] = {}
        self.hold = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Api:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(request.path)
        if parts.path in self.statuses:
            code = self.statuses[parts.path]
            reason = {403: "Forbidden", 410: "Expired", 404: "NotFound"}.get(code, "InternalError")
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
            self._send(request, status | {"message": WORDS.get(code, "an error on the server")}, code)
        elif parts.path.endswith("/log"):
            self._send_text(request, "2026-11-24T10:00:00.5Z XID 79\n2026-11-24T10:00:01Z done\n")
        elif parts.path == "/api/v1/nodes":
            if "watch" in query:
                self._watch(request)
            else:
                self._list(request, int(query.get("continue") or 0))
        elif parts.path in DOCUMENTS:
            self._send(request, DOCUMENTS[parts.path])
        else:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self._send(request, status | {"message": "the server could not find the requested resource"}, 404)

    def _list(self, request: BaseHTTPRequestHandler, start: int) -> None:
        more = str(start + 2) if start + 2 < len(self.nodes) else ""
        metadata = {"resourceVersion": "5"} | ({"continue": more} if more else {})
        items = self.nodes[start : start + 2]
        self._send(request, {"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items})

    def _watch(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Connection", "close")
        request.end_headers()
        for event in self.events:
            if event == "hold":
                self.hold.wait(20)
                continue
            request.wfile.write(json.dumps(event).encode() + b"\n")
            request.wfile.flush()

    def _send(self, request: BaseHTTPRequestHandler, document: Any, code: int = 200) -> None:
        self._send_text(request, json.dumps(document), code, "application/json")

    def _send_text(self, request: BaseHTTPRequestHandler, text: str, code: int = 200, kind: str = "text/plain") -> None:
        body = text.encode()
        request.send_response(code)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
