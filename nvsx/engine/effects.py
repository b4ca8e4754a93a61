"""Effects: the processes of a run, each journalled before it starts and after it ends."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from nvsx.engine.environment import expand, read_outputs, variables
from nvsx.engine.history import MOST_UNKNOWN, NEW_RUN
from nvsx.engine.output import OutputLines
from nvsx.engine.plan import incident_key
from nvsx.errors import NvsxError
from nvsx.events import Hook, HookOutcome, Note, Output
from nvsx.journal import EffectEnded, EffectIntended, EffectStarted
from nvsx.model import ONCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nvsx.clock import Clock
    from nvsx.cluster.processes import Ended
    from nvsx.engine.environment import Moment
    from nvsx.engine.history import CutOff, History, PastEffect
    from nvsx.engine.masks import Masker
    from nvsx.engine.plan import KubectlGuard, Plan, Scripts
    from nvsx.engine.telling import Teller
    from nvsx.model import Retry
    from nvsx.ports import Journal
    from nvsx.watches.incident import Incident

NOT_CONFIGURED = 78
"""A hook's exit status (EX_CONFIG) for "what I need is not set"."""

NOWHERE = Path(os.devnull)

SETTLED: tuple[HookOutcome, ...] = ("ok", "not_configured")
"""Outcomes that another attempt cannot better; all others count as failed."""

Role = Literal["prerequisite", "action", "hook"]

ON_UNKNOWN: dict[Role, str] = {"prerequisite": "retry", "action": "fail", "hook": "retry"}
"""What is done about an effect that was cut off: an action may have written to the cluster, and is not repeated."""

_UNKNOWN = "cut off when nvsx was killed: whether it did its work is not known"


@dataclass(frozen=True, slots=True)
class Effect:
    """One process to run. `name` says which of the stage's it is: `action`, `onSuccess`, a prerequisite's name."""

    role: Role
    name: str
    script: str
    timeout_s: float
    args: tuple[str, ...] = ()
    retry: Retry = ONCE
    expect: tuple[str, ...] = ()
    deadline: float | None = None  # monotonic; no attempt lasts or starts beyond it
    on_unknown: str = ""  # "retry", "skip", "fail"; "" is the default of the role
    scope: str = ""  # in its key, in the place of the stage: for those that a stage may run several times


@dataclass(frozen=True, slots=True)
class Result:
    """How an effect ended, after its last attempt."""

    outcome: HookOutcome
    exit_code: int | None = None
    detail: str = ""
    missing: tuple[str, ...] = ()  # `expect` texts that its output did not have
    text: str = ""  # the output's last lines, escaped and masked
    outputs: Mapping[str, str] = field(default_factory=dict)
    excused: bool = False  # cut off, and the runbook says to go on without it

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure."""
        return self.outcome not in SETTLED and not self.excused


class ProcessRunner(Protocol):
    """Runs a process to its end and leaves nothing of it; `nvsx.cluster.processes.run_process` is the real one."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        timeout_s: float,
        clock: Clock,
        on_output: Callable[[bytes], None] | None,
        on_started: Callable[[int, str], Awaitable[None]] | None,
        mark: str,
    ) -> Ended: ...


