"""The view as its subscribers meet it: shared streams, order, isolation, blindness, logs."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from nvsx.clock import SimulatedClock
from nvsx.cluster.view import View
from nvsx.errors import Forbidden, Unreachable
from nvsx.ports import ApiPath, LogLine, Seen
from tests.fakes.scripted import HANG, ScriptedCluster, added, deleted, listing, modified, thing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NODES = ApiPath("v1", "nodes")
PODS = ApiPath("v1", "pods")
DOWN = Unreachable("connection refused")


def one_node(name: str) -> ApiPath:
    return NODES._replace(field_selector=f"metadata.name={name}")


class Told:
    """A subscriber that writes down each call: `key@version`, `-key`, `.` for a list or a change of sight, with `!`."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, seen: Seen) -> None:
        self.said.append(describe(seen))


def describe(seen: Seen) -> str:
    what = "."
    if seen.changed:
        gone = seen.gone is not None
        what = (
            f"-{seen.changed}"
            if gone
            else f"{seen.changed}@{seen.objects[seen.changed]['metadata']['resourceVersion']}"
        )
    known = ",".join(sorted(seen.objects))
    return f"{what} [{known}]" + ("" if seen.listed else " unlisted") + (f" !{seen.blind.code}" if seen.blind else "")


def story(cluster: Any, play: Callable[[View], Coroutine[Any, Any, None]], **options: Any) -> list[str]:
    """Play a story on simulated time with a view that is closed at its end; the notes and reported bugs."""
    clock = SimulatedClock(start=1000.0)
    notes: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: notes.append(context["message"]))
        view = View(cluster, clock, rng=random.Random(1), on_note=notes.append, **options)
        await play(view)
        await view.close()
        assert cluster.open == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    clock.run(main())
    return notes


def test_all_subscribers_share_one_stream_and_hear_everything_in_order() -> None:
    cluster = ScriptedCluster(
        lists=[listing(2, thing("a", 1), thing("b", 2))], watches=[(1, modified("a", 3), deleted("b", 4), HANG)]
    )
    first, second, late = Told(), Told(), Told()

    async def play(view: View) -> None:
        view.subscribe(NODES, first)
        view.subscribe(NODES, second)
        await asyncio.sleep(0.5)
        view.subscribe(NODES, late)
        assert late.said == [". [a,b]"]
        await asyncio.sleep(5)

    story(cluster, play)
    changes = ["a@3 [a,b]", "-b [a]"]
    assert first.said == second.said == ["a@1 [a,b]", "b@2 [a,b]", ". [a,b]", *changes]
    assert late.said == [". [a,b]", *changes]
    assert len(cluster.calls) == 2


def test_nothing_is_told_before_something_is_known() -> None:
    told = Told()

    async def play(view: View) -> None:
        subscription = view.subscribe(NODES, told)
        assert subscription.seen == Seen({}, False)
        assert told.said == []

    story(ScriptedCluster(), play)


def test_a_subscriber_that_raises_hurts_nobody() -> None:
    cluster = ScriptedCluster(watches=[(added("a", 2), added("b", 3), HANG)])
    told = Told()

    def broken(seen: Seen) -> None:
        raise KeyError("spec")

    async def play(view: View) -> None:
        view.subscribe(NODES, broken, name="stage 2")
        view.subscribe(NODES, told)
        await asyncio.sleep(1)

    notes = story(cluster, play)
    assert told.said == [". []", "a@2 [a]", "b@3 [a,b]"]
    assert "a watcher of the view failed (stage 2): KeyError: 'spec'" in notes


def test_the_stream_ends_after_its_last_subscriber_and_not_between_two_stages() -> None:
    cluster = ScriptedCluster(lists=[listing(1, thing("a", 1))])
    told = Told()

    async def play(view: View) -> None:
        subscription = view.subscribe(NODES, lambda seen: None)
        await asyncio.sleep(1)
        subscription.close()
        subscription.close()
        await asyncio.sleep(5)
        again = view.subscribe(NODES, told)
        await asyncio.sleep(60)
        assert cluster.open == 1
        assert len(cluster.asked("list")) == 1
        again.close()
        await asyncio.sleep(11)
        assert cluster.open == 0
        view.subscribe(NODES, lambda seen: None)
        await asyncio.sleep(1)
        assert len(cluster.asked("list")) == 2

    story(cluster, play)
    assert told.said == [". [a]"]


