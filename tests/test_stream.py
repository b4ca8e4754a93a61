"""Streams as literal tuples on simulated time, and one property: no transition lost, repeated or invented."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.clock import RealClock, SimulatedClock
from nvsx.cluster.discovery import Versions
from nvsx.cluster.stream import Change, Stream, differences, key_of
from nvsx.errors import Expired, Forbidden, NotFound, Unauthorized, Unreachable
from nvsx.ports import ApiPath, Listing, WatchEvent
from tests.fakes.scripted import HANG, ScriptedCluster, added, bookmark, deleted, listing, modified, thing

PATH = ApiPath("v1", "things")
DOWN = Unreachable("connection refused")


class Recorder:
    """A Receiver that writes history: `+a` `~a` `-a` with the version, `listed`, `blind CODE`, `sees`."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.said: list[str] = []
        self.notes: list[str] = []
        self.bugs: list[str] = []

    def changed(self, change: Change) -> None:
        sign = "-" if change.new is None else "+" if change.old is None else "~"
        found = change.old if change.new is None else change.new
        assert found is not None
        self.said.append(f"{sign}{change.key}@{found['metadata']['resourceVersion']}")

    async def listed(self, changes: list[Change]) -> None:
        assert self.stream.sight.blind is None
        for change in changes:
            self.changed(change)
        self.said.append("listed")

    def sight_changed(self) -> None:
        blind = self.stream.sight.blind
        self.said.append(f"blind {blind.code} {self.stream._clock.monotonic():.1f}" if blind else "sees")


def follow(cluster: Any, *, seconds: float, path: ApiPath = PATH) -> Any:
    """Run a stream for `seconds` of simulated time; what it told, and the notes."""
    clock = SimulatedClock(start=1000.0)
    recorder = Recorder()

    async def main() -> None:
        stream = recorder.stream = Stream(
            cluster, clock, path, recorder, rng=random.Random(1), versions=Versions(cluster), note=recorder.notes.append
        )
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: recorder.bugs.append(repr(context["exception"])))
        task = loop.create_task(stream.run())
        await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert getattr(cluster, "open", 0) == 0
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())
    return recorder


