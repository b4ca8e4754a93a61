"""What cannot be looked at: each way is one clear error with the command, the place and the next step. Never "not yet".

With the real kubectl and the simulator's API server; the time limits are parameters, so that nothing waits for long.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import trustme

from nvsx.clock import RealClock
from nvsx.cluster import sight, stream
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.cluster.view import View
from nvsx.errors import Exit
from nvsx.ports import ApiPath
from nvsx.sim.faults import fault
from nvsx.sim.world import World
from tests.rehearsing import CHECKOUT
from tests.servers.kube import KubeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from nvsx.errors import ClusterError
    from nvsx.ports import Seen
    from nvsx.sim.faults import Fault

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
NODE = "gke-ml-pool-a100-8ksx"
NODES = ApiPath("v1", "nodes")
CONTEXT = "gke_research-prod_europe-west4_ml"


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeServer]:
    with KubeServer("quiet", tmp_path) as kube:
        yield kube


def begin(kube: KubeServer, kind: str, **scope: Any) -> Fault:
    def start() -> Fault:
        found = fault(kube.world, {"kind": kind, **scope}, 0.0)
        found.begin()
        return found

    return kube.do(start)


# As a command: before the run begins there is nothing to wait for.


def edited(kube: KubeServer, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads(kube.kubeconfig.read_text())
    change(config)
    kube.kubeconfig.write_text(json.dumps(config))


def address(kube: KubeServer, url: str) -> None:
    edited(kube, lambda config: config["clusters"][0]["cluster"].update(server=url))


def program(kube: KubeServer, directory: Path, text: str) -> None:
    """A kubectl of our own before the real one."""
    directory.mkdir()
    (directory / "kubectl").write_text(text.replace("REAL", str(shutil.which("kubectl"))))
    (directory / "kubectl").chmod(0o700)


class Told(NamedTuple):
    """How the command ends: its exit code, the error, and parts of what else it says."""

    code: int
    error: str
    says: tuple[str, ...]


LISTING = "  command: kubectl get --raw '/api/v1/nodes?limit=500' --request-timeout=15s\n"
IDENTITY = "  command: kubectl get --raw /api/v1/namespaces/kube-system --request-timeout=15s\n"
CONFIG = "  command: kubectl config view -o json\n"
READY = f"hint: kubectl --context={CONTEXT} get --raw /readyz\n"
AT_START: dict[str, tuple[Callable[[KubeServer], object], Told]] = {
    "no context": (
        lambda kube: kube.kubeconfig.unlink(),
        Told(3, "no-context", ("has no current context\n", CONFIG, "hint: kubectl config get-contexts\n")),
    ),
    "no current context": (
        lambda kube: edited(kube, lambda config: config.pop("current-context")),
        Told(3, "no-context", ("has no current context\n", CONFIG, f"hint: one of: --context {CONTEXT}\n")),
    ),
    "a kubeconfig that is none": (
        lambda kube: kube.kubeconfig.write_text("{]"),
        Told(3, "no-context", ("error loading config file", CONFIG, "hint: kubectl config get-contexts\n")),
    ),
    "unreachable": (
        lambda kube: kube.stop(),
        Told(3, "unreachable", ("The connection to the server 127.0.0.1:", "was refused", IDENTITY, READY)),
    ),
    "TLS to a server without": (
        lambda kube: address(kube, kube.server.url.replace("http:", "https:")),
        Told(3, "tls-refused", (IDENTITY, f"hint: kubectl --context={CONTEXT} config view --minify\n")),
    ),
    "401": (
        lambda kube: begin(kube, "unauthorized"),
        Told(3, "unauthorized", ("must be logged in", IDENTITY, f"--context={CONTEXT} auth can-i --list\n")),
    ),
    "403 on list": (
        lambda kube: begin(kube, "forbidden", verbs=["list"], resources=["nodes"]),
        Told(
            3,
            "forbidden",
            ('cannot list resource "nodes"', LISTING, f"hint: kubectl --context={CONTEXT} auth can-i list nodes\n"),
        ),
    ),
    "garbled": (
        lambda kube: begin(kube, "garbled", verbs=["list"]),
        Told(3, "garbled", ("not the API's JSON: '<html>", LISTING, "hint: kubectl get --raw")),
    ),
    "a connection that breaks off": (
        lambda kube: begin(kube, "reset", verbs=["list"]),
        Told(3, "unreachable", ("Unable to connect to the server", LISTING, READY)),
    ),
}


def run(kube: KubeServer, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvsx", "run", "gpu-off-bus", *arguments],
        env={**kube.env, "NVSX_STATE_DIR": str(kube.kubeconfig.parent / "state"), "PYTHONPATH": str(CHECKOUT), **env},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def check(done: subprocess.CompletedProcess[str], told: Told) -> None:
    assert done.returncode == told.code, done.stderr
    assert done.stdout == "", "no run has begun"
    assert done.stderr.startswith(f"error[{told.error}]: "), done.stderr
    assert [part for part in told.says if part not in done.stderr] == [], done.stderr
    assert "not yet" not in done.stderr
    assert done.stderr.count("error[") == 1


@pytest.mark.parametrize("name", AT_START)
def test_at_the_start(kube: KubeServer, name: str) -> None:
    arrange, told = AT_START[name]
    arrange(kube)
    check(run(kube, "--target-node", NODE), told)


def test_no_kubectl(kube: KubeServer, tmp_path: Path) -> None:
    done = run(kube, "--target-node", NODE, PATH=str(tmp_path))
    check(done, Told(3, "not-installed", ("kubectl", CONFIG, "hint: ")))


def test_tls_of_an_unknown_authority(tmp_path: Path) -> None:
    import ssl

    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with KubeServer("quiet", tmp_path, tls=tls) as kube:
        done = run(kube, "--target-node", NODE)
        check(done, Told(3, "tls-refused", ("x509: certificate signed by unknown authority", IDENTITY, "hint: ")))
        (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
        kube.server.write_kubeconfig(kube.kubeconfig, authority=str(tmp_path / "ca.pem"))
        assert run(kube, "--target-node", NODE, "--dry-run").returncode == Exit.DONE


def test_a_node_that_is_not_there(kube: KubeServer) -> None:
    done = run(kube, "--target-node", "gke-ml-pool-a100-8ksz")
    check(done, Told(2, "not-found", ("no node 'gke-ml-pool-a100-8ksz'\n", f"hint: did you mean {NODE}")))
    done = run(kube, "--target-node", "somewhere-else")
    check(done, Told(2, "not-found", ("no node 'somewhere-else'\n", "hint: kubectl get nodes\n")))


def test_warnings_before_the_answer_are_passed_over(kube: KubeServer, tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 'W1124 10:00:00.000000       1 loader.go:1] a warning'\nexec REAL \"$@\"\n"
    program(kube, tmp_path / "bin", text)
    done = run(kube, "--target-node", NODE, "--dry-run", PATH=f"{tmp_path}/bin:{kube.env['PATH']}")
    assert done.returncode == Exit.DONE, done.stderr
    assert NODE in done.stdout


def test_half_an_answer(kube: KubeServer, tmp_path: Path) -> None:
    text = '#!/bin/sh\ncase $* in *nodes*) REAL "$@" | head -c 300 ;; *) exec REAL "$@" ;; esac\n'
    program(kube, tmp_path / "bin", text)
    done = run(kube, "--target-node", NODE, PATH=f"{tmp_path}/bin:{kube.env['PATH']}")
    check(done, Told(3, "garbled", ("not the API's JSON: '{", LISTING, "hint: ")))


# In a run: what a subscriber of the view is told while the cluster changes behind it.


class Watcher:
    """Subscribes to a path through the real kubectl, and keeps what it is told."""

    def __init__(self, kube: KubeServer, path: ApiPath = NODES, patience_s: float = 15.0) -> None:
        self.kube = kube
        self.path = path
        self.patience_s = patience_s
        self.states: list[str] = []  # the label `step` of the node, each time that it changes
        self.blind: list[ClusterError | None] = [None]
        self.notes: list[str] = []
        self.listed = False
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Watcher:
        home = self.kube.kubeconfig.parent
        pinned = await pin_context(self.kube.env, directory=home / "pin", clock=RealClock())
        cluster = Kubectl(env=pinned.env, clock=RealClock(), context=pinned.context, patience_s=self.patience_s)
        await cluster.identity()
        self._view = View(cluster, RealClock(), rng=random.Random(1), on_note=self.notes.append)
        self._view.subscribe(self.path, self._on_change)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._view.close()

    def _on_change(self, seen: Seen) -> None:
        self.listed = self.listed or seen.listed
        if seen.blind is not self.blind[-1]:
            self.blind.append(seen.blind)
        state = seen.objects.get(NODE, {}).get("metadata", {}).get("labels", {}).get("step", "")
        if seen.listed and (not self.states or self.states[-1] != state):
            self.states.append(state)
        self._changed.set()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def step(self, name: str) -> None:
        await asyncio.to_thread(self.kube.patch_node, NODE, {"metadata": {"labels": {"step": name}}})

    async def do(self, what: Callable[[], object]) -> None:
        """What the server's thread is asked for, without stopping this loop."""
        await asyncio.to_thread(what)

    async def watching(self) -> None:
        """Wait until the server has the watch."""
        async with asyncio.timeout(20):
            while not any("watch=1" in asked for asked in self.kube.server.asked):
                await asyncio.sleep(0.01)
        self.kube.server.asked.clear()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pin").mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setattr(sight, "GRACE_S", 0.3)
    monkeypatch.setattr(sight.Backoff, "FIRST_S", 0.05)
    monkeypatch.setattr(sight.Backoff, "SLOW_S", 0.1)
    monkeypatch.setattr(stream, "SPACING_S", 0.05)
    monkeypatch.setattr(stream, "POLL_S", (0.1, 0.2))


