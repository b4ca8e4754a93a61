"""The desk where cases are decided: the ledger is asked, and what it answers is acted on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.admission import ATTACH, QUEUE, REFUSE, START
from nvsx.app.daemon import cases
from nvsx.app.daemon.runs import write_trigger
from nvsx.engine.plan import new_run_id
from nvsx.ledger import NewRun, Ring
from nvsx.routing.route import Report, route
from nvsx.routing.wants import EVENT, STORM
from nvsx.triggers import storm as storms
from nvsx.triggers.storm import CALM, Storm

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from nvsx.app.daemon.alarms import Alarms
    from nvsx.app.daemon.cases import Case
    from nvsx.app.daemon.project import Project
    from nvsx.app.daemon.runs import Runs, Tools
    from nvsx.app.daemon.tally import Tally
    from nvsx.ledger import Admitted


AT_ONCE = 256
"""Cases that are decided together, so that they share a commit."""


class Desk:
    """Decides about cases, and starts what is to start. `storm` is the storm that it sees in them."""

    def __init__(
        self, tools: Tools, runs: Runs, alarms: Alarms, tally: Tally, *, cluster: str, rng: random.Random,
        project: Callable[[], Project], alias: Callable[[str], str], storm: Storm = CALM, storm_incident: int = 0,
    ) -> None:  # fmt: skip
        self.storm = storm
        self.storm_incident = storm_incident
        self._tools = tools
        self._runs = runs
        self._alarms = alarms
        self._tally = tally
        self._cluster = cluster
        self._rng = rng
        self._project = project
        self._alias = alias
        self._answers_to_storms: tuple[Project, str] | None = None

    async def decide(
        self, found: Sequence[Case], answered: Callable[[int, Admitted], None] | None = None
    ) -> list[Admitted]:
        """The answer to each case, in order, durable; what may start is being started. `answered` is called for each
        case with its number and answer.

        Raises EnvironmentUnusable where one could not be written down: then nothing came of those that were not
        answered. Many share one commit.
        """
        answers: list[Admitted] = []
        gathered = await self._gathered(found)
        for begin in range(0, len(gathered), AT_ONCE):
            results = await self._decided(gathered[begin : begin + AT_ONCE])
            for at, result in enumerate(results, begin):
                if isinstance(result, BaseException):
                    continue
                answers.append(result)
                if answered:
                    answered(at, result)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        return answers

    async def _decided(self, part: Sequence[Case]) -> Sequence[Admitted | BaseException]:
        if len(part) == 1:  # most deliveries, and a task for it would be a third of its cost
            try:
                return [await self._decide(part[0])]
            except Exception as error:
                return [error]
        return await asyncio.gather(*(self._decide(case) for case in part), return_exceptions=True)

    async def _decide(self, case: Case) -> Admitted:
        project, occasion = self._project(), case.occasion
        runbook = project.runbooks.get(occasion.runbook)
        run = None
        if runbook:
            run_id = new_run_id(self._tools.clock.now(), self._rng)
            alias = self._alias(occasion.node) if occasion.node else ""
            run = NewRun(run_id, runbook.name, runbook.text, occasion.node, alias, case.trigger)
        admitted = await self._tools.ledger.admit(
            occasion,
            project.config.limits,
            project.config.silences,
            cluster=self._cluster,
            evidence=case.evidence,
            run=run,
            rule=case.route.place,
            considered=[] if case.route.runbook else case.route.considered,
            stopping=self._tools.gate.stopping,
            ring=self._call_for(case) if self._is_nobodys(case) else None,
        )
        self._tally.decisions[occasion.source, admitted.decision.verdict] += 1
        await self._act(case, admitted)
        return admitted

    async def _act(self, case: Case, admitted: Admitted) -> None:
        verdict, reason = admitted.decision.verdict, admitted.decision.reason
        what = case.evidence.summary
        if verdict == START:
            self._tools.log.say(
                f"{what}: starts {case.occasion.runbook} ({reason}; {case.route.place})", topic="trigger"
            )
            self._runs.start(admitted.run_id)  # whoever reported it must not wait for that
        elif verdict == QUEUE:
            self._tools.log.say(f"{what}: waits as run {admitted.run_id} ({reason})", topic="trigger")
        elif verdict == REFUSE:
            self._tools.log.warn(f"{what}: refused: {reason}", topic="trigger")
        elif admitted.rung.new:
            self._tools.log.warn(f"{what}: {case.occasion.why}", topic="trigger")
            self._alarms.start(admitted.rung.alarm)

    def _is_nobodys(self, case: Case) -> bool:
        """Whether a fault was reported for which there is no runbook at all."""
        report = case.report
        lost = not case.route.runbook and not case.occasion.elsewhere and report.fatal and not report.healthy
        return (
            lost
            and report.occasion == EVENT
            and not report.says_nothing
            and not case.occasion.why.startswith(PASSED_OVER)
        )

    def _call_for(self, case: Case) -> Ring:
        node, report = case.occasion.node, case.report
        topic = f"unhandled/{node}/{report.check}/{'+'.join(report.error_codes)}"
        why = f"{case.evidence.summary}: {case.occasion.why}"
        return self._alarms.news(topic, "onFailure", why, node=node, payload=case.evidence.payload)

    async def breaker_trips(self, case: Case) -> bool:
        """No runbook answers to the breaker: the hooks of `nvsx.yaml` are called. Whether it was news."""
        return await self._alarms.ring(self._alarms.news(cases.BREAKER, "onFailure", case.evidence.summary))

    async def breaker_closes(self) -> bool:
        """Whoever was called because it had tripped is told; the next time is a new one. False: ask again later."""
        return await self._alarms.resolve(cases.BREAKER, "NVSentinel's circuit breaker is closed again")

    # Storms

    async def _gathered(self, found: Sequence[Case]) -> list[Case]:
        """The cases with those that belong to a storm turned into news of it; a storm that begins is started here."""
        if not self._storm_runbook():
            return list(found)
        single = {id(case) for case in found if cases.starts_single_run(case) and self._is_first(case.occasion.node)}
        faults = [(case.occasion.node, case.moment) for case in found if id(case) in single]
        limits, before = self._project().config.limits, self.storm
        self.storm = storms.gathered(self.storm, faults, self._tools.clock.now(), limits)
        if self.storm.rages and not before.rages:
            await self._storm_begins()
        if self.storm.rages and self.storm.nodes != before.nodes:
            self._storm_grows()
        return [self._in_storm(case) if id(case) in single else case for case in found]

    def _storm_runbook(self) -> str:
        """The runbook that answers to storms, "" where there is none. It is asked for with every delivery."""
        project = self._project()
        if self._answers_to_storms is None or self._answers_to_storms[0] is not project:
            self._answers_to_storms = project, route(Report(STORM), list(project.runbooks.values())).runbook
        return self._answers_to_storms[1]

    def _is_first(self, node: str) -> bool:
        """Whether nothing is under way for the node: what belongs to an open incident is not one more node."""
        return not self._tools.ledger.incidents(node=node)

    async def _storm_begins(self) -> None:
        nodes = self.storm.nodes
        self._tools.log.warn(f"a storm: {len(nodes)} nodes failed within minutes: {', '.join(nodes[:20])}", "trigger")
        try:
            admitted = await self._decide(cases.of_storm(self.storm, self._project(), self._tools.clock.now()))
        except BaseException:
            self.storm = CALM  # it was not written down: the next fault begins it again
            raise
        self.storm_incident = admitted.incident
        if admitted.decision.verdict not in (START, QUEUE, ATTACH):  # silenced, say: then it is no storm either
            self.storm = CALM

    def _storm_grows(self) -> None:
        """The list of nodes that the storm's hooks read is always the newest."""
        incident = next((one for one in self._tools.ledger.incidents() if one.id == self.storm_incident), None)
        file = self._runs.trigger_file(incident.run_id) if incident else None
        if file and file.exists():
            with suppress(OSError):  # a full disk: the next node that fails writes it anew
                write_trigger(file, storms.listed(self.storm).encode())

    def _in_storm(self, case: Case) -> Case:
        if not self.storm.rages or case.occasion.node not in self.storm.nodes:
            return case
        news = f"part of the storm: {case.evidence.summary}"
        return cases.of_storm(self.storm, self._project(), case.occasion.time, news)

    async def storm_fails(self, failures: dict[str, str]) -> None:
        """Nodes of the storm for which NVSentinel will do nothing more: they are named in one update."""
        new = {node: why for node, why in failures.items() if node in self.storm.nodes and node not in self.storm.named}
        if not new:
            return
        key = f"storm@{self.storm.nodes[0]}@{int(self.storm.began)}"
        # Told by a daemon that died before it could keep its storm:
        told = {node for topic in self._alarms.rung(f"{key}/") for node in topic.rpartition("/")[2].split(",")}
        new = {node: why for node, why in new.items() if node not in told}
        if new:
            await self._name_failed(new, key)
        self.storm = self.storm._replace(named=self.storm.named | new.keys() | told)

    async def _name_failed(self, new: dict[str, str], key: str) -> None:
        project, name = self._project(), self._storm_runbook()
        hooks = project.prepared(project.runbooks[name]).hooks if name else project.config.hooks
        why = "; ".join(f"{node}: {reason}" for node, reason in sorted(new.items()))
        news = self._alarms.news(
            f"{key}/{','.join(sorted(new))}", "onReminder", why, key=key, script=hooks.get("onReminder", ""),
            runbook=name or "storm", payload=storms.listed(self.storm).encode(),
        )  # fmt: skip
        await self._alarms.ring(news)
        self._tools.log.warn(f"storm: {why}", topic="trigger")


PASSED_OVER = "not run: "
"""How the reason begins where nvsx itself decided that an event is only recorded."""
