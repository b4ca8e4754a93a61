"""A server that speaks enough of MongoDB's wire protocol for the real mongosh: what a test needs of a replica set.

Modelled: hello (also as OP_QUERY), find, getMore, count by aggregate, listDatabases and listCollections, SCRAM-SHA-256,
X.509, TLS. Everything else is answered "no such command" (59), as a real server does. One thread a connection.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socketserver
import ssl
import struct
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self

import bson
from bson import Binary, json_util

from nvsx.sim.status import NotSimulated
from tests.servers.collection import AWARE, Collection

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
_ITERATIONS = 4096
_FREE = {
    "hello",
    "ismaster",
    "isMaster",
    "saslStart",
    "saslContinue",
    "authenticate",
    "ping",
    "buildInfo",
    "endSessions",
}


class Failure(Exception):
    """A command's failure as the server answers it."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.answer = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


class Cut(Exception):
    """The connection is to be closed without an answer."""


class MongoServer:
    """`databases` maps database -> collection -> documents in extended JSON. Use as a context manager."""

    def __init__(
        self, databases: dict[str, dict[str, list[dict[str, Any]]]] | None = None, *, user: str = "",
        password: str = "", tls: ssl.SSLContext | None = None, secondary: bool = False,
    ) -> None:  # fmt: skip
        self.databases: dict[str, dict[str, Collection]] = {}
        self.user, self.password = user, password
        self.secondary = secondary
        self.commands: list[str] = []
        self.cut_on = ""  # a command that is answered by closing the connection
        self.fail_on: dict[str, Failure] = {}
        self.slow_on: dict[str, float] = {}
        self.salt = os.urandom(16)
        self.cursors: dict[int, list[Any]] = {}
        self.connections: set[Any] = set()
        self.stopping = threading.Event()
        for database, collections in (databases or {}).items():
            for collection, documents in collections.items():
                self.databases.setdefault(database, {})[collection] = Collection()
                self.insert(database, collection, *documents)
        self._tcp = _Server(self, tls)
        self.port: int = self._tcp.server_address[1]

    def insert(self, database: str, collection: str, *documents: dict[str, Any]) -> None:
        """Add documents in extended JSON."""
        held = self.databases.setdefault(database, {}).setdefault(collection, Collection())
        for document in documents:
            held.insert(bson.encode(json_util.loads(json.dumps(document))))

    def __enter__(self) -> Self:
        threading.Thread(target=self._tcp.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away at once, as a server that is killed."""
        self.stopping.set()
        self._tcp.shutdown()
        self._tcp.server_close()
        for connection in tuple(self.connections):
            with suppress(OSError):
                connection.shutdown(2)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, mongo: MongoServer, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.mongo = mongo
        self.tls = tls

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.mongo = self.server.mongo
        self.authenticated = not self.mongo.user
        self.scram: dict[str, Any] = {}
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.mongo.connections.add(self.request)
        try:
            while True:
                self.serve()
        except (Cut, ConnectionError, OSError, EOFError):
            return
        finally:
            self.mongo.connections.discard(self.request)
            with suppress(OSError):
                self.request.close()

    def serve(self) -> None:
        length, request, _, opcode = struct.unpack("<iiii", self.exactly(16))
        body = self.exactly(length - 16)
        if opcode == OP_QUERY:
            at = body.index(b"\0", 4) + 1 + 8
            answer = bson.encode(self.answer(bson.decode(body[at:], AWARE)))
            payload = struct.pack("<iqii", 8, 0, 0, 1) + answer
            self.send(OP_REPLY, request, payload)
            return
        command = self.command(body)
        answer = bson.encode(self.answer(command))
        self.send(OP_MSG, request, struct.pack("<IB", 0, 0) + answer)

    def command(self, body: bytes) -> dict[str, Any]:
        command: dict[str, Any] = {}
        at = 4
        while at < len(body):
            kind = body[at]
            size = struct.unpack_from("<i", body, at + 1)[0]
            section = body[at + 1 : at + 1 + size]
            if kind == 0:
                command.update(bson.decode(section, AWARE))
            else:
                end = section.index(b"\0", 4)
                command[section[4:end].decode()] = bson.decode_all(section[end + 1 :], AWARE)
            at += 1 + size
        return command

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send(self, opcode: int, request: int, payload: bytes) -> None:
        self.request.sendall(struct.pack("<iiii", len(payload) + 16, 0, request, opcode) + payload)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        self.mongo.commands.append(name)
        if name in self.mongo.slow_on:
            self.mongo.stopping.wait(self.mongo.slow_on[name])
        if name == self.mongo.cut_on or self.mongo.stopping.is_set():
            raise Cut
        try:
            if name in self.mongo.fail_on:
                raise self.mongo.fail_on[name]
            if name not in _FREE and not self.authenticated:
                raise Failure(13, "Unauthorized", f"command {name} requires authentication")
            act = getattr(self, f"do_{name.lower()}", None)
            if act is None:
                raise Failure(59, "CommandNotFound", f"no such command: '{name}'")
            return {**act(command), "ok": 1.0}
        except Failure as failure:
            return failure.answer
        except NotSimulated as unknown:
            return Failure(2, "BadValue", f"unknown operator: {unknown.message}").answer

    # Commands

    def do_hello(self, command: dict[str, Any]) -> dict[str, Any]:
        me = f"127.0.0.1:{self.mongo.port}"
        found = {"helloOk": True, "isWritablePrimary": not self.mongo.secondary, "ismaster": not self.mongo.secondary,
                 "secondary": self.mongo.secondary, "setName": "rs0", "setVersion": 1, "hosts": [me], "me": me,
                 "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
                 "localTime": datetime.now(UTC), "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0,
                 "maxWireVersion": 21, "readOnly": False}  # fmt: skip
        if "saslSupportedMechs" in command:
            found["saslSupportedMechs"] = ["SCRAM-SHA-256"]
        return found

    do_ismaster = do_hello

    def do_ping(self, command: dict[str, Any]) -> dict[str, Any]:
        return {}

    do_endsessions = do_killcursors = do_ping

    def do_buildinfo(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"version": "8.0.4", "versionArray": [8, 0, 4, 0], "gitVersion": "0", "modules": []}

    def do_saslstart(self, command: dict[str, Any]) -> dict[str, Any]:
        first = bytes(command["payload"]).decode().removeprefix("n,,")
        fields = dict(part.split("=", 1) for part in first.split(","))
        nonce = fields["r"] + base64.b64encode(os.urandom(18)).decode()
        reply = f"r={nonce},s={base64.b64encode(self.mongo.salt).decode()},i={_ITERATIONS}"
        self.scram = {"user": fields["n"], "text": f"{first},{reply}", "nonce": nonce}
        return {"conversationId": 1, "done": False, "payload": Binary(reply.encode())}

    def do_saslcontinue(self, command: dict[str, Any]) -> dict[str, Any]:
        last = bytes(command["payload"]).decode()
        if not last:
            return {"conversationId": 1, "done": True, "payload": Binary(b"")}
        bare, proof = last.rsplit(",p=", 1)
        salted = hashlib.pbkdf2_hmac("sha256", self.mongo.password.encode(), self.mongo.salt, _ITERATIONS)
        client = hmac.digest(salted, b"Client Key", "sha256")
        text = f"{self.scram['text']},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(client).digest(), text, "sha256")
        wanted = bytes(a ^ b for a, b in zip(client, signature, strict=True))
        if self.scram["user"] != self.mongo.user or not hmac.compare_digest(wanted, base64.b64decode(proof)):
            raise Failure(18, "AuthenticationFailed", "Authentication failed.")
        self.authenticated = True
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256")
        return {"conversationId": 1, "done": True, "payload": Binary(b"v=" + base64.b64encode(server))}

    def do_authenticate(self, command: dict[str, Any]) -> dict[str, Any]:
        certificate = self.request.getpeercert() if isinstance(self.request, ssl.SSLSocket) else None
        if command.get("mechanism") != "MONGODB-X509" or not certificate:
            raise Failure(18, "AuthenticationFailed", "Authentication failed.")
        self.authenticated = True
        return {"dbname": "$external", "user": "CN=client"}

    def do_listdatabases(self, command: dict[str, Any]) -> dict[str, Any]:
        return {"databases": [{"name": name} for name in ("admin", "config", "local", *self.mongo.databases)]}

    def do_listcollections(self, command: dict[str, Any]) -> dict[str, Any]:
        known = self.mongo.databases.get(command["$db"], {})
        return self.batch(command, "$cmd.listCollections", [{"name": name, "type": "collection"} for name in known])

    def do_find(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.mongo.secondary and command.get("$readPreference", {}).get("mode", "primary") == "primary":
            raise Failure(13435, "NotPrimaryNoSecondaryOk", "not primary and secondaryOk=false")
        rows = self.held(command, command["find"]).find(
            command.get("filter", {}), command.get("sort") or {}, int(command.get("limit") or 0)
        )
        fields = command.get("projection") or {}
        found = [row.only(fields) for row in rows] if fields else [row.whole for row in rows]
        return self.batch(command, command["find"], found)

    def do_aggregate(self, command: dict[str, Any]) -> dict[str, Any]:
        return self.batch(command, command["aggregate"], self.run(command, command["aggregate"], command["pipeline"]))

    def held(self, command: dict[str, Any], collection: str) -> Collection:
        return self.mongo.databases.get(command["$db"], {}).get(collection) or Collection()

    def run(self, command: dict[str, Any], collection: str, pipeline: list[Any]) -> list[Any]:
        """A pipeline: conditions, order and limit, or what is counted of them."""
        conditions: list[dict[str, Any]] = []
        sort: dict[str, int] = {}
        limit = 0
        held = self.held(command, collection)
        for at, stage in enumerate(pipeline):
            ((name, body),) = stage.items()
            if name == "$match":
                conditions.append(body)
            elif name == "$sort":
                sort = body
            elif name == "$limit":
                limit = int(body)
            elif at == len(pipeline) - 1 and (name == "$count" or (name == "$group" and set(body) == {"_id", "n"})):
                count = held.count(_all_of(conditions))
                count = min(count, limit) if limit else count
                named = {body: count} if name == "$count" else {"_id": body["_id"], "n": count}
                return [named] if count else []
            else:
                raise Failure(40324, "Location40324", f"Unrecognized pipeline stage name: '{name}'")
        return [row.whole for row in held.find(_all_of(conditions), sort, limit)]

    def batch(self, command: dict[str, Any], collection: str, found: list[Any]) -> dict[str, Any]:
        size = int(command.get("batchSize") or command.get("cursor", {}).get("batchSize") or 101)
        first, rest = found[:size], found[size:]
        cursor = 0
        if rest:
            cursor = len(self.mongo.cursors) + 1
            self.mongo.cursors[cursor] = rest
        return {"cursor": {"id": bson.Int64(cursor), "ns": f"{command['$db']}.{collection}", "firstBatch": first}}

    def do_getmore(self, command: dict[str, Any]) -> dict[str, Any]:
        rest = self.mongo.cursors.get(int(command["getMore"]), [])
        size = int(command.get("batchSize") or 1000)
        batch, self.mongo.cursors[int(command["getMore"])] = rest[:size], rest[size:]
        cursor = bson.Int64(int(command["getMore"]) if len(rest) > size else 0)
        return {"cursor": {"id": cursor, "ns": f"{command['$db']}.{command['collection']}", "nextBatch": batch}}


def _all_of(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"$and": conditions} if len(conditions) > 1 else dict(*conditions)
