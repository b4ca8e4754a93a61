"""Ground: what the checks stand on. Each thing is looked at once, by whichever check asks first, and shared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nvsx.doctor.install import read_install
from nvsx.errors import DocumentInvalid, NvsxError
from nvsx.ports import ApiPath, Cluster
from nvsx.watches.target import is_gpu_node

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from nvsx.catalog import Catalog
    from nvsx.clock import Clock
    from nvsx.cluster.guard import Guard
    from nvsx.cluster.probe import Probe
    from nvsx.doctor.install import Install
    from nvsx.errors import Problem
    from nvsx.model import Runbook
    from nvsx.ports import Database, Object
    from nvsx.settings import Settings

NODES = ApiPath("v1", "nodes")
AT_ONCE = 8
"""How many questions are put to the API server at a time; each is a process."""


T = TypeVar("T")


class Reads(Cluster, Protocol):
    """The Cluster port, and what only doctor asks; `nvsx.cluster.kubectl.Kubectl` is one."""

    context: str

    async def client_version(self) -> str: ...

    async def probe(self) -> Probe: ...

    async def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "") -> bool: ...


@dataclass(frozen=True)
class Site:
    """Where doctor is: this machine, this project, and the ways to the cluster. All of it reads only."""

    settings: Settings
    clock: Clock
    environment: Mapping[str, str]  # what hooks would get
    root: Path  # what scripts are relative to
    catalog: Callable[[], Catalog]
    kubectl_version: Callable[[], Awaitable[str]]
    connect: Callable[[], Awaitable[Reads]]  # pins the context; raises what kept it from that
    database: Callable[[Reads], Database]
    lint: Callable[[], Sequence[Problem]]
    last_drill: Callable[[str], tuple[float, str] | None]
    guard: Guard  # entered


@dataclass
class Ground:
    """The site, and what has been seen of it so far."""

    site: Site
    _seen: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    _runbooks: tuple[Runbook, ...] | None = None

    @property
    def namespace(self) -> str:
        return self.site.settings.namespace

    @property
    def kubectl(self) -> str:
        """How a command to paste begins, so that it means this cluster."""
        import shlex

        context = self.site.settings.context
        return f"kubectl --context {shlex.quote(context)}" if context else "kubectl"

    async def client_version(self) -> str:
        return await self._once("client", self.site.kubectl_version)

    async def reads(self) -> Reads:
        return await self._once("reads", self.site.connect)

    async def probe(self) -> Probe:
        async def look() -> Probe:
            return await (await self.reads()).probe()

        return await self._once("probe", look)

    async def nodes(self) -> list[Object]:
        async def look() -> list[Object]:
            return (await (await self.reads()).list(NODES)).objects

        return await self._once("nodes", look)

    async def gpu_nodes(self) -> list[Object]:
        return [node for node in await self.nodes() if is_gpu_node(node)]

    async def install(self) -> Install:
        async def look() -> Install:
            return await read_install(await self.reads(), self.namespace)

        return await self._once("install", look)

    def catalog(self) -> Catalog:
        return self.site.catalog()

    def runbooks(self) -> tuple[Runbook, ...]:
        """The runbooks that can be read; lint tells of the others."""
        if self._runbooks is None:
            catalog = self.catalog()
            examined = (catalog.examine(name) for name in catalog.names())
            self._runbooks = tuple(one.runbook for one in examined if one.runbook)
        return self._runbooks

    async def gathered(self, questions: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
        """Answers in the order of the questions, a few asked at a time; an NvsxError stands for its answer."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def answer(question: Callable[[], Awaitable[Any]]) -> Any:
            async with turn:
                try:
                    return await question()
                except NvsxError as error:
                    return error

        return list(await asyncio.gather(*map(answer, questions)))

    def hook_texts(self) -> dict[str, str]:
        """The hooks that readable runbooks name, as they are written; what cannot be read is lint's business."""
        catalog, texts = self.catalog(), {}
        for runbook in self.runbooks():
            for hook in (*runbook.hooks.values(), *(hook for stage in runbook.stages for hook in stage.hooks.values())):
                try:
                    texts[hook] = catalog.script(f"runbooks/{hook}").text
                except (NvsxError, DocumentInvalid):
                    continue
        return texts

    async def _once(self, name: str, look: Callable[[], Awaitable[T]]) -> T:
        if name not in self._seen:
            self._seen[name] = asyncio.ensure_future(look())
        found: T = await asyncio.shield(self._seen[name])
        return found
