"""`nvsx demo`: the flagship runbook on the simulated cluster; needs no cluster, no kubectl and no network."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nvsx.app.output import dwells, output_arguments, sink_for

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from nvsx.settings import Settings
    from nvsx.sim.catcher import Message

DEFAULT_SPEED = 30.0
FLAGSHIP = "gpu-off-bus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbook", nargs="?", default=FLAGSHIP, help=f"runbook to run (default {FLAGSHIP})")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=DEFAULT_SPEED,
        metavar="N",
        help=f"the cluster's time runs N times faster (default {DEFAULT_SPEED:g}); hooks run in real time",
    )
    parser.add_argument(
        "--scenario", default="xid-79", metavar="S", help="what happens to the cluster (default xid-79)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="repeat a demo exactly: same times, order and names")
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.places import temporary_base
    from nvsx.app.scripts import ProjectScripts, unpack_bundled
    from nvsx.app.simulation import Rehearsal, rehearse
    from nvsx.catalog import Catalog
    from nvsx.clock import RealClock, SimulatedClock
    from nvsx.settings import process_environment, secret_values

    base = temporary_base("nvsx-demo-")
    catalog = Catalog.for_settings(settings)
    root = settings.project or unpack_bundled(base)
    rehearsal = Rehearsal(
        runbook=catalog.load(args.runbook),
        scenario=args.scenario,
        base=base,
        root=root,
        environment=process_environment(settings, env_file=False),
        secrets=secret_values(settings),
        seed=args.seed,
        drill=False,
        dwell=dwells(args),
    )
    clock = SimulatedClock(start=RealClock().now(), speed=args.speed)
    rehearsed = clock.run(
        rehearse(
            rehearsal,
            clock=clock,
            sink=sink_for(args, settings, clock.glance),
            scripts=ProjectScripts(root),
            rng=random.Random(),  # noqa: S311 - a run's id, not a secret
        )
    )
    _keep_messages(rehearsed.messages, base, told=args.output not in ("jsonl", "quiet"))
    return int(rehearsed.outcome.exit_code)


def _keep_messages(messages: list[Message], base: Path, *, told: bool) -> None:
    """What hooks would have sent, as a file; one line about it, so that the verdict stays on a small screen."""
    from nvsx.terminal import warn

    if not messages:
        return
    file = base / "messages.txt"
    file.write_text("".join(f"{m.method} {m.url}\n{m.body}\n\n" for m in messages), encoding="utf-8")
    if told:
        warn(f"  nothing left this machine; {len(messages)} messages would have been sent: {file}")


def _speed(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a speed; give a number above 0, such as 30")
    return speed
