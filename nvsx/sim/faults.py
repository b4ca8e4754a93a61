"""Faults of the simulated API server: reactors that a scenario puts before the World and takes away again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import ClusterError, Expired, Forbidden, Garbled, TimedOut, Unauthorized, Unreachable
from nvsx.sim.status import Reset, TooManyRequests, Torn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.ports import Object
    from nvsx.sim.world import Reactor, Request, World

_HINT = "this is the simulated cluster: the scenario did that"
_SERVER = "10.128.0.2:443"
_USER = "nvsx@simulated"


_MOMENTARY = frozenset({"disconnect", "expired", "torn"})
_FAILING_CUTS = frozenset({"unreachable", "reset", "torn", "expired"})
_SILENT_CUTS = frozenset({"disconnect", "unauthorized", "forbidden", "gone"})
"""Faults that end running watches as they begin: with their failure, or silently as servers end a watch."""


class Scope(NamedTuple):
    """Which requests a fault is about; empty fields mean all."""

    verbs: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def covers(self, request: Request) -> bool:
        verb = "watch" if request.verb == "deliver" else request.verb
        return (
            (not self.verbs or verb in self.verbs)
            and (not self.resources or request.resource in self.resources)
            and (not self.namespaces or request.namespace in self.namespaces)
        )


def _refusal(kind: str, request: Request) -> ClusterError:
    scope = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    verb = {"deliver": "watch", "logs": "get"}.get(request.verb, request.verb)
    what = f"pods/log {request.name}".rstrip() if request.verb == "logs" else request.resource
    resource = "pods/log" if request.verb == "logs" else request.resource
    group = request.group
    name = f' "{request.name}"' if request.name and request.verb != "logs" else ""
    qualified = f"{what}.{group}" if group else what
    made: Mapping[str, ClusterError] = {
        "unreachable": Unreachable(
            f"The connection to the server {_SERVER} was refused - did you specify the right host or port?", hint=_HINT
        ),
        "unauthorized": Unauthorized("You must be logged in to the server (Unauthorized)", hint=_HINT),
        "forbidden": Forbidden(
            f'{qualified}{name} is forbidden: User "{_USER}" cannot {verb} resource "{resource}" '
            f'in API group "{group}" {scope}',
            hint=_HINT,
        ),
        "timeout": TimedOut("Unable to connect to the server: net/http: request canceled (Client.Timeout)", hint=_HINT),
        "garbled": Garbled("the server's answer is not JSON: '<html><body>502 Bad Gateway</body></html>'", hint=_HINT),
        "expired": Expired("too old resource version", hint=_HINT),
        "gone": Expired("too old resource version", hint=_HINT),
        "busy": TooManyRequests("the server has received too many requests and has asked us to try again later"),
        "reset": Reset(f"read tcp {_SERVER}: connection reset by peer", hint=_HINT),
        "torn": Torn("unexpected EOF", hint=_HINT),
    }
    return made[kind]


class Fault:
    """One fault: `begin` puts it in force, `end` lifts it."""

    def __init__(self, world: World, kind: str, scope: Scope, delay_s: float = 0.0) -> None:
        self._world = world
        self._kind = kind
        self._scope = scope
        self._delay_s = delay_s
        self._over = asyncio.Event()
        self._lift: Callable[[], None] = lambda: None

    def begin(self) -> None:
        if self._kind == "expired":
            self._world.forget()
        if self._kind == "drip":
            self._lift = self._world.drip(self._scope.covers, self._delay_s)
            return
        if self._kind in _FAILING_CUTS | _SILENT_CUTS:
            failing = self._kind in _FAILING_CUTS
            self._world.cut(self._scope.covers, lambda request: _refusal(self._kind, request) if failing else None)
        if self._kind not in _MOMENTARY:
            react: Mapping[str, Reactor] = {"hang": self._hang, "latency": self._delay}
            self._lift = self._world.react(react.get(self._kind, self._refuse))

    def end(self) -> None:
        self._over.set()
        self._lift()
        self._lift = lambda: None

    async def _refuse(self, request: Request) -> Object | None:
        # What a running watch has already been sent cannot be taken back; the cut has ended it where that is meant.
        if self._scope.covers(request) and request.verb != "deliver":
            raise _refusal(self._kind, request)
        return None

    async def _hang(self, request: Request) -> Object | None:
        if self._scope.covers(request):
            await self._over.wait()
        return None

    async def _delay(self, request: Request) -> Object | None:
        if self._scope.covers(request):
            await asyncio.sleep(self._delay_s)
        return None


def fault(world: World, body: Mapping[str, Any], delay_s: float = 0.0) -> Fault:
    """The fault that a scenario's `fault` mapping describes."""
    scope = Scope(*(frozenset(body.get(key, ())) for key in ("verbs", "resources", "namespaces")))
    return Fault(world, body["kind"], scope, delay_s)
