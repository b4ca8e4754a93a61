"""What the API server answers to GET: discovery, objects, lists in pages, tables, and the two reviews of rights."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from nvsx.errors import Expired, Forbidden
from nvsx.sim import discovery
from nvsx.sim.apiserver import protobuf
from nvsx.sim.apiserver.http1 import Answer
from nvsx.sim.status import BadRequest
from nvsx.sim.tables import table_document
from nvsx.sim.world import Request

if TYPE_CHECKING:
    from nvsx.ports import Object
    from nvsx.sim.apiserver.http1 import HttpRequest
    from nvsx.sim.resources import Resource
    from nvsx.sim.world import World

KEPT_LISTS = 100
"""Lists that were begun in pages and whose other pages may still be asked for."""

_RIGHTS = "/apis/authorization.k8s.io/v1/"
_REVIEWS = {
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview",
}
_SCHEMA_FORM = "application/octet-stream"


def encoded(document: Any) -> bytes:
    """JSON as an API server writes it: one line, nothing between its parts."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def wants_table(request: HttpRequest) -> bool:
    """kubectl asks for a table where it prints for people."""
    return "as=Table" in request.headers.get("accept", "") and "g=meta.k8s.io" in request.headers.get("accept", "")


class Reading:
    """Answers reads of one world. Every read passes the reaction chain first, where faults stand."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begun: OrderedDict[str, tuple[int, list[Object]]] = OrderedDict()
        self._count = 0

    async def answer(self, request: HttpRequest) -> Answer:
        """The answer to a GET that is neither a watch nor a log."""
        if request.path in ("/healthz", "/livez", "/readyz"):
            await self._world.consult(Request("get"))
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        if request.path == "/openapi/v2":
            # An empty document: kubectl passes over the types that it does not find there, as it does for CRDs.
            return Answer(200, b"", _SCHEMA_FORM)
        return Answer(200, encoded(await self._document(request)))

    async def _document(self, request: HttpRequest) -> Object:
        if discovery.is_discovery(request.target):
            given = await self._world.consult(Request("get"))
            return given or discovery.discover(self._world, request.target)
        target = discovery.target(self._world, request.target)
        given = await self._world.consult(target.request("get" if target.name else "list"))
        if given is not None:
            return given
        if not target.name:
            return self._page(request, target)
        thing = self._world.get(target.resource, target.name, target.path.namespace)
        return self.shown(request, target.resource, [thing]) if wants_table(request) else thing

    def shown(self, request: HttpRequest, resource: Resource, objects: list[Object], version: str = "") -> Object:
        """Objects as the table that the request wants."""
        include = request.query.get("includeObject", "Metadata")
        if include not in ("None", "Metadata", "Object"):
            raise BadRequest(f"unrecognized includeObject value: {include!r}")
        return table_document(resource.plural, objects, self._world.clock.now(), version, include)

    def _page(self, request: HttpRequest, target: discovery.Target) -> Object:
        version, objects = self._listed(target)
        limit = int(target.query.get("limit") or 0)
        more, left = "", 0
        if 0 < limit < len(objects):
            more, left = self._keep(version, objects[limit:]), len(objects) - limit
            objects = objects[:limit]
        if wants_table(request):
            document = self.shown(request, target.resource, objects, str(version))
        else:
            document = discovery.list_document(target.resource, objects, str(version))
        if more:
            document["metadata"] |= {"continue": more, "remainingItemCount": left}
        return document

    def _listed(self, target: discovery.Target) -> tuple[int, list[Object]]:
        """The version and the objects that are still to be sent."""
        token = target.query.get("continue", "")
        if not token:
            return self._world.version, self._world.held(target.path)
        version, objects = self._begun.get(token, (0, []))
        if not self._world.remembers(version):
            raise Expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter, or use the continue token in this response to retrieve the "
                "remainder of the results."
            )
        return version, objects

    def _keep(self, version: int, objects: list[Object]) -> str:
        self._count += 1
        token = f"{version}-{self._count}"
        self._begun[token] = (version, objects)
        while len(self._begun) > KEPT_LISTS:
            self._begun.popitem(last=False)
        return token

    # Rights

    async def review(self, request: HttpRequest) -> Answer | None:
        """The answer to `kubectl auth can-i`; None where the request is no review."""
        kind = _REVIEWS.get(request.path.rpartition("/")[2])
        if kind is None or not request.path.startswith(_RIGHTS):
            return None
        asked: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": {}}
        if kind == "SelfSubjectAccessReview":
            asked["spec"] = _spec(request.body)
            asked["status"] = await self._decided(asked["spec"].get("resourceAttributes") or {})
        else:
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            asked["status"] = {"resourceRules": [everything], "nonResourceRules": [], "incomplete": False}
        return Answer(201, encoded(asked))

    async def _decided(self, about: Object) -> Object:
        verb = "logs" if about.get("subresource") == "log" else about.get("verb", "")
        wanted = Request(
            verb,
            about.get("resource", ""),
            about.get("group", ""),
            about.get("namespace", ""),
            about.get("name", ""),
        )
        try:
            await self._world.consult(wanted)
        except Forbidden:
            return {"allowed": False}
        return {"allowed": True}


def _spec(body: bytes) -> Object:
    if body.startswith(protobuf.MAGIC):
        return protobuf.review(body)
    return dict(json.loads(body)["spec"])
