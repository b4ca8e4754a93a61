"""Takes up a run whose process died: what its record says was done, and what it left running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.cluster.processes import end_marked
from nvsx.engine.history import CutOff, History, PastEffect, PastStage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nvsx.ledger import EffectRow, Ledger, RunRecord, StageRow


async def take_up(ledger: Ledger, run_id: str) -> tuple[RunRecord, History]:
    """The record of a claimed run and its history, once nothing of its dead process lives any more.

    Call it after `Ledger.claim` and before the run starts: two processes of one hook must never be at work.
    """
    record = ledger.run(run_id)
    if not record.run.began:
        return record, History()
    await end_marked(run_id)
    last = ledger.last_event(run_id)
    return record, history_of(record, next_seq=last[0] + 1, told=last[1], now=ledger.now())


def history_of(record: RunRecord, *, next_seq: int, told: float, now: float) -> History:
    """What a run had done. `told` is the time of its last event, `now` the present; epoch seconds."""
    alive = max([told, *_times(record)])
    under_way = next((stage for stage in record.stages if not stage.ended), None)
    return History(
        began=record.run.began,
        downtime_s=max(0.0, now - alive),
        stages={stage.stage: _past_stage(stage) for stage in record.stages if stage.ended},
        stage=under_way.stage if under_way else "",
        spent_s=max(0.0, alive - under_way.began) if under_way else 0.0,
        effects=_past_effects(record.effects),
        cut_off=_cut_off(record.effects),
        effects_begun=len(record.effects),
        incident_key=record.run.incident_key,
        incident=record.facts,
        next_seq=next_seq,
        stopped="cancelled" if record.run.cancelled else "interrupted",
    )


async def take_up_alarm(ledger: Ledger, alarm: str) -> History:
    """What came of a claimed alarm before, once nothing of its dead process lives any more."""
    effects = ledger.effects(alarm)
    if not effects:
        return History()
    await end_marked(alarm)
    return History(
        began=effects[0].intended,
        effects=_past_effects(effects),
        cut_off=_cut_off(effects),
        effects_begun=len(effects),
        next_seq=ledger.last_event(alarm)[0] + 1,
    )


def _cut_off(effects: Sequence[EffectRow]) -> tuple[CutOff, ...]:
    return tuple(
        CutOff(one.key, one.attempt, one.stage, one.name, one.script, one.role) for one in effects if not one.outcome
    )


def _past_stage(row: StageRow) -> PastStage:
    return PastStage(row.status, row.elapsed, row.reason, row.inferred, row.decided)  # type: ignore[arg-type]


def _past_effects(rows: Sequence[EffectRow]) -> dict[str, PastEffect]:
    """The last attempt of each effect; one that was cut off is unknown."""
    found: dict[str, PastEffect] = {}
    for row in sorted(rows, key=lambda row: row.attempt):
        before = found.get(row.key)
        outcome = row.outcome or "unknown"
        unknown = (before.unknown if before else 0) + (outcome == "unknown")
        found[row.key] = PastEffect(
            row.attempt, outcome, row.exit_code, row.detail, row.missing, row.outputs, unknown  # type: ignore[arg-type]
        )  # fmt: skip
    return found


def _times(record: RunRecord) -> Iterable[float]:
    """Every moment at which the run is known to have been alive."""
    yield record.run.alive
    yield record.run.began
    for stage in record.stages:
        yield from (stage.began, stage.ended)
    for effect in record.effects:
        yield from (effect.intended, effect.started, effect.ended)
