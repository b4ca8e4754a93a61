"""`nvsx drill`: rehearse a runbook with its real hooks on a simulated incident; nothing leaves the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.app.output import dwells, output_arguments, simulation_arguments, sink_for

if TYPE_CHECKING:
    import argparse

    from nvsx.settings import Settings

DEFAULT_SPEED = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runbook", metavar="RUNBOOK", help="name or nickname")
    parser.add_argument("--scenario", metavar="S", help="what happens to the cluster (default: what fits the runbook)")
    simulation_arguments(parser, DEFAULT_SPEED)
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.drill import fitting_scenario, play, sent_lines
    from nvsx.app.drills import remember
    from nvsx.catalog import Catalog
    from nvsx.clock import RealClock
    from nvsx.errors import EnvironmentUnusable, Exit
    from nvsx.terminal import size, warn

    runbook = Catalog.for_settings(settings).load(args.runbook)
    scenario, why = (args.scenario, "") if args.scenario else fitting_scenario(runbook)
    told = args.output not in ("jsonl", "quiet")
    if told and why:
        warn(f"drill of {runbook.name} on {scenario}: {why}")
    played = play(
        settings,
        runbook,
        scenario,
        sink=lambda now: sink_for(args, settings, now),
        speed=args.speed,
        seed=args.seed,
        drill=True,
        dwell=dwells(args),
    )
    code = int(played.rehearsed.outcome.exit_code)
    if told:
        for line in sent_lines(played.rehearsed.messages, max(60, size(2)[0])):
            warn(line)
        warn(f"its report: nvsx report --state-dir {played.base}")
    if code == Exit.DONE:
        try:
            remember(settings, runbook.name, scenario, RealClock().now())
        except (EnvironmentUnusable, OSError) as error:
            warn(f"note: this drill is not remembered: {error}")
    return code