class Effects:
    """Runs effects of one run. Cancelling a run of one ends its processes first."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        journal: Journal,
        teller: Teller,
        scripts: Scripts,
        guard: KubectlGuard,
        masker: Masker,
        run_process: ProcessRunner,
        history: History = NEW_RUN,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._journal = journal
        self._teller = teller
        self._scripts = scripts
        self._guard = guard
        self._masker = masker
        self._run_process = run_process
        self._past = history.effects
        self._outputs = history.outputs
        self._key = history.incident_key
        self._count = history.effects_begun

    def incident_key(self, incident: Incident) -> str:
        """The run's incident key: settled the first time it is needed once the fault is known, then never changed."""
        if self._key:
            return self._key
        key = incident_key(self._plan, incident)
        if incident.fault_time or self._plan.trigger.incident_key:
            self._key = key
        return key

    async def run(self, effect: Effect, incident: Incident, moment: Callable[[], Moment]) -> Result:
        """Run an effect with its retries. `moment` is asked at each attempt, because time goes on."""
        past = self._past.get(self._key_of(effect, moment()))
        known = self._recall(effect, past) if past else None
        if known is not None:
            return known
        attempt = past.attempt + 1 if past else 1
        result, final = await self._attempt(effect, attempt, incident, moment())
        while not final:
            await asyncio.sleep(_pause(effect, attempt))
            attempt += 1
            result, final = await self._attempt(effect, attempt, incident, moment())
        self._outputs.update(result.outputs)
        return result

    async def own_up(self, cut_off: Sequence[CutOff]) -> None:
        """Record and say what was under way when nvsx was killed: nobody can tell any more how it ended."""
        for one in cut_off:
            await self._record(
                EffectEnded(
                    self._plan.run_id, self._clock.now(), one.key, one.attempt, "unknown", None, detail=_UNKNOWN
                )
            )
            if one.role != "prerequisite":
                self._teller.say(
                    Hook(one.stage, one.name, one.script, one.attempt, "end", "unknown", None, 0.0, _UNKNOWN, False)
                )

    def _recall(self, effect: Effect, past: PastEffect) -> Result | None:
        """What came of an effect before nvsx was killed; None where it is to be tried (again)."""
        if effect.role == "prerequisite":  # only reads, and what they said is not kept
            return None
        if past.outcome == "unknown":
            policy = effect.on_unknown or ON_UNKNOWN[effect.role]
            if policy == "retry" and past.unknown < MOST_UNKNOWN:
                return None
            return Result("unknown", detail=_UNKNOWN, excused=policy == "skip")
        spent = past.attempt - past.unknown >= effect.retry.attempts or self._left(effect) <= 0
        if past.outcome in SETTLED or spent:
            return Result(past.outcome, past.exit_code, past.detail, past.missing, "", past.outputs)
        return None

    def _key_of(self, effect: Effect, moment: Moment) -> str:
        return f"{self._plan.run_id}/{effect.scope or moment.stage or 'run'}/{effect.name}"

    def _is_final(self, effect: Effect, key: str, attempt: int, outcome: HookOutcome) -> bool:
        """Whether another attempt makes no sense, is not wanted, or would come after the deadline."""
        past = self._past.get(key)
        counted = attempt - (past.unknown if past else 0)
        return outcome in SETTLED or counted >= effect.retry.attempts or self._left(effect) <= _pause(effect, attempt)

    def _left(self, effect: Effect) -> float:
        """Seconds until the effect's deadline."""
        return float("inf") if effect.deadline is None else effect.deadline - self._clock.monotonic()

    async def _attempt(self, effect: Effect, attempt: int, incident: Incident, moment: Moment) -> tuple[Result, bool]:
        """One attempt: its result, and whether it is the last."""
        plan, began = self._plan, self._clock.monotonic()
        key = self._key_of(effect, moment)
        visible = effect.role != "prerequisite"
        if visible:
            self._say_hook(effect, moment, attempt, phase="begin")
        intended = EffectIntended(
            plan.run_id,
            self._clock.now(),
            moment.stage,
            effect.role,
            effect.name,
            effect.script,
            attempt,
            key,
            self.incident_key(incident) if visible else "",
        )
        stopped: asyncio.CancelledError | None = None
        try:
            await self._journal.append(intended)
            result = await self._start(effect, attempt, incident, moment, key)
        except asyncio.CancelledError as error:
            stopped = error
            result = Result("failed", detail="ended because the run was interrupted")
        except NvsxError as error:
            result = Result("failed", detail=error.message + (f" ({error.hint})" if error.hint else ""))
        except OSError as error:
            result = Result("failed", detail=f"not started: {error}")
        ended = EffectEnded(
            plan.run_id,
            self._clock.now(),
            key,
            attempt,
            result.outcome,
            result.exit_code,
            dict(result.outputs),
            result.missing,
            result.detail,
        )
        await self._record(ended)
        final = stopped is not None or self._is_final(effect, key, attempt, result.outcome)
        if visible:
            elapsed = self._clock.monotonic() - began
            self._say_hook(effect, moment, attempt, phase="end", result=result, elapsed_s=elapsed, final=final)
        if stopped is not None:
            raise stopped
        return result, final

    async def _start(self, effect: Effect, attempt: int, incident: Incident, moment: Moment, key: str) -> Result:
        output_file = self._output_file()
        env = self._environment(effect, attempt, incident, moment, key, output_file)
        lines = OutputLines(masker=self._masker, expect=effect.expect)
        told = _LastLines()
        limit_s = max(0.1, min(effect.timeout_s, self._left(effect)))

        def tell(texts: list[str]) -> None:
            for text in texts:
                told.add(text)
                self._teller.say(Output(moment.stage, _origin(effect), text))

        async def started(pid: int, start_time: str) -> None:
            await self._record(EffectStarted(self._plan.run_id, self._clock.now(), key, attempt, pid, start_time))

        ended = await self._run_process(
            self._command(effect, env),
            env=env,
            cwd=self._plan.root,
            timeout_s=limit_s,
            clock=self._clock,
            on_output=lambda chunk: tell(lines.feed(chunk)),
            on_started=started,
            mark=f"{self._plan.run_id}/{self._count}",
        )
        tell(lines.end())
        outputs = read_outputs(output_file, moment.stage or "run")
        if output_file != NOWHERE:
            output_file.unlink(missing_ok=True)
        outcome, detail = _outcome(ended.exit_code, ended.signal, timed_out=ended.timed_out, limit_s=limit_s)
        missing = tuple(text for text in effect.expect if text not in lines.found)
        return Result(outcome, ended.exit_code, detail, missing, told.text(), outputs)

    def _output_file(self) -> Path:
        """Where a process may leave its outputs. On a full disk that is nowhere: that it runs matters more."""
        self._count += 1
        file = Path(self._plan.run_dir) / f"output-{self._count}"
        try:
            file.unlink(missing_ok=True)  # of an attempt that was cut off
            file.touch(mode=0o600)
        except OSError as error:
            self._teller.say(Note("record", f"what is written to NVSX_OUTPUT is lost: {error}", level="error"))
            return NOWHERE
        return file

    def _command(self, effect: Effect, env: Mapping[str, str]) -> list[str]:
        if effect.role == "prerequisite":
            return ["bash", "-c", effect.script]
        if effect.role == "action":
            return [*self._scripts.action(effect.script), *(expand(argument, env) for argument in effect.args)]
        return self._scripts.hook(effect.script)

    def _environment(
        self, effect: Effect, attempt: int, incident: Incident, moment: Moment, key: str, output_file: Path
    ) -> dict[str, str]:
        env = {**self._plan.environment, **self._outputs}
        env.update(variables(self._plan, incident, moment, self.incident_key(incident)))
        env["NVSX_IDEMPOTENCY_KEY"] = key
        env["NVSX_ATTEMPT"] = str(attempt)
        env["NVSX_OUTPUT"] = str(output_file)
        env["PATH"] = self._guard.path("write" if effect.role == "action" else "read", env.get("PATH", ""))
        return env

    def _say_hook(
        self,
        effect: Effect,
        moment: Moment,
        attempt: int,
        *,
        phase: Literal["begin", "end"],
        result: Result | None = None,
        elapsed_s: float = 0.0,
        final: bool = False,
    ) -> None:
        self._teller.say(
            Hook(
                stage=moment.stage,
                hook=effect.name,
                script=effect.script,
                attempt=attempt,
                phase=phase,
                outcome=result.outcome if result else "",
                exit_code=result.exit_code if result else None,
                elapsed_s=elapsed_s,
                detail=result.detail if result else "",
                final=final,
            )
        )

    async def _record(self, entry: EffectStarted | EffectEnded) -> None:
        """Record what has already happened: a journal that fails now is said, and cannot undo it."""
        try:
            await self._journal.append(entry)
        except (NvsxError, OSError) as error:
            self._teller.say(Note("record", f"not recorded: {error}", level="error"))


