"""`nvsx drill`: rehearse a runbook with its real hooks on a simulated incident; nothing leaves the machine unasked."""

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
    parser.add_argument("--page", action="store_true", help="load nvsx.env and really send: people are paged")
    parser.add_argument("--yes", action="store_true", help="with --page: do not ask")
    simulation_arguments(parser, DEFAULT_SPEED)
    output_arguments(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.rehearsal.drill import fitting_scenario, play, sent_lines
    from nvsx.app.rehearsal.drills import remember
    from nvsx.catalog import Catalog
    from nvsx.clock import RealClock
    from nvsx.errors import EnvironmentUnusable, Exit
    from nvsx.terminal import size, warn

    runbook = Catalog.for_settings(settings).load(args.runbook)
    scenario, why = (args.scenario, "") if args.scenario else fitting_scenario(runbook)
    if args.page:
        _confirm_page(args, settings)
    told = args.output != "quiet"
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
        page=args.page,
    )
    code = int(played.rehearsed.outcome.exit_code)
    if told and not args.page:
        for line in sent_lines(played.rehearsed.messages, max(60, size(2)[0]), played.rehearsed.not_held):
            warn(line)
        warn(f"its report: nvsx report --state-dir {played.base}")
    if code == Exit.DONE:
        try:
            remember(settings, runbook.name, scenario, RealClock().now())
        except (EnvironmentUnusable, OSError) as error:
            warn(f"note: this drill is not remembered: {error}")
    return code


def _confirm_page(args: argparse.Namespace, settings: Settings) -> None:
    """A drill that pages wakes people: not without a yes."""
    from nvsx.app.asking import asker
    from nvsx.errors import Refused

    if args.yes:
        return
    ask = asker(default=False)
    if ask is None:
        raise Refused("a drill that pages must be confirmed", hint=f"nvsx drill {args.runbook} --page --yes")
    given = ", ".join(sorted(name for name in settings.env_values if not name.startswith("NVSX_")))
    what = f"with {given} of {settings.env_file}" if given else "with what this shell exports; there is no nvsx.env"
    if not ask(f"The hooks of {args.runbook} will really send, {what}. Go on?"):
        raise Refused("nothing was sent", hint=f"nvsx drill {args.runbook}")
