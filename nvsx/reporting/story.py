"""The report of one run, section by section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.reporting.account import added
from nvsx.reporting.blocks import Block, Facts, Lines, Page, Section, Sentence, Table, Timeline
from nvsx.reporting.words import UNKNOWN, counted, offset, size, span, stamp
from nvsx.watches import moments
from nvsx.watches.clockwork import PHASES, TOTAL

if TYPE_CHECKING:
    from nvsx.reporting.account import Account, EffectAccount

MOMENT_WORDS = {
    moments.FAULT: "the monitor saw the fault",
    moments.DETECTED: "the cluster showed it",
    moments.CORDONED: "the node was cordoned",
    moments.DRAINED: "the workloads had left",
    moments.DRAIN_FAILED: "the drain failed",
    moments.ORDERED: "the repair was ordered",
    moments.REMEDIATION_FAILED: "NVSentinel gave the repair up",
    moments.SIGNALLED: "the provider accepted it",
    moments.DOWN: "the node went down",
    moments.READY: "the node was Ready again",
    moments.CLEARED: "the fault was gone",
    moments.RELEASED: "NVSentinel released the node",
    moments.FINISHED: "the maintenance object was finished",
}
_UNTOLD = ("preflight", "baseline", "inject", "postmortem")  # stages that no step of NVSentinel's belongs to
_ABOUT = {name: about for name, about, _, _ in PHASES} | {TOTAL: "from the fault until it was back in service"}


def page(account: Account) -> Page:
    """The whole report."""
    where = f"{account.alias} ({account.node})" if account.alias else account.node or "no node"
    kind = "A rehearsal on a simulated cluster. " if account.drill or account.source == "demo" else ""
    makers = (_summary, _timeline, _chain, _stages, _own_share, _effects, _evidence, _said, _artifacts, _writes)
    sections = [section for maker in makers if (section := maker(account)).blocks]
    return Page(
        title=account.title or account.runbook,
        subtitle=f"{kind}{where}, {stamp(account.began)}",
        badge=account.verdict or account.status.upper(),
        tone=account.status,
        sections=sections,
        footer=f"nvsx {account.nvsx_version}, run {account.run_id}. All times are UTC.",
    )


def _summary(account: Account) -> Section:
    fault = account.fault
    total = account.phases[-1] if account.phases else None
    repair = span(account.mttr_s, total.within_s if total and total.seconds == account.mttr_s else 0.0)
    if account.mttr_s is None:
        repair = f"{UNKNOWN}: {total.unknown if total and total.unknown else 'the node was not seen to recover'}"
    rows = [
        ("time to repair", repair),
        ("fault", " ".join((fault.check, *fault.codes)) or UNKNOWN),
        ("message", fault.message),
        ("recommended", fault.action),
        ("affected", ", ".join(fault.entities)),
        ("runbook", f"{account.runbook}{f' (#{account.nickname})' if account.nickname else ''}"),
        ("run", f"{account.run_id}, started by {account.source or 'hand'}"),
        ("began", stamp(account.began)),
        ("ended", f"{stamp(account.ended)}, {_took(account)}" if account.ended else "it is under way"),
        ("cluster", account.cluster),
        ("incident key", account.incident_key),
        ("health events", ", ".join(fault.event_ids)),
        ("reason", account.reason),
    ]
    blocks: list[Block] = [Facts([(name, value) for name, value in rows if value])]
    blocks += [Sentence(f"Not in this report: {text}.") for text in account.missing]
    return Section("Summary", blocks)


def _took(account: Account) -> str:
    return f"after {span(account.ended - account.began)}"


def _timeline(account: Account) -> Section:
    if not account.instants and not account.stages:
        return Section("Timeline", ())
    rows = []
    for phase in account.phases:
        begin = offset(phase.begin, account.zero) if phase.begin is not None else ""
        note = phase.unknown or _ABOUT[phase.name]
        if phase.skewed:
            note += "; told by clocks that disagree"
        rows.append((phase.name, span(phase.seconds, phase.within_s), begin, note))
    blocks: list[Block] = [Timeline()]
    if account.instants:
        blocks.append(Table(("phase", "took", "from", ""), rows))
    if account.skew_s:
        which = "ahead of" if account.skew_s > 0 else "behind"
        blocks.append(
            Sentence(
                f"Clock skew: the clock of the machine that nvsx ran on is about {span(abs(account.skew_s))} {which}"
                " the cluster's. Phases between moments of both are off by that."
            )
        )
    return Section("Timeline", blocks)


def _chain(account: Account) -> Section:
    rows = [
        (
            offset(one.at, account.zero) + (f" ±{span(one.within_s)}" if one.within_s >= 0.05 else ""),
            stamp(one.at),
            MOMENT_WORDS.get(one.moment, one.moment),
            ", ".join("seen by nvsx" if source == moments.SIGHT else source for source in one.sources),
        )
        for one in sorted(account.instants, key=lambda one: one.at)
    ]
    return Section("NVSentinel's chain", [Table(("after", "UTC", "", "told by"), rows)] if rows else ())


def _stages(account: Account) -> Section:
    rows = []
    for stage in account.stages:
        took = "" if stage.status == "skipped" else span(stage.elapsed_s)
        reason = f"{stage.reason} (inferred)" if stage.inferred else stage.reason
        rows.append((stage.stage, stage.status or "running", took, reason))
    blocks: list[Block] = [Table(("stage", "status", "took", "what decided it"), rows, tone=1)] if rows else []
    blocks += [Sentence(f"{offset(at, account.zero)}: {text}") for at, text in account.warnings]
    return Section("Stages", blocks)


def _own_share(account: Account) -> Section:
    shares = added(account)
    fault = account.instant(moments.FAULT)
    rows = [
        (one.stage, "" if one.stage in _UNTOLD else span(one.seen_after_s), span(one.hooks_s) if one.hooks_s else "")
        for one in shares
    ]
    blocks: list[Block] = [Table(("stage", "nvsx knew after", "its hooks took"), rows)] if rows else []
    if fault and account.began > fault.at and not fault.skewed:
        blocks.append(Sentence(f"The run began {span(account.began - fault.at)} after the fault."))
    return Section("What nvsx added", blocks)


def _effects(account: Account) -> Section:
    blocks: list[Block] = []
    for effect in account.effects:
        heading = (
            f"{offset(effect.began, account.zero)}  {effect.stage or 'run'} · {_named(effect)}: {_outcome(effect)}"
        )
        blocks.append(Lines(heading, effect.output, effect.outcome))
    return Section("Hooks, actions and checks", blocks)


def _named(effect: EffectAccount) -> str:
    return f"check {effect.name}" if effect.role == "prerequisite" else f"{effect.name} {effect.script}"


def _outcome(effect: EffectAccount) -> str:
    words = [effect.outcome or "running"]
    if effect.detail and effect.outcome != "ok":
        words.append(f"({effect.detail})")
    if effect.attempts > 1:
        words.append(f"after {effect.attempts} attempts")
    if effect.ended:
        words.append(f"in {span(effect.ended - effect.began)}")
    return " ".join(words)


def _evidence(account: Account) -> Section:
    rows = [
        (
            one.stage,
            offset(one.at, account.zero),
            one.version,
            f"{one.text}: {one.detail}{' (inferred)' if one.inferred else ''}",
        )
        for one in account.evidence
    ]
    return Section("Evidence", [Table(("stage", "noted", "version", "asked, and observed"), rows)] if rows else ())


def _said(account: Account) -> Section:
    rows = [(stamp(one.at), one.source, one.summary) for one in account.said]
    return Section("What was said", [Table(("UTC", "by", ""), rows)] if rows else ())


def _artifacts(account: Account) -> Section:
    rows = [(one.name, size(one.size), one.sha256 or "gone, or not readable") for one in account.artifacts]
    blocks: list[Block] = [Table(("file", "size", "sha256"), rows)] if rows else []
    if rows:
        blocks.append(Sentence(f"{counted(len(rows), 'file')} in {account.artifact_dir}"))
    return Section("Artifacts", blocks)


def _writes(account: Account) -> Section:
    if account.writes is None:
        return Section("Writes to the cluster", [Sentence("Not counted: the run did not end by itself.")])
    rows = [
        ("by nvsx itself", str(account.writes.nvsx)),
        ("by declared actions", str(account.writes.actions)),
        ("refused, tried by hooks or checks", str(account.writes.refused)),
    ]
    return Section("Writes to the cluster", [Facts(rows)])
