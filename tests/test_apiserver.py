"""The simulator's API server as the real kubectl finds it: every kubectl at hand, every way of reading and writing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.clock import RealClock
from nvsx.sim.apiserver import ApiServer
from nvsx.sim.faults import fault
from nvsx.sim.world import World
from tests.servers.kube import KubeServer, kubectls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nvsx.sim.faults import Fault

pytestmark = pytest.mark.skipif(not kubectls(), reason="no kubectl on PATH")
SYSTEM = "gke-system-pool-wn27"
BROKEN = "gke-ml-pool-a100-8ksx"
NODES = "/api/v1/nodes"


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    with KubeServer("quiet", tmp_path_factory.mktemp("kube"), speed=100.0) as kube:
        yield kube


@pytest.fixture(params=[pytest.param(path, id=path.strip("/").replace("/", "-")) for path in kubectls()])
def ctl(request: pytest.FixtureRequest, kube: KubeServer) -> Ctl:
    return Ctl(request.param, kube)


class Ctl:
    """One kubectl on the server."""

    def __init__(self, program: str, kube: KubeServer) -> None:
        self.program = program
        self.kube = kube

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.done(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def done(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments]
        return subprocess.run(command, env=self.kube.env, input=stdin, capture_output=True, text=True, timeout=30)

    def fails(self, *arguments: str) -> str:
        done = self.done(*arguments)
        assert done.returncode == 1, done.stdout
        return done.stderr.strip().splitlines()[-1]

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        command = [self.program, *arguments]
        return subprocess.Popen(command, env=self.kube.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def faulty(self, kind: str, **scope: Any) -> _Faulty:
        return _Faulty(self.kube, kind, scope)


class _Faulty:
    """A fault that is in force inside a `with`."""

    def __init__(self, kube: KubeServer, kind: str, scope: dict[str, Any]) -> None:
        self.kube, self.kind = kube, kind
        self.delay_s = scope.pop("delay_s", 0.0)
        self.scope = scope
        self.fault: Fault

    def __enter__(self) -> None:
        def begin() -> None:
            self.fault = fault(self.kube.world, {"kind": self.kind, **self.scope}, self.delay_s)
            self.fault.begin()

        self.kube.do(begin)

    def __exit__(self, *_: object) -> None:
        self.kube.do(self.fault.end)


def until(true: Callable[[], bool]) -> None:
    """Wait for what must come soon."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def next_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_tables_and_documents(ctl: Ctl) -> None:
    first, second, *_ = ctl("get", "nodes").splitlines()
    assert first.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert second.split()[:3] == ["gke-ml-pool-a100-2mvd", "Ready", "<none>"]
    assert "INTERNAL-IP" in ctl("get", "nodes", "-o", "wide")
    assert ctl("get", "node", SYSTEM, "-o", "jsonpath={.metadata.name}") == SYSTEM
    assert ctl("get", "nodes", "--field-selector", f"metadata.name={SYSTEM}", "-o", "name") == f"node/{SYSTEM}\n"
    assert ctl("get", "nodes", "-l", "cloud.google.com/gke-nodepool=system", "-o", "name").count("\n") == 2
    assert "Server Version" in ctl("version")
    assert f"Name:               {SYSTEM}" in ctl("describe", "node", SYSTEM)
    assert "rebootnodes" in ctl("api-resources", "--api-group=janitor.dgxc.nvidia.com")
    assert ctl("get", "rebootnodes", "--no-headers").startswith("maintenance-")
    assert ctl("get", "--raw", "/readyz") == "ok"


def test_a_list_in_pages_is_one_moment(ctl: Ctl) -> None:
    names = ctl("get", "nodes", "--chunk-size=3", "-o", "name").splitlines()
    assert len(names) == len(set(names)) == 8
    first = json.loads(ctl("get", "--raw", f"{NODES}?limit=5"))
    more = first["metadata"]["continue"]
    assert first["metadata"]["remainingItemCount"] == 3
    ctl("label", "node", SYSTEM, f"touched={time.time()}", "--overwrite")
    second = json.loads(ctl("get", "--raw", f"{NODES}?limit=5&continue={more}"))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]
    ctl.kube.do(ctl.kube.world.forget)
    said = ctl.fails("get", "--raw", f"{NODES}?limit=5&continue={more}")
    assert "continue parameter is too old" in said
    assert "Expired" in said or "Gone" in said


def test_what_is_not_there(ctl: Ctl) -> None:
    assert ctl.fails("get", "node", "nope") == 'Error from server (NotFound): nodes "nope" not found'
    assert "doesn't have a resource type" in ctl.fails("get", "things")
    assert "could not find the requested resource" in ctl.fails("get", "--raw", "/apis/g.example/v1/things")
    assert "field label not supported" in ctl.fails("get", "nodes", "--field-selector", "spec.x=1")
    assert "not found" in ctl.fails("logs", "-n", "default", "nope")


