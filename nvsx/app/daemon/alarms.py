"""nvsx's own calls for people, through the hooks of `nvsx.yaml`: its blindness, what nobody handles, a storm's news.

Each is in the ledger before it is called and until it has ended: no death of nvsx loses it, or repeats it unsaid.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.app.daemon.gate import GatedJournal
from nvsx.app.daemon.runs import TRIGGER_FILE, places_of, write_trigger
from nvsx.app.execution import guarded
from nvsx.app.records.recovery import take_up_alarm
from nvsx.app.scripts import ProjectScripts
from nvsx.cluster.processes import run_process
from nvsx.engine.effects import SETTLED, Effect, Effects, Result
from nvsx.engine.environment import Moment
from nvsx.engine.history import NEW_RUN
from nvsx.engine.masks import Masker
from nvsx.engine.plan import Plan, TriggerFacts, new_run_id
from nvsx.engine.telling import Teller
from nvsx.errors import NvsxError
from nvsx.journal import MemoryJournal
from nvsx.ledger import Alarm, Ring
from nvsx.model import DEFAULT_HOOK_TIMEOUT_S, RESOLVED_HOOK, Retry, Runbook
from nvsx.watches.incident import Incident

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Mapping

    from nvsx.app.daemon.project import Project
    from nvsx.app.daemon.runs import Ground, Tools
    from nvsx.app.daemon.tally import Tally
    from nvsx.engine.history import History
    from nvsx.events import RunEvent
    from nvsx.ports import Journal, Sink

RETRY = Retry(attempts=3, backoff_s=2.0)


class Alarms:
    """Calls hooks that belong to no run. `scope` is this daemon's name: whose memory of earlier calls counts."""

    def __init__(
        self, ground: Ground, tools: Tools, rng: random.Random, project: Callable[[], Project],
        alias: Callable[[str], str], *, scope: str, tally: Tally,
    ) -> None:  # fmt: skip
        self._ground = ground
        self._tools = tools
        self._rng = rng
        self._project = project
        self._alias = alias
        self._scope = scope
        self._tally = tally
        tally.calls_failed = tools.ledger.failed_alarms(ground.cluster)
        self._active: dict[str, asyncio.Task[None]] = {}
        self._last: dict[str, asyncio.Task[None] | None] = {}  # by paging key

    # Deciding

    def news(
        self, topic: str, hook: str, why: str, *, key: str = "", node: str = "", status: str = "fail",
        payload: bytes = b"", script: str = "", runbook: str = "nvsx",
    ) -> Ring:  # fmt: skip
        """A topic and the call that it asks for: `script`, or the hook of `nvsx.yaml` (`onBlind` falls back to
        `onFailure`); none where there is no such hook.
        """
        hooks = self._project().config.hooks
        chosen = hook if hook in hooks or hook in (RESOLVED_HOOK, "onReminder") else "onFailure"
        script = script or hooks.get(chosen, "")
        if not script:
            return self.quiet_news(topic)
        now = self._tools.clock.now()
        alarm = Alarm(
            id=f"nvsx-{new_run_id(now, self._rng)}",
            cluster=self._ground.cluster,
            at=now,
            hook=chosen,
            script=script,
            why=why,
            key=key or topic,
            node=node,
            alias=self._alias(node) if node else "",
            status=status,
            runbook=runbook,
            payload=payload,
        )
        return Ring(self._scope, topic, alarm)

    def quiet_news(self, topic: str) -> Ring:
        """A topic for which nobody is called: only that it was said is remembered."""
        return Ring(self._scope, topic, None)

    async def ring(self, news: Ring) -> bool:
        """Call people, unless they were called for this topic lately; whether it was news. It is durable then.

        Raises EnvironmentUnusable where it cannot be written down: nobody was called, and it may be tried again.
        """
        rung = await self._tools.ledger.ring(news)
        self.start(rung.alarm)
        return rung.new

    async def resolve(self, topic: str, why: str) -> bool:
        """The topic is over: say so through `onResolved`, with the key of the alarm that was called for it, once.

        False where that one has not ended: ask again later. Raises EnvironmentUnusable as `ring` does.
        """
        known = self._tools.ledger.rung(self._scope, topic)
        return topic not in known or await self._resolve(self._scope, topic, known[topic], why, "pass")

    async def abandon(self, scope: str, topic: str) -> None:
        """Nobody will see the end of a topic of another scope: tell those who were called for it, and the log, once."""
        ledger = self._tools.ledger
        known = ledger.rung(scope, topic)
        was = ledger.alarm(known.get(topic, ""))
        what = was.why if was else topic
        why = f"closed, not over: nvsx only listens now (--mode webhook) and will not see the end of this: {what}"
        if topic in known and await self._resolve(scope, topic, known[topic], why, "cancelled") and was:
            self._tools.log.warn(why, topic="blind")

    async def _resolve(self, scope: str, topic: str, alarm: str, why: str, status: str) -> bool:
        news = self.news(topic, RESOLVED_HOOK, why, status=status)._replace(scope=scope)
        was = self._tools.ledger.alarm(alarm)
        if was and news.alarm:
            alike = news.alarm._replace(key=was.key, node=was.node, alias=was.alias, runbook=was.runbook)
            news = news._replace(alarm=alike)
        rung = await self._tools.ledger.resolve(news)
        self.start(rung.alarm)
        return rung.new

    def rung(self, prefix: str) -> Mapping[str, str]:
        """Topics that begin so and that people were called for, each with the id of the call ("" for none)."""
        return self._tools.ledger.rung(self._scope, prefix)

    def heard(self, scope: str) -> Mapping[str, float]:
        """Topics of a scope that people are called for no more, each with when it was last heard of, epoch seconds."""
        return self._tools.ledger.heard(scope)

    def called_at(self, topic: str) -> float:
        """When people were called for a topic that goes on, epoch seconds; 0.0 if they were not."""
        alarm = self._tools.ledger.alarm(self.rung(topic).get(topic, ""))
        return alarm.at if alarm else 0.0

    # Calling

    def start(self, alarm: str) -> None:
        """Begin a call that is written down; nobody waits for it. That it failed is said in the log."""
        if alarm and alarm not in self._active:
            task = asyncio.create_task(self._conduct(alarm), name=f"alarm {alarm}")
            self._active[alarm] = task
            task.add_done_callback(lambda _: self._active.pop(alarm, None))

    def take_up(self) -> None:
        """Call what is written down and nobody calls: a daemon died before it could, or was cut off."""
        if not self._tools.gate.stopping:
            for alarm in self._tools.ledger.free_alarms(self._ground.cluster):
                self.start(alarm.id)

    async def beat(self, script: str) -> bool:
        """Call the heartbeat's hook; whether it ended well. What it prints is of no interest."""
        plan = self._plan(Alarm("nvsx-heartbeat", "", 0.0, "heartbeat", script, "", "heartbeat"))
        try:
            effect = Effect("hook", "heartbeat", script, DEFAULT_HOOK_TIMEOUT_S)
            result = await self._effect(plan, effect, Moment(""), _Nowhere(), MemoryJournal(), NEW_RUN)
        except NvsxError as error:
            self._tools.log.say(f"the heartbeat's hook could not be called: {error.message}", level="error")
            return False
        if result.outcome not in SETTLED:
            self._tools.log.say(f"the heartbeat's hook ({script}) failed: {result.detail}", level="error")
        return result.ok

    async def settle(self) -> None:
        """Wait for the hooks that were called."""
        while self._active:
            await asyncio.gather(*self._active.values(), return_exceptions=True)

    async def stop(self) -> int:
        """Leave what has not ended to the next start; returns how many calls that are."""
        tasks = tuple(self._active.values())
        for task in tasks:
            task.cancel()
        await self.settle()
        return len(tasks)

    async def _conduct(self, alarm: str) -> None:
        ledger = self._tools.ledger
        with suppress(NvsxError):  # the disk: it is taken up later
            row = ledger.alarm(alarm)
            if row is None:
                return
            async with self._turn(row.key):
                if await ledger.claim_alarm(alarm):
                    result = await self._call(row)
                    await ledger.end_alarm(alarm, result.outcome)
                    self._tally.call_ended(row.kind, result.outcome, self._tools.clock.now())
                    if result.outcome not in SETTLED:
                        self._say(f"{row.hook} ({row.script}) failed: {result.detail}; it was about: {row.why}")

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Wait for the calls of the same page that were begun before: its end must not overtake its begin."""
        mine = asyncio.current_task()
        before, self._last[key] = self._last.get(key), mine
        try:
            if before is not None:
                await asyncio.wait([before])
            yield
        finally:
            if self._last.get(key) is mine:
                del self._last[key]

    async def _call(self, row: Alarm) -> Result:
        tools = self._tools
        try:
            with tools.clock.holding():  # what a dead process left is looked for in a thread
                history = await take_up_alarm(tools.ledger, row.id)
            for cut in history.cut_off:
                self._say(
                    f"unknown: {cut.name} ({cut.script}) was cut off when nvsx was killed, and is called again with the"
                    f" same key; it was about: {row.why}"
                )
            plan = self._plan(row)
            await tools.gate.patience.until(partial(self._make_place, row), tools.log)
            effect = Effect("hook", row.hook, row.script, DEFAULT_HOOK_TIMEOUT_S, retry=RETRY)
            moment = Moment("", row.status, waiting_for=row.why)
            return await self._effect(plan, effect, moment, tools.sink, tools.ledger, history)
        except (NvsxError, OSError) as error:
            return Result("failed", detail=f"it could not be called: {error}")
        except Exception as error:  # of this call alone: it is over, and said to be
            asyncio.get_running_loop().call_exception_handler({"message": f"alarm {row.id}", "exception": error})
            return Result("failed", detail=f"{type(error).__name__}: {error}")

    async def _make_place(self, row: Alarm) -> None:
        file = places_of(self._ground.base, row.id).run_dir / TRIGGER_FILE
        write_trigger(file, row.payload or row.why.encode())

    def _say(self, text: str) -> None:
        self._tools.log.say(text, level="error")

    async def _effect(
        self, plan: Plan, effect: Effect, moment: Moment, sink: Sink, journal: Journal, history: History
    ) -> Result:
        tools = self._tools
        places_of(self._ground.base, plan.run_id)
        with guarded(plan, lazy=True) as guard:
            effects = Effects(
                plan,
                tools.clock,
                GatedJournal(tools.gate, journal, tools.log),
                Teller(sink, tools.clock, run_id=plan.run_id, cluster=plan.cluster, first=history.next_seq),
                tools.scripts or ProjectScripts(self._ground.root),
                guard,
                Masker(plan.secrets),
                tools.run_process or run_process,
                history,
            )
            await effects.own_up(history.cut_off)
            incident = Incident(plan.target_node, plan.since, plan.namespace)
            return await effects.run(effect, incident, lambda: moment)

    def _plan(self, row: Alarm) -> Plan:
        ground = self._ground
        run_dir = ground.base / "runs" / row.id
        return Plan(
            runbook=Runbook(row.runbook, row.runbook, row.runbook, "nvsx.yaml", ""),
            run_id=row.id,
            cluster=ground.cluster,
            context=ground.context,
            namespace=ground.namespace,
            target_node=row.node,
            target_alias=row.alias,
            since=row.at or self._tools.clock.now(),
            root=str(ground.root),
            run_dir=str(run_dir),
            artifact_dir=str(run_dir / "artifacts"),
            environment={**ground.environment, "NVSX_NAMESPACE": ground.namespace},
            nvsx_version=__version__,
            secrets=ground.secrets,
            trigger=TriggerFacts("nvsx", str(run_dir / TRIGGER_FILE), row.key),
        )


class _Nowhere:
    def emit(self, event: RunEvent) -> None: ...

    def close(self) -> None: ...
