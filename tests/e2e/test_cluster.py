"""The cluster doors on a cluster, simulated or real: the same tests, the same answers."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster import stream
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.errors import Expired, Forbidden, NotFound
from nvsx.ports import ApiPath

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from nvsx.ports import Seen
    from tests.servers.kube import KubeServer

NODES = ApiPath("v1", "nodes")
REBOOTS = ApiPath("", "rebootnodes", "janitor.dgxc.nvidia.com")
NODE = "gke-ml-pool-a100-f7wq"


@pytest.fixture(scope="module")
def kube(
    clusters: Callable[[str, Path, float], KubeServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeServer]:
    with clusters("quiet", tmp_path_factory.mktemp("quiet"), 1.0) as kube:
        yield kube


def story(kube: KubeServer, tmp_path: Path, main: Callable[[Kubectl], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        pinned = await pin_context(kube.env, directory=tmp_path, clock=RealClock())
        async with asyncio.timeout(60):
            await main(Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context))

    asyncio.run(connected())


def step(kube: KubeServer, name: str) -> Coroutine[Any, Any, None]:
    return asyncio.to_thread(kube.patch_node, NODE, {"metadata": {"labels": {"step": name}}})


def test_reads(kube: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvsx.cluster.kubectl.PAGE", 3)

    async def main(kubectl: Kubectl) -> None:
        identity = await kubectl.identity()
        assert len(identity) == 36, "a uid"
        listing = await kubectl.list(NODES)
        names = [found["metadata"]["name"] for found in listing.objects]
        assert len(names) == 8
        assert names == sorted(names)
        assert NODE in names
        (one,) = (await kubectl.list(NODES._replace(field_selector=f"metadata.name={NODE}"))).objects
        assert one["metadata"]["name"] == NODE
        pods = ApiPath("v1", "pods", namespace="nvsentinel", label_selector="app.kubernetes.io/name=fault-quarantine")
        assert len((await kubectl.list(pods)).objects) == 1
        for missing in ("/api/v1/nodes/nope", "/apis/g.example"):
            with pytest.raises(NotFound):
                await kubectl.get(missing)
        assert await kubectl.may("list", "nodes")

    story(kube, tmp_path, main)


def test_a_watch(kube: KubeServer, tmp_path: Path) -> None:
    async def main(kubectl: Kubectl) -> None:
        version = (await kubectl.list(NODES)).version
        seen = []
        async with aclosing(kubectl.watch(NODES, version)) as events:  # type: ignore[type-var]
            await step(kube, "first")
            await step(kube, "second")
            async for event in events:
                seen.append((event.kind, event.object["metadata"]["labels"]["step"]))
                if len(seen) == 2:
                    break
        assert seen == [("MODIFIED", "first"), ("MODIFIED", "second")]
        with pytest.raises(Expired):  # younger than the first version, and so is all that is remembered of it
            await anext(aiter(kubectl.watch(REBOOTS._replace(version="v1alpha1"), "1")))

    kube.do(kube.world.forget)
    story(kube, tmp_path, main)


def test_every_transition_reaches_who_subscribes(kube: KubeServer, tmp_path: Path) -> None:
    async def main(kubectl: Kubectl) -> None:
        states: list[str] = []
        done = asyncio.Event()

        def on_change(seen: Seen) -> None:
            state = seen.objects.get(NODE, {}).get("metadata", {}).get("labels", {}).get("step", "")
            if seen.listed and (not states or states[-1] != state):
                states.append(state)
            if state in ("0", "19"):
                done.set()

        await step(kube, "0")
        view = View(kubectl, RealClock(), rng=random.Random(1))
        view.subscribe(NODES, on_change)
        view.subscribe(NODES, on_change)
        await done.wait()
        done.clear()
        for number in range(1, 20):
            await step(kube, str(number))
        await done.wait()
        await view.close()
        assert states == [str(number) for number in range(20)]

    story(kube, tmp_path, main)


def test_a_custom_resource_is_found_without_its_version(kube: KubeServer, tmp_path: Path) -> None:
    async def main(kubectl: Kubectl) -> None:
        listed = asyncio.Event()
        view = View(kubectl, RealClock(), rng=random.Random(1))
        found: list[str] = []

        def on_change(seen: Seen) -> None:
            if seen.listed:
                found[:] = [name.rpartition("-")[0] for name in seen.objects]
                listed.set()

        view.subscribe(REBOOTS, on_change)
        await listed.wait()
        await view.close()
        assert "maintenance-gke-ml-pool-a100-8ksx" in found

    story(kube, tmp_path, main)


def test_rights(kube: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "POLL_S", (0.1, 0.2))

    async def main(kubectl: Kubectl) -> None:
        allow = await asyncio.to_thread(kube.forbid, "list", "get", "watch", resource="nodes")
        with pytest.raises(Forbidden, match='cannot list resource "nodes" in API group "" at the cluster scope'):
            await kubectl.list(NODES)
        await asyncio.to_thread(allow)

    async def only_watching(kubectl: Kubectl) -> None:
        allow = await asyncio.to_thread(kube.forbid, "watch", resource="nodes")
        notes: list[str] = []
        changed = asyncio.Event()

        def on_change(seen: Seen) -> None:
            if seen.objects.get(NODE, {}).get("metadata", {}).get("labels", {}).get("step") == "polled":
                changed.set()

        view = View(kubectl, RealClock(), rng=random.Random(1), on_note=notes.append)
        view.subscribe(NODES, on_change)
        await step(kube, "polled")
        await changed.wait()
        while not notes:
            await asyncio.sleep(0.02)
        await view.close()
        await asyncio.to_thread(allow)
        assert notes[0].startswith("watching nodes is forbidden, listing is not: polling")

    story(kube, tmp_path, main)
    story(kube, tmp_path, only_watching)
