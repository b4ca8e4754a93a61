"""One stage: prerequisites, action and watches under one deadline, then the hooks that its status calls for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nvsx.durations import format_duration
from nvsx.engine.effects import Effect
from nvsx.engine.environment import Moment
from nvsx.engine.history import NEW_RUN
from nvsx.engine.watching import NodeGone
from nvsx.events import Prerequisite, StageBegin, StageEnd
from nvsx.journal import EvidenceSeen, IncidentSeen, StageBegan, StageEnded
from nvsx.runbook.prerequisites import comparison_failure, is_comparison, missing_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nvsx.clock import Clock
    from nvsx.engine.effects import Effects, Result
    from nvsx.engine.history import History, PastStage
    from nvsx.engine.plan import Plan
    from nvsx.engine.recording import Recorder
    from nvsx.engine.reminders import Reminders
    from nvsx.engine.telling import Teller
    from nvsx.engine.watching import Watching
    from nvsx.events import Status
    from nvsx.model import Prerequisite as Requirement
    from nvsx.model import Stage

HOOKS_BY_STATUS: dict[Status, tuple[str, ...]] = {
    "pass": ("onSuccess",),
    "fail": ("onFailure",),
    "timeout": ("onTimeout", "onFailure"),
    "blind": ("onFailure",),
}
"""Which of a stage's hooks a status calls for: the first one that the stage has."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended; `decided_at` is the moment of the verdict, epoch seconds."""

    stage: str
    status: Status
    elapsed_s: float
    reason: str = ""
    inferred: bool = False
    decided_at: float = 0.0
    hooks_failed: int = 0


class StageFailed(Exception):
    """The stage cannot pass any more; the argument is the reason."""


class StageBlind(Exception):
    """The stage failed where nvsx itself cannot look either, so that its failure says nothing of the cluster."""


class StageLate(Exception):
    """A process of the stage ran into the stage's deadline; the argument says which."""


async def at_once() -> None:
    """The turn of a run that is alone in its process."""


