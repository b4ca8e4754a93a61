"""The kubectl door against a program that says what was measured of real ones, and lies that were not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.cluster import kubectl as door
from nvsx.cluster.kubectl import Kubectl, exec_arguments
from nvsx.errors import (
    ClusterError,
    Expired,
    Forbidden,
    Garbled,
    NoContext,
    NotFound,
    NotInstalled,
    Refused,
    TimedOut,
    TlsRefused,
    Unauthorized,
    Unreachable,
)
from nvsx.ports import ApiPath, LogLine, WatchEvent

if TYPE_CHECKING:
    from collections.abc import Coroutine

NODES = ApiPath("v1", "nodes")
EMPTY = '{"apiVersion": "v1", "items": [], "kind": "List", "metadata": {"resourceVersion": ""}}'
UID = json.dumps({"metadata": {"name": "kube-system", "uid": "uid-1"}})


def node(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def page(*names: str, version: str = "9", more: str = "") -> str:
    metadata = {"resourceVersion": version} | ({"continue": more} if more else {})
    return json.dumps({"kind": "NodeList", "metadata": metadata, "items": [node(name) for name in names]})


def event(kind: str, name: str, version: int) -> str:
    return json.dumps({"type": kind, "object": node(name, version)})


def status(code: int, message: str = "because") -> str:
    return json.dumps({"kind": "Status", "status": "Failure", "code": code, "message": message})


class Fake:
    """The fake program on a PATH of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        program = home / "bin" / "kubectl"
        program.parent.mkdir()
        fake = Path(__file__).parent / "fakes" / "kubectl.py"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {fake} "$@"\n')
        program.chmod(0o755)
        self.env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "FAKE_KUBECTL": str(home), "HOME": str(home)}

    def says(self, *rules: dict[str, Any]) -> Kubectl:
        (self.home / "script.json").write_text(json.dumps([{"match": "", **rule} for rule in rules]))
        return Kubectl(env=self.env, clock=RealClock(), context="prod")

    @property
    def calls(self) -> list[str]:
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def alone() -> Any:
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(alone())


async def watched(kubectl: Kubectl, into: list[WatchEvent]) -> None:
    async with aclosing(kubectl.watch(NODES, "5")) as events:  # type: ignore[type-var]
        async for one in events:
            into.append(one)  # noqa: PERF401 - what came before an error is looked at


