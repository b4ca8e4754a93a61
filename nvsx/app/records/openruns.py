"""What of the ledger a person on call must know: runs that have not ended, and hooks of which nobody knows the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.records.owncalls import ORPHANED, call_lines, calls_worth_knowing
from nvsx.app.records.recorded import dead_owners
from nvsx.cells import printable
from nvsx.durations import format_duration
from nvsx.errors import NvsxError
from nvsx.ledger import UNKNOWN, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nvsx.app.records.owncalls import ShownCall
    from nvsx.ledger import Reader, RunRow
    from nvsx.terminal import Paint

LOOKED_BACK_S = 72 * 3600.0


class ShownRun(NamedTuple):
    """A run as people see it: its status is `orphaned` where its process is gone; `unknown` names cut-off effects."""

    run: RunRow
    status: str
    unknown: tuple[str, ...]


def shown_runs(reader: Reader, directory: Path, runs: Sequence[RunRow]) -> list[ShownRun]:
    """Runs with what is unknown of them. An effect without a result is unknown where nobody works on it."""
    is_dead = dead_owners(reader, directory)
    shown = []
    for run in runs:
        orphaned = not run.ended and (is_dead(run.owner) if run.owner else run.status == "running")
        effects = reader.effects(run.id, ended=bool(run.ended) or orphaned)
        unknown = tuple(
            f"{one.name} {one.script} of {one.stage or 'the run'}"
            for one in effects
            if one.outcome == UNKNOWN and one.role != "prerequisite"
        )
        shown.append(ShownRun(run, ORPHANED if orphaned else run.status, unknown))
    return shown


class OnRecord(NamedTuple):
    """What the ledger adds to a look at the cluster; `trouble` is why it could not be read."""

    runs: tuple[ShownRun, ...] = ()
    trouble: NvsxError | None = None
    calls: tuple[ShownCall, ...] = ()


def worth_knowing(directory: Path, now: float) -> OnRecord:
    """Unfinished runs, and those of the last three days with an effect whose end is unknown; the oldest first. The
    same of the calls that nvsx itself makes.
    """
    try:
        reader = Ledger.reader(directory)
        if reader is None:
            return OnRecord()
        try:
            unfinished = reader.runs(limit=10_000, unfinished=True)
            recent = reader.runs(limit=10_000, since=now - LOOKED_BACK_S)
            known = {run.id: run for run in (*recent, *unfinished)}
            shown = shown_runs(reader, directory, sorted(known.values(), key=lambda run: (run.created, run.id)))
            calls = calls_worth_knowing(reader, directory, now - LOOKED_BACK_S)
        finally:
            reader.close()
    except NvsxError as error:
        return OnRecord(trouble=error)
    return OnRecord(tuple(one for one in shown if not one.run.ended or one.unknown), calls=calls)


def run_lines(record: OnRecord, now: float, paint: Paint) -> Iterator[str]:
    """The runs as lines below a status; none where there is nothing to say."""
    if record.trouble:
        yield ""
        hint = f" ({record.trouble.hint})" if record.trouble.hint else ""
        yield f"{paint('?', 'yellow', bold=True)} cannot read the record: {printable(record.trouble.message + hint)}"
    yield from call_lines(record.calls, now, paint)
    if not record.runs:
        return
    yield ""
    yield "runs:"
    for one in record.runs:
        run = one.run
        node = printable(run.alias or run.node or "no node")
        age = format_duration(max(0.0, now - (run.began or run.created)))
        mark = paint("✗", "red") if one.status == ORPHANED or one.unknown else paint("◆", "cyan")
        yield f"  {mark} {run.id}  {printable(run.runbook)} on {node}, {one.status}, began {age} ago"
        if one.status == ORPHANED:
            yield f"      its process is gone: nvsx run --resume {run.id}"
        for what in one.unknown:
            yield paint(f"      unknown: {printable(what)} was cut off; look whether it did its work", "yellow")


def run_data(record: OnRecord) -> list[dict[str, object]] | None:
    """The runs for programs; None where the record cannot be read."""
    if record.trouble:
        return None
    return [{**one.run._asdict(), "status": one.status, "unknown": list(one.unknown)} for one in record.runs]
