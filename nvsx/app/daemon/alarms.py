"""nvsx's own calls for people, through the hooks of `nvsx.yaml`: its blindness, what nobody handles, a storm's news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.admission import FORGOTTEN_S
from nvsx.app.daemon.gate import GatedJournal
from nvsx.app.daemon.runs import TRIGGER_FILE, places_of, write_trigger
from nvsx.app.execution import guarded
from nvsx.app.scripts import ProjectScripts
from nvsx.cluster.processes import run_process
from nvsx.engine.effects import SETTLED, Effect, Effects
from nvsx.engine.environment import Moment
from nvsx.engine.masks import Masker
from nvsx.engine.plan import Plan, TriggerFacts, new_run_id
from nvsx.engine.telling import Teller
from nvsx.errors import NvsxError
from nvsx.journal import MemoryJournal
from nvsx.model import DEFAULT_HOOK_TIMEOUT_S, Retry, Runbook
from nvsx.watches.incident import Incident

if TYPE_CHECKING:
    import random

    from nvsx.app.daemon.runs import Ground, Tools
    from nvsx.engine.effects import Result
    from nvsx.events import RunEvent
    from nvsx.ports import Sink

RETRY = Retry(attempts=3, backoff_s=2.0)


class Alarms:
    """Calls hooks that belong to no run. `rung` maps what they were called for to when it was last so."""

    def __init__(self, ground: Ground, tools: Tools, rng: random.Random, rung: dict[str, float]) -> None:
        self.rung = rung
        self._ground = ground
        self._tools = tools
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()

    def is_new(self, key: str) -> bool:
        """Whether nobody was called for this lately; either way it was heard of now."""
        now = self._tools.clock.now()
        self.rung.update({known: min(time, now) for known, time in self.rung.items() if time > now})
        for known in [known for known, time in self.rung.items() if now - time > FORGOTTEN_S]:
            del self.rung[known]
        new = key not in self.rung
        self.rung[key] = now
        return new

    def forget(self, key: str) -> None:
        """It is over; the next time is a new one."""
        self.rung.pop(key, None)

    def ring(
        self, name: str, script: str, why: str, *, key: str, node: str = "", alias: str = "", status: str = "fail",
        runbook: str = "nvsx", payload: bytes = b"",
    ) -> None:  # fmt: skip
        """Call a hook with `why` as NVSX_WAITING_FOR. Nobody waits for it; that it failed is said in the log."""
        plan = self._plan(f"nvsx-{new_run_id(self._tools.clock.now(), self._rng)}", runbook, node, alias, key)
        task = asyncio.create_task(self._ring(plan, name, script, why, status, payload), name=f"{name} of nvsx")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def beat(self, script: str) -> bool:
        """Call the heartbeat's hook; whether it ended well. What it prints is of no interest."""
        plan = self._plan("nvsx-heartbeat", "nvsx", "", "", "heartbeat")
        effect = Effect("hook", "heartbeat", script, DEFAULT_HOOK_TIMEOUT_S)
        try:
            result = await self._effect(plan, effect, Moment(""), _Nowhere())
        except NvsxError as error:
            self._tools.log.say(f"the heartbeat's hook could not be called: {error.message}", level="error")
            return False
        if result.outcome not in SETTLED:
            self._tools.log.say(f"the heartbeat's hook ({script}) failed: {result.detail}", level="error")
        return result.ok

    async def settle(self) -> None:
        """Wait for the hooks that were called."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await self.settle()

    async def _ring(self, plan: Plan, name: str, script: str, why: str, status: str, payload: bytes) -> None:
        log = self._tools.log
        effect = Effect("hook", name, script, DEFAULT_HOOK_TIMEOUT_S, retry=RETRY)
        try:
            write_trigger(places_of(self._ground.base, plan.run_id).run_dir / TRIGGER_FILE, payload or why.encode())
            result = await self._effect(plan, effect, Moment("", status, waiting_for=why), self._tools.sink)
        except NvsxError as error:
            log.say(f"{name} could not be called: {error.message}; it was about: {why}", level="error")
            return
        if result.outcome not in SETTLED:
            log.say(f"{name} ({script}) failed: {result.detail}; it was about: {why}", level="error")

    async def _effect(self, plan: Plan, effect: Effect, moment: Moment, sink: Sink) -> Result:
        tools = self._tools
        places_of(self._ground.base, plan.run_id)
        with guarded(plan, lazy=True) as guard:
            effects = Effects(
                plan,
                tools.clock,
                GatedJournal(tools.gate, MemoryJournal()),
                Teller(sink, tools.clock, run_id=plan.run_id, cluster=plan.cluster),
                tools.scripts or ProjectScripts(self._ground.root),
                guard,
                Masker(plan.secrets),
                tools.run_process or run_process,
            )
            incident = Incident(plan.target_node, plan.since, plan.namespace)
            return await effects.run(effect, incident, lambda: moment)

    def _plan(self, run_id: str, runbook: str, node: str, alias: str, key: str) -> Plan:
        ground, now = self._ground, self._tools.clock.now()
        run_dir = ground.base / "runs" / run_id
        return Plan(
            runbook=Runbook(runbook, runbook, runbook, "nvsx.yaml", ""),
            run_id=run_id,
            cluster=ground.cluster,
            context=ground.context,
            namespace=ground.namespace,
            target_node=node,
            target_alias=alias,
            since=now,
            root=str(ground.root),
            run_dir=str(run_dir),
            artifact_dir=str(run_dir / "artifacts"),
            environment={**ground.environment, "NVSX_NAMESPACE": ground.namespace},
            nvsx_version=__version__,
            secrets=ground.secrets,
            trigger=TriggerFacts("nvsx", str(run_dir / TRIGGER_FILE), key),
        )


class _Nowhere:
    def emit(self, event: RunEvent) -> None: ...

    def close(self) -> None: ...