def story(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_a_server_that_is_started_again(kube: KubeServer) -> None:
    """What happened while it was away is seen when it is back; a short absence is no blindness."""

    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            await watcher.step("1")
            await watcher.until(lambda: watcher.states == ["", "1"])
            await watcher.do(kube.stop)
            await watcher.step("2")
            await watcher.step("3")
            await watcher.do(kube.start)
            await watcher.until(lambda: watcher.states[-1] == "3")
            assert watcher.states == ["", "1", "2", "3"], "the server still knew every step"

    story(main())


def test_a_server_that_stays_away(kube: KubeServer) -> None:
    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            await watcher.do(kube.stop)
            await watcher.until(lambda: watcher.blind[-1])
            error = watcher.blind[-1]
            assert error
            assert error.code == "unreachable"
            assert "kubectl get --raw" in error.command
            assert error.hint == f"kubectl --context={CONTEXT} get --raw /readyz"
            assert watcher.states == [""], "what was known stays, and nothing is made up"
            await watcher.do(kube.start)
            await watcher.until(lambda: watcher.blind[-1] is None)

    story(main())


def test_a_hung_server(kube: KubeServer) -> None:
    async def main() -> None:
        begin(kube, "hang", verbs=["list"])
        async with Watcher(kube, patience_s=0.3) as watcher:
            await watcher.until(lambda: watcher.blind[-1])
            error = watcher.blind[-1]
            assert error
            assert error.code in ("timed-out", "unreachable")
            assert error.command.endswith("--request-timeout=0.3s")
            assert not watcher.listed

    story(main())


@pytest.mark.parametrize("kind", ["unauthorized", "forbidden"])
def test_rights_that_are_taken_away(kube: KubeServer, kind: str) -> None:
    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            taken = begin(kube, kind)
            await watcher.until(lambda: watcher.blind[-1])
            error = watcher.blind[-1]
            assert error
            assert error.code == kind
            assert "auth can-i" in error.hint
            await watcher.do(lambda: kube.do(taken.end))
            await watcher.step("1")
            await watcher.until(lambda: watcher.states == ["", "1"] and watcher.blind[-1] is None)

    story(main())


def test_only_watching_is_forbidden(kube: KubeServer) -> None:
    async def main() -> None:
        begin(kube, "forbidden", verbs=["watch"], resources=["nodes"])
        async with Watcher(kube) as watcher:
            await watcher.until(lambda: watcher.listed)
            await watcher.step("1")
            await watcher.until(lambda: watcher.states == ["", "1"])
            assert watcher.blind == [None]
            assert watcher.notes == [
                "watching nodes is forbidden, listing is not: polling every 0 to 0 s; states that last less than that "
                "are missed (grant the verb `watch`)"
            ]

    story(main())


def test_a_custom_resource_that_is_not_installed(kube: KubeServer) -> None:
    reboots = ApiPath("v1alpha1", "rebootnodes", "janitor.dgxc.nvidia.com")
    definition = "rebootnodes.janitor.dgxc.nvidia.com"
    definitions = kube.world.resources.named("crd")
    known = kube.do(lambda: kube.world.delete(definitions, definition))

    async def main() -> None:
        async with Watcher(kube, reboots) as watcher:
            await watcher.until(lambda: watcher.blind[-1])
            error = watcher.blind[-1]
            assert error
            assert error.message == f"CRD {definition} is not installed"
            assert error.hint == f"kubectl get crd {definition}"
            await watcher.do(lambda: kube.do(lambda: kube.world.create(known)))
            await watcher.until(lambda: watcher.listed and watcher.blind[-1] is None)

    story(main())


@pytest.mark.parametrize("kind", ["torn", "reset", "disconnect", "expired"])
def test_a_stream_that_ends(kube: KubeServer, kind: str) -> None:
    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            await watcher.step("1")
            await watcher.until(lambda: watcher.states == ["", "1"])
            ended = begin(kube, kind)
            await watcher.do(lambda: kube.do(ended.end))
            await watcher.step("2")
            await watcher.until(lambda: watcher.states[-1] == "2")
            assert watcher.states == ["", "1", "2"]
            assert watcher.blind == [None]

    story(main())


def test_another_context_is_chosen_meanwhile(kube: KubeServer) -> None:
    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            edited(kube, lambda config: config.update({"current-context": "somewhere-else"}))
            ended = begin(kube, "disconnect")
            await watcher.do(lambda: kube.do(ended.end))
            await watcher.step("1")
            await watcher.until(lambda: watcher.states == ["", "1"])
            assert watcher.blind == [None]

    story(main())


def test_another_cluster_behind_the_context(kube: KubeServer) -> None:
    def swap() -> None:
        kube.stop()
        other = World(RealClock(), seed=99, context=CONTEXT)
        other.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
        labels = {"step": "of another cluster"}
        other.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}})
        kube.start(other)

    async def main() -> None:
        async with Watcher(kube) as watcher:
            await watcher.watching()
            await watcher.do(swap)
            await watcher.until(lambda: watcher.blind[-1] and watcher.blind[-1].code == "no-context")
            error = watcher.blind[-1]
            assert error
            assert f"the context {CONTEXT} reaches another cluster now" in error.message
            assert error.hint == f"kubectl --context={CONTEXT} cluster-info"
            assert watcher.states == [""], "nothing of the other cluster is evidence"

    story(main())
