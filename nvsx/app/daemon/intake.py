"""The intake: collects what the cluster shows until the desk can decide about it, and lets repeats wait a minute.

Callbacks of the streams only put things down here; deciding waits for the disk. What could not be decided (the disk is
full, too many runs wait) stays and is tried again: nothing that was seen is lost while the daemon lives.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from nvsx.admission import POLL, REFUSE
from nvsx.app.daemon import cases
from nvsx.app.daemon.desk import PASSED_OVER
from nvsx.errors import NvsxError
from nvsx.health import EXECUTE
from nvsx.oracle.stalling import FOREVER
from nvsx.triggers import stalls
from nvsx.watches.target import node_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.app.daemon.cases import Case
    from nvsx.app.daemon.desk import Desk
    from nvsx.app.daemon.fleet import Fleet
    from nvsx.app.daemon.log import Log
    from nvsx.app.daemon.project import Project
    from nvsx.app.daemon.tally import Tally
    from nvsx.clock import Clock
    from nvsx.health import HealthEvent
    from nvsx.ledger import Admitted
    from nvsx.oracle.position import Position
    from nvsx.oracle.stalling import Stall
    from nvsx.ports import Object
    from nvsx.triggers.healthsource import Told
    from nvsx.triggers.stalls import Standing

REPEAT_S = 60.0
"""What belongs to an incident that is open is written down at most this often; the newest stands for all."""

NOBODYS_S = 3600.0
"""The same for events that no runbook asks for."""

AGAIN_S = 5.0
"""What could not be decided is tried again after this time."""

PATIENCE_S = 6.0
"""How long the first decisions wait for the list of nodes: a little longer than it takes to know that one is blind."""

PLACE_S = 1.0
"""How long the changes of nodes are gathered before it is worked out how far the chain is with each."""

TRIPPED = "TRIPPED"
CLOSED = "CLOSED"
_Key = tuple[str, str, tuple[str, ...], bool]


class _Waiting(NamedTuple):
    """An event that waits, the newest of those that say the same."""

    told: Told
    due: float  # monotonic
    repeats: int = 0
    is_repeat: bool = False


class Intake:
    """`looking_since` is from when on nvsx has been looking without a gap (epoch seconds); what happened before and is
    over is only recorded. Nothing is run for what was there before `began`, nvsx's `first` start; 0.0: it is.
    """

    def __init__(
        self, desk: Desk, fleet: Fleet, log: Log, tally: Tally, clock: Clock, project: Callable[[], Project], *,
        standings: dict[str, Standing], breaker_incident: int, now: float, began: float, first: bool,
    ) -> None:  # fmt: skip
        self.standings = standings
        self.breaker_incident = breaker_incident
        self.looking_since = now
        self.trouble = ""  # why decisions cannot be written down now
        self._desk = desk
        self._fleet = fleet
        self._log = log
        self._tally = tally
        self._clock = clock
        self._project = project
        self._began, self._first = began, first
        self._waiting: dict[_Key, _Waiting] = {}
        self._muted: dict[_Key, float] = {}
        self._where: dict[str, Position] = {}
        self._moved: dict[str, tuple[Object, float]] = {}  # node as it was seen last, and when, epoch seconds
        self._placing: asyncio.TimerHandle | None = None
        self._surroundings = 0
        self._stalls_due = FOREVER  # when a standstill will be news if nothing moves, epoch seconds
        self._tripped = self._closed = False  # news of the breaker that is not dealt with
        self._breaker: str | None = None  # as last seen
        self._wake = asyncio.Event()
        self._listed: set[str] = set()

    # What streams call

    def event(self, told: Told) -> None:
        event = told.event
        if event.healthy or event.strategy != EXECUTE:
            self._tally.decisions[POLL, "ignore"] += 1
            return
        key = (event.node, event.check, event.error_codes, event.fatal)
        known = self._waiting.get(key)
        if known is not None:
            self._waiting[key] = known._replace(told=told, repeats=known.repeats + 1)
            return
        due = self._muted.get(key, 0.0)
        if told.present and self._was_there_before(event) and not self._first:
            return  # that was said, and recorded, when nvsx first started
        now = self._clock.monotonic()
        self._waiting[key] = _Waiting(told, max(due, now), is_repeat=due > now)
        if due <= now:
            self._wake.set()

    def node(self, node: Object) -> None:
        """Where the chain stands with it is worked out in a moment: runs that watch the node come first."""
        name = node_name(node)
        if name not in self.standings and name not in self._moved and stalls.is_sound(node):
            return
        self._moved[name] = node, self._clock.now()
        if self._placing is None:
            self._placing = asyncio.get_running_loop().call_later(PLACE_S, self._place)

    def _place(self) -> None:
        if self._placing:
            self._placing.cancel()
            self._placing = None
        moved, self._moved = self._moved, {}
        for name, (node, seen) in moved.items():
            known, where = self.standings.get(name), self._fleet.position(node)
            stood = stalls.standing(node, where, known, seen)
            if stood is None:
                self.standings.pop(name, None)
                self._where.pop(name, None)
                continue
            self.standings[name] = stood
            self._where[name] = where
            if known is None or known.mark != stood.mark:
                self._wake.set()

    def left(self, node: str) -> None:
        """The node has left quarantine: what comes now is a new incident."""
        self._moved.pop(node, None)
        self.standings.pop(node, None)
        self._where.pop(node, None)
        for key in [key for key in self._muted if key[0] == node]:
            del self._muted[key]
        for key, waiting in self._waiting.items():
            if key[0] == node:
                self._waiting[key] = waiting._replace(due=0.0, is_repeat=False)
        self._wake.set()

    def breaker(self, state: str) -> None:
        self._tripped, self._closed = state == TRIPPED, state == CLOSED
        if self._tripped or self._closed:
            self._wake.set()
        if not self._tripped and self._breaker is not None:  # that it is as it should be, at the first look, is no news
            self._log.say(f"NVSentinel's circuit breaker is {state or 'not there'}", topic="trigger")
        self._breaker = state

    def reloaded(self) -> None:
        """Runbooks are new: what nobody asked for before may be asked for now."""
        self._muted.clear()
        self._wake.set()

    @property
    def is_settled(self) -> bool:
        """Whether all that must be decided has been; repeats of what is known may wait."""
        return not self._tripped and all(waiting.is_repeat for waiting in self._waiting.values())

    # Deciding

    async def work(self) -> None:
        """Decide about what comes in until cancelled."""
        while True:
            await self.settle()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._next_due() - self._clock.monotonic())):
                    await self._wake.wait()

    async def settle(self) -> None:
        """Decide about all that is due now."""
        await self._see_nodes()
        self._place()
        self._wake.clear()
        now = self._clock.monotonic()
        due = {key: waiting for key, waiting in self._waiting.items() if waiting.due <= now}
        for key in due:
            del self._waiting[key]
        done: set[_Key] = set()
        try:
            await self._decide_events(due, done)
            await self._decide_stalls()
            if self._tripped:
                await self._decide_breaker()
            elif self._closed:
                self._closed = not await self._desk.breaker_closes()
        except NvsxError as error:
            self._cannot(error)
        else:
            self._can()
        finally:
            for key, waiting in due.items():
                if key not in done:
                    self._waiting.setdefault(key, waiting._replace(due=now + AGAIN_S))

    async def _see_nodes(self) -> None:
        """Where nothing is known of the nodes yet, wait a moment: whether one has recovered decides about a lot."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._fleet.looked.wait()

    async def _decide_events(self, due: dict[_Key, _Waiting], done: set[_Key]) -> None:
        found = sorted(((self._case(waiting), key) for key, waiting in due.items()), key=lambda pair: pair[0].moment)
        now = self._clock.monotonic()

        def answered(at: int, admitted: Admitted) -> None:
            case, key = found[at]
            if admitted.decision.verdict != REFUSE:
                done.add(key)
                self._mute(key, now + (REPEAT_S if case.route.runbook else NOBODYS_S))

        # One call, so that a storm is seen before the first of its nodes starts a run of its own.
        await self._desk.decide([case for case, _ in found], answered)

    def _mute(self, key: _Key, until: float) -> None:
        self._muted[key] = until
        if len(self._muted) > 10_000:
            now = self._clock.monotonic()
            self._muted = {known: time for known, time in self._muted.items() if time > now}

    def _case(self, waiting: _Waiting) -> Case:
        told, now = waiting.told, self._clock.now()
        event = told.event
        sight = cases.Sight(self._fleet.labels(event.node), self._fleet.session(event.node))
        case = cases.of_event(event, self._project(), sight, now)
        happened = event.created_time or event.generated_time
        # Conditions know whole seconds only.
        case = case._replace(late=happened + 1.0 < self.looking_since if happened else told.present)
        over = self._why_not(told, case)
        if over:
            self._list_present(event, told, over)
            passed = cases.passed_over(case, PASSED_OVER + over)
            # A later start with --adopt may still run for what is there: it must not count as answered.
            return passed._replace(occasion=passed.occasion._replace(delivery="")) if told.present else passed
        return case

    def _why_not(self, told: Told, case: Case) -> str:
        """Why an event from before nvsx looked is only recorded; "" if it is run for."""
        if not case.late:
            return ""
        if told.present:
            before = self._was_there_before(told.event)
            return "it was there before nvsx first started; --adopt runs for such" if before else ""
        if self._fleet.is_troubled(told.event.node) is False:
            return "it happened while nvsx was not looking, and the node is well now"
        return ""

    def _was_there_before(self, event: HealthEvent) -> bool:
        happened = event.created_time or event.generated_time
        return happened + 1.0 < self._began if happened else self._first and bool(self._began)

    def _list_present(self, event: HealthEvent, told: Told, why: str) -> None:
        if told.present and event.node not in self._listed:
            self._listed.add(event.node)
            held = "quarantined" if self._fleet.session(event.node) else "faulty"
            self._log.say(f"{event.node} is {held} already ({event.check}): {why}", topic="trigger")

    # Standstills and the breaker

    async def _decide_stalls(self) -> None:
        now, limits = self._clock.now(), stalls.thresholds(self._project().runbooks.values())
        self._stalls_due = FOREVER
        if not limits and not self._desk.storm.rages:
            return
        if self._surroundings != self._fleet.surroundings:  # repairs and the breaker are part of where a node stands
            self._surroundings = self._fleet.surroundings
            self._where.clear()
        failed: dict[str, str] = {}
        for name, stood in list(self.standings.items()):
            node = self._fleet.nodes.get(name)
            if node is None:
                continue
            where = self._where.get(name)
            if where is None:
                where = self._where[name] = self._fleet.position(node)
            if where.failed:
                failed[name] = where.reason
            if self._is_excused(name, where):
                continue
            stall = stalls.news(stood, where, limits, now)
            if stall and await self._decide_stall(node, stood, stall, now):
                self.standings[name] = stood = stalls.told(stood, stall)
            self._stalls_due = min(self._stalls_due, stalls.due(stood, where, limits))
        await self._desk.storm_fails(failed)

    async def _decide_stall(self, node: Object, stood: Standing, stall: Stall, now: float) -> bool:
        """Whether nobody need be asked about this standstill again."""
        name = node_name(node)
        sight = cases.Sight(self._fleet.labels(name), self._fleet.session(name))
        case = cases.of_stall(node, stood, stall, self._project(), sight, now)
        if not case.route.runbook:
            return True
        return (await self._desk.decide([case]))[0].decision.verdict != REFUSE

    def _is_excused(self, name: str, where: Position) -> bool:
        """Whether the standstill has a cause of which people were told: the storm, or for a mere delay the breaker."""
        in_storm = self._desk.storm.rages and name in self._desk.storm.nodes
        return in_storm or (self._fleet.breaker == TRIPPED and not where.failed)

    async def _decide_breaker(self) -> None:
        case = cases.of_breaker(self._project(), self._clock.now())
        if case.route.runbook:
            admitted = (await self._desk.decide([case]))[0]
            if admitted.decision.verdict == REFUSE:
                return
            self.breaker_incident = admitted.incident
        elif await self._desk.breaker_trips(case):
            self._log.say(case.evidence.summary, topic="trigger", level="error")
        self._tripped = False

    def _next_due(self) -> float:
        """When there will be something to decide if nothing comes in, monotonic."""
        now, wall = self._clock.monotonic(), self._clock.now()
        stalled = self._stalls_due
        waiting = min((one.due for one in self._waiting.values()), default=float("inf"))
        again = now + AGAIN_S if self.trouble or self._tripped or self._closed else float("inf")
        return min(waiting, again, now + max(0.05, stalled - wall), now + 3600.0)

    def _cannot(self, error: NvsxError) -> None:
        if not self.trouble:
            self._log.say(f"decisions cannot be written down: {error.message}", topic="record", level="error")
        self.trouble = error.message

    def _can(self) -> None:
        if self.trouble:
            self._log.say("decisions can be written down again", topic="record")
        self.trouble = ""
