"""What many runs say together: times to repair, nodes that come back, and how long it took until somebody looked."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from nvsx.reporting.blocks import Block, Facts, Page, Section, Sentence, Table
from nvsx.reporting.words import counted, span, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nvsx.watches.clockwork import Phase

OFTEN = 2
WINDOW_S = 72 * 3600.0
"""A node with as many incidents in as long a time usually has a part that must be replaced, not reset."""

MOST_CALLS = 100
"""Calls of nvsx's own that a page lists one by one."""


class RunFacts(NamedTuple):
    """One run for the statistics. `fault_at` is 0.0 where nobody told; `incident` tells incidents of a node apart."""

    run_id: str
    runbook: str
    node: str
    alias: str
    source: str
    status: str
    created: float
    began: float
    ended: float
    fault_at: float
    codes: tuple[str, ...]
    phases: tuple[Phase, ...]
    mttr_s: float | None
    incident: str


class CallFacts(NamedTuple):
    """One call that nvsx made of its own accord. `outcome` is "" until it has ended, `unknown` counts its attempts that
    were cut off.
    """

    at: float
    kind: str
    hook: str
    about: str
    outcome: str
    unknown: int = 0


class Spread(NamedTuple):
    """Values in a few figures; p50 and p90 are values that occurred."""

    number: int
    p50: float
    p90: float
    longest: float


class Offender(NamedTuple):
    """A node that came back: most incidents within the window, and all that are known."""

    node: str
    alias: str
    most: int
    incidents: tuple[RunFacts, ...]


def spread(values: Iterable[float]) -> Spread | None:
    """None where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return None

    def rank(share: float) -> float:
        return ordered[ceil(share * len(ordered)) - 1]

    return Spread(len(ordered), rank(0.5), rank(0.9), ordered[-1])


def offenders(runs: Iterable[RunFacts]) -> tuple[Offender, ...]:
    """Nodes with OFTEN or more incidents within WINDOW_S, the worst first. Several runs of one incident count once."""
    by_node: dict[str, dict[str, RunFacts]] = {}
    for run in sorted(runs, key=_when):
        if run.node:
            by_node.setdefault(run.node, {}).setdefault(run.incident, run)
    found = []
    for node, incidents in by_node.items():
        times = [_when(run) for run in incidents.values()]
        most = max(sum(1 for other in times if at <= other <= at + WINDOW_S) for at in times)
        if most >= OFTEN:
            alias = next((run.alias for run in incidents.values() if run.alias), "")
            found.append(Offender(node, alias, most, tuple(incidents.values())))
    return tuple(sorted(found, key=lambda one: (-one.most, -len(one.incidents), one.node)))


def page(
    runs: Sequence[RunFacts], calls: Sequence[CallFacts] = (), *, since: float, now: float, cluster: str = ""
) -> Page:
    """The report over all runs, and nvsx's own calls, since a time; the oldest first."""
    worst = offenders(runs)
    failed = sum(1 for run in runs if run.ended and run.status != "pass")
    unheard = sum(1 for call in calls if call.outcome not in ("", "ok"))
    badge = f"{counted(len(runs), 'run')}, {failed} not passed, {counted(len(worst), 'repeat offender')}"
    if unheard:
        badge += f", {counted(unheard, 'call')} that reached nobody"
    sections = [section for make in (_summary, _repair, _phases, _delays) if (section := make(runs)).blocks]
    return Page(
        title="Incidents and repairs",
        subtitle=f"{stamp(since)} to {stamp(now)}{f', cluster {cluster}' if cluster else ''}",
        badge=badge,
        tone="fail" if worst or failed or unheard else "pass",
        sections=[*sections[:1], *_offenders(worst), *_calls(calls), *sections[1:]],
        footer="p50 and p90 are values that occurred: half of all, and nine of ten, were no longer. Drills do not"
        " count. All times are UTC.",
    )


def _summary(runs: Sequence[RunFacts]) -> Section:
    if not runs:
        return Section("Summary", [Sentence("No run is on record for this time.")])
    by_status: dict[str, int] = {}
    for run in runs:
        by_status[run.status] = by_status.get(run.status, 0) + 1
    known = sum(1 for run in runs if run.mttr_s is not None)
    rows = [
        ("runs", f"{len(runs)}: {', '.join(f'{count} {status}' for status, count in sorted(by_status.items()))}"),
        ("nodes", str(len({run.node for run in runs if run.node}))),
        ("incidents", str(len({(run.node, run.incident) for run in runs}))),
        ("repairs", f"{known} with a known time to repair"),
    ]
    return Section("Summary", [Facts(rows)])