def test_a_raw_watch(ctl: Ctl) -> None:
    version = json.loads(ctl("get", "--raw", f"{NODES}?limit=1"))["metadata"]["resourceVersion"]
    watch = ctl.begun("get", "--raw", f"{NODES}?watch=1&resourceVersion={version}&allowWatchBookmarks=true")
    try:
        for count in range(3):
            ctl.kube.patch_node(SYSTEM, {"metadata": {"labels": {"count": f"{version}-{count}"}}})
            event = next_event(watch)
            assert event["type"] == "MODIFIED"
            assert event["object"]["metadata"]["labels"]["count"] == f"{version}-{count}"
        mark = next_event(watch)  # a simulated minute lasts 0.6 s here
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["resourceVersion"] == event["object"]["metadata"]["resourceVersion"]
        with ctl.faulty("disconnect"):
            assert watch.wait(20) == 0
    finally:
        watch.kill()


def test_too_old_both_ways(ctl: Ctl) -> None:
    ctl.kube.patch_node(SYSTEM, {"metadata": {"labels": {"old": str(time.time())}}})
    ctl.kube.do(ctl.kube.world.forget)
    line = json.loads(ctl("get", "--raw", f"{NODES}?watch=1&resourceVersion=1"))
    assert (line["type"], line["object"]["code"]) == ("ERROR", 410)
    with ctl.faulty("gone", verbs=["watch"]):
        assert "too old resource version" in ctl.fails("get", "--raw", f"{NODES}?watch=1&resourceVersion=1")
    watch = ctl.begun("get", "--raw", f"{NODES}?watch=1")
    try:
        while next_event(watch)["object"]["metadata"]["name"] != SYSTEM:
            pass  # a watch without a version begins with what there is
        with ctl.faulty("expired"):
            assert next_event(watch)["object"]["code"] == 410
    finally:
        watch.kill()


REFUSALS = {
    "unauthorized": "You must be logged in to the server",
    "forbidden": 'nodes is forbidden: User "nvsx@simulated" cannot list resource "nodes" in API group "" at the',
    "timeout": "(Timeout)",
    "unreachable": "Unable to connect to the server: ",
    "reset": "Unable to connect to the server: ",
}


@pytest.mark.parametrize(("kind", "said"), REFUSALS.items())
def test_faults_of_lists(ctl: Ctl, kind: str, said: str) -> None:
    with ctl.faulty(kind, verbs=["list"], resources=["nodes"]):
        assert said in ctl.fails("get", "--raw", f"{NODES}?limit=500")
        assert ctl("get", "node", SYSTEM, "-o", "name")


def test_a_forbidden_watch_leaves_lists(ctl: Ctl) -> None:
    with ctl.faulty("forbidden", verbs=["watch"], resources=["nodes"]):
        assert 'cannot watch resource "nodes"' in ctl.fails("get", "--raw", f"{NODES}?watch=1&resourceVersion=0")
        assert ctl("get", "--raw", f"{NODES}?limit=1")
        assert ctl.done("auth", "can-i", "watch", "nodes").stdout.strip() == "no"
        assert ctl.done("auth", "can-i", "list", "nodes").stdout.strip() == "yes"


def test_a_busy_server_is_asked_again(ctl: Ctl) -> None:
    before = len(ctl.kube.server.asked)
    with ctl.faulty("busy", verbs=["list"]):
        asking = ctl.begun("get", "nodes", "-o", "name")
        until(lambda: sum(NODES in asked for asked in ctl.kube.server.asked[before:]) >= 2)
    out, _ = asking.communicate(timeout=20)
    assert asking.returncode == 0
    assert f"node/{SYSTEM}\n" in out


def test_garbled_hung_and_dripping(ctl: Ctl) -> None:
    with ctl.faulty("garbled", verbs=["list"]):
        assert ctl("get", "--raw", f"{NODES}?limit=1").startswith("<html>")
    with ctl.faulty("hang", verbs=["list"]):
        said = ctl.fails("get", "--raw", f"{NODES}?limit=1", "--request-timeout=300ms")
        assert "Timeout exceeded" in said or "deadline" in said
    with ctl.faulty("drip", verbs=["get"], delay_s=0.1):
        assert ctl("get", "node", SYSTEM, "-o", "name") == f"node/{SYSTEM}\n"


