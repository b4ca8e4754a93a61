"""Ledger: what nvsx remembers of runs, incidents and decisions, whoever of its processes asks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nvsx.admission import START
from nvsx.clock import RealClock
from nvsx.config import Limits
from nvsx.errors import NvsxError
from nvsx.events import to_wire
from nvsx.journal import EffectIntended, RunBegan
from nvsx.ledger import admitting, entries, examining, keeping, owning, ringing
from nvsx.ledger.opening import FILE, Opened, connect, readable
from nvsx.ledger.reading import Reader
from nvsx.ledger.rows import Evidence
from nvsx.ledger.troubles import damaged, explained
from nvsx.ledger.writer import Job, Writer
from nvsx.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nvsx.admission import Occasion
    from nvsx.clock import Clock
    from nvsx.config import Silence
    from nvsx.events import RunEvent
    from nvsx.journal import Entry
    from nvsx.ledger.rows import Admitted, Alarm, NewRun, Ring, Rung, RunRow

NOTHING_SAID = Evidence()
NO_LIMITS = Limits()

BEAT_S = 10.0
"""How often an owner says that it lives: a stage's deadline is off by no more than this after a crash."""


class Ledger(Reader):
    """One open ledger: the engine's Journal, admission's memory, and (see Reader) all that can be asked of it.

    Whatever is awaited here is on the disk when it returns. Methods that write raise EnvironmentUnusable where that
    is not possible, and work again as soon as it is.
    """

    def __init__(self, directory: Path, opened: Opened, clock: Clock | None, what: str) -> None:
        super().__init__(opened.path, writing=True)
        self.directory = directory
        self._opened = opened
        self._clock = clock or RealClock()
        self._what = what
        self._writer = Writer(opened.path, opened.inode)
        self._owner = owning.Owner(directory, opened.mode)
        self._registered = False
        self._relay: Relay | None = None

    @classmethod
    def open(cls, directory: Path, *, clock: Clock | None = None, what: str = "nvsx") -> Ledger:
        """Open the ledger of a state directory, which must exist; make it where there never was one.

        `clock` is held while something is written, so that simulated time does not run away meanwhile. `what` names
        this process to others. Raises EnvironmentUnusable for a directory or file that cannot be relied on.
        """
        opened = Opened(directory)
        try:
            return cls(directory, opened, clock, what)
        except BaseException:
            opened.close()
            raise

    @staticmethod
    def reader(directory: Path) -> Reader | None:
        """Only for reading; None where nothing was ever recorded. Raises EnvironmentUnusable as `open` does."""
        try:
            return Reader(directory / FILE, writing=False) if readable(directory) else None
        except sqlite3.Error as error:
            raise explained(directory / FILE, error) from error

    def close(self) -> None:
        """Write what is left, give up unfinished runs, and let go of everything."""
        if self._owner.holds:
            now = self._clock.now()
            with suppress(NvsxError):  # the lock is gone in a moment, which says the same
                self.write(lambda connection: keeping.give_up(connection, self._owner.id, now))
                self.write(lambda connection: ringing.give_up(connection, self._owner.id))
        self._writer.close()
        self._owner.release()
        super().close()
        self._opened.close()

    @property
    def seen_whole(self) -> bool:
        """Whether all of the file was examined when it was opened."""
        return self._opened.seen_whole

    async def examine(self) -> None:
        """Examine all of the file, in a thread: 100 MB take a second or two. Raises EnvironmentUnusable where it is
        damaged or cannot be read.
        """
        try:
            connection = connect(self._opened.path, writing=False)
        except sqlite3.Error as error:
            raise explained(self._opened.path, error) from error
        with self._clock.holding():
            looking = asyncio.ensure_future(asyncio.to_thread(_examined, connection, self._opened.path))
            try:
                await asyncio.shield(looking)
            except asyncio.CancelledError:
                connection.interrupt()
                await asyncio.gather(looking, return_exceptions=True)
                raise

    # The engine's Journal

    async def append(self, entry: Entry) -> None:
        """Write down what a run is about to do, or has done. What has been done is written later if not now."""
        if isinstance(entry, RunBegan):
            self._hold()  # a rehearsal's run was never claimed, and whoever follows it must see that somebody runs it
        owner = self._owner.id
        await self._durable(
            lambda connection: entries.write(connection, entry, owner), owed=not isinstance(entry, EffectIntended)
        )

    def remember_event(self, event: RunEvent) -> None:
        """Keep an event for those who follow the run. Never waits; a disk that is too slow loses events, not runs."""
        self._writer.later(
            lambda connection: connection.execute(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?)",
                (event.run_id, event.seq, json.dumps(to_wire(event), ensure_ascii=False)),
            )
        )

    @property
    def events_lost(self) -> int:
        """How many events the disk was too slow for."""
        return self._writer.dropped

    # Admission

    async def admit(
        self,
        occasion: Occasion,
        limits: Limits = NO_LIMITS,
        silences: Sequence[Silence] = (),
        *,
        cluster: str = "",
        evidence: Evidence = NOTHING_SAID,
        run: NewRun | None = None,
        rule: str = "",
        considered: Sequence[Any] = (),
        stopping: bool = False,
        ring: Ring | None = None,
    ) -> Admitted:
        """Decide about an occasion, and write down the decision and all that follows from it: evidence, incident, a
        queued run. All in one transaction, durable when it returns. Silences made by command are added to `silences`.

        `run` is needed where routing chose a runbook; its id may come back changed where it was taken. Who admits a
        run starts it with `claim`. `ring` is for an occasion that is ignored: people are then called, if it is news.
        """
        case = admitting.Case(occasion, cluster, evidence, run, rule, considered)
        found: Admitted = await self._durable(
            lambda connection: admitting.admit(connection, case, limits, silences, stopping=stopping, ring=ring)
        )
        return found

    async def begin_by_hand(
        self, occasion: Occasion, run: NewRun, *, cluster: str, evidence: Evidence = NOTHING_SAID, force: bool = False
    ) -> Admitted:
        """Admit and claim a run that a person asked for; ATTACH means that one is under way on that incident."""
        self._hold()
        case = admitting.Case(occasion, cluster, evidence, run, "", ())

        def begin(connection: sqlite3.Connection) -> Admitted:
            admitted = admitting.begin_by_hand(connection, case, force=force)
            if admitted.decision.verdict == START:
                keeping.take(connection, admitted.run_id, self._owner.id)
            return admitted

        found: Admitted = await self._durable(begin)
        return found

    # Owning runs

    async def claim(self, run_id: str) -> bool:
        """Own a run that nobody owns, or whose owner is dead. False if it has an owner or has ended."""
        self._hold()
        found: bool = await self._durable(
            lambda connection: keeping.claim(connection, run_id, self._owner.id, self.is_dead)
        )
        return found

    def now(self) -> float:
        """Wall time of the ledger's clock, epoch seconds."""
        return self._clock.now()

    def queued(self, limit: int = 1000) -> list[RunRow]:
        """Admitted runs that nobody has claimed, the oldest first."""
        return [run for run in self._unfinished() if run.status == "queued" and not run.owner][:limit]

    def unfinished(self) -> list[RunRow]:
        """Runs that have not ended, the oldest first, whoever owns them."""
        return self._unfinished()

    def owns_all(self) -> bool:
        """Whether every run that has not ended is of this process; of a thousand runs none is read for it."""
        return not self.ask("SELECT 1 FROM runs WHERE ended = 0 AND owner != ? LIMIT 1", self._owner.id)

    def orphans(self) -> list[RunRow]:
        """Runs that were under way and whose owner is dead (or gave them up), the oldest first."""
        dead: dict[str, bool] = {"": True}
        found = []
        for run in self._unfinished():
            if run.owner not in dead:
                dead[run.owner] = self.is_dead(run.owner)
            if dead[run.owner] and (run.owner or run.status != "queued"):
                found.append(run)
        return found

    def is_dead(self, owner: str) -> bool:
        """Whether an owner's process is gone."""
        if owner == self._owner.id:
            return False
        pid, started, _ = self.owner(owner) or (0, "", "")
        return owning.is_dead(self.directory, owner, pid, started)

    async def cancel(self, run_id: str, *, by: str, now: float) -> None:
        """Ask the run's owner to end it; the owner looks at `cancellations`."""
        await self._durable(lambda connection: keeping.cancel(connection, run_id, by, now))

    def cancellations(self) -> list[str]:
        """Runs of this owner whose end somebody asked for."""
        sql = "SELECT id FROM runs WHERE ended = 0 AND owner = ? AND cancelled != 0"
        return [str(row[0]) for row in self.ask(sql, self._owner.id)]

    # Alarms

    async def ring(self, news: Ring) -> Rung:
        """Decide whether people must be called, and write down the call, in one transaction. Who rings calls it
        (`claim_alarm`); whoever comes after a crash calls what `free_alarms` has.
        """
        now = self._clock.now()
        found: Rung = await self._durable(lambda connection: ringing.ring(connection, news, now))
        return found

    async def resolve(self, news: Ring) -> Rung:
        """The topic is over: forget it, and write down the call that says so where people had been called for it.
        Nothing happens while that call has not ended: ask again later.
        """
        found: Rung = await self._durable(lambda connection: ringing.resolve(connection, news))
        return found

    async def remember_rung(self, scope: str, heard: Mapping[str, float]) -> None:
        """Take over what an older nvsx remembered of calls."""
        await self._durable(lambda connection: ringing.remember(connection, scope, heard))

    async def claim_alarm(self, alarm: str) -> bool:
        """Own an alarm that nobody living owns. False if it has an owner or has ended."""
        self._hold()
        found: bool = await self._durable(
            lambda connection: ringing.claim(connection, alarm, self._owner.id, self.is_dead)
        )
        return found

    async def end_alarm(self, alarm: str, outcome: str) -> None:
        """The alarm is never called again. Written later where that is not possible now."""
        now = self._clock.now()
        await self._durable(lambda connection: ringing.end(connection, alarm, outcome, now), owed=True)

    def free_alarms(self, cluster: str) -> list[Alarm]:
        """Alarms that must be called and that nobody living calls, the oldest first."""
        found = self.alarms(unfinished=True, limit=10_000)[::-1]
        return [one for one in found if one.cluster == cluster and (not one.owner or self.is_dead(one.owner))]

    # Incidents and the rest

    async def close_incident(self, incident: int, now: float) -> None:
        await self._durable(lambda connection: keeping.close_incident(connection, incident, now))

    async def incident_news(self, incident: int, now: float, session: str = "") -> None:
        """The incident was heard of again."""
        await self._durable(lambda connection: keeping.incident_news(connection, incident, now, session))

    async def set_cursor(self, name: str, value: str) -> None:
        await self._durable(lambda connection: keeping.set_cursor(connection, name, value))

    def remember_drill(self, runbook: str, at: float, scenario: str) -> None:
        """A runbook was rehearsed with success."""
        self.write(lambda connection: keeping.remember_drill(connection, runbook, at, scenario))

    async def add_silence(self, silence: Silence, now: float) -> int:
        """Keep a silence that was made by command; returns its number."""
        number: int = await self._durable(lambda connection: keeping.add_silence(connection, silence, now))
        return number

    async def remove_silence(self, number: int, now: float) -> bool:
        """End a silence; False if there is none of that number in force."""
        removed: bool = await self._durable(lambda connection: keeping.remove_silence(connection, number, now))
        return removed

    async def prune(self, before: float) -> int:
        """Forget what ended before a time; returns how many runs. Unfinished runs and open incidents are kept."""
        owners = self._owners() | {self._owner.id}
        count: int = await self._durable(lambda connection: keeping.prune(connection, before, owners))
        owning.sweep(self.directory, owners)
        return count

    def write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do `work` in a transaction and wait, without an event loop, until it is durable."""
        written: Future[Any] = Future()
        self._writer.submit(Job(work, lambda result, failure: _settle(written, result, failure)))
        return written.result()

    async def _durable(self, work: Callable[[sqlite3.Connection], Any], *, owed: bool = False) -> Any:
        loop = asyncio.get_running_loop()
        if self._relay is None or self._relay.loop is not loop:
            self._relay = Relay(loop)
        relay, written = self._relay, loop.create_future()

        def tell(result: Any, failure: Exception | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                relay.call(_settle, written, result, failure)

        with self._clock.holding():
            self._writer.submit(Job(work, tell, owed))
            return await written

    def _unfinished(self) -> list[RunRow]:
        return self.runs(limit=1_000_000, unfinished=True)[::-1]

    def _owners(self) -> set[str]:
        """Who owns what has not ended."""
        alarms = self.alarms(unfinished=True, limit=10_000)
        return {run.owner for run in self._unfinished()} | {alarm.owner for alarm in alarms}

    def _hold(self) -> None:
        """Make this process known as an owner."""
        self._owner.hold()
        if not self._registered:
            owning.sweep(self.directory, self._owners() | {self._owner.id})
            owner, what = self._owner, self._what
            self.write(lambda connection: keeping.register(connection, owner.id, owner.pid, owner.start_time, what))
            self._registered = True
            if not isinstance(self._clock, RealClock):
                return  # a story's time is read on its own loop only
            self._writer.every(BEAT_S, lambda connection: keeping.beat(connection, owner.id, self._clock.now()))


def _examined(connection: sqlite3.Connection, path: Path) -> None:
    try:
        found = examining.whole(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explained(path, error) from error
    finally:
        connection.close()
    if found:
        raise damaged(path, found)


def _settle(written: Future[Any] | asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
    if written.done():  # told before that it could not be written yet, or nobody waits any more
        return
    if failure is not None:
        written.set_exception(failure)
    else:
        written.set_result(result)