class StageRunner:
    """Runs the stages of one run, one at a time; `turn` is awaited between the verdict of watches and what follows."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        teller: Teller,
        recorder: Recorder,
        effects: Effects,
        watching: Watching,
        reminders: Reminders,
        history: History = NEW_RUN,
        turn: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._teller = teller
        self._recorder = recorder
        self._effects = effects
        self._watching = watching
        self._reminders = reminders
        self._history = history
        self._turn = turn
        self._incident = watching.incident
        self.stopped: Status = "interrupted"  # how a stage ends that is cancelled

    async def skip(self, stage: Stage, reason: str) -> StageResult:
        """A stage that does not run is still named: nothing is hidden."""
        past = self._history.stages.get(stage.id)
        if past:
            return await self._recall(stage, past)
        result = StageResult(stage.id, "skipped", 0.0, reason, decided_at=self._clock.now())
        await self._end(result)
        return result

    async def run(self, stage: Stage) -> StageResult:
        """Run a stage to its verdict, say it, then run its hooks. When cancelled, says so and is gone at once.

        What of it was done before nvsx was killed is not done again; the time nvsx was down does not count.
        """
        past = self._history.stages.get(stage.id)
        if past:
            return await self._recall(stage, past)
        began = self._clock.monotonic() - (self._history.spent_s if stage.id == self._history.stage else 0.0)
        watched = self._watching.has(stage.id)
        waiting_for = self._watching.texts(stage.id) if watched else ()
        self._teller.say(StageBegin(stage.id, stage.title, stage.timeout_s, waiting_for))
        try:
            await self._recorder.record(StageBegan(self._plan.run_id, self._clock.now(), stage.id))
            if watched:
                self._watching.begin(stage.id)
            result = await self._verdict(stage, began)
        except asyncio.CancelledError:
            elapsed = self._clock.monotonic() - began
            await self._end(StageResult(stage.id, self.stopped, elapsed, decided_at=self._clock.now()))
            raise
        await self._end(result)
        failed = await self._hooks(stage, result, began)
        if result.status == "pass":
            self._reminders.narrate(stage.id, result.elapsed_s)
            if self._plan.dwell and stage.dwell_s:
                await asyncio.sleep(stage.dwell_s)
        return StageResult(
            result.stage,
            result.status,
            result.elapsed_s,
            result.reason,
            result.inferred,
            result.decided_at,
            failed,
        )

    async def _recall(self, stage: Stage, past: PastStage) -> StageResult:
        """The verdict that was reached before nvsx was killed, and then those of its hooks that had not ended."""
        result = StageResult(stage.id, past.status, past.elapsed_s, past.reason, past.inferred, past.decided_at)
        self._teller.say(StageEnd(stage.id, past.status, past.elapsed_s, past.reason, past.inferred))
        self._recorder.recall(stage.id, past, past.decided_at)
        if past.status not in HOOKS_BY_STATUS:
            return result
        failed = await self._hooks(stage, result, self._clock.monotonic() - past.elapsed_s)
        return replace(result, hooks_failed=failed)

    async def _verdict(self, stage: Stage, began: float) -> StageResult:
        status: Status = "pass"
        reason = ""
        inferred = False
        decided_at = 0.0
        deadline = began + stage.timeout_s
        try:
            if stage.id == "preflight":
                await self._prerequisites(stage, began, deadline)
            await self._action(stage, began, deadline)
            if self._watching.has(stage.id):
                # The loop's time is the clock's monotonic time, so one deadline serves both.
                async with asyncio.timeout_at(deadline), self._reminders.while_waiting(stage, began):
                    stood = await self._watching.wait(stage.id)
                await self._turn()
                assert stood.decided is not None
                if stood.decided.terminal:
                    raise StageFailed(stood.decided.detail)
                inferred, reason, decided_at = stood.decided.inferred, stood.decided.detail, stood.decided_at
        except StageLate as error:
            status, reason = "timeout", str(error)
        except TimeoutError:
            status, reason = self._late(stage)
        except StageBlind as error:
            status, reason = "blind", str(error)
        except (StageFailed, NodeGone) as error:
            status, reason = "fail", str(error)
        now = self._clock.now()
        elapsed = self._clock.monotonic() - began
        # A verdict that came before the stage began took it no time; one that came since then took it until then.
        if decided_at:
            elapsed = max(0.0, elapsed - (now - decided_at))
        return StageResult(stage.id, status, elapsed, reason, inferred, decided_at or now)

    def _late(self, stage: Stage) -> tuple[Status, str]:
        verdict, missing = self._watching.present(stage.id)
        if verdict is not None and verdict.state == "blind":
            return "blind", f"could not look: {verdict.detail}"
        return "timeout", f"not within {format_duration(stage.timeout_s)}: {missing or 'no verdict'}"

    async def _prerequisites(self, stage: Stage, began: float, deadline: float) -> None:
        failures = []
        for requirement in self._plan.runbook.prerequisites:
            failure = await self._prerequisite(requirement, stage, began, deadline)
            if failure:
                failures.append(f"{requirement.name}: {failure}")
        if not failures:
            return
        reason = "prerequisite " + "; ".join(failures)
        blindness = ""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                blindness = await self._watching.blindness()
        if blindness:
            raise StageBlind(f"could not look: {blindness}; {reason}")
        raise StageFailed(reason)

    async def _prerequisite(self, requirement: Requirement, stage: Stage, began: float, deadline: float) -> str:
        started = self._clock.monotonic()
        text = "" if is_comparison(requirement.expect) else requirement.expect
        expect = (text,) if text else ()
        effect = Effect(
            "prerequisite",
            requirement.name,
            requirement.check,
            stage.timeout_s,
            expect=expect,
            deadline=deadline,
        )
        result = await self._effects.run(effect, self._watching.incident, lambda: self._moment(stage.id, began))
        failure = _requirement_failure(result, requirement.expect)
        self._teller.say(
            Prerequisite(requirement.name, not failure, self._clock.monotonic() - started, failure, stage.id)
        )
        return failure

    async def _action(self, stage: Stage, began: float, deadline: float) -> None:
        if stage.action is None:
            return
        effect = Effect(
            "action",
            "action",
            stage.action.script,
            stage.timeout_s,
            args=stage.action.args,
            retry=stage.retry,
            expect=stage.expect,
            deadline=deadline,
            on_unknown=stage.on_unknown,
        )
        result = await self._effects.run(effect, self._watching.incident, lambda: self._moment(stage.id, began))
        if result.outcome == "timeout":
            raise StageLate(f"action {stage.action.script}: {result.detail}")
        if result.excused:
            return
        if not result.ok:
            raise StageFailed(f"action {stage.action.script}: {result.detail}")
        if result.missing:
            texts = ", ".join(repr(text) for text in result.missing)
            raise StageFailed(f"action {stage.action.script}: its output lacks {texts}")

    async def _hooks(self, stage: Stage, result: StageResult, began: float) -> int:
        """Run the hooks that the stage's status calls for; returns how many failed for good."""
        named = next((name for name in HOOKS_BY_STATUS.get(result.status, ()) if name in stage.hooks), None)
        failed = 0
        for name in (named, "finally"):
            if name is None or name not in stage.hooks:
                continue
            moment = self._moment(stage.id, began, result)
            effect = Effect(
                "hook", name, stage.hooks[name], stage.hook_timeout_s, retry=stage.retry, on_unknown=stage.on_unknown
            )
            outcome = await self._effects.run(effect, self._watching.incident, lambda moment=moment: moment)  # type: ignore[misc]
            failed += outcome.failed
        return failed

    def _moment(self, stage_id: str, began: float, result: StageResult | None = None) -> Moment:
        at = result.decided_at if result and result.decided_at else self._clock.now()
        fault = self._watching.incident.fault_time
        missing = result.reason if result and result.status != "pass" else ""
        return Moment(
            stage_id,
            result.status if result else "",
            result.elapsed_s if result else self._clock.monotonic() - began,
            max(0.0, at - fault) if fault else 0.0,
            missing,
        )

    async def note_incident(self) -> None:
        """Record what the cluster has shown of the incident, if that is more than what is recorded."""
        if self._watching.incident != self._incident:
            self._incident = self._watching.incident
            await self._recorder.record(IncidentSeen(self._plan.run_id, self._clock.now(), self._incident._asdict()))

    async def _end(self, result: StageResult) -> None:
        await self.note_incident()
        for position, verdict in self._watching.evidence(result.stage):
            await self._recorder.record(
                EvidenceSeen(
                    self._plan.run_id,
                    self._clock.now(),
                    result.stage,
                    position,
                    verdict.detail,
                    verdict.version,
                    verdict.inferred,
                )
            )
        ended = StageEnded(
            self._plan.run_id,
            self._clock.now(),
            result.stage,
            result.status,
            result.reason,
            result.inferred,
            result.elapsed_s,
            result.decided_at,
        )
        await self._recorder.stage_ended(ended)
        self._teller.say(StageEnd(result.stage, result.status, result.elapsed_s, result.reason, result.inferred))


def _requirement_failure(result: Result, expect: str) -> str:
    """Why a prerequisite is not met, "" when it is."""
    if not result.ok:
        return f"{result.detail}: {result.text}" if result.text else result.detail
    if result.missing:
        return missing_failure(result.missing[0], result.text)
    return comparison_failure(expect, result.text)
