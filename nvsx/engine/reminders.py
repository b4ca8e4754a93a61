"""Reminders: what a run says, and whom it nudges, while a stage waits; and the narration once it has passed."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from nvsx.durations import format_duration
from nvsx.engine.effects import Effect
from nvsx.engine.environment import Moment
from nvsx.events import Note
from nvsx.model import DEFAULT_HOOK_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nvsx.clock import Clock
    from nvsx.engine.effects import Effects
    from nvsx.engine.plan import Plan
    from nvsx.engine.telling import Teller
    from nvsx.engine.watching import Watching
    from nvsx.model import Stage

FIRST_REMINDERS_S = (60.0, 300.0, 900.0)
THEN_EVERY_S = 3600.0


def reminder_times() -> Iterator[float]:
    """Seconds after the start of the wait at which to remind: 1, 5 and 15 minutes, then each hour."""
    yield from FIRST_REMINDERS_S
    hour = 1
    while True:
        yield hour * THEN_EVERY_S
        hour += 1


class Reminders:
    """Says what a stage waits for; runs the run-level `onReminder` and, the first time it is blind, `onBlind`."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        teller: Teller,
        effects: Effects,
        watching: Watching,
        *,
        told_blind: bool = False,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._teller = teller
        self._effects = effects
        self._watching = watching
        self._nudges: set[asyncio.Task[None]] = set()
        self.hooks_failed = 0
        self.told_blind = told_blind

    @asynccontextmanager
    async def while_waiting(self, stage: Stage, began: float) -> AsyncIterator[None]:
        """Remind for as long as the body waits. Hooks that a reminder started are left to end by themselves."""
        task = asyncio.create_task(self._remind(stage, began), name=f"reminders of {stage.id}")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def settle(self) -> None:
        """Wait for the hooks that reminders started."""
        while self._nudges:
            await asyncio.gather(*self._nudges, return_exceptions=True)

    async def stop(self) -> None:
        """End the hooks that reminders started."""
        for task in tuple(self._nudges):
            task.cancel()
        await self.settle()

    def narrate(self, stage_id: str, elapsed_s: float) -> None:
        """The runbook's sentence for a stage that has passed, with true values."""
        text = self._plan.runbook.narration.get(stage_id)
        if not text:
            return
        fault = self._watching.incident.fault_time
        incident_s = self._clock.now() - fault if fault else None
        values = {
            "targetNode": self._plan.target_node,
            "targetAlias": self._plan.target_alias,
            "elapsed": format_duration(elapsed_s),
            "incidentElapsed": "unknown" if incident_s is None else format_duration(incident_s),
            "artifactDir": self._plan.artifact_dir,
            "artifactCount": str(count_files(self._plan.artifact_dir)),
        }
        for token, value in values.items():
            text = text.replace("{{" + token + "}}", value)
        self._teller.say(Note("narration", text, stage_id))

    async def _remind(self, stage: Stage, began: float) -> None:
        first = self._clock.monotonic() - began  # above 0 where the stage goes on after a restart
        for seconds in reminder_times():
            if seconds < first:
                continue
            await asyncio.sleep(max(0.0, began + seconds - self._clock.monotonic()))
            verdict, missing = self._watching.present(stage.id)
            if not missing:
                continue
            is_blind = verdict is not None and verdict.state == "blind"
            waited = format_duration(self._clock.monotonic() - began)
            limit = format_duration(stage.timeout_s)
            text = f"{stage.id} has waited {waited} of at most {limit} for: {missing}"
            self._teller.say(Note("blind" if is_blind else "reminder", text, stage.id, level="warning"))
            name = "onBlind" if is_blind and not self.told_blind else "onReminder"
            self.told_blind = self.told_blind or is_blind
            if name in self._plan.runbook.hooks:
                nudge = asyncio.create_task(self._nudge(name, stage, began, seconds, missing))
                self._nudges.add(nudge)
                nudge.add_done_callback(self._nudges.discard)

    async def _nudge(self, name: str, stage: Stage, began: float, seconds: float, missing: str) -> None:
        fault = self._watching.incident.fault_time
        now = self._clock.now()
        moment = Moment(stage.id, "", self._clock.monotonic() - began, max(0.0, now - fault) if fault else 0.0, missing)
        scope = f"{stage.id}/{format_duration(seconds)}"
        effect = Effect("hook", name, self._plan.runbook.hooks[name], DEFAULT_HOOK_TIMEOUT_S, scope=scope)
        result = await self._effects.run(effect, self._watching.incident, lambda: moment)
        self.hooks_failed += result.failed


def count_files(directory: str) -> int:
    """How many files are below a directory; 0 where there is none."""
    return sum(len(files) for _, _, files in os.walk(directory))
