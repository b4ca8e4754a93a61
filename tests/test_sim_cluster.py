"""The in-process Cluster: the same words and failures as a real one, and the faults that scenarios inject."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import SimulatedClock
from nvsx.errors import ClusterError, Expired, Forbidden, Garbled, NotFound, TimedOut, Unauthorized, Unreachable
from nvsx.ports import ApiPath, LogLine
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.faults import fault
from nvsx.sim.status import NotSimulated
from nvsx.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nvsx.ports import Cluster, WatchEvent

START = 1_787_306_400.0
NODES = ApiPath("v1", "nodes")


def play(story: Callable[[World, SimulatedCluster, SimulatedClock], Awaitable[None]]) -> None:
    """Run a story on a small world, on simulated time."""
    clock = SimulatedClock(start=START)
    world = World(clock, context="lab")
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u-1"}})
    world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})
    for name in ("p", "q"):
        metadata = {"name": name, "namespace": "jobs", "labels": {"job": "x"}}
        world.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Running"}})

    async def main() -> None:
        await story(world, SimulatedCluster(world), clock)

    clock.run(main())


def relabel(world: World, value: str) -> None:
    world.patch(world.resources.named("nodes"), "a", "", {"metadata": {"labels": {"v": value}}})


async def next_event(events: Any) -> WatchEvent:
    return await asyncio.wait_for(anext(events), 300)


def test_it_is_a_cluster() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        port: Cluster = cluster
        assert await port.identity() == "u-1"
        fault(world, {"kind": "forbidden", "verbs": ["get"], "resources": ["namespaces"]}).begin()
        assert await port.identity() == "lab"

    play(story)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/api/v1", "APIResourceList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
        ("/api/v1/nodes", "NodeList"),
        ("/api/v1/nodes?limit=500", "NodeList"),
        ("/api/v1/nodes/a", "Node"),
        ("/api/v1/namespaces", "NamespaceList"),
        ("/api/v1/namespaces/kube-system", "Namespace"),
        ("/api/v1/namespaces/jobs/pods", "PodList"),
        ("/api/v1/namespaces/jobs/pods/p", "Pod"),
        ("/readyz", "Status"),
    ],
)
def test_raw_paths(url: str, kind: str) -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        assert (await cluster.get(url))["kind"] == kind

    play(story)


@pytest.mark.parametrize(
    "url",
    [
        "/apis/nope",
        "/apis/nope/v1",
        "/apis/apps/v2",
        "/apis/nope/v1/things",
        "/api/v1/foos",
        "/api/v1/nodes/b",
        "/nope",
    ],
)
def test_unknown_paths_are_not_found(url: str) -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        with pytest.raises(NotFound):
            await cluster.get(url)

    play(story)


def test_selectors_in_a_raw_path() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        found = await cluster.get("/api/v1/pods?fieldSelector=metadata.name%3Dq&labelSelector=job%3Dx")
        assert [item["metadata"]["name"] for item in found["items"]] == ["q"]
        assert found["metadata"]["resourceVersion"] == str(world.version)

    play(story)


def test_every_version_is_delivered_in_order_and_silence_brings_bookmarks() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        listing = await cluster.list(NODES)
        for value in ("1", "2", "3"):
            relabel(world, value)
        async with aclosing(cluster.watch(NODES, listing.version)) as events:
            values = [(await next_event(events)).object["metadata"]["labels"]["v"] for _ in range(3)]
            assert values == ["1", "2", "3"]
            quiet = clock.now()
            bookmark = await next_event(events)
            assert bookmark.kind == "BOOKMARK"
            assert bookmark.object["metadata"]["resourceVersion"] == str(world.version)
            assert clock.now() == pytest.approx(quiet + 60)

    play(story)


REFUSALS: list[tuple[str, type[ClusterError]]] = [
    ("unreachable", Unreachable),
    ("unauthorized", Unauthorized),
    ("forbidden", Forbidden),
    ("timeout", TimedOut),
    ("garbled", Garbled),
]


@pytest.mark.parametrize(("kind", "failure"), REFUSALS)
def test_a_refusal_lasts_until_it_is_lifted(kind: str, failure: type[ClusterError]) -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        trouble = fault(world, {"kind": kind})
        trouble.begin()
        with pytest.raises(failure) as refused:
            await cluster.list(NODES)
        assert refused.value.hint
        with pytest.raises(failure):
            await cluster.get("/api")
        with pytest.raises(failure):
            await anext(cluster.watch(NODES, "0"))
        with pytest.raises(failure):
            await anext(cluster.logs("jobs", pod="p"))
        trouble.end()
        assert (await cluster.list(NODES)).objects

    play(story)


def test_a_fault_has_a_scope() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        fault(world, {"kind": "forbidden", "verbs": ["watch"], "resources": ["nodes"]}).begin()
        assert (await cluster.list(NODES)).objects
        assert (await cluster.list(ApiPath("v1", "pods"))).objects
        with pytest.raises(Forbidden, match=r'cannot watch resource "nodes" in API group "" at the cluster scope'):
            await anext(cluster.watch(NODES, "0"))

    play(story)


@pytest.mark.parametrize(
    ("kind", "failure"), [("unreachable", Unreachable), ("expired", Expired), ("disconnect", None)]
)
def test_a_running_watch_is_cut(kind: str, failure: type[ClusterError] | None) -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        version = (await cluster.list(NODES)).version
        async with aclosing(cluster.watch(NODES, version)) as events:
            first = asyncio.create_task(next_event(events))
            await asyncio.sleep(1)
            relabel(world, "1")
            fault(world, {"kind": kind}).begin()
            relabel(world, "2")
            assert (await first).object["metadata"]["labels"]["v"] == "1"
            with pytest.raises(failure or StopAsyncIteration):
                await next_event(events)
        if kind == "expired":
            with pytest.raises(Expired):
                await anext(cluster.watch(NODES, version))

    play(story)


def test_a_hang_gives_no_answer_and_no_event_until_it_is_over() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        version = (await cluster.list(NODES)).version
        async with aclosing(cluster.watch(NODES, version)) as events:
            trouble = fault(world, {"kind": "hang"})
            waiting = asyncio.create_task(next_event(events))
            await asyncio.sleep(1)
            trouble.begin()
            relabel(world, "1")
            began = clock.now()
            with pytest.raises(TimedOut):
                await cluster.list(NODES)
            assert clock.now() == pytest.approx(began + 30)
            assert not waiting.done()
            trouble.end()
            assert (await waiting).object["metadata"]["labels"]["v"] == "1"

    play(story)


def test_latency() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        fault(world, {"kind": "latency"}, 4.0).begin()
        began = clock.now()
        await cluster.list(NODES)
        assert clock.now() == pytest.approx(began + 4)

    play(story)


async def _lines(cluster: SimulatedCluster, **which: Any) -> list[LogLine]:
    return [line async for line in cluster.logs("jobs", **which)]


def test_logs_end_with_their_pods() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        pods = world.resources.named("pods")
        following = asyncio.create_task(_lines(cluster, selector="job=x", since=START))
        one = asyncio.create_task(_lines(cluster, pod="p", since=START))
        await asyncio.sleep(1)
        world.logs.append("jobs", "p", "from p")
        world.logs.append("jobs", "q", "from q")
        await asyncio.sleep(1)
        world.patch(pods, "p", "jobs", {"status": {"phase": "Succeeded"}})
        assert await one == [LogLine("jobs/p", "from p", START + 1)]
        assert not following.done()
        world.delete(pods, "q", "jobs")
        assert [line.pod for line in await following] == ["jobs/p", "jobs/q"]
        with pytest.raises(NotFound, match=r'pods "zz" not found'):
            await _lines(cluster, pod="zz")
        assert await _lines(cluster, selector="job=none") == []

    play(story)


def test_a_followed_log_is_cut_by_a_lost_connection() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        following = asyncio.create_task(_lines(cluster, pod="p"))
        await asyncio.sleep(1)
        fault(world, {"kind": "unreachable"}).begin()
        with pytest.raises(Unreachable):
            await following

    play(story)


def test_exec_is_refused_by_name() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        with pytest.raises(NotSimulated, match=r"nvsentinel/mongodb-0: mongosh"):
            await cluster.exec("nvsentinel", "mongodb-0", "mongodb", ["mongosh", "--eval", "1"])

    play(story)


def test_a_reader_that_goes_away_leaves_nothing_behind() -> None:
    async def story(world: World, cluster: SimulatedCluster, clock: SimulatedClock) -> None:
        async def read() -> None:
            async for _ in cluster.watch(NODES, "0"):
                pass

        reader = asyncio.create_task(read())
        await asyncio.sleep(1)
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
        assert not world._watches

    play(story)