class _LastLines:
    """The last few lines of an output, to be told as the reason of a failure."""

    def __init__(self, limit: int = 20) -> None:
        self._limit = limit
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines = [*self._lines[-self._limit + 1 :], line]

    def text(self) -> str:
        return "\n".join(self._lines)


def _pause(effect: Effect, attempt: int) -> float:
    """Seconds to wait after a failed attempt; doubles each time."""
    return float(effect.retry.backoff_s * 2 ** (attempt - 1))


def _origin(effect: Effect) -> str:
    return f"prerequisite {effect.name}" if effect.role == "prerequisite" else effect.name


def _outcome(exit_code: int | None, signal: int, *, timed_out: bool, limit_s: float) -> tuple[HookOutcome, str]:
    from nvsx.durations import format_duration

    if timed_out:
        return "timeout", f"did not end within {format_duration(limit_s)}"
    if exit_code == 0:
        return "ok", ""
    if exit_code == NOT_CONFIGURED:
        return "not_configured", "exit status 78: what it needs is not set"
    if signal:
        return "failed", f"ended by signal {signal}"
    return "failed", f"exit status {exit_code}"


def write_report(path: Path, record: dict[str, object]) -> None:
    """Replace the run's record file in one step, so that a hook never reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(record, indent=1), encoding="utf-8")
    fresh.replace(path)
