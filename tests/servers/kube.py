"""A Kubernetes cluster with NVSentinel for the real kubectl: `python -m tests.servers.kube --scenario xid-79`.

Prints how to reach it, plays the scenario in real time (`--speed` for a multiple), and serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.clock import RealClock, SimulatedClock
from nvsx.sim import simulate
from nvsx.sim.apiserver import ApiServer

if TYPE_CHECKING:
    from nvsx.sim.director import Director


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.kube", description=__doc__)
    parser.add_argument("--scenario", default="xid-79", help="a bundled scenario's name, or a file (xid-79)")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds in a second (1)")
    parser.add_argument("--after", type=float, default=0.0, help="real seconds before the scenario begins (0)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--kubeconfig", type=Path, help="where to write it (a new temporary directory)")
    parser.add_argument("--for", type=float, default=3600.0, dest="limit", help="real seconds until it ends (3600)")
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args(argv)
    clock = SimulatedClock(start=RealClock().now(), speed=given.speed)
    clock.run(serve(given, clock))


async def serve(given: argparse.Namespace, clock: SimulatedClock) -> None:
    kubeconfig = given.kubeconfig or Path(tempfile.mkdtemp(prefix="nvsx-kube-")) / "kubeconfig"
    world, director, _ = simulate(given.scenario, clock, given.seed)
    over = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, over.set)
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