STORIES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "list, then what comes": (
        {
            "lists": [listing(3, thing("a", 1), thing("b", 3))],
            "watches": [(modified("a", 4), added("c", 5), deleted("b", 6), HANG)],
        },
        ["+a@1", "+b@3", "listed", "~a@4", "+c@5", "-b@6"],
        ["3"],
    ),
    "a silent end is normal, and resumes from the last version seen, bookmarks too": (
        {"watches": [(added("a", 2), 9), (bookmark(40), 9), (9,), (modified("a", 41), HANG)]},
        ["listed", "+a@2", "~a@41"],
        ["1", "2", "40", "40"],
    ),
    "410 in the stream: listed again, what changed in between is told": (
        {
            "lists": [
                listing(3, thing("a", 1), thing("b", 2), thing("c", 3)),
                listing(9, thing("b", 7), thing("c", 3)),
            ],
            "watches": [(modified("a", 4), Expired("too old")), (HANG,)],
        },
        ["+a@1", "+b@2", "+c@3", "listed", "~a@4", "-a@4", "~b@7", "listed"],
        ["3", "9"],
    ),
    "deleted and made again between two lists: both are told": (
        {
            "lists": [listing(3, thing("a", 1, uid="x")), listing(9, thing("a", 8, uid="y"))],
            "watches": [(Expired("too old"),), (HANG,)],
        },
        ["+a@1", "listed", "-a@1", "+a@8", "listed"],
        ["3", "9"],
    ),
    "a broken watch resumes without a list, and a short break is not blindness": (
        {"watches": [(added("a", 2), DOWN), (added("b", 3), HANG)], "gets": [DOWN, DOWN, {}]},
        ["listed", "+a@2", "+b@3"],
        ["1", "2"],
    ),
    "an event that was seen already is not told twice": (
        {
            "lists": [listing(3, thing("a", 3))],
            "watches": [(added("a", 3), deleted("gone", 2), modified("a", 4), modified("a", 4), HANG)],
        },
        ["+a@3", "listed", "~a@4"],
        ["3"],
    ),
    "made again though its deletion was never told: both are told": (
        {"lists": [listing(3, thing("a", 3, uid="x"))], "watches": [(modified("a", 4, uid="y"), HANG)]},
        ["+a@3", "listed", "-a@3", "+a@4"],
        ["3"],
    ),
    "forbidden is blind at once": (
        {"lists": [Forbidden("no")]},
        ["blind forbidden 0.0"],
        [],
    ),
    "wrong credentials after a list: blind, the objects are kept": (
        {"lists": [listing(1, thing("a", 1))], "watches": [(Unauthorized("who?"),)], "gets": [Unauthorized("who?")]},
        ["+a@1", "listed", "blind unauthorized 0.0"],
        ["1"],
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    script, said, versions = STORIES[name]
    cluster = ScriptedCluster(**script)
    recorder = follow(cluster, seconds=30)
    assert recorder.said == said
    assert cluster.asked("watch") == versions
    assert not recorder.bugs


def test_unreachable_is_blind_after_five_seconds_and_sees_again() -> None:
    cluster = ScriptedCluster(lists=[DOWN] * 5 + [listing(1, thing("a", 1))])
    said = follow(cluster, seconds=60).said
    assert said == ["blind unreachable 5.0", "+a@1", "listed"]


def test_an_hour_of_silence_before_the_break_does_not_count_as_blindness() -> None:
    quiet = tuple(item for version in range(60) for item in (60, bookmark(version + 2)))
    cluster = ScriptedCluster(watches=[(*quiet, 30, DOWN), (HANG,)], gets=[DOWN, {}])
    assert follow(cluster, seconds=3700).said == ["listed"]
    assert len(cluster.asked("watch")) == 2


def test_a_hang_counts_from_its_beginning() -> None:
    cluster = ScriptedCluster(lists=[HANG])
    assert follow(cluster, seconds=20).said == ["blind cluster 15.0"]


def test_waits_grow_to_about_ten_seconds_with_jitter() -> None:
    cluster = ScriptedCluster(lists=[DOWN])
    follow(cluster, seconds=120)
    times = [at for method, _, at in cluster.calls if method == "list"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] == 0
    assert 0.3 < gaps[1] < 0.6
    assert all(7 < gap <= 10 for gap in gaps[6:])
    assert len({round(gap, 2) for gap in gaps[6:]}) > 1


def test_what_is_not_installed_is_blind_with_its_name_and_asked_slowly() -> None:
    cluster = ScriptedCluster(lists=[NotFound("the server could not find the requested resource")])
    recorder = follow(cluster, seconds=200, path=ApiPath("v1", "rebootnodes", "janitor.example"))
    assert recorder.said == ["blind no-such-object 0.0"]
    assert "CRD rebootnodes.janitor.example is not installed" in str(recorder.stream.sight.blind)
    assert len(cluster.asked("list")) <= 7


def test_version_is_discovered_and_asked_again_after_the_group_appears() -> None:
    cluster = ScriptedCluster(gets=[NotFound("no group"), {"preferredVersion": {"version": "v1beta2"}}])
    recorder = follow(cluster, seconds=100, path=ApiPath("", "rebootnodes", "janitor.example"))
    assert recorder.said == ["blind no-such-object 0.0", "listed"]
    assert cluster.asked("list") == [ApiPath("v1beta2", "rebootnodes", "janitor.example")]
    assert cluster.asked("get")[0] == "/apis/janitor.example"


def test_among_several_versions_the_one_that_serves_the_resource() -> None:
    cluster = ScriptedCluster()
    cluster.documents = {
        "/apis/g": {"preferredVersion": {"version": "v2"}, "versions": [{"version": "v2"}, {"version": "v1"}]},
        "/apis/g/v2": {"resources": [{"name": "others"}]},
        "/apis/g/v1": {"resources": [{"name": "things"}, {"name": "things/status"}]},
    }
    follow(cluster, seconds=1, path=ApiPath("", "things", "g"))
    assert cluster.asked("list") == [ApiPath("v1", "things", "g")]


def test_where_watch_is_forbidden_it_polls_and_says_so_once() -> None:
    cluster = ScriptedCluster(
        lists=[listing(1, thing("a", 1))] * 3 + [listing(2, thing("a", 2))], watches=[(Forbidden("watch"),)]
    )
    recorder = follow(cluster, seconds=1300)
    assert recorder.said[:2] == ["+a@1", "listed"]
    assert recorder.said.count("~a@2") == 1
    assert not [said for said in recorder.said if said.startswith("blind")]
    assert len(recorder.notes) == 1
    assert "polling" in recorder.notes[0]
    times = [at for method, _, at in cluster.calls if method == "list"]
    assert times[:4] == [0.0, 0.0, 2.0, 5.0]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 10.001
    assert len(cluster.asked("watch")) == 3


def test_polling_that_fails_is_blind() -> None:
    cluster = ScriptedCluster(lists=[listing(1), listing(1), DOWN], watches=[(Forbidden("watch"),)], gets=[DOWN])
    assert follow(cluster, seconds=30).said[:3] == ["listed", "listed", "blind unreachable 7.0"]


def test_silence_is_looked_after_and_not_blindness() -> None:
    cluster = ScriptedCluster()
    assert follow(cluster, seconds=74).said == ["listed"]
    assert not cluster.asked("get")
    cluster = ScriptedCluster()
    assert follow(cluster, seconds=200).said == ["listed"]
    assert cluster.asked("get")[0] == "/api/v1/things?limit=1"
    assert cluster.asked("watch") == ["1", "1"]


def test_bookmarks_are_enough_of_a_sign_of_life() -> None:
    cluster = ScriptedCluster(watches=[(*((60, bookmark(2)) * 10), HANG)])
    follow(cluster, seconds=650)
    assert not cluster.asked("get")


def test_a_dead_connection_is_found_out_and_opened_anew() -> None:
    cluster = ScriptedCluster(watches=[(added("a", 2), HANG), (added("b", 3), HANG)], gets=[DOWN] * 6 + [{}])
    recorder = follow(cluster, seconds=100)
    assert recorder.said == ["listed", "+a@2", "blind unreachable 80.0", "sees", "+b@3"]
    assert cluster.asked("watch") == ["1", "2"]


def test_a_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    cluster = ScriptedCluster(watches=[()])
    recorder = follow(cluster, seconds=100)
    assert set(recorder.said) == {"listed"}
    assert len(cluster.calls) < 60


def test_a_server_that_says_expired_to_every_watch_is_not_hammered() -> None:
    cluster = ScriptedCluster(watches=[(Expired("too old"),)])
    follow(cluster, seconds=100)
    assert len(cluster.calls) < 60


def test_an_unexpected_failure_shows_as_blindness_and_is_tried_again() -> None:
    cluster = ScriptedCluster(lists=[listing(1), listing(2)], watches=[(ValueError("boom"),), (HANG,)])
    recorder = follow(cluster, seconds=30)
    assert recorder.said == ["listed", "listed"]
    assert recorder.bugs == ["ValueError('boom')"]
    cluster = ScriptedCluster(lists=[ValueError("boom")])
    assert follow(cluster, seconds=30).said == ["blind garbled 5.0"]


def test_what_nobody_watches_is_not_kept() -> None:
    node = thing("n", 1, status={"images": [1, 2], "conditions": []}, spec={"taints": []})
    node["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    recorder = follow(ScriptedCluster(lists=[listing(1, node)]), seconds=1, path=ApiPath("v1", "nodes"))
    kept = recorder.stream.objects["n"]
    assert kept == thing("n", 1, status={"conditions": []}, spec={"taints": []})
    assert node["status"]["images"] == [1, 2]


def test_key_and_differences() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}}
    assert key_of(pod) == "ns/p"
    assert key_of({}) == ""
    unversioned = {"metadata": {"name": "p", "namespace": "ns"}, "x": 1}
    assert differences({"ns/p": pod}, {"ns/p": unversioned}) == [Change("ns/p", unversioned, pod)]
    assert differences({"ns/p": pod}, {"ns/p": dict(pod)}) == []


