"""A run: stages in order, postmortem always, one verdict, and an honest record of what it did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nvsx.cluster.processes import run_process
from nvsx.durations import format_duration
from nvsx.engine.effects import Effect, Effects
from nvsx.engine.environment import Moment
from nvsx.engine.history import NEW_RUN
from nvsx.engine.masks import Masker
from nvsx.engine.recording import Recorder
from nvsx.engine.reminders import Reminders, count_files
from nvsx.engine.stages import StageRunner, at_once
from nvsx.engine.telling import Teller
from nvsx.engine.watching import Watching, as_event
from nvsx.errors import Exit
from nvsx.events import Finish, Note, Start
from nvsx.journal import RunBegan, RunEnded
from nvsx.model import DEFAULT_HOOK_TIMEOUT_S
from nvsx.watches.clockwork import instants, phases, time_to_repair
from nvsx.watches.incident import Incident, told
from nvsx.watches.moments import Reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from nvsx.clock import Clock
    from nvsx.cluster.view import View
    from nvsx.engine.effects import ProcessRunner
    from nvsx.engine.history import History
    from nvsx.engine.plan import KubectlGuard, Plan, Scripts
    from nvsx.engine.stages import StageResult
    from nvsx.events import Status
    from nvsx.model import Stage
    from nvsx.ports import Journal, Sink
    from nvsx.watches.tracker import Change

_EXIT_BY_STATUS: dict[Status, int] = {
    "pass": Exit.DONE,
    "fail": Exit.FAILED,
    "timeout": Exit.FAILED,
    "blind": Exit.BLIND,
    "cancelled": Exit.FAILED,
    "interrupted": Exit.INTERRUPTED,
}
_WORD_BY_STATUS: dict[Status, str] = {
    "pass": "PASSED",
    "fail": "FAILED",
    "timeout": "TIMED OUT",
    "blind": "BLIND",
    "cancelled": "CANCELLED",
    "interrupted": "INTERRUPTED",
}


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    status: Status = "pass"
    exit_code: int = Exit.DONE
    verdict: str = "PASSED"
    reason: str = ""
    hooks_failed: int = 0
    mttr_s: float | None = None
    stages: list[StageResult] = field(default_factory=list)


class Run:
    """One execution of a plan. `interrupt` may be called from a signal handler at any moment; a second call also
    gives up the postmortem.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        view: View,
        clock: Clock,
        journal: Journal,
        sink: Sink,
        scripts: Scripts,
        guard: KubectlGuard,
        run_process: ProcessRunner = run_process,
        history: History = NEW_RUN,
        turn: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._guard = guard
        self._history = history
        self._teller = Teller(sink, clock, run_id=plan.run_id, cluster=plan.cluster, first=history.next_seq)
        self._effects = Effects(
            plan, clock, journal, self._teller, scripts, guard, Masker(plan.secrets), run_process, history
        )
        incident = _incident(plan, history)
        planned = [stage for stage in plan.stages if plan.runs(stage) and stage.id not in history.stages]
        self._watching = Watching(view, clock, planned, incident, on_change=self._on_change, on_chain=self._teller.say)
        self._recorder = Recorder(plan, journal, self._teller)
        told_blind = any(key.endswith("/onBlind") for key in history.effects)
        self._reminders = Reminders(plan, clock, self._teller, self._effects, self._watching, told_blind=told_blind)
        self._stage_runner = StageRunner(
            plan, clock, self._teller, self._recorder, self._effects, self._watching, self._reminders, history, turn
        )
        self._stopping: tuple[Status, int] | None = None
        self._stop_at_once = False
        self._current: asyncio.Task[None] | None = None
        self._outcome = Outcome()
        self._began = 0.0
        self._told_failure = False

    def interrupt(self, status: Status = "interrupted", exit_code: int = Exit.INTERRUPTED) -> None:
        """Stop the stage that runs, then go on to postmortem; when already stopping, stop that as well."""
        if self._stopping is None:
            self._stopping = (status, exit_code)
            self._stage_runner.stopped = status
        if self._current is not None:
            self._current.cancel()
        else:
            self._stop_at_once = True

    async def execute(self) -> Outcome:
        """Run everything, or what is left of it where the run has a history. Raises nothing that the runbook, the
        cluster or the user can cause.
        """
        self._began = self._clock.monotonic()
        plan = self._plan
        await self._recorder.record(_began(plan, self._clock.now()))
        self._say_start()
        if not self._history.is_new:
            self._began -= max(0.0, self._clock.now() - self._history.began)
            down = format_duration(self._history.downtime_s)
            self._teller.say(
                Note("record", f"the run goes on from its record; nvsx was not there for {down}", level="warning")
            )
            await self._effects.own_up(self._history.cut_off)
        self._watching.start()
        try:
            stages = list(plan.stages)
            last = [stage for stage in stages if stage.id == "postmortem"]
            await self._guarded(self._stages([stage for stage in stages if stage.id != "postmortem"]))
            await self._guarded(self._postmortem(last))
            await self._guarded(self._close_hooks())
        finally:
            await self._reminders.stop()
            await self._watching.close()
        await self._finish()
        return self._outcome

    async def _guarded(self, part: Coroutine[Any, Any, None]) -> None:
        """Run one part of the run as a task of its own, so that an interrupt ends this part and not the run."""
        self._current = asyncio.create_task(part)
        if self._stop_at_once:
            self._stop_at_once = False
            self._current.cancel()
        try:
            await self._current
        except asyncio.CancelledError:
            if self._stopping is None:  # not ours: whoever runs us wants to be gone
                raise
            self._outcome.status, self._outcome.exit_code = self._stopping
        finally:
            self._current = None

    async def _stages(self, stages: Sequence[Stage]) -> None:
        try:
            for position, stage in enumerate(stages):
                if not self._plan.runs(stage):
                    self._outcome.stages.append(await self._stage_runner.skip(stage, "runs in a drill only"))
                    continue
                result = await self._stage_runner.run(stage)
                self._account(result)
                if result.status in ("interrupted", "cancelled"):  # before nvsx was killed: only the end is left
                    self._stopping = (self._history.stopped, _EXIT_BY_STATUS[self._history.stopped])
                    self._outcome.status, self._outcome.exit_code = self._stopping
                    self._outcome.reason = f"during {result.stage}"
                    await self._skip(stages[position + 1 :], "the run was interrupted")
                    return
                if result.status != "pass":
                    await self._failed(result)
                    await self._skip(stages[position + 1 :], f"{result.stage} did not pass")
                    return
        except asyncio.CancelledError:
            done = {result.stage for result in self._outcome.stages}
            left = [stage for stage in stages if stage.id not in done]
            self._outcome.reason = f"during {left[0].id}" if left else ""
            await self._skip(left[1:], "the run was interrupted")
            raise

    async def _skip(self, stages: Sequence[Stage], reason: str) -> None:
        for stage in stages:
            self._outcome.stages.append(await self._stage_runner.skip(stage, reason))

    def _account(self, result: StageResult) -> None:
        self._outcome.stages.append(result)
        self._outcome.hooks_failed += result.hooks_failed
        fault = self._watching.incident.fault_time
        if result.stage == "recover" and result.status == "pass" and fault:
            # By what the cluster tells, where it tells: a run that looked late must not make a repair longer.
            told = time_to_repair(self._watching.incident.moments)
            self._outcome.mttr_s = max(0.0, result.decided_at - fault) if told is None else told

    async def _failed(self, result: StageResult) -> None:
        outcome = self._outcome
        outcome.status, outcome.reason = result.status, f"{result.stage}: {result.reason}"
        outcome.exit_code = _EXIT_BY_STATUS[result.status]
        # People are told before the postmortem collects for minutes, not after.
        await self._run_hook("onBlind" if result.status == "blind" else "onFailure", result)

    async def _postmortem(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            result = await self._stage_runner.run(stage)
            self._account(result)
            if result.status != "pass":
                outcome = self._outcome
                outcome.exit_code = outcome.exit_code or Exit.FAILED
                outcome.reason = outcome.reason or f"{stage.id}: {result.reason}"

    async def _close_hooks(self) -> None:
        await self._reminders.settle()
        outcome = self._outcome
        outcome.hooks_failed += self._reminders.hooks_failed
        stopped = self._stopping is not None  # whoever stopped the run knows: nobody is paged for that
        if outcome.hooks_failed or (outcome.exit_code and not stopped):
            outcome.exit_code = outcome.exit_code or Exit.FAILED
            await self._run_hook("onFailure", None)
        await self._run_hook("finally", None)

    async def _run_hook(self, name: str, result: StageResult | None) -> None:
        """Run a run-level hook. People are told once that the run went wrong: by `onBlind` or else by `onFailure`."""
        hooks = self._plan.runbook.hooks
        if name == "onBlind" and name not in hooks:
            name = "onFailure"
        if name in ("onFailure", "onBlind"):
            if self._told_failure:
                return
            self._told_failure = True
        if name not in hooks:
            return
        fault = self._watching.incident.fault_time
        moment = Moment(
            result.stage if result else "",
            result.status if result else self._outcome.status,
            result.elapsed_s if result else 0.0,
            max(0.0, self._clock.now() - fault) if fault else 0.0,
            result.reason if result else self._outcome.reason,
        )
        effect = Effect("hook", name, hooks[name], DEFAULT_HOOK_TIMEOUT_S, scope="run")
        ended = await self._effects.run(effect, self._watching.incident, lambda: moment)
        self._outcome.hooks_failed += ended.failed

    async def _finish(self) -> None:
        outcome, counts = self._outcome, self._guard.counts()
        if outcome.hooks_failed:
            outcome.exit_code = outcome.exit_code or Exit.FAILED
        outcome.verdict = verdict_words(outcome)
        await self._stage_runner.note_incident()
        await self._recorder.record(
            RunEnded(self._plan.run_id, self._clock.now(), outcome.status, outcome.exit_code, outcome.hooks_failed)
        )
        self._recorder.report(
            status=outcome.status,
            verdict=outcome.verdict,
            mttr_s=outcome.mttr_s,
            phases={phase.name: phase.seconds for phase in phases(instants(self._watching.incident.moments))},
        )
        self._teller.say(
            Finish(
                ok=outcome.exit_code == Exit.DONE,
                status=outcome.status,
                exit_code=outcome.exit_code,
                total_s=self._clock.monotonic() - self._began,
                hooks_failed=outcome.hooks_failed,
                mttr_s=outcome.mttr_s,
                incident_key=self._effects.incident_key(self._watching.incident),
                artifact_dir=self._plan.artifact_dir,
                artifact_count=count_files(self._plan.artifact_dir),
                nvsx_cluster_writes=0,
                action_cluster_writes=counts.action_writes,
                refused_cluster_writes=counts.refused,
                verdict=outcome.verdict,
                reason=outcome.reason,
            )
        )

    def _say_start(self) -> None:
        plan = self._plan
        self._teller.say(
            Start(
                runbook=plan.runbook.name,
                runbook_nickname=plan.runbook.nickname,
                title=plan.runbook.title,
                target_node=plan.target_node,
                target_alias=plan.target_alias,
                stages=tuple(stage.id for stage in plan.stages),
                nvsx_version=plan.nvsx_version,
                artifact_dir=plan.artifact_dir,
                drill=plan.drill,
                trigger_source=plan.trigger.source,
            )
        )

    def _on_change(self, stage: str, change: Change) -> None:
        self._teller.say(as_event(stage, change))


def _incident(plan: Plan, history: History) -> Incident:
    """What is known of the fault: what the trigger told, or what the node had shown before nvsx was killed."""
    new = told(Incident(node=plan.target_node, since=plan.since, namespace=plan.namespace), plan.trigger.facts)
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in history.incident.items()
        if name in Incident._fields and name not in ("node", "namespace", "sighting")
    }
    known["moments"] = tuple(Reading(*reading) for reading in known.get("moments", ()))
    return new._replace(**known)


