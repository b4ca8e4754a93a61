"""`nvsx status`: what NVSentinel does on this cluster now, with reads only; what could not be looked at is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.terminal import paint_for, say, size, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from nvsx.app.records.openruns import OnRecord
    from nvsx.app.status import HeldNode, Status
    from nvsx.settings import Settings
    from nvsx.terminal import Paint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", choices=("table", "json"), default="table", help="form (default table)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    import asyncio

    from nvsx.app.present import look_once
    from nvsx.app.records.openruns import run_lines, worth_knowing
    from nvsx.clock import RealClock
    from nvsx.errors import Exit

    clock = RealClock()
    context, status = asyncio.run(look_once(settings, clock))
    now = clock.now()
    record = worth_knowing(settings.state_dir, now)
    if args.output == "json":
        _say_json(context, status, record)
    else:
        paint = paint_for(1, settings.color, deep=settings.deep_color)
        for line in (*_drawn(context, status, now, paint), *run_lines(record, now, paint)):
            say(line)
    return Exit.BLIND if status.blind else Exit.DONE


def _drawn(context: str, status: Status, now: float, paint: Paint) -> Iterator[str]:
    from nvsx.cells import printable

    for what, error in status.blind.items():
        hint = f" ({error.hint})" if error.hint else ""
        yield f"{paint('?', 'yellow', bold=True)} cannot look at {what}: {printable(error.message + hint)}"
    yield f"{paint('context', 'grey')}  {printable(context) or '(in a pod)'}"
    if "nodes" not in status.blind:
        yield f"{paint('nodes', 'grey')}    {_summary(status, paint)}"
    if status.breaker is not None:
        yield f"{paint('breaker', 'grey')}  {_breaker(status.breaker, paint)}"
    if "NVSentinel's pods" not in status.blind:
        yield f"{paint('pods', 'grey')}     {_pods(status, paint)}"
    if status.nodes:
        yield ""
        yield from _table(status, now, paint)


def _summary(status: Status, paint: Paint) -> str:
    held = sum(1 for node in status.nodes if node.held)
    faulty = len(status.nodes) - held
    if not status.nodes:
        return f"{status.gpu_nodes} with GPUs, {paint('none quarantined, no fault', 'green')}"
    parts = [paint(f"{held} quarantined", "yellow", bold=True)] if held else []
    parts += [paint(f"{faulty} with a fault and not quarantined", "red", bold=True)] if faulty else []
    return f"{status.gpu_nodes} with GPUs, {', '.join(parts)}"


def _breaker(state: str, paint: Paint) -> str:
    if state == "TRIPPED":
        return paint("TRIPPED: NVSentinel quarantines and releases nothing until people reset it", "red", bold=True)
    return state or "none: fault-quarantine has not started here yet, or is not installed"


def _pods(status: Status, paint: Paint) -> str:
    if not status.pods:
        return paint("none in NVSentinel's namespace: is NVSentinel installed there? (--namespace NS)", "yellow")
    if not status.unready:
        return f"all {status.pods} of NVSentinel ready"
    names = ", ".join(f"{pod.name} ({pod.phase})" for pod in status.unready[:3])
    more = f" and {len(status.unready) - 3} more" if len(status.unready) > 3 else ""
    return paint(f"{len(status.unready)} of {status.pods} not ready: {names}{more}", "yellow")


def _table(status: Status, now: float, paint: Paint) -> Iterator[str]:
    """Two lines for a node: what people call it and where it stands; its raw name and faults. Below them what people
    must know besides: that they are needed, and what does not go together.
    """
    from nvsx.app.status import age
    from nvsx.cells import clip, printable
    from nvsx.terminal import is_terminal

    cells = size()[0] if is_terminal(1) else 0
    rows = [
        (node.alias, node.state, age(node.since, now), printable(node.waits_for or node.reason))
        for node in status.nodes
    ]
    heading, *lines = table(("NODE", "STATE", "SINCE", "WAITS FOR"), rows, cells=cells).split("\n")
    yield heading
    for node, line in zip(status.nodes, lines, strict=True):
        yield line
        below = f"  {node.name}: {', '.join(_facts(node))}"
        yield clip(printable(below), cells) if cells else printable(below)


def _facts(node: HeldNode) -> Iterator[str]:
    yield from node.faults or ("no active fault",)
    yield "cordoned" if node.cordoned else "schedulable"
    if node.opted_out:
        yield "opted out of NVSentinel"


def _say_json(context: str, status: Status, record: OnRecord) -> None:
    import json

    from nvsx.app.records.openruns import run_data
    from nvsx.app.records.owncalls import call_data

    answer = {
        "v": 1,
        "context": context,
        "nodes": None if "nodes" in status.blind else [node._asdict() for node in status.nodes],
        "gpu_nodes": None if "nodes" in status.blind else status.gpu_nodes,
        "breaker": status.breaker,
        "pods": None
        if "NVSentinel's pods" in status.blind
        else {"total": status.pods, "not_ready": [pod._asdict() for pod in status.unready]},
        "runs": run_data(record),
        "calls": None if record.trouble else call_data(record.calls),
        "blind": {
            what: {"code": error.code, "message": error.message, "hint": error.hint, "command": error.command}
            for what, error in status.blind.items()
        },
    }
    say(json.dumps(answer, ensure_ascii=False, indent=2))