def test_whoever_closes_is_not_called_again_and_may_arm_the_next_in_the_callback() -> None:
    cluster = ScriptedCluster(watches=[(added("a", 2), modified("a", 3), HANG)])
    first, second = Told(), Told()

    async def play(view: View) -> None:
        def on_first(seen: Seen) -> None:
            first(seen)
            if seen.changed:
                subscription.close()
                other.close()
                view.subscribe(NODES, second)

        subscription = view.subscribe(NODES, on_first)
        other = view.subscribe(NODES, on_first)
        await asyncio.sleep(1)

    story(cluster, play)
    assert first.said == [". []", ". []", "a@2 [a]"]
    assert second.said == [". [a]", "a@3 [a]"]


def test_blindness_is_told_to_all_with_the_last_known_objects_and_so_is_its_end() -> None:
    cluster = ScriptedCluster(
        lists=[listing(1, thing("a", 1))], watches=[(1, DOWN), (HANG,)], gets=[DOWN] * 6 + [{}]
    )  # fmt: skip
    told, late = Told(), Told()

    async def play(view: View) -> None:
        view.subscribe(NODES, told)
        await asyncio.sleep(7)
        subscription = view.subscribe(NODES, late)
        assert subscription.seen.blind is DOWN
        await asyncio.sleep(30)
        assert subscription.seen.blind is None

    story(cluster, play)
    assert told.said == ["a@1 [a]", ". [a]", ". [a] !unreachable", ". [a]"]
    assert late.said == [". [a] !unreachable", ". [a]"]


def test_blind_from_the_start_is_not_listed() -> None:
    told = Told()

    async def play(view: View) -> None:
        view.subscribe(NODES, told)
        await asyncio.sleep(30)

    story(ScriptedCluster(lists=[Forbidden("no")]), play)
    assert told.said == [". [] unlisted !forbidden"]


def test_a_run_selects_its_node_in_the_server() -> None:
    cluster = ScriptedCluster()

    async def play(view: View) -> None:
        view.subscribe(one_node("a"), lambda seen: None)
        view.subscribe(one_node("b"), lambda seen: None)
        await asyncio.sleep(1)

    story(cluster, play)
    assert cluster.asked("list") == [one_node("a"), one_node("b")]


def test_a_fleet_is_one_stream_and_each_sees_only_its_own_node() -> None:
    cluster = ScriptedCluster(
        lists=[listing(2, thing("a", 1), thing("b", 2)), listing(9, thing("b", 8), thing("c", 9))],
        watches=[(modified("a", 3), deleted("b", 4), 5, Unreachable("reset")), (added("c", 6), HANG)],
    )
    everything, node_a, node_b, absent = Told(), Told(), Told(), Told()

    async def play(view: View) -> None:
        view.subscribe(NODES, everything)
        view.subscribe(one_node("a"), node_a)
        view.subscribe(one_node("b"), node_b)
        view.subscribe(one_node("zz"), absent)
        await asyncio.sleep(30)

    story(cluster, play, whole_fleet=True)
    assert cluster.asked("list") == [NODES]
    assert node_a.said == ["a@1 [a]", ". [a]", "a@3 [a]"]
    assert node_b.said == ["b@2 [b]", ". [b]", "-b []"]
    assert absent.said == [". []"]
    assert everything.said[-1] == "c@6 [a,c]"


def test_in_a_fleet_a_relist_is_told_to_those_it_concerns_and_marked_for_all() -> None:
    from nvsx.errors import Expired

    cluster = ScriptedCluster(
        lists=[listing(2, thing("a", 1), thing("b", 2)), listing(9, thing("b", 8))],
        watches=[(Expired("too old"),), (HANG,)],
    )
    node_a, node_b = Told(), Told()

    async def play(view: View) -> None:
        view.subscribe(one_node("a"), node_a)
        view.subscribe(one_node("b"), node_b)
        await asyncio.sleep(30)

    story(cluster, play, whole_fleet=True)
    assert node_a.said == ["a@1 [a]", ". [a]", "-a []", ". []"]
    assert node_b.said == ["b@2 [b]", ". [b]", "b@8 [b]", ". [b]"]


def test_in_a_fleet_pods_are_given_to_those_who_asked_for_their_node() -> None:
    cluster = ScriptedCluster(
        lists=[listing(2, thing("p", 1, spec={"nodeName": "a"}), thing("q", 2, spec={}))],
        watches=[(modified("q", 3, spec={"nodeName": "a"}), modified("p", 4, spec={"nodeName": "b"}), HANG)],
    )
    on_a, on_b = Told(), Told()

    async def play(view: View) -> None:
        view.subscribe(PODS._replace(field_selector="spec.nodeName=a"), on_a)
        view.subscribe(PODS._replace(field_selector="spec.nodeName=b"), on_b)
        await asyncio.sleep(1)

    story(cluster, play, whole_fleet=True)
    assert cluster.asked("list") == [PODS]
    assert on_a.said == ["p@1 [p]", ". [p]", "q@3 [p,q]", "-p [q]"]
    assert on_b.said == [". []", "p@4 [p]"]