class History:
    """A server with a memory of limited length, whose connections break and whose reads fail where chance says so."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.version = 10
        self.objects: dict[str, Any] = {}
        self.log: list[tuple[int, WatchEvent]] = []
        self.oldest = 10
        self.listed_at = 0
        self.calm = False
        self.wake = asyncio.Event()

    def write(self) -> None:
        self.version += self.rng.choice([1, 1, 7])  # the versions between belong to other resources
        name = self.rng.choice("abc")
        known = self.objects.get(name)
        if known is None:
            kind, found = "ADDED", thing(name, self.version, uid=f"{name}{self.version}")
            self.objects[name] = found
        elif self.rng.random() < 0.3:
            kind, found = "DELETED", thing(name, self.version, uid=known["metadata"]["uid"])
            del self.objects[name]
        else:
            kind, found = "MODIFIED", thing(name, self.version, uid=known["metadata"]["uid"])
            self.objects[name] = found
        self.log.append((self.version, WatchEvent(kind, found)))
        self.wake.set()
        self.wake = asyncio.Event()

    async def get(self, url: str) -> Any:
        await self._chance()
        return {}

    async def list(self, path: ApiPath) -> Listing:
        await self._chance()
        self.listed_at = self.version
        return Listing(list(self.objects.values()), str(self.version))

    async def watch(self, path: ApiPath, version: str) -> Any:
        at = int(version)
        while True:
            if at < self.oldest:
                raise Expired("too old")
            for when, event in [entry for entry in self.log if entry[0] > at]:
                await self._chance()
                yield event
                at = when
            if self.log and self.log[-1][0] > at:
                continue
            if self.rng.random() < 0.2:
                at = self.version
                yield bookmark(at)
            if self.rng.random() < 0.2 and not self.calm:
                return
            await self.wake.wait()

    async def _chance(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0, 0.01]))
        if self.calm:
            return
        if self.rng.random() < 0.1:
            raise DOWN
        if self.rng.random() < 0.05:
            self.oldest = self.version  # compaction


class Historian(Recorder):
    """Writes what was told as (version of the list or 0, changes)."""

    def __init__(self, server: History) -> None:
        super().__init__()
        self.server = server
        self.told: list[tuple[int, list[Change]]] = []

    def changed(self, change: Change) -> None:
        self.told.append((0, [change]))

    async def listed(self, changes: list[Change]) -> None:
        self.told.append((self.server.listed_at, changes))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_every_transition_that_the_server_still_knows_once_and_in_order(seed: int) -> None:
    clock, rng = SimulatedClock(start=0.0), random.Random(seed)
    server = History(rng)
    historian = Historian(server)

    async def main() -> None:
        stream = historian.stream = Stream(
            server, clock, PATH, historian, rng=rng, versions=Versions(server), note=lambda note: None  # type: ignore[arg-type]
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(stream.run())
        for _ in range(60):
            server.write()
            await asyncio.sleep(rng.choice([0, 0.01, 0.3, 3.0]))
        server.calm = True
        await asyncio.sleep(100)
        assert stream.objects == server.objects
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    clock.run(main())
    judge(dict(server.log), historian.told)


def judge(truth: dict[int, WatchEvent], told: list[tuple[int, list[Change]]]) -> None:
    """Replay what was told against the server's full history."""
    state: dict[str, int] = {}
    covered = 0
    for listed_at, changes in told:
        for key, new, old in changes:
            assert (old is not None) == (key in state), "an addition of the known, or the end of the unknown"
            if new is None:
                del state[key]
                continue
            version = int(new["metadata"]["resourceVersion"])
            assert truth[version].object == new
            assert truth[version].kind != "DELETED", "a state that was not there"
            assert version > state.get(key, 0), "told twice, or backwards"
            state[key] = version
        if listed_at:
            covered = listed_at
        else:
            version = int((new or old)["metadata"]["resourceVersion"])  # type: ignore[index]
            assert version > covered, "told twice, or backwards"
            lost = [one for one in truth if covered < one < version]
            assert not lost
            covered = version
    assert not [one for one in truth if one > covered]


def test_a_burst_of_changes_lets_others_have_their_turn() -> None:
    """A watch that has always more to tell would else keep the loop for as long as that lasts."""
    changes = 1000
    cluster = ScriptedCluster(watches=[(*(modified("a", number) for number in range(2, changes + 2)), HANG)])
    between, turns = [], itertools.count()

    class Ticking(RealClock):
        """Each look at the clock finds it 10 ms later."""

        ticks = itertools.count()

        def monotonic(self) -> float:
            return next(self.ticks) / 100

    async def main() -> None:
        recorder = Recorder()
        seen = asyncio.Event()

        def changed(change: Change) -> None:
            between.append(turn)
            if len(between) == changes:
                seen.set()

        recorder.changed = changed  # type: ignore[method-assign]
        stream = recorder.stream = Stream(
            cluster, Ticking(), PATH, recorder, rng=random.Random(1), versions=Versions(cluster), note=print
        )
        task = asyncio.create_task(stream.run())
        turn = 0
        while not seen.is_set():
            turn = next(turns)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert max(Counter(between).values()) <= 10
