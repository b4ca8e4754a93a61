"""World: what an API server would show, above all that a watch from any version replays exactly what came later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.clock import SimulatedClock
from nvsx.errors import Expired, NotFound
from nvsx.ports import ApiPath
from nvsx.sim.merging import merged
from nvsx.sim.selectors import matcher
from nvsx.sim.status import AlreadyExists, BadRequest, Conflict, status_object
from nvsx.sim.world import Request, World

if TYPE_CHECKING:
    from nvsx.ports import Object, WatchEvent

START = 1_787_306_400.9
NODES = ApiPath("v1", "nodes")


def node(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}


def pod(name: str, namespace: str = "default", on: str = "n1", phase: str = "Running") -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": on},
        "status": {"phase": phase},
    }


@pytest.fixture
def world() -> World:
    return World(SimulatedClock(start=START))


def drained(world: World, path: ApiPath, version: str) -> list[WatchEvent]:
    """What a watch has ready at once."""

    async def take() -> list[WatchEvent]:
        watch = world.watch(path, version)
        watch.push(None)
        found = []
        while (event := await watch.next()) is not None:
            found.append(event)
        world.unwatch(watch)
        return found

    return asyncio.run(take())


def test_create_fills_in_what_the_server_fills_in(world: World) -> None:
    made = world.create(node("a"))
    assert made["metadata"]["creationTimestamp"] == "2026-08-21T10:00:00Z"
    assert len(made["metadata"]["uid"]) == 36
    assert made["metadata"]["resourceVersion"] == str(world.version)
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "a-"}}
    named = world.create(event)["metadata"]
    assert named["namespace"] == "default"
    assert named["name"].startswith("a-")
    assert len(named["name"]) == 7


def test_nothing_handed_in_or_out_is_shared(world: World) -> None:
    given = node("a", zone="x")
    world.create(given)
    given["metadata"]["labels"]["zone"] = "changed"
    nodes = world.resources.named("nodes")
    world.get(nodes, "a")["metadata"]["labels"]["zone"] = "changed"
    world.list(NODES).objects[0]["metadata"]["labels"]["zone"] = "changed"
    for version in ("0", "1"):
        drained(world, NODES, version)[0].object["metadata"]["labels"]["zone"] = "changed"
    assert world.get(nodes, "a")["metadata"]["labels"]["zone"] == "x"


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_in_the_appendix_of_rfc_7386(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def test_a_write_that_changes_nothing_makes_no_version(world: World) -> None:
    world.create(node("a", zone="x"))
    before = world.version
    world.patch(world.resources.named("nodes"), "a", "", {"metadata": {"labels": {"zone": "x"}}})
    world.apply(node("a", zone="x"))
    assert world.version == before


def test_refusals_have_the_servers_words(world: World) -> None:
    world.create(node("a"))
    nodes = world.resources.named("nodes")
    with pytest.raises(NotFound, match=r'nodes "b" not found'):
        world.get(nodes, "b")
    with pytest.raises(AlreadyExists, match=r'nodes "a" already exists') as refused:
        world.create(node("a"))
    assert status_object(refused.value)["code"] == 409
    stale = world.get(nodes, "a")
    world.patch(nodes, "a", "", {"spec": {"unschedulable": True}})
    with pytest.raises(Conflict, match="the object has been modified"):
        world.replace(stale)
    with pytest.raises(NotFound, match=r'no matches for kind "Foo"'):
        world.create({"apiVersion": "v1", "kind": "Foo", "metadata": {"name": "x"}})
    with pytest.raises(BadRequest, match="resource name may not be empty"):
        world.create({"apiVersion": "v1", "kind": "Node", "metadata": {}})


def test_custom_resources_come_and_go_with_their_definition(world: World) -> None:
    path = ApiPath("v1alpha1", "rebootnodes", "janitor.dgxc.nvidia.com")
    with pytest.raises(NotFound, match="could not find the requested resource"):
        world.list(path)
    names = {"plural": "rebootnodes", "kind": "RebootNode", "shortNames": ["rn"]}
    versions = [{"name": "v1alpha1", "served": True}, {"name": "v1", "served": False}]
    spec = {"group": "janitor.dgxc.nvidia.com", "scope": "Cluster", "names": names, "versions": versions}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    world.create({**definition, "metadata": {"name": "rebootnodes.janitor.dgxc.nvidia.com"}})
    assert world.list(path).objects == []
    for word in (
        "rebootnode",
        "rn",
        "RebootNodes",
        "rebootnodes.janitor.dgxc.nvidia.com",
        "rn.v1alpha1.janitor.dgxc.nvidia.com",
    ):
        assert world.resources.named(word).kind == "RebootNode", word
    with pytest.raises(NotFound, match=r'have a resource type "rebootnodes"'):
        world.resources.named("rebootnodes.other.group")
    world.delete(world.resources.named("crd"), "rebootnodes.janitor.dgxc.nvidia.com")
    with pytest.raises(NotFound):
        world.list(path)


FIELDS = [
    ("pods", "spec.nodeName=n1", True),
    ("pods", "spec.nodeName==n1,status.phase!=Running", False),
    ("pods", "status.phase=Running", True),
    ("pods", "metadata.namespace=other", False),
    ("pods", "metadata.name=p,metadata.namespace=default", True),
    ("pods", "status.podIP=", True),
    ("pods", "", True),
]


@pytest.mark.parametrize(("resource", "selector", "matches"), FIELDS)
def test_field_selectors(resource: str, selector: str, matches: bool) -> None:
    assert matcher(resource, "", selector, "")(pod("p")) is matches


def test_event_and_node_fields() -> None:
    involved = {"kind": "Node", "name": "n1", "uid": "n1"}
    event = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": involved,
        "source": {"component": "kubelet"},
    }
    assert matcher("events", "default", "involvedObject.kind=Node,involvedObject.name=n1,source=kubelet", "")(event)
    assert not matcher("events", "", "involvedObject.kind=Pod", "")(event)
    assert not matcher("events", "other", "", "")(event)
    assert matcher("nodes", "", "spec.unschedulable=false", "")(node("a"))
    assert matcher("nodes", "", "spec.unschedulable=true", "")({**node("a"), "spec": {"unschedulable": True}})


@pytest.mark.parametrize(
    ("resource", "selector", "why"),
    [
        ("nodes", "spec.nodeName=x", "field label not supported: spec.nodeName"),
        ("rebootnodes", "spec.nodeName=x", "field label not supported: spec.nodeName"),
        ("pods", "status.phase", "can't understand 'status.phase'"),
    ],
)
def test_field_selectors_that_the_server_refuses(resource: str, selector: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        matcher(resource, "", selector, "")


LABELS = {"app": "train", "tier": "gpu", "nvidia.com/gpu.present": "true", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=train", True),
        ("app==train,tier=gpu", True),
        ("app = train , tier=cpu", False),
        ("app!=train", False),
        ("missing!=x", True),
        ("app in (train,serve)", True),
        ("app in (serve)", False),
        ("app notin (serve),tier", True),
        ("missing notin (a,b)", True),
        ("missing in (a,b)", False),
        ("nvidia.com/gpu.present", True),
        ("!missing", True),
        ("!app", False),
        ("empty=", True),
        ("app=", False),
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    assert matcher("nodes", "", "", selector)({"metadata": {"name": "x", "labels": LABELS}}) is matches


@pytest.mark.parametrize("selector", ["=x", "a=b c", "a in b", "a in (b", "-a", "a=b,,c", "a>b"])
def test_malformed_label_selectors(selector: str) -> None:
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        matcher("nodes", "", "", selector)


def test_a_watch_shows_what_enters_and_leaves_its_selection(world: World) -> None:
    nodes = world.resources.named("nodes")
    since = world.list(NODES).version
    world.create(node("a"))
    for labels in ({"gpu": "yes"}, {"gpu": "yes", "more": "1"}, {"gpu": None}, {"other": "1"}):
        world.patch(nodes, "a", "", {"metadata": {"labels": labels}})
    chosen = drained(world, NODES._replace(label_selector="gpu=yes"), since)
    assert [event.kind for event in chosen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in chosen]
    assert versions == sorted(set(versions))
    assert [event.kind for event in drained(world, NODES, since)] == ["ADDED", *["MODIFIED"] * 4]


def test_versions_beyond_the_history_have_expired() -> None:
    world = World(SimulatedClock(start=START), history=3)
    first = str(world.version)
    for name in "abc":
        world.create(node(name))
    assert [event.object["metadata"]["name"] for event in drained(world, NODES, first)] == ["a", "b", "c"]
    world.create(node("d"))
    with pytest.raises(Expired, match="too old resource version"):
        drained(world, NODES, first)
    assert len(drained(world, NODES, str(int(first) + 1))) == 3
    world.forget()
    with pytest.raises(Expired):
        drained(world, NODES, str(int(first) + 1))
    assert drained(world, NODES, str(world.version)) == []
    with pytest.raises(BadRequest):
        drained(world, NODES, "x")


OPERATIONS = st.lists(
    st.tuples(st.sampled_from("cpd"), st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.integers(0, 2)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS, st.data())
def test_a_watch_from_any_version_replays_exactly_what_came_later(
    operations: list[tuple[str, str, str, int]], data: Any
) -> None:
    """Whoever lists at a version and then follows the watch from it holds what a list at the end shows."""
    world = World(SimulatedClock(start=START))
    nodes = world.resources.named("nodes")
    path = data.draw(
        st.sampled_from([NODES, NODES._replace(field_selector="metadata.name=a"), NODES._replace(label_selector="l=x")])
    )
    listings = [world.list(path)]
    for verb, name, label, value in operations:
        try:
            if verb == "c":
                world.create(node(name, l=label))
            elif verb == "p":
                world.patch(nodes, name, "", {"metadata": {"labels": {"l": label}}, "spec": {"v": value}})
            else:
                world.delete(nodes, name)
        except (NotFound, AlreadyExists):
            continue
        listings.append(world.list(path))
    final = {thing["metadata"]["name"]: thing for thing in world.list(path).objects}
    for listing in listings:
        held = {thing["metadata"]["name"]: thing for thing in listing.objects}
        last = int(listing.version)
        for event in drained(world, path, listing.version):
            name = event.object["metadata"]["name"]
            version = int(event.object["metadata"]["resourceVersion"])
            assert version > last
            last = version
            assert (event.kind == "ADDED") is (name not in held)
            if event.kind == "DELETED":
                del held[name]
            else:
                held[name] = event.object
        assert held == final


def test_the_first_reactor_that_handles_a_request_answers(world: World) -> None:
    async def answers(request: Request) -> Object | None:
        return {"from": "first"} if request.resource == "nodes" else None

    async def refuses(request: Request) -> Object | None:
        raise NotFound("second")

    async def main() -> None:
        assert await world.consult(Request("get", "nodes")) is None
        lift_second = world.react(refuses)
        lift_first = world.react(answers)
        assert await world.consult(Request("get", "nodes")) == {"from": "first"}
        with pytest.raises(NotFound, match="second"):
            await world.consult(Request("get", "pods"))
        lift_first()
        lift_second()
        assert await world.consult(Request("get", "pods")) is None

    asyncio.run(main())


def test_a_followed_log_gives_old_lines_then_new_ones_and_ends_with_its_pods(world: World) -> None:
    async def main() -> None:
        world.logs.append("default", "p", "too old", time=START - 100)
        world.logs.append("default", "p", "old")
        running = [True]
        seen = []
        async for _, name, line in world.logs.follow(
            [("default", "p"), ("default", "q")], START - 1, lambda: running[0]
        ):
            seen.append((name, line.text))
            if line.text == "old":
                world.logs.append("default", "q", "new")
                world.logs.append("default", "r", "of another pod")
            if line.text == "new":
                running[0] = False
        assert seen == [("p", "old"), ("q", "new")]

    asyncio.run(main())


def test_documents_are_found_and_changed_by_dotted_fields(world: World) -> None:
    world.insert_document("HealthEvents", {"_id": {"$oid": "1"}, "status": {"a": ""}})
    assert world.update_documents("HealthEvents", {"_id": {"$oid": "1"}}, {"status.a": "x", "status.b.c": 1}) == 1
    assert world.update_documents("HealthEvents", {"_id": {"$oid": "2"}}, {"status.a": "y"}) == 0
    assert world.documents["HealthEvents"] == [{"_id": {"$oid": "1"}, "status": {"a": "x", "b": {"c": 1}}}]
