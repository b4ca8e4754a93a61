"""The daemon as the webhook sees it: takes deliveries, and shows what it is doing."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from nvsx import __version__
from nvsx.admission import IGNORE, QUEUE, START
from nvsx.app.daemon import cases
from nvsx.app.daemon.records import list_of_calls, list_of_runs, one_run
from nvsx.engine.plan import incident_key_of
from nvsx.healthevents.cursor import OVERLAP_S
from nvsx.triggers.inbox import UNKNOWN, Receipt
from nvsx.triggers.nodes import resolve

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from nvsx.app.daemon.cases import Case
    from nvsx.app.daemon.core import Daemon
    from nvsx.ledger import Admitted
    from nvsx.metrics import Figures
    from nvsx.triggers.inbox import Delivery


_STARTING = "nvsx has just started and does not know the nodes yet"


class Front:
    """The `Inbox` of a daemon. `drills` gives when a drill of each runbook last passed, epoch seconds."""

    def __init__(self, daemon: Daemon, drills: Callable[[], Mapping[str, float]], started: float) -> None:
        self._daemon = daemon
        self._drills = drills
        self._started = started

    @property
    def looked(self) -> asyncio.Event:
        """Set once it is known what nodes there are, or that they are not there for the asking."""
        return self._daemon.fleet.looked

    async def take(self, delivery: Delivery) -> Sequence[Receipt]:
        """Decide about each alert; all of it is durable when this returns.

        Just after the start the nodes are not known, by whose names many alerts are told apart: wait for `looked`.
        """
        await self.looked.wait()
        found = self._cases(delivery)
        unknown = [self._unknown(case) if delivery.format == "nvsx" else None for case in found]
        asked = [case for case, receipt in zip(found, unknown, strict=True) if receipt is None]
        answers = iter(await self._daemon.desk.decide(asked))
        return [receipt or self._receipt(case, next(answers)) for case, receipt in zip(found, unknown, strict=True)]

    def _cases(self, delivery: Delivery) -> list[Case]:
        daemon = self._daemon
        found = []
        for alert in delivery.alerts:
            node = resolve(alert, daemon.fleet.known()).node
            sight = cases.Sight(daemon.fleet.labels(node), daemon.fleet.session(node))
            found.append(cases.of_alert(alert, node, delivery, daemon.project, sight))
        return found

    def _unknown(self, case: Case) -> Receipt | None:
        """The receipt of an alert that names a runbook which does not exist."""
        named = case.report.runbook
        if named and not case.route.runbook and not self._is_known(named):
            return Receipt(UNKNOWN, case.route.reason, node=case.occasion.node)
        return None

    def _is_known(self, name: str) -> bool:
        wanted = name.removeprefix("#")
        return any(wanted in (one.name, one.nickname) for one in self._daemon.project.runbooks.values())

    def _receipt(self, case: Case, admitted: Admitted) -> Receipt:
        verdict, occasion = admitted.decision.verdict, case.occasion
        runbook, node, key = occasion.runbook, occasion.node, ""
        if admitted.joined:
            runbook, node, key = admitted.joined
        elif verdict in (START, QUEUE):
            key = incident_key_of(self._daemon.ground.cluster, node, runbook, str(case.trigger.get("incident_key", "")))
        if verdict == IGNORE and self._unknown(case):
            verdict = UNKNOWN
        return Receipt(verdict, admitted.decision.reason, admitted.run_id, key, runbook, node)

    async def readiness(self) -> str:
        """Why nothing would be accepted now, "" where it would."""
        if self._daemon.tools.gate.stopping:
            return "nvsx is stopping"
        if not self.looked.is_set():
            return _STARTING
        return self._daemon.intake.trouble

    async def runs(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return list_of_runs(self._daemon.tools.ledger, limit=limit, unfinished=unfinished)

    async def calls(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        return list_of_calls(self._daemon.tools.ledger, limit=limit, unfinished=unfinished)

    async def run(self, run_id: str) -> Mapping[str, object] | None:
        return one_run(self._daemon.tools.ledger, run_id)

    async def metrics(self) -> Figures:
        """Everything but the webhook's own."""
        daemon = self._daemon
        tools, limits = daemon.tools, daemon.project.config.limits
        now = tools.clock.now()
        unfinished = tools.ledger.unfinished()
        queued = sum(1 for row in unfinished if row.status == "queued" and not row.owner)
        state = daemon.watch.state
        figures: dict[str, dict[tuple[str, ...], float]] = {
            "nvsx_build_info": {(__version__, platform.python_version()): 1},
            "nvsx_start_time_seconds": {(): self._started},
            "nvsx_ready": {(): 0 if await self.readiness() else 1},
            "nvsx_runs_open": {("queued",): queued, ("running",): len(unfinished) - queued},
            "nvsx_runs_open_limit": {(): limits.max_waiting},
            "nvsx_incidents_open": {(): len(tools.ledger.incidents())},
            "nvsx_calls_open": {(): len(tools.ledger.alarms(limit=10_000, unfinished=True))},
            "nvsx_hooks_running": {(): tools.gate.running},
            "nvsx_hooks_running_limit": {(): tools.gate.slots},
            "nvsx_ledger_damaged": {(): float(bool(daemon.checkup.damage))},
            "nvsx_drill_last_success_timestamp_seconds": {(name,): at for name, at in self._drills().items()},
        }
        if daemon.options.polls:
            read = self._read_up_to(now)
            figures["nvsx_blind"] = {(): float(daemon.watch.blind)}
            figures["nvsx_degraded"] = {("nodes",): float(state.nodes is not None)}
            if state.with_database:
                figures["nvsx_degraded"]["database",] = float(state.database is not None)
            figures["nvsx_cursor_lag_seconds"] = {(): max(0.0, now - read)}
            figures["nvsx_poll_last_success_timestamp_seconds"] = {(): read}
        if daemon.watch.last_beat:
            figures["nvsx_heartbeat_last_success_timestamp_seconds"] = {(): daemon.watch.last_beat}
        return {**daemon.tally.figures(), **figures}

    def _read_up_to(self, now: float) -> float:
        """Up to when health events are known to have been read: by the database, else by the nodes' own stream."""
        daemon = self._daemon
        read = daemon.source.looked
        if daemon.fleet.listed and daemon.fleet.blind is None and not daemon.watch.state.with_database:
            return now
        return read or daemon.source.cursor.start + OVERLAP_S