def _repair(runs: Sequence[RunFacts]) -> Section:
    return Section("Time to repair, by runbook", _spreads("runbook", runs, lambda run: run.runbook, _mttr))


def _phases(runs: Sequence[RunFacts]) -> Section:
    by_phase: dict[str, list[float]] = {}
    skewed = 0
    for run in runs:
        skewed += any(phase.skewed for phase in run.phases)
        for phase in run.phases:
            if phase.seconds is not None and not phase.skewed:
                by_phase.setdefault(phase.name, []).append(phase.seconds)
    rows = [
        (name, str(found.number), span(found.p50), span(found.p90), span(found.longest))
        for name, values in by_phase.items()
        if (found := spread(values))
    ]
    blocks: list[Block] = [Table(("phase", "incidents", "p50", "p90", "longest"), rows)] if rows else []
    if skewed:
        blocks.append(Sentence(f"Clocks disagreed in {counted(skewed, 'run')}; the phases between them are left out."))
    return Section("Time to repair, by phase", blocks)


def _delays(runs: Sequence[RunFacts]) -> Section:
    blocks = _spreads("started by", runs, lambda run: run.source or "hand", _delay)
    return Section("From the fault to the run", blocks)


def _spreads(
    heading: str,
    runs: Sequence[RunFacts],
    name: Callable[[RunFacts], str],
    value: Callable[[RunFacts], float | None],
) -> list[Block]:
    groups: dict[str, list[float | None]] = {}
    for run in runs:
        groups.setdefault(name(run), []).append(value(run))
    rows = []
    for group, values in sorted(groups.items()):
        found = spread(one for one in values if one is not None)
        unknown = sum(1 for one in values if one is None)
        if found:
            figures = (str(found.number), span(found.p50), span(found.p90), span(found.longest))
        else:
            figures = ("0", "", "", "")
        rows.append((group, *figures, str(unknown)))
    return [Table((heading, "runs", "p50", "p90", "longest", "unknown"), rows)] if rows else []


def _offenders(worst: Sequence[Offender]) -> list[Section]:
    if not worst:
        return []
    rows = [
        (
            f"{one.alias} ({one.node})" if one.alias else one.node,
            str(one.most),
            str(len(one.incidents)),
            ", ".join(dict.fromkeys(code for run in one.incidents for code in run.codes)),
            stamp(_when(one.incidents[-1])),
        )
        for one in worst
    ]
    hours = round(WINDOW_S / 3600)
    return [
        Section(
            f"Repeat offenders: {OFTEN} incidents or more within {hours} hours",
            [
                Table(("node", f"within {hours} h", "in all", "codes", "last"), rows),
                Sentence("A fault that comes back after a reset or a reboot usually needs hardware replaced."),
            ],
        )
    ]


def _calls(calls: Sequence[CallFacts]) -> list[Section]:
    if not calls:
        return []
    by_outcome: dict[str, int] = {}
    for call in calls:
        by_outcome[_outcome(call)] = by_outcome.get(_outcome(call), 0) + 1
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(by_outcome.items()))
    rows = [(stamp(call.at), f"{call.hook}, {_outcome(call)}: {call.about}") for call in calls[-MOST_CALLS:]]
    blocks: list[Block] = [Sentence(f"{counted(len(calls), 'call')}: {told}."), Facts(rows)]
    if len(calls) > MOST_CALLS:
        blocks.append(Sentence(f"The newest {MOST_CALLS} are listed; --format json has all of them."))
    return [Section("Calls of nvsx's own", blocks)]


def _outcome(call: CallFacts) -> str:
    cut_off = f" ({counted(call.unknown, 'attempt')} unknown)" if call.unknown else ""
    return f"{call.outcome or 'not ended'}{cut_off}"


def _when(run: RunFacts) -> float:
    return run.fault_at or run.created


def _mttr(run: RunFacts) -> float | None:
    return run.mttr_s


def _delay(run: RunFacts) -> float | None:
    """From the fault until the run began; unknown where nobody told the fault's time or the run came before it."""
    if not run.fault_at or not run.began or run.began < run.fault_at:
        return None
    return run.began - run.fault_at
