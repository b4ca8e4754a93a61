"""One property of the view on a World that misbehaves: whoever subscribes is told what happened, in order, once.

Streams are killed and resumed at random places, versions are forgotten, the server is away, hangs or answers rubbish.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.clock import SimulatedClock
from nvsx.cluster import stream
from nvsx.cluster.view import View
from nvsx.errors import Expired, NotFound, Unreachable
from nvsx.ports import ApiPath, Listing, WatchEvent
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.faults import fault
from nvsx.sim.status import AlreadyExists
from nvsx.sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nvsx.ports import Seen

NODES = ApiPath("v1", "nodes")
NAMES = ("a", "b", "c")
FAULTS = ("disconnect", "unreachable", "reset", "torn", "expired", "gone", "garbled", "hang", "unauthorized", "busy")


class Step(NamedTuple):
    """Write a node, or misbehave for some seconds; then wait."""

    act: str
    name: str
    seconds: float
    wait_s: float


steps = st.builds(
    Step,
    st.sampled_from(("write", "write", "write", "delete", *FAULTS)),
    st.sampled_from(NAMES),
    st.sampled_from((0.0, 0.5, 7.0, 40.0)),
    st.sampled_from((0.0, 0.0, 0.001, 0.4, 3.0, 90.0)),
)


class Cutting(SimulatedCluster):
    """Ends watches after some events in all the ways there are, and what was on its way with them.

    `excuses` are the versions of lists that had a reason: what happened before such a list may be known only by what
    it left behind.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(world)
        self.first = 0
        self.excuses: list[int] = []
        self.calm = False
        self._rng = rng
        self._reason = False
        self._futile = 0

    async def list(self, path: ApiPath) -> Listing:
        listing = await super().list(path)
        if not self.first:
            self.first = int(listing.version)
        else:
            assert self._reason or self._futile >= stream.FUTILE, "listed again without a reason"
            self.excuses.append(int(listing.version))
        self._reason = False  # watches that brought nothing go on counting: a list is no event
        return listing

    async def watch(self, path: ApiPath, version: str) -> AsyncGenerator[WatchEvent, None]:
        left = self._rng.choice((0, 1, 2, 5, 1000)) if not self.calm else 10**9
        self._futile += 1
        try:
            async for event in super().watch(path, version):
                if not left:
                    ending = self._rng.choice((None, Unreachable("cut"), Expired("too old")))
                    if ending is None:
                        return
                    raise ending
                left -= 1
                self._futile = 0
                yield event
        except Expired:
            self._reason = True
            raise


class Told:
    """A subscriber: what it was told of one node or of all, as (name, version, is gone, state)."""

    def __init__(self, cluster: Cutting) -> None:
        self.changes: list[tuple[str, int, bool, str]] = []
        self.lists: list[int] = []  # how many lists had been made again when it was told
        self.cluster = cluster
        self.objects: dict[str, str] = {}

    def on_change(self, seen: Seen) -> None:
        self.objects = {name: state(thing) for name, thing in seen.objects.items()}
        if not seen.changed:
            return
        thing = seen.gone if seen.gone is not None else seen.objects[seen.changed]
        self.lists.append(len(self.cluster.excuses))
        self.changes.append(
            (seen.changed, int(thing["metadata"]["resourceVersion"]), seen.gone is not None, state(thing))
        )


def state(thing: dict[str, Any]) -> str:
    return str(thing["metadata"]["labels"]["step"])


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(0, 2**32))
def test_subscribers_are_told_every_transition_that_the_server_still_knows(script: list[Step], seed: int) -> None:
    clock = SimulatedClock(start=1000.0)
    world = World(clock)
    cluster = Cutting(world, random.Random(seed))
    truth: dict[int, tuple[str, bool, str]] = {}
    everything, late, single = Told(cluster), Told(cluster), Told(cluster)

    def act(step: Step, number: int) -> None:
        nodes = world.resources.named("nodes")
        if step.act == "write":
            manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": step.name}}
            manifest["metadata"]["labels"] = {"step": str(number)}  # type: ignore[index]
            try:
                world.create(manifest)
            except AlreadyExists:
                world.patch(nodes, step.name, "", manifest)
            truth[world.version] = (step.name, False, str(number))
        elif step.act == "delete":
            try:
                gone = world.delete(nodes, step.name)
            except NotFound:
                return
            truth[world.version] = (step.name, True, state(gone))
        else:
            found = fault(world, {"kind": step.act})
            found.begin()
            asyncio.get_running_loop().call_later(step.seconds, found.end)

    async def main() -> None:
        view = View(cluster, clock, whole_fleet=True, rng=random.Random(seed))
        view.subscribe(NODES, everything.on_change)
        view.subscribe(NODES._replace(field_selector="metadata.name=a"), single.on_change)
        for number, step in enumerate(script):
            act(step, number)
            await asyncio.sleep(step.wait_s)
            if number == len(script) // 2:
                view.subscribe(NODES, late.on_change)
        cluster.calm = True
        await asyncio.sleep(300)
        present = {thing["metadata"]["name"]: state(thing) for thing in world.list(NODES).objects}
        assert everything.objects == present
        assert single.objects == {name: known for name, known in present.items() if name == "a"}
        await view.close()

    clock.run(main())
    judge(truth, everything, cluster)
    judge({version: one for version, one in truth.items() if one[0] == "a"}, single, cluster)
    assert [one for one in everything.changes if one[0] == "a"] == single.changes
    assert everything.changes[len(everything.changes) - len(late.changes) :] == late.changes


def judge(truth: dict[int, tuple[str, bool, str]], told: Told, cluster: Cutting) -> None:
    last: dict[str, int] = {}
    for name, version, gone, known in told.changes:
        if version in truth:
            assert truth[version] == (name, gone, known) or gone, "a state that was not there"
        assert gone or version in truth, "a state that was not there"
        assert version > last.get(name, 0) or (gone and version == last[name]), "told twice, or backwards"
        last[name] = version
    heard = {version for _, version, _, _ in told.changes}
    covered = max((one for one in cluster.excuses), default=0)
    lost = [version for version in truth if version > cluster.first and version not in heard]
    assert [version for version in lost if version > covered] == []
    for version in lost:
        excuse = next(number for number, listed in enumerate(cluster.excuses) if listed >= version)
        before = [one for (_, one, _, _), lists in zip(told.changes, told.lists, strict=True) if lists <= excuse]
        assert max(before, default=0) < version, "passed over by a watch"


ONE, TWO, THREE = ("a", 5, False, "0"), ("a", 6, False, "1"), ("a", 7, False, "2")


@pytest.mark.parametrize(
    ("changes", "excuses"),
    [
        pytest.param([ONE, THREE], [], id="lost"),
        pytest.param([ONE, THREE], [8], id="lost before a list that came later"),
        pytest.param([ONE, ONE, TWO, THREE], [], id="twice"),
        pytest.param([("a", 5, False, "9")], [8], id="invented"),
    ],
)
def test_the_property_can_fail(changes: list[tuple[str, int, bool, str]], excuses: list[int]) -> None:
    truth = {version: (name, gone, known) for name, version, gone, known in (ONE, TWO, THREE)}
    cluster = Cutting(World(SimulatedClock(start=0.0)), random.Random(0))
    cluster.first, cluster.excuses = 3, excuses
    told = Told(cluster)
    told.changes, told.lists = changes, [0] * len(changes)
    with pytest.raises(AssertionError):
        judge(truth, told, cluster)
