"""What a run came to: the rows and figures of its summary, folded from events."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import gmtime, strftime
from typing import TYPE_CHECKING

from nvsx.cells import pad, printable, width
from nvsx.durations import format_duration
from nvsx.events import Chain, Hook, StageBegin, StageEnd, Start

if TYPE_CHECKING:
    from nvsx.events import Body, Finish, Status, Tone
    from nvsx.terminal import Paint

STATUS_COLORS: dict[Status, str] = {
    "pass": "green",
    "fail": "red",
    "timeout": "red",
    "blind": "yellow",
    "skipped": "grey",
    "cancelled": "yellow",
    "interrupted": "yellow",
}
TONE_COLORS: dict[Tone, str] = {"bad": "red", "work": "blue", "good": "green", "blind": "yellow"}
_REASON_CELLS = 47
_MOST_CHAIN = 30


@dataclass
class Tally:
    """One run so far. A sink that joined late has no `start`; everything it shows must bear that."""

    start: Start | None = None
    stages: dict[str, StageEnd | None] = field(default_factory=dict)
    hooks_ok: int = 0
    hooks_failed: list[str] = field(default_factory=list)
    hooks_unset: list[str] = field(default_factory=list)  # not configured, which is no failure
    chain: list[Chain] = field(default_factory=list)

    def fold(self, body: Body) -> None:
        if isinstance(body, Start):
            self.start = body
            self.stages = dict.fromkeys(body.stages)
        elif isinstance(body, StageBegin):
            self.stages.setdefault(body.stage, None)
        elif isinstance(body, StageEnd):
            self.stages[body.stage] = body
        elif isinstance(body, Chain) and body.topic != "sight":
            self._learn(body)
        elif isinstance(body, Hook) and body.phase == "end" and body.hook != "action" and body.final:
            text = f"{body.hook} of {body.stage or 'the run'}: {outcome_text(body)}"
            if body.outcome == "ok":
                self.hooks_ok += 1
            elif body.outcome == "not_configured":
                self.hooks_unset.append(text)
            else:
                self.hooks_failed.append(text)

    def _learn(self, seen: Chain) -> None:
        """A run that was taken up again tells anew what it sees; of a repair, its begin and its last state matter."""
        known = [one for one in self.chain if (one.topic, one.subject) == (seen.topic, seen.subject)]
        if known and known[-1].text == seen.text:
            return
        if known and seen.topic in ("repair", "drain") and len(known) > 1:
            self.chain.remove(known[-1])
        self.chain = [*self.chain, seen][-_MOST_CHAIN:]


def outcome_text(hook: Hook) -> str:
    """How a process ended, in words: `failed (exit 3)`, `not configured`."""
    word = hook.outcome.replace("_", " ")
    return f"{word} (exit {hook.exit_code})" if hook.outcome == "failed" and hook.exit_code is not None else word


def summary(tally: Tally, finish: Finish, run_id: str, paint: Paint) -> list[str]:
    """The lines to paste into a ticket: the verdict, the figures, every stage."""
    start = tally.start
    color = STATUS_COLORS[finish.status] if finish.exit_code == 0 or finish.status != "pass" else "yellow"
    head = f"nvsx · {start.runbook if start else run_id} · "
    # The verdict and its table end it: on a small screen they are what is left to see.
    lines = [*_chain_rows(tally, paint), "", "  " + head + paint(printable(finish.verdict), color, bold=True)]
    lines += [f"  {label:<10} {value}" for label, value in _figures(tally, finish, run_id)]
    return [*lines, "", *_stage_rows(tally, paint), ""]


def _figures(tally: Tally, finish: Finish, run_id: str) -> list[tuple[str, str]]:
    start = tally.start
    figures = []
    if finish.reason:
        figures.append(("reason", printable(finish.reason)))
    if start:
        node = f"{start.target_alias}  ({start.target_node})" if start.target_node else "none"
        figures.append(("node", printable(node)))
    mttr = "unknown" if finish.mttr_s is None else format_duration(finish.mttr_s)
    figures += [("run", run_id), ("total", f"{format_duration(finish.total_s)}   MTTR {mttr}")]
    failed = len(tally.hooks_failed)
    unset = len(tally.hooks_unset)
    if failed or unset or tally.hooks_ok or finish.hooks_failed:
        not_set = f", {unset} not configured" if unset else ""
        figures.append(("hooks", f"{tally.hooks_ok} ok, {max(failed, finish.hooks_failed)} failed{not_set}"))
        figures += [("", printable(text)) for text in (*tally.hooks_failed, *tally.hooks_unset)]
    writes = f"nvsx {finish.nvsx_cluster_writes}, declared actions {finish.action_cluster_writes}"
    figures.append(("writes", f"{writes}, refused {finish.refused_cluster_writes}"))
    if finish.artifact_dir:
        figures.append(("artifacts", printable(f"{finish.artifact_dir}  ({finish.artifact_count})")))
    return figures


def _stage_rows(tally: Tally, paint: Paint) -> list[str]:
    column = max([len("stage"), *(width(stage) for stage in tally.stages)]) + 2
    lines = [f"  {pad('stage', column)}{'elapsed':>9}  status", "  " + "─" * (column + 22)]
    for stage, end in tally.stages.items():
        if end is None:
            lines.append(f"  {pad(stage, column)}{'-':>9}  -")
            continue
        elapsed = "-" if end.status == "skipped" else format_duration(end.elapsed_s)
        remark = " (inferred)" if end.inferred else ""
        if end.reason and end.status != "skipped":
            remark += "  " + pad(printable(end.reason), _REASON_CELLS).rstrip()
        status = paint(end.status.upper(), STATUS_COLORS[end.status])
        lines.append(f"  {pad(printable(stage), column)}{elapsed:>9}  {status}{remark}")
    return lines


def _chain_rows(tally: Tally, paint: Paint) -> list[str]:
    """What NVSentinel was seen to do, with the time of each: the part of a ticket that people ask for first."""
    if not tally.chain:
        return []
    lines = ["", "  seen (UTC)  NVSentinel", "  " + "─" * 34]
    for seen in tally.chain:
        when = strftime("%H:%M:%S", gmtime(seen.at)) if seen.at else "earlier"
        name = f"  {seen.subject}" if seen.topic == "repair" else ""
        text = paint(printable(seen.text), TONE_COLORS[seen.tone])
        lines.append(f"  {when:<10}  {seen.topic:<9}  {text}{printable(name)}")
    return lines