def test_in_a_fleet_the_other_terms_of_a_selector_stay_with_the_server() -> None:
    cluster = ScriptedCluster()
    events = ApiPath("v1", "events", field_selector="involvedObject.kind=Node,involvedObject.name=a")
    odd = NODES._replace(field_selector="metadata.name!=a")

    async def play(view: View) -> None:
        view.subscribe(events, lambda seen: None)
        view.subscribe(odd, lambda seen: None)
        await asyncio.sleep(1)

    story(cluster, play, whole_fleet=True)
    assert cluster.asked("list") == [events._replace(field_selector="involvedObject.kind=Node"), odd]


def test_a_thousand_nodes_listed_leave_room_for_others() -> None:
    cluster = ScriptedCluster(lists=[listing(1, *(thing(f"n{number}", 1) for number in range(1000)))])
    turns = {"taken": 0, "at_end": 0}

    async def other() -> None:
        while True:
            turns["taken"] += 1
            await asyncio.sleep(0)

    async def play(view: View) -> None:
        calls = []
        view.subscribe(NODES, lambda seen: calls.append(turns["taken"]))
        task = asyncio.get_running_loop().create_task(other())
        while len(calls) < 1001:
            await asyncio.sleep(0)
        task.cancel()
        turns["at_end"] = len(set(calls))

    story(cluster, play)
    assert turns["at_end"] >= 10


def line(text: str, at: float, pod: str = "ns/p") -> LogLine:
    return LogLine(pod, text, at)


def test_log_lines_once_across_restarts_and_only_since() -> None:
    pod = thing("p", 1, uid="u", status={"phase": "Running"})
    cluster = ScriptedCluster(
        lists=[listing(1, pod)],
        logs=[(line("old", 900.0), line("x", 1001.0), line("x", 1002.0)), (line("x", 1002.0), line("y", 1002.0), HANG)],
    )
    said: list[str] = []

    async def play(view: View) -> None:
        view.follow_logs("ns", "app=x", "", 1000.0, lambda one: said.append(f"{one.text}@{one.time:.0f}"), said.append)  # type: ignore[arg-type]
        await asyncio.sleep(30)

    story(cluster, play)
    assert said == ["x@1001", "x@1002", "y@1002"]
    assert cluster.asked("logs") == [1000.0, 1000.0]


def test_logs_of_a_pod_that_starts_later_are_followed() -> None:
    old, new = (thing(name, 1, uid=name, status={"phase": "Running"}) for name in "pq")
    cluster = ScriptedCluster(
        lists=[listing(1, old), listing(1, old), listing(2, old, new)],
        logs=[(line("one", 1001.0), HANG), (line("one", 1001.0), line("two", 1020.0, "ns/q"), HANG)],
    )
    said: list[str] = []

    async def play(view: View) -> None:
        view.follow_logs("ns", "app=x", "", 1000.0, lambda one: said.append(one.text), said.append)  # type: ignore[arg-type]
        await asyncio.sleep(100)

    story(cluster, play)
    assert said == ["one", "two"]
    assert len(cluster.asked("logs")) == 2


def test_log_followers_share_a_process_where_the_lines_are_known() -> None:
    cluster = ScriptedCluster(logs=[(line("a", 1000.0), line("b", 1010.0), HANG)])
    first: list[Any] = []
    second: list[Any] = []
    earlier: list[Any] = []

    async def play(view: View) -> None:
        one = view.follow_logs("ns", "app=x", "", 1000.0, first.append, first.append)
        await asyncio.sleep(1)
        two = view.follow_logs("ns", "app=x", "", 1005.0, second.append, second.append)
        assert [line.text for line in second] == ["b"]
        assert cluster.open == 1
        view.follow_logs("ns", "app=x", "", 500.0, earlier.append, earlier.append)
        await asyncio.sleep(1)
        assert cluster.open == 2
        one.close()
        two.close()
        await asyncio.sleep(1)
        assert cluster.open == 1

    story(cluster, play)
    assert [line.text for line in first] == ["a", "b"]
    assert [line.text for line in earlier] == ["a", "b"]


def test_logs_blind_and_seeing_again() -> None:
    cluster = ScriptedCluster(lists=[DOWN] * 6 + [listing(1)], logs=[(line("a", 1000.0), HANG)])
    said: list[Any] = []

    async def play(view: View) -> None:
        view.follow_logs("ns", "", "p", 1000.0, lambda one: said.append(one.text), said.append)
        await asyncio.sleep(60)

    story(cluster, play)
    assert said == [DOWN, None, "a"]
