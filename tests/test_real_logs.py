"""Logs followed through the real kubectl, whatever becomes of the pods: each line since a time, once, in order."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster import logfeed, sight
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.sim.faults import fault
from tests.servers.kube import KubeServer, kubectls

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from nvsx.errors import ClusterError
    from nvsx.ports import LogLine

pytestmark = pytest.mark.skipif(not kubectls(), reason="no kubectl on PATH")
APP = "app=trainer"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "GRACE_S", 0.3)
    monkeypatch.setattr(sight.Backoff, "FIRST_S", 0.05)
    monkeypatch.setattr(logfeed, "NEW_PODS_S", 0.3)


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeServer]:
    with KubeServer("quiet", tmp_path) as kube:
        yield kube


class Reader:
    """Follows the pods of an app, and plays with them."""

    def __init__(self, kube: KubeServer, program: str, since: float = 0.0, pod: str = "") -> None:
        self.kube = kube
        self.program = program
        self.since = since
        self.pod = pod
        self.texts: list[str] = []
        self.blind: list[str] = []

    async def __aenter__(self) -> Reader:
        home = self.kube.kubeconfig.parent / "pin"
        home.mkdir(mode=0o700)
        pinned = await pin_context(self.kube.env, directory=home, clock=RealClock(), program=self.program)
        cluster = Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context, program=self.program)
        self._view = View(cluster, RealClock(), rng=random.Random(1))
        selector = "" if self.pod else APP
        self._view.follow_logs("default", selector, self.pod, self.since, self._on_line, self._on_blind)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._view.close()

    def _on_line(self, line: LogLine) -> None:
        self.texts.append(line.text)

    def _on_blind(self, blind: ClusterError | None) -> None:
        self.blind.append(blind.code if blind else "sees")

    async def until(self, *texts: str) -> None:
        """Wait until these have come, and nothing else."""
        async with asyncio.timeout(20):
            while self.texts != list(texts):
                assert len(self.texts) <= len(texts), self.texts
                await asyncio.sleep(0.01)

    async def do(self, what: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(self.kube.do, what)

    async def log(self, pod: str, *texts: str) -> None:
        for text in texts:
            await self.do(partial(self.kube.world.logs.append, "default", pod, text))

    async def start(self, name: str) -> None:
        metadata = {"name": name, "namespace": "default", "labels": {"app": "trainer"}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Running"}}
        pod["spec"] = {"containers": [{"name": "main"}]}
        await self.do(lambda: self.kube.world.create(pod))

    async def stop(self, name: str) -> None:
        await self.do(lambda: self.kube.world.delete(self.kube.world.resources.named("pods"), name, "default"))

    async def follows(self, count: int) -> None:
        """Wait until so many followers have been there."""
        async with asyncio.timeout(20):
            while sum("follow=true" in asked for asked in self.kube.server.asked) < count:
                await asyncio.sleep(0.01)


def story(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


@pytest.fixture(params=[pytest.param(path, id=path.strip("/").replace("/", "-")) for path in kubectls()])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_pod_is_started_again_under_its_name(kube: KubeServer, program: str) -> None:
    async def main() -> None:
        async with Reader(kube, program) as reader:
            await reader.start("trainer-0")
            await reader.log("trainer-0", "step 1", "step 2")
            await reader.until("step 1", "step 2")
            await reader.stop("trainer-0")
            await reader.start("trainer-0")
            await reader.log("trainer-0", "resumed")
            await reader.until("step 1", "step 2", "resumed")

    story(main())


def test_another_pod_takes_over(kube: KubeServer, program: str) -> None:
    async def main() -> None:
        async with Reader(kube, program) as reader:
            await reader.start("trainer-a")
            await reader.log("trainer-a", "one")
            await reader.until("one")
            await reader.start("trainer-b")
            await reader.log("trainer-b", "two")
            await reader.until("one", "two")
            await reader.stop("trainer-a")
            await reader.log("trainer-b", "three")
            await reader.until("one", "two", "three")

    story(main())


def test_a_connection_that_breaks_repeats_and_loses_nothing(kube: KubeServer, program: str) -> None:
    async def main() -> None:
        async with Reader(kube, program, pod="trainer-0") as reader:
            await reader.start("trainer-0")
            await reader.log("trainer-0", "before")
            await reader.until("before")
            for number, kind in enumerate(("disconnect", "reset"), 1):
                broken = await reader.do(partial(fault, kube.world, {"kind": kind}))
                await reader.do(broken.begin)
                await reader.log("trainer-0", f"while {kind}")
                await reader.do(broken.end)
                await reader.follows(number + 1)
            await reader.log("trainer-0", "after")
            await reader.until("before", "while disconnect", "while reset", "after")

    story(main())


def test_old_lines_stay_out(kube: KubeServer, program: str) -> None:
    now = RealClock().now()

    async def main() -> None:
        async with Reader(kube, program, since=now) as reader:
            await reader.start("trainer-0")
            logs = kube.world.logs
            await reader.do(lambda: logs.append("default", "trainer-0", "yesterday's XID 79", time=now - 86_400))
            await reader.do(lambda: logs.append("default", "trainer-0", "today's XID 79", time=now + 1))
            await reader.until("today's XID 79")
        assert any("sinceTime=" in asked for asked in kube.server.asked)

    story(main())


def test_logs_that_may_not_be_read(kube: KubeServer, program: str) -> None:
    async def main() -> None:
        async with Reader(kube, program) as reader:
            await reader.start("trainer-0")
            refused = await reader.do(lambda: fault(kube.world, {"kind": "forbidden", "verbs": ["logs"]}))
            await reader.do(refused.begin)
            async with asyncio.timeout(20):
                while not reader.blind:
                    await asyncio.sleep(0.01)
            assert reader.blind == ["forbidden"]
            await reader.log("trainer-0", "seen later")
            await reader.do(refused.end)
            await reader.until("seen later")
            assert reader.blind[-1] == "sees"

    story(main())