def _began(plan: Plan, now: float) -> RunBegan:
    """The entry from which a run can be taken up again by another process."""
    return RunBegan(
        plan.run_id,
        now,
        plan.runbook.name,
        plan.runbook.text,
        plan.target_node,
        plan.cluster,
        plan.trigger.incident_key,
        {
            "source": plan.trigger.source,
            "file": plan.trigger.file,
            "incident_key": plan.trigger.incident_key,
            "facts": dict(plan.trigger.facts),
        },
        {
            "target_alias": plan.target_alias,
            "context": plan.context,
            "namespace": plan.namespace,
            "since": plan.since,
            "root": plan.root,
            "run_dir": plan.run_dir,
            "artifact_dir": plan.artifact_dir,
            "drill": plan.drill,
            "repeat_count": plan.repeat_count,
            "runbook_file": plan.runbook.file,
            "nvsx_version": plan.nvsx_version,
        },
    )


def verdict_words(outcome: Outcome) -> str:
    """The run's verdict in the words that end a log: `PASSED, 1 HOOK FAILED`, `TIMED OUT at recover`."""
    words = [_WORD_BY_STATUS.get(outcome.status, outcome.status.upper())]
    stopped = next((r for r in outcome.stages if r.status not in ("pass", "skipped") and r.stage != "postmortem"), None)
    if stopped:
        words[0] += f" at {stopped.stage}"
    if any(r.stage == "postmortem" and r.status not in ("pass", "skipped") for r in outcome.stages):
        words.append("POSTMORTEM FAILED")
    if outcome.hooks_failed:
        words.append(f"{outcome.hooks_failed} HOOK{'S' if outcome.hooks_failed > 1 else ''} FAILED")
    return ", ".join(words)
