"""`nvsx init`: a new runbook with three hooks, ready to be filled in, that can be rehearsed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.terminal import paint_for, say

if TYPE_CHECKING:
    import argparse

    from nvsx.settings import Settings

NEXT = {
    # command: why it is the next to be typed
    "show": "what it waits for, and when each hook fires",
    "drill": "rehearse it on a simulated incident: nothing leaves the machine",
    "lint": "after each edit",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from nvsx.runbook.faults import FAULTS

    parser.add_argument("slug", metavar="SLUG", help="its name: lower-case letters, digits and inner dashes")
    parser.add_argument("--fault", choices=tuple(FAULTS), metavar="F", help="the fault it is for, one of those below")
    parser.add_argument("--title", metavar="T", default="", help="one line for people")
    parser.add_argument("--summary", metavar="S", default="", help="what it is for, in a sentence")
    listed = "\n".join(f"  {name:<18} {fault.title}: {fault.summary}" for name, fault in FAULTS.items())
    parser.epilog = f"faults, with trigger, watches and timeouts that fit them:\n{listed}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    from nvsx.app.asking import asker
    from nvsx.app.drafting.files import write_files
    from nvsx.app.drafting.projects import invocation, project_to_write
    from nvsx.app.drafting.scaffold import new_runbook
    from nvsx.catalog import Catalog
    from nvsx.names import check_slug

    name = check_slug(args.slug)
    root = project_to_write(settings, asker())
    made = new_runbook(Catalog(root), name, fault=args.fault or "", title=args.title, summary=args.summary)
    write_files(root, made.files)

    paint = paint_for(1, settings.color, deep=settings.deep_color)
    say(f"{paint(name, bold=True)}  {paint('#' + made.nickname, 'magenta', bold=True)}  in {root}")
    for file in made.files:
        say(f"  {paint('made', 'green')}  {file.path}")
    for note in made.notes:
        say(f"  {paint('note', 'yellow')}  {note}")
    nvsx = invocation(root)
    say("next:")
    for command, why in NEXT.items():
        say(f"  {nvsx} {command} {name}{' ' * (7 - len(command))}{paint(why, 'grey')}")
    return 0