LIES: dict[str, tuple[dict[str, Any], type[ClusterError]]] = {
    "nothing at all": ({}, Garbled),
    "HTML of a proxy": ({"stdout": "<html><body>Sign in</body></html>"}, Garbled),
    "half a document": ({"stdout": page("a")[:-9]}, Garbled),
    "two documents": ({"stdout": page("a") + page("b")}, Garbled),
    "an empty object": ({"stdout": "{}"}, Garbled),
    "null": ({"stdout": "null"}, Garbled),
    "not a list": ({"stdout": json.dumps(node("a"))}, Garbled),
    "a list without a version": ({"stdout": EMPTY}, Garbled),
    "an item that is no object": ({"stdout": page("a").replace('"items": [', '"items": [7, ')}, Garbled),
    "not UTF-8": ({"stdout": "\udcff\udcfe"}, Garbled),
    "an empty List and exit 1": ({"stdout": page(), "stderr": "error: x509: bad\n", "code": 1}, TlsRefused),
    "a good List and exit 1": (
        {"stdout": page("a"), "stderr": 'Error from server (Forbidden): nodes is forbidden: User "x"\n', "code": 1},
        Forbidden,
    ),
    "memcache lines first": (
        {
            "stderr": "E1124 10:00:00.000000 1 memcache.go:265] couldn't get current server API group list\n"
            "error: You must be logged in to the server (Unauthorized)\n",
            "code": 1,
        },
        Unauthorized,
    ),
    "a failure as a document with exit 0": ({"stdout": status(403, "no")}, Forbidden),
    "exit 1 without a word": ({"code": 1}, ClusterError),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_never_an_empty_list(fake: Fake, name: str) -> None:
    rule, kind = LIES[name]
    with pytest.raises(ClusterError) as caught:
        run(fake.says(rule).list(NODES))
    assert type(caught.value) is kind
    assert caught.value.command.startswith("kubectl get --raw '/api/v1/nodes?limit=500'")
    assert caught.value.hint


def test_a_list_in_pages_with_its_version(fake: Fake) -> None:
    kubectl = fake.says(
        {"match": "continue=c%3D2", "stdout": page("c", version="9")},
        {"match": "limit=500 ", "stdout": page("a", "b", more="c=2") + "\n"},
    )
    listing = run(kubectl.list(NODES))
    assert [found["metadata"]["name"] for found in listing.objects] == ["a", "b", "c"]
    assert listing.version == "9"
    assert fake.calls[0] == "get --raw /api/v1/nodes?limit=500 --request-timeout=15s"


def test_an_empty_list_is_empty(fake: Fake) -> None:
    assert run(fake.says({"stdout": page()}).list(NODES)) == ([], "9")
    nothing = {"kind": "NodeList", "metadata": {"resourceVersion": "3"}, "items": None}
    assert run(fake.says({"stdout": json.dumps(nothing)}).list(NODES)) == ([], "3")


def test_a_list_that_expires_between_its_pages_is_begun_again(fake: Fake) -> None:
    kubectl = fake.says(
        {"match": "continue=", "once": 1, "stderr": "Error from server (Expired): too old\n", "code": 1},
        {"match": "continue=", "stdout": page("b")},
        {"stdout": page("a", more="x")},
    )
    assert len(run(kubectl.list(NODES)).objects) == 2
    assert len(fake.calls) == 4
    kubectl = fake.says({"match": "continue=", "stdout": status(410)}, {"stdout": page("a", more="x")})
    with pytest.raises(Expired):
        run(kubectl.list(NODES))


def test_warnings_before_the_answer_do_not_matter(fake: Fake) -> None:
    noise = "Warning: use a newer client\nW1124 10:00:00.000000 1 gcp.go:119] deprecated\n"
    kubectl = fake.says({"stdout": noise + page("a"), "stderr": noise})
    assert len(run(kubectl.list(NODES)).objects) == 1


def test_what_is_not_watched_is_not_kept(fake: Fake) -> None:
    heavy = node("a")
    heavy["metadata"]["managedFields"] = [{}]
    heavy["status"] = {"images": [{}], "conditions": [{"type": "Ready"}]}
    document = {"kind": "NodeList", "metadata": {"resourceVersion": "3"}, "items": [heavy]}
    line = json.dumps({"type": "MODIFIED", "object": heavy})
    kubectl = fake.says({"match": "watch=1", "stdout": line}, {"stdout": json.dumps(document)})
    expected = node("a") | {"status": {"conditions": [{"type": "Ready"}]}}
    assert run(kubectl.list(NODES)).objects == [expected]
    events: list[WatchEvent] = []
    run(watched(kubectl, events))
    assert events == [WatchEvent("MODIFIED", expected)]


def test_a_hang_ends_by_the_deadline(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = fake.says({"sleep": 30})
    with pytest.raises(TimedOut):
        run(kubectl.read("get", "nodes", timeout_s=0.5))


def test_no_kubectl(tmp_path: Path) -> None:
    kubectl = Kubectl(env={"PATH": str(tmp_path)}, clock=RealClock())
    with pytest.raises(NotInstalled, match="not on PATH"):
        run(kubectl.list(NODES))
    with pytest.raises(NotInstalled, match="not on PATH"):
        run(watched(kubectl, []))


def test_a_watch_is_resumable_and_its_end_is_normal(fake: Fake) -> None:
    events: list[WatchEvent] = []
    lines = [event("ADDED", "a", 6), event("MODIFIED", "a", 7), "", event("BOOKMARK", "", 8)]
    run(watched(fake.says({"stdout": "\n".join(lines) + "\n"}), events))
    assert [one.kind for one in events] == ["ADDED", "MODIFIED", "BOOKMARK"]
    assert fake.calls == ["get --raw /api/v1/nodes?watch=1&resourceVersion=5&allowWatchBookmarks=true"]


WATCH_ENDS: dict[str, tuple[dict[str, Any], type[ClusterError]]] = {
    "410 as a line and exit 0": ({"stdout": json.dumps({"type": "ERROR", "object": json.loads(status(410))})}, Expired),
    "500 as a line": ({"stdout": json.dumps({"type": "ERROR", "object": json.loads(status(500))})}, Unreachable),
    "410 as a status": ({"stderr": "Error from server (Expired): too old\n", "code": 1}, Expired),
    "forbidden": ({"stderr": "Error from server (Forbidden): nodes is forbidden\n", "code": 1}, Forbidden),
    "cut off in a line, with a reason": (
        {"stdout": event("ADDED", "b", 7)[:-5], "stderr": "error: unexpected EOF\n", "code": 1}, Unreachable
    ),
    "cut off in a line, without a reason": ({"stdout": event("ADDED", "b", 7)[:-5]}, Garbled),
    "HTML, and then silence": ({"stdout": "<html>\n", "sleep": 30}, Garbled),
    "JSON that is no event": ({"stdout": "[]\n", "sleep": 30}, Garbled),
    "an object that is no event": ({"stdout": json.dumps(node("a")) + "\n", "sleep": 30}, Garbled),
}  # fmt: skip


@pytest.mark.parametrize("name", WATCH_ENDS)
def test_what_came_before_is_kept_and_the_end_is_told(fake: Fake, name: str) -> None:
    rule, kind = WATCH_ENDS[name]
    events: list[WatchEvent] = []
    with pytest.raises(ClusterError) as caught:
        run(watched(fake.says({**rule, "stdout": event("ADDED", "a", 6) + "\n" + rule.get("stdout", "")}), events))
    assert type(caught.value) is kind
    assert [one.object["metadata"]["name"] for one in events] == ["a"]


def test_a_line_of_megabytes(fake: Fake) -> None:
    big = node("a") | {"data": "x" * 5_000_000}
    events: list[WatchEvent] = []
    run(
        watched(
            fake.says({"stdout": json.dumps({"type": "ADDED", "object": big}) + "\n" + event("ADDED", "b", 2)}), events
        )
    )
    assert [len(one.object.get("data", "")) for one in events] == [5_000_000, 0]


def test_whoever_leaves_a_watch_leaves_no_process(fake: Fake) -> None:
    kubectl = fake.says({"stdout": event("ADDED", "a", 6) + "\n", "sleep": 60})

    async def leave() -> int:
        opened = []
        real = kubectl.open

        def opening(*arguments: str) -> Any:
            opened.append(real(*arguments))
            return opened[-1]

        kubectl.open = opening  # type: ignore[method-assign, assignment]
        async with aclosing(kubectl.watch(NODES, "5")) as events:  # type: ignore[type-var]
            async for _ in events:
                break
        return int(opened[0].pid)

    pid = run(leave())
    assert not Path(f"/proc/{pid}").exists() or sys.platform != "linux"


def test_log_lines_of_several_pods(fake: Fake) -> None:
    text = (
        "[pod/p-1/main] 2026-11-24T10:00:00.123456789Z XID 79: fallen off the bus\n"
        "[pod/p-2/main] 2026-11-24T10:00:01Z \n"
        "error: pod p-3 is on a dead node\n"
        "[pod/p-1/main] no time"
    )
    kubectl = fake.says({"stdout": text})

    async def read(**which: Any) -> list[LogLine]:
        return [line async for line in kubectl.logs("ns", **which)]

    lines = run(read(selector="app=x,tier in (a)", since=1795514400.9))
    assert lines == [
        LogLine("ns/p-1", "XID 79: fallen off the bus", 1795514400.123456),
        LogLine("ns/p-2", "", 1795514401.0),
        LogLine("ns/p-1", "no time", 0.0),
    ]
    assert "--since-time=2026-11-24T10:00:00Z" in fake.calls[0]
    assert "--selector=app=x,tier in (a)" in fake.calls[0]
    assert "--tail=-1" in fake.calls[0]
    run(read(pod="p-1"))
    assert fake.calls[1].endswith(" p-1")
    kubectl = fake.says({"stdout": "error: context deadline exceeded\n"})
    with pytest.raises(TimedOut):
        run(read(selector="a=b"))
    kubectl = fake.says({"stderr": 'Error from server (NotFound): pods "p" not found\n', "code": 1})
    with pytest.raises(NotFound):
        run(read(pod="p"))


NAMES = [
    ApiPath("v1", "--kubeconfig=x"), ApiPath("v1", "nodes/../secrets"), ApiPath("", "nodes"), ApiPath("v1", "Nodes"),
    ApiPath("v1", "things", group="-g"), ApiPath("v1", "pods", namespace="../x"), ApiPath("v1", "pods?x=1"),
]  # fmt: skip


@pytest.mark.parametrize("path", NAMES)
def test_names_are_checked_before_they_are_used(fake: Fake, path: ApiPath) -> None:
    kubectl = fake.says({"stdout": page()})
    with pytest.raises(NotFound, match="cannot be"):
        run(kubectl.list(path))
    assert not fake.calls


def test_names_never_become_options(fake: Fake) -> None:
    kubectl = fake.says({})

    async def logs(namespace: str, pod: str) -> None:
        async for _ in kubectl.logs(namespace, pod=pod):
            pass

    for namespace, pod in [("--all", "p"), ("ns", "-f"), ("ns", "--help"), ("", "p")]:
        with pytest.raises(NotFound):
            run(logs(namespace, pod))
        with pytest.raises(NotFound):
            exec_arguments(namespace, pod, "c", ["mongosh"], interactive=False)
    with pytest.raises(NotFound):
        run(kubectl.get("--help"))
    assert not fake.calls


def test_only_reads_are_started(fake: Fake) -> None:
    kubectl = fake.says({})
    for arguments in [("delete", "node", "n"), ("exec", "p", "--", "sh", "-c", "id")]:
        with pytest.raises(Refused):
            run(kubectl.read(*arguments))
        with pytest.raises(Refused):
            kubectl.open(*arguments)
    with pytest.raises(Refused):
        run(kubectl.exec("ns", "p", "c", ["sh", "-c", "id"]))
    assert not fake.calls


def test_exec_connects_stdin_and_returns_stdout(fake: Fake) -> None:
    kubectl = fake.says({"echo": 1})
    assert run(kubectl.exec("ns", "p", "c", ["mongosh", "--quiet"], b"one\ntwo")) == b"one\ntwo"
    assert fake.calls == ["exec -i --namespace=ns p --container=c -- mongosh --quiet"]


def test_identity_is_the_uid_of_kube_system_or_the_context(fake: Fake) -> None:
    assert run(fake.says({"stdout": UID}).identity()) == "uid-1"
    denied = {"stderr": "Error from server (Forbidden): namespaces is forbidden\n", "code": 1}
    assert run(fake.says(denied).identity()) == "prod"
    assert run(Kubectl(env=fake.env, clock=RealClock()).identity()) == "in-cluster"
    with pytest.raises(Unauthorized):
        run(fake.says({"stderr": "error: You must be logged in to the server\n", "code": 1}).identity())


def test_another_cluster_behind_the_same_context_is_not_looked_at(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = fake.says(
        {"match": "kube-system", "once": 1, "stdout": UID},
        {"match": "kube-system", "stdout": UID.replace("uid-1", "uid-2")},
        {"stdout": page("a")},
    )
    assert run(kubectl.identity()) == "uid-1"
    assert len(run(kubectl.list(NODES)).objects) == 1
    assert len(fake.calls) == 2
    monkeypatch.setattr(door, "IDENTITY_AGE_S", -1.0)
    for look in (kubectl.check_identity(), kubectl.list(NODES), watched(kubectl, [])):
        with pytest.raises(NoContext, match="another cluster"):
            run(look)
    denied = {"match": "kube-system", "stderr": "Error from server (Forbidden): is forbidden\n", "code": 1}
    (fake.home / "script.json").write_text(json.dumps([denied, {"match": "", "stdout": page("a")}]))
    assert run(kubectl.list(NODES)).version == "9"


def test_it_is_held_to_the_cluster_that_an_earlier_process_was_told_of(fake: Fake) -> None:
    other = {"match": "kube-system", "stdout": UID.replace("uid-1", "uid-2")}
    kubectl = fake.says(other, {"stdout": page("a")})
    kubectl.assume("uid-1")
    with pytest.raises(NoContext, match="another cluster"):
        run(kubectl.list(NODES))
    unknown = fake.says(other, {"stdout": page("a")})
    unknown.assume("prod")  # where the uid may not be read, the context's name stands for the cluster
    assert len(run(unknown.list(NODES)).objects) == 1


def test_may(fake: Fake) -> None:
    assert run(fake.says({"stdout": "yes\n"}).may("watch", "rebootnodes", group="janitor.example", namespace="ns"))
    assert fake.calls == ["auth can-i watch rebootnodes.janitor.example --namespace=ns --request-timeout=15s"]
    warning = {"stdout": "no\n", "stderr": "Warning: resource 'nodes' is not namespace scoped\n", "code": 1}
    assert not run(fake.says(warning).may("get", "pods/log"))
    assert "auth can-i get pods --subresource=log --all-namespaces" in fake.calls[1]
    with pytest.raises(Unreachable):
        run(fake.says({"stderr": "Unable to connect to the server: EOF\n", "code": 1}).may("list", "nodes"))
    with pytest.raises(Garbled):
        run(fake.says({"stdout": "maybe"}).may("list", "nodes"))


def test_a_user_s_preferences_for_kubectl_do_not_reach_us(fake: Fake) -> None:
    assert run(fake.says({"env": "KUBERC"}).read("version")) == b"off"