def test_a_torn_line(ctl: Ctl) -> None:
    watch = ctl.begun("get", "--raw", f"{NODES}?watch=1")
    try:
        for _ in range(8):
            next_event(watch)
        with ctl.faulty("torn"):
            out, err = watch.communicate(timeout=20)
        assert out.startswith('{"type":"MODIFIED"')
        assert not out.endswith("\n")
        assert watch.returncode == 1
        assert "unexpected EOF" in err or "reset" in err
    finally:
        watch.kill()


def test_logs(ctl: Ctl) -> None:
    def log(text: str) -> None:
        ctl.kube.do(lambda: ctl.kube.world.logs.append("default", "train-0", text))

    def lines(*arguments: str) -> list[str]:
        return ctl("logs", "-n", "default", "train-0", *arguments).splitlines()

    log(f"before {ctl.program}")
    assert lines("--tail=1") == [f"before {ctl.program}"]
    assert lines("--since-time=2999-01-01T00:00:00Z") == []
    follow = ctl.begun(
        "logs", "-f", "-n", "default", "train-0", "--tail=0", "--timestamps", "--prefix", "--all-containers"
    )
    try:
        assert follow.stdout
        until(lambda: any("follow=true" in asked for asked in ctl.kube.server.asked))
        log("Xid 79")
        assert follow.stdout.readline().startswith("[pod/train-0/")
        with ctl.faulty("disconnect"):
            assert follow.wait(20) in (0, 1)
    finally:
        follow.kill()
        ctl.kube.server.asked.clear()


def test_writes(ctl: Ctl) -> None:
    mark = f"m{time.time_ns()}"
    ctl("cordon", SYSTEM)
    assert "SchedulingDisabled" in ctl("get", "node", SYSTEM)
    ctl("uncordon", SYSTEM)
    ctl("label", "node", SYSTEM, f"mark={mark}", "--overwrite")
    ctl("annotate", "node", SYSTEM, f"example.com/mark={mark}", "--overwrite")
    ctl("taint", "node", SYSTEM, "k=v:NoSchedule", "--overwrite")
    spec = json.loads(ctl("get", "node", SYSTEM, "-o", "json"))
    assert spec["metadata"]["labels"]["mark"] == spec["metadata"]["annotations"]["example.com/mark"] == mark
    assert [taint["key"] for taint in spec["spec"]["taints"]] == ["k"]
    ctl("taint", "node", SYSTEM, "k-")
    assert "taints" not in json.loads(ctl("get", "node", SYSTEM, "-o", "json"))["spec"]
    reboot = {"apiVersion": "janitor.dgxc.nvidia.com/v1alpha1", "kind": "RebootNode", "metadata": {"name": "r"}}
    assert "created" in ctl("create", "-f", "-", stdin=json.dumps(reboot | {"spec": {"nodeName": SYSTEM}}))
    assert "AlreadyExists" in ctl.done("create", "-f", "-", stdin=json.dumps(reboot)).stderr
    ctl("patch", "rebootnode", "r", "--type=json", "-p", '[{"op":"replace","path":"/spec/nodeName","value":"x"}]')
    assert ctl("get", "rebootnode", "r", "-o", "jsonpath={.spec.nodeName}") == "x"
    assert "deleted" in ctl("delete", "rebootnode", "r")
    assert "NotFound" in ctl.fails("get", "rebootnode", "r")


def test_what_is_not_simulated_says_so(ctl: Ctl) -> None:
    assert "does not do" in ctl.fails("exec", "-n", "default", "train-0", "--", "true")
    manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}})
    ctl("apply", "-f", "-", stdin=manifest)
    assert "does not do" in ctl.done("apply", "--server-side", "-f", "-", stdin=manifest).stderr


def test_a_dry_run_is_answered_and_does_nothing(ctl: Ctl) -> None:
    manifest = json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry", "namespace": "default"}}
    )
    before = ctl("get", "nodes,pods", "-A", "-o", "json")
    assert "created" in ctl("create", "--dry-run=server", "-f", "-", stdin=manifest)
    assert "NotFound" in ctl.fails("get", "configmap", "dry", "-n", "default")
    made = json.loads(
        ctl("patch", "node", SYSTEM, "-p", '{"spec":{"unschedulable":true}}', "--dry-run=server", "-o", "json")
    )
    assert made["spec"]["unschedulable"] is True
    assert "deleted" in ctl("delete", "pod", "train-0", "-n", "default", "--dry-run=server")
    assert ctl("get", "nodes,pods", "-A", "-o", "json") == before


def test_a_server_that_stops_reports_no_failure_of_open_watches() -> None:
    reported: list[object] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with ApiServer(World(RealClock())) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {NODES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200" in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await asyncio.sleep(0)

    asyncio.run(story())
    assert reported == []
