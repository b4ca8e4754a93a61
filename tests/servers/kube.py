"""A Kubernetes cluster with NVSentinel for the real kubectl: `python -m tests.servers.kube --scenario xid-79`.

Prints how to reach it, plays the scenario in real time (`--speed` for a multiple), and serves until it is interrupted.
Tests enter a `KubeServer`: the same on a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nvsx.clock import RealClock, SimulatedClock
from nvsx.sim import simulate
from nvsx.sim.apiserver import ApiServer
from nvsx.sim.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from nvsx.sim.director import Director
    from nvsx.sim.scenario import Scenario
    from nvsx.sim.world import World

_T = TypeVar("_T")
_PATIENCE_S = 30


def kubectls() -> list[str]:
    """Every kubectl to test with: the one on PATH, and those that NVSX_TEST_KUBECTLS names (paths joined by colons)."""
    others = os.environ.get("NVSX_TEST_KUBECTLS", "").split(os.pathsep)
    return [path for path in (shutil.which("kubectl"), *others) if path]


class KubeServer:
    """A scenario's cluster behind a real port, on a thread of its own: `with KubeServer("quiet", tmp_path) as kube`.

    Nothing of the scenario happens before `play()`. `do` runs something in the server's loop, where its world may be
    changed. Further options go to `ApiServer`.
    """

    def __init__(
        self, scenario: Scenario | str, directory: Path, *, speed: float = 1.0, seed: int = 1, **options: Any
    ) -> None:
        self.kubeconfig = directory / "kubeconfig"
        self._scenario = scenario
        self._directory = directory
        self._seed = seed
        self._options = options
        self._clock = SimulatedClock(start=RealClock().now(), speed=speed)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kube", daemon=True)
        self._failure: BaseException | None = None
        self._playing: asyncio.Task[None] | None = None
        self._over: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self.server: ApiServer
        self.director: Director

    @property
    def world(self) -> World:
        return self.server.world

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to find this cluster and nothing else."""
        return {"PATH": os.environ["PATH"], "HOME": str(self._directory), "KUBECONFIG": str(self.kubeconfig)}

    @property
    def admin_env(self) -> dict[str, str]:
        """The same for who may do everything: here everybody may."""
        return self.env

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_PATIENCE_S), "the server does not start"
        if self._failure:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive(), "the server does not end"

    def do(self, what: Callable[[], _T]) -> _T:
        """The result of a call in the server's loop."""

        async def call() -> _T:
            return what()

        return self.run(call())

    def run(self, what: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_PATIENCE_S)

    def play(self) -> None:
        """Let the scenario begin."""

        def begin() -> None:
            self._playing = asyncio.get_running_loop().create_task(self.director.run())

        self.do(begin)

    def stop(self) -> None:
        """As a killed server: connections break, and nobody listens until `start`."""
        self.run(self.server.__aexit__(None, None, None))

    def start(self, world: World | None = None) -> None:
        """Listen again on the same port; with another `world` it is another cluster."""
        if world is not None:
            self.server = ApiServer(world, port=self.server.port, **self._options)
        self.run(self.server.__aenter__())

    def forbid(self, *verbs: str, resource: str) -> Callable[[], None]:
        """Take rights away; returns what gives them back."""
        taken = self.do(lambda: fault(self.world, {"kind": "forbidden", "verbs": verbs, "resources": [resource]}))
        self.do(taken.begin)
        return lambda: self.do(taken.end)

    def patch_node(self, name: str, body: dict[str, Any]) -> None:
        self.do(lambda: self.world.patch(self.world.resources.named("nodes"), name, "", body))

    def _serve(self) -> None:
        try:
            self._clock.run(self._life())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _life(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        world, self.director, _ = simulate(self._scenario, self._clock, self._seed)
        self.server = ApiServer(world, **self._options)
        async with self.server:
            self.server.write_kubeconfig(self.kubeconfig)
            self._ready.set()
            await self._over.wait()
            if self._playing:
                self._playing.cancel()
                with suppress(asyncio.CancelledError):
                    await self._playing


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.kube", description=__doc__)
    parser.add_argument("--scenario", default="xid-79", help="a bundled scenario's name, or a file (xid-79)")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds in a second (1)")
    parser.add_argument("--after", type=float, default=0.0, help="real seconds before the scenario begins (0)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--kubeconfig", type=Path, help="where to write it (a new temporary directory)")
    parser.add_argument("--for", type=float, default=3600.0, dest="limit", help="real seconds until it ends (3600)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nodes", type=int, default=0, help="so many more nodes")
    parser.add_argument("--node-bytes", type=int, default=15_000, help="the size of each of them")
    given = parser.parse_args(argv)
    clock = SimulatedClock(start=RealClock().now(), speed=given.speed)
    clock.run(serve(given, clock))


async def serve(given: argparse.Namespace, clock: SimulatedClock) -> None:
    kubeconfig = given.kubeconfig or Path(tempfile.mkdtemp(prefix="nvsx-kube-")) / "kubeconfig"
    world, director, _ = simulate(given.scenario, clock, given.seed)
    over = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, over.set)
    for number in range(given.nodes):
        world.create(big_node(f"fleet-{number:05}", given.node_bytes))
    async with ApiServer(world, port=given.port) as server:
        server.write_kubeconfig(kubeconfig)
        print(f"export KUBECONFIG={shlex.quote(str(kubeconfig))}", flush=True)
        print(f"# {server.url}  context {world.context}  node {director.node}  seed {director.seed}", flush=True)
        playing = asyncio.create_task(play(director, given.after * given.speed))
        try:
            async with asyncio.timeout(given.limit * given.speed):
                await over.wait()
        except TimeoutError:
            print(f"ended after {given.limit:g} s", file=sys.stderr)
        playing.cancel()


def big_node(name: str, size: int) -> dict[str, Any]:
    """A node of about `size` bytes, most of them where real ones have most: images and managed fields."""
    images = [
        {"names": [f"registry.example/team/image-{at}@sha256:{at:064x}", f"registry.example/team/image-{at}:v1.{at}"],
         "sizeBytes": 100_000_000 + at}
        for at in range(size * 5 // 9 // 180)
    ]  # fmt: skip
    of_one: dict[str, Any] = {"f:lastHeartbeatTime": {}, "f:status": {}}
    fields = {f"f:condition-{at}": of_one for at in range(size // 3 // 65)}
    conditions = [
        {"type": f"Check{at}", "status": "False", "reason": f"Check{at}IsHealthy", "message": "No health failures",
         "lastHeartbeatTime": "2026-11-25T10:00:00Z", "lastTransitionTime": "2026-11-20T10:00:00Z"}
        for at in range(8)
    ]  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "cloud.google.com/gke-nodepool": "fleet"},
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": fields}],
        },
        "spec": {"providerID": f"gce://x/{name}"},
        "status": {"conditions": conditions, "images": images},
    }


async def play(director: Director, after_s: float) -> None:
    await asyncio.sleep(after_s)
    try:
        await director.run()
    except Exception as error:
        print(f"the scenario ended early: {error}", file=sys.stderr, flush=True)
        raise
    print(f"# the scenario has ended after {director.length:.0f} simulated seconds", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
