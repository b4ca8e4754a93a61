"""The daemon: one loop, one view of the cluster, one ledger; what sources report becomes runs, and nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from nvsx.admission import BY_HAND, Incident, closes
from nvsx.app.daemon.alarms import Alarms
from nvsx.app.daemon.checkup import Checkup
from nvsx.app.daemon.desk import Desk
from nvsx.app.daemon.fleet import Fleet
from nvsx.app.daemon.intake import TRIPPED, Intake
from nvsx.app.daemon.memory import Memory, kept, remembered
from nvsx.app.daemon.runs import Ground, Runs, Tools
from nvsx.app.daemon.vigil import Vigil, end_unwatched
from nvsx.app.daemon.watch import Watch
from nvsx.app.records.retention import KEEP_S, forget_old
from nvsx.errors import NvsxError
from nvsx.triggers import storm as storms
from nvsx.triggers.healthsource import HealthEventSource

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine

    from nvsx.app.daemon.project import Project
    from nvsx.app.daemon.tally import Tally
    from nvsx.healthevents import Rejection
    from nvsx.ledger import IncidentRow
    from nvsx.ports import Database

CANCELS_S = 1.0
"""How often the daemon looks whether somebody asked for the end of a run."""

SWEEP_S = 10.0
"""How often the daemon looks for what nobody runs, closes incidents without an occasion, and keeps its memory."""


class Options(NamedTuple):
    """What the command line chose. `polls`: health events are a source; otherwise only webhooks are."""

    polls: bool = True
    poll_s: float = 10.0
    adopt: bool = False
    keep_s: float = KEEP_S
    sweeps: bool = False  # one look, as cron has it, and what was said before is not said again


class Daemon:
    """Made inside the loop that it works in. `start`, then `run` until cancelled or `sweep` once; then `stop`."""

    def __init__(
        self, ground: Ground, tools: Tools, project: Project, options: Options, tally: Tally, *,
        database: Database | None, rng: random.Random,
    ) -> None:  # fmt: skip
        self.project = project
        self.ground, self.tools, self.options, self.tally = ground, tools, options, tally
        memory = self._remembered()
        self.first, self._began = memory.first, memory.began
        self.runs = Runs(ground, tools, lambda: self.project, lambda node: self.fleet.alias(node), self._run_ended)
        self._alarms_before = memory.alarms
        self.alarms = Alarms(
            ground, tools, rng, lambda: self.project, lambda node: self.fleet.alias(node), scope=self._name,
            tally=tally,
        )  # fmt: skip
        self.desk = Desk(
            tools, self.runs, self.alarms, tally, cluster=ground.cluster, rng=rng, project=lambda: self.project,
            alias=lambda node: self.fleet.alias(node), storm=memory.storm, storm_incident=memory.storm_incident,
        )  # fmt: skip
        polls = options.polls
        self.fleet = Fleet(
            tools.view, tools.clock, ground.namespace, memory.troubled, memory.left,
            on_node=lambda node: self.intake.node(node) if polls else None,
            on_left=self._left,
            on_breaker=lambda state: self.intake.breaker(state) if polls else None,
        )  # fmt: skip
        now = tools.clock.now()
        self.intake = Intake(
            self.desk, self.fleet, tools.log, tally, tools.clock, lambda: self.project,
            standings=dict(memory.standings), breaker_incident=memory.breaker_incident, now=now,
            began=0.0 if options.adopt else memory.began, first=memory.first,
        )  # fmt: skip
        self.source = HealthEventSource(
            tools.view, database, tools.clock, memory.cursor, poll_s=options.poll_s, rng=rng,
            on_event=self.intake.event, on_rejection=self._unreadable, on_state=lambda state: self.watch.changed(state),
        )  # fmt: skip
        self.watch = Watch(self)
        self.checkup = Checkup(tools, self.alarms, ground.cluster)
        self.vigil = Vigil(ground.base, self._polling)
        self._tasks: list[asyncio.Task[None]] = []
        self._kept = ""
        self._due = asyncio.Event()

    def _remembered(self) -> Memory:
        """What an earlier daemon knew. A damaged memory is said, and its place is that of a daemon after a long gap."""
        now = self.tools.clock.now()
        try:
            return remembered(self.tools.ledger.cursor(self._name), now)
        except ValueError as error:
            self.tools.log.say(
                f"what nvsx remembered of this cluster cannot be used: {error}", topic="record", level="error"
            )
            return remembered("", now)._replace(began=0.0, first=False)

    @property
    def _name(self) -> str:
        # A daemon that only listens to webhooks has not been watching: that must not count as a gap of one that polls.
        return self._polling if self.options.polls else f"webhook/{self.ground.cluster}"

    @property
    def _polling(self) -> str:
        return f"serve/{self.ground.cluster}"

    # Life

    def start(self) -> None:
        """Look at the cluster from now on."""
        if self.options.polls:
            self.vigil.keep()
        self.fleet.start(closely=self.options.polls)

    async def run(self) -> None:
        """Work until cancelled."""
        jobs: list[Coroutine[None, None, None]] = [
            self.intake.work(),
            self.keep_house(),
            self.watch.mind(),
            self.watch.beat(),
            self.checkup.work(),
        ]
        if self.options.polls:
            jobs.append(self.source.run())
        with suppress(NvsxError):  # said by the intake, when it has something to write down
            await self.keep()  # from now on this is no first start any more, whatever becomes of this process
        self._tasks = [asyncio.create_task(job) for job in jobs]
        with suppress(NvsxError):  # it is tried again while the house is kept
            await self.take_up()
            await self._end_unwatched()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._end_tasks()

    @property
    def trouble(self) -> str:
        """Why something cannot be written down now, "" where all can."""
        return self.intake.trouble or self.tools.gate.patience.trouble

    async def take_up(self) -> int:
        """Go on with what nobody runs: queued runs, and those whose process is gone. What a person began by hand is
        that person's to resume. And call people where a daemon died before it could.
        """
        ledger = self.tools.ledger
        if self._alarms_before:
            await ledger.remember_rung(self._name, self._alarms_before)
            self._alarms_before = {}
        self.alarms.take_up()
        if ledger.owns_all():
            return 0
        rows = (row for row in (*ledger.orphans(), *ledger.queued()) if row.cluster == self.ground.cluster)
        return await self.runs.take_up([row for row in rows if row.source != BY_HAND and not row.drill])

    async def stop(self, grace_s: float) -> None:
        """Begin nothing more, wait for hooks under way, and leave the rest to the next start."""
        tools = self.tools
        if tools.gate.running:
            tools.log.say(f"stopping: waiting up to {grace_s:g} s for {tools.gate.running} processes of runs")
        whole = await tools.gate.stop(grace_s)
        going = len(self.runs.active)
        await self._end_tasks()
        await self.runs.stop()
        calls = await self.alarms.stop()
        self.fleet.close()
        self.vigil.leave()
        if not self.options.sweeps:
            with suppress(NvsxError):
                await self.keep()
        tools.gate.shut = False  # the last words are the daemon's own
        if calls:
            which = f"{calls} calls of nvsx's own go" if calls > 1 else "1 call of nvsx's own goes"
            tools.log.say(f"{which} on at the next start")
        if going:
            cut = "" if whole else "; what did not end in time counts as unknown"
            tools.log.say(f"{going} run{' goes' if going == 1 else 's go'} on at the next start{cut}")

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reload(self, project: Project) -> None:
        """Work by another set of runbooks from now on; runs under way keep theirs."""
        self.project = project
        self.intake.reloaded()

    # What goes on beside

    def _left(self, node: str) -> None:
        self.intake.left(node)
        self._due.set()

    async def _run_ended(self, run_id: str) -> None:
        self._due.set()

    def _unreadable(self, rejection: Rejection) -> None:
        self.tally.unreadable += 1
        which = f" {rejection.id}" if rejection.id else ""
        self.tools.log.warn(f"a health event{which} cannot be read: {rejection.path} {rejection.message}", "trigger")

    async def keep_house(self) -> None:
        """Sweep up after runs and incidents until cancelled."""
        swept = self.tools.clock.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCELS_S if self.runs.active else SWEEP_S):
                    await self._due.wait()
            now = self.tools.clock.monotonic()
            with suppress(NvsxError):  # the intake says when the disk is full
                self._end_cancelled()
                if self._due.is_set() or now - swept >= SWEEP_S:
                    self._due.clear()
                    swept = now
                    await self.tidy()
                    await self.take_up()
                    await self._end_unwatched()
                    if not self.options.sweeps:  # what a later sweep remembers is newer
                        await self.keep()
                    await asyncio.sleep(CANCELS_S)  # a thousand runs that end together are one occasion

    def _end_cancelled(self) -> None:
        """End the runs whose end somebody asked for."""
        for run_id in self.tools.ledger.cancellations() if self.runs.active else ():
            self.runs.cancel(run_id)

    async def tidy(self) -> None:
        """Close incidents that are over, and forget what is old."""
        ledger, now = self.tools.ledger, self.tools.clock.now()
        self.desk.storm = storms.after(self.desk.storm, now, self.project.config.limits)
        for row in ledger.incidents():
            if row.cluster == self.ground.cluster and self._is_over(row, now):
                await ledger.close_incident(row.id, now)
        await forget_old(ledger, self.ground.base / "runs", self.tools.clock, self.options.keep_s)

    async def _end_unwatched(self) -> None:
        """Where this daemon only listens, and nobody else looks: close what would stay open for ever."""
        if not self.options.polls:
            await end_unwatched(self.alarms, self.vigil, self._were_swept, self.tools.clock.now())

    def _were_swept(self) -> bool:
        """Whether the last who polled was a sweep; a damaged memory says nothing of that."""
        try:
            return remembered(self.tools.ledger.cursor(self._polling), 0.0).sweeps
        except ValueError:
            return True

    def _is_over(self, row: IncidentRow, now: float) -> bool:
        incident = Incident(row.id, row.node, row.runbook, row.run_id, row.opened, row.closed, row.session,
                            row.run_ended, min(row.news, now))  # fmt: skip
        special = {
            self.desk.storm_incident: self.desk.storm.rages,
            self.intake.breaker_incident: self.fleet.breaker == TRIPPED,
        }
        if row.id in special:
            return bool(row.run_ended) and not special[row.id]
        left = self.fleet.has_left(row.node, row.opened) if row.node else False
        return closes(incident, now, quarantined=False if left else None)

    def _left_behind(self) -> dict[str, float]:
        """Nodes that have left quarantine while their run goes on: it may end under another daemon."""
        left = self.fleet.left
        return {row.node: left[row.node] for row in self.tools.ledger.incidents() if row.node in left}

    async def keep(self) -> None:
        """Write down what the daemon itself must know after a restart, as soon as all that was seen is decided."""
        if not self.intake.is_settled:
            return
        text = kept(
            Memory(
                self.source.cursor,
                self.fleet.to_data(),
                self._left_behind(),
                self.desk.storm,
                self.desk.storm_incident,
                self.intake.breaker_incident,
                self.intake.standings,
                began=self._began,
                sweeps=self.options.sweeps,
            )
        )
        if text != self._kept:
            await self.tools.ledger.set_cursor(self._name, text)
            self._kept = text
