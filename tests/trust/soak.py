"""T11: days of `nvsx serve` as it is copied to a bastion, with a trickle of incidents, outages and restarts.

The daemon is the built archive, with the real kubectl (and mongosh, where it is installed). What its hooks did stands
in a log of their own, with which the record is compared. `--restart-every 2` is the same in seconds.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nvsx.ledger import Ledger
from nvsx.ledger.opening import FILE
from tests.daemon_site import CHECKOUT, Site
from tests.servers.mongo import MongoServer
from tests.trust import vitals
from tests.trust.trickle import COLLECTION, CONFIG, DATABASE, HOOK, NODES, RUNBOOK, Trickle

if TYPE_CHECKING:
    import argparse
    import subprocess

    from tests.trust.vitals import Vitals

PATIENCE_S = 120.0
DAYS_S = 3 * 86400
SHORTEST_WITH_DATABASE_S = 30.0
"""mongosh takes seconds to start: where restarts come quicker, only the nodes are read."""

FIRST_AFTER_S = 1.5
"""A node that is quarantined already when a daemon starts for the first time is not run for."""

STRAYS_END_S = 100.0
"""So long after its start a daemon is looked for what the one before it left. A kubectl that watches ends with the next
thing that it has to tell, which is a bookmark after a minute."""


class Pace(NamedTuple):
    """A life of the daemon lasts from 0.4 to 1.6 of `life_s`, and incidents come about every `incident_s`."""

    life_s: float
    incident_s: float

    @property
    def look_s(self) -> float:
        return min(5.0, max(0.1, self.life_s / 60))

    @property
    def poll_s(self) -> float:
        return min(10.0, max(0.5, self.life_s / 10))

    @property
    def outage_s(self) -> float:
        return min(15.0, self.life_s / 4)


class Soak:
    """One daemon after another on one state directory."""

    def __init__(self, site: Site, mongo: MongoServer | None, pace: Pace, rng: random.Random) -> None:
        self.pace, self.port = pace, 0
        self.lives: list[list[Vitals]] = []
        self.tally: Counter[str] = Counter()
        self.strays: set[str] = set()
        self.complaints: list[str] = []
        self.trickle = Trickle(site, mongo, lambda: f"http://127.0.0.1:{self.port}/webhook")
        self._site, self._rng = site, rng
        self._process: subprocess.Popen[bytes]
        self._due = time.monotonic() + FIRST_AFTER_S
        self._strays_due = 0.0

    def run(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        while True:
            self._start()
            self._live(min(over, time.monotonic() + self.pace.life_s * self._rng.uniform(0.4, 1.6)), busy=True)
            if time.monotonic() >= over:
                break
            self._end(signal.SIGKILL if self._rng.random() < 0.6 else signal.SIGTERM)
            time.sleep(self._rng.uniform(0.0, min(5.0, self.pace.life_s / 10)))
        give_up = time.monotonic() + 2 * PATIENCE_S
        while self.trickle.under_way() and time.monotonic() < give_up:
            self._live(time.monotonic() + self.pace.look_s, busy=False)
        self._end(signal.SIGTERM)

    def forget(self) -> None:
        """Days later, and little is to be kept: what the daemon forgets then."""
        asyncio.run(_days_pass(self._site.state))
        self._start("--keep", "1d")
        give_up = time.monotonic() + 20
        while _runs(self._site) and time.monotonic() < give_up:
            time.sleep(0.2)
        self._end(signal.SIGTERM)

    def _start(self, *more: str) -> None:
        log = f"life-{len(self.lives)}"
        words = ["--mode", "both", "--port", str(self.port), "--poll-interval", f"{self.pace.poll_s:g}", *more]
        words += [] if self.trickle.mongo else ["--events", "nodes"]
        self._process = self._site.start(*words, log=log)
        give_up = time.monotonic() + PATIENCE_S
        while "ready:" not in (said := self._site.said(log)):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"nvsx does not start: {said[-3000:]}")
            time.sleep(0.05)
        self.port = int(said.rpartition("listening at ")[2].partition("/webhook")[0].rpartition(":")[2])
        self.lives.append([])
        self._strays_due = time.monotonic() + STRAYS_END_S

    def _live(self, until: float, *, busy: bool) -> None:
        """Look on, and let incidents begin, until a time or until the daemon has died."""
        looked = began = time.monotonic()
        outage = began + self._rng.uniform(0.2, 0.8) * (until - began) if busy and self._rng.random() < 0.3 else until
        while (now := time.monotonic()) < until and self._process.poll() is None:
            if busy and now >= self._due:
                self._due = now + self.pace.incident_s * self._rng.uniform(0.4, 1.6)
                self.trickle.begin(self._rng, self.pace.incident_s)
            if now >= looked + self.pace.look_s:
                looked = now
                self._look()
            if now >= outage:
                outage = until
                self._lose_the_cluster()
            time.sleep(min(0.05, self.pace.look_s))

    def _lose_the_cluster(self) -> None:
        self.tally["outages"] += 1
        server = self._site.server
        self._site.do(lambda: server.__aexit__(None, None, None))
        self._live(time.monotonic() + self.pace.outage_s, busy=False)
        self._site.do(server.__aenter__)

    def _look(self) -> None:
        """As whatever watches a daemon and scrapes its metrics does."""
        found = vitals.taken(self._process.pid, self._site.state / f"{FILE}-wal")
        if found is None:
            return
        self.lives[-1].append(found)
        for path in ("healthz", "metrics", "runs"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
                    answer.read()
            except OSError as error:
                self.complaints.append(f"/{path}: {error}")
        if time.monotonic() >= self._strays_due:
            self._strays_due = float("inf")
            self.strays |= set(vitals.strays(f"HOME={self._site.directory}".encode(), self._process.pid))

    def _end(self, number: signal.Signals) -> None:
        ended = self._process.poll()
        if ended is None:
            self._process.send_signal(number)
            ended = self._process.wait(PATIENCE_S)
            self.tally["kills" if number == signal.SIGKILL else "stops"] += 1
            if ended != (-number if number == signal.SIGKILL else 0):
                self.complaints.append(f"{number.name} ended it with {ended}")
        else:
            self.complaints.append(f"it died by itself: {ended}")
        name = f"life-{len(self.lives) - 1}"
        said = self._site.said(name)
        if "Traceback" in said or "internal" in said:
            self.complaints.append(said[-2000:])
        (self._site.directory / name).unlink()
        last = self.lives[-1][-1] if self.lives[-1] else ""
        print(f"life {len(self.lives)} until {number.name}: {last}", file=sys.stderr, flush=True)


async def _days_pass(state: Path) -> None:
    """Make everything that has ended three days older, and the last forgetting too."""
    ledger = Ledger.open(state)
    for table, column in (("runs", "ended"), ("incidents", "closed"), ("decisions", "at"), ("evidence", "at")):
        sql = f"UPDATE {table} SET {column} = {column} - {DAYS_S} WHERE {column} != 0"
        ledger.write(lambda connection, sql=sql: connection.execute(sql))  # type: ignore[misc]
    await ledger.set_cursor("pruned", "0")
    ledger.close()
    for run in (state / "runs").iterdir():
        os.utime(run, (0, 0))


def _runs(site: Site) -> int:
    return len(_asked(site, "SELECT id FROM runs"))


def _asked(site: Site, sql: str) -> list[tuple[object, ...]]:
    reader = Ledger.reader(site.state)
    assert reader is not None
    with closing(reader):
        return list(reader.ask(sql))


def record(site: Site, trickle: Trickle) -> dict[str, object]:
    """What the ledger has of it all, against what the hooks say. `repeated`: begun again without a reason."""
    unknown = Counter(_asked(site, "SELECT run_id, stage FROM effects WHERE outcome = 'unknown'"))
    begun = trickle.effects.begun()
    on_record = {run for (run,) in _asked(site, "SELECT id FROM runs")}
    return {
        "runs": len(on_record),
        "passed_runs": len(_asked(site, "SELECT 1 FROM runs WHERE status = 'pass'")),
        "unfinished": [run for (run,) in _asked(site, "SELECT id FROM runs WHERE ended = 0")],
        "unrecorded": sorted({run for run, _ in begun} - on_record),
        "unknown": sum(unknown.values()),
        "repeated": [f"{run} {stage}" for (run, stage), count in begun.items() if count > 1 + unknown[run, stage]],
    }


def soaked(directory: Path, seconds: float, pace: Pace, seed: int, *, forgets: bool = True) -> dict[str, object]:
    """Soak for so long in a directory; and then see whether it `forgets`, which takes it a while."""
    built = CHECKOUT / "nvsx.pyz"
    if not built.exists():
        raise RuntimeError("there is no nvsx.pyz: make build")
    with_database = shutil.which("mongosh") and pace.life_s >= SHORTEST_WITH_DATABASE_S
    with ExitStack() as stack:
        mongo = stack.enter_context(MongoServer({DATABASE: {COLLECTION: []}})) if with_database else None
        site = stack.enter_context(Site(directory))
        site.program = [sys.executable, str(shutil.copy(built, directory))]
        (site.root / "runbooks/xid.yaml").write_text(RUNBOOK)
        (site.root / "runbooks/hooks/note.sh").write_text(HOOK)
        (site.root / "nvsx.yaml").write_text(CONFIG)
        if mongo:
            site.environment["NVSX_MONGO_URI"] = f"mongodb://127.0.0.1:{mongo.port}/?directConnection=true"
        site.do(lambda: site.place.node(*NODES))
        soak = Soak(site, mongo, pace, random.Random(seed))
        soak.run(seconds)
        return {**_figures(soak, site, forgets=forgets), "database": "mongosh" if mongo else "none"}


def _figures(soak: Soak, site: Site, *, forgets: bool) -> dict[str, object]:
    trickle, lives = soak.trickle, list(soak.lives)
    found = record(site, trickle)
    before, wal = vitals.size_kb(site.state), site.state / f"{FILE}-wal"
    state = {
        "kb": before,
        "kb_per_run": round(before / max(1, _runs(site)), 1),
        "largest_wal_kb": max((one.wal_kb for life in lives for one in life), default=0.0),
        "wal_kb_after_sigterm": round(wal.stat().st_size / 1024, 1) if wal.exists() else 0.0,
    }
    if forgets:
        soak.forget()
        state |= {"runs_after_forgetting": _runs(site), "kb_after_forgetting": vitals.size_kb(site.state)}
    return {
        "lives": len(lives),
        **soak.tally,
        "incidents": sum(trickle.told.values()),
        "told_by": dict(trickle.told),
        "webhook_answers": dict(sorted(trickle.answers.items())),
        **found,
        "lost": trickle.lost,
        "doubled": trickle.doubled,
        "stuck": trickle.stuck,
        "strays": sorted(soak.strays),
        "complaints": soak.complaints,
        **vitals.course(lives),
        "state": state,
        "by_life": [[list(one) for one in _few(life)] for life in lives],
    }


def _few(life: list[Vitals]) -> list[Vitals]:
    """The first, the middle and the last look."""
    return [life[0], life[len(life) // 2], life[-1]] if life else []


def measure(minutes: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust soak`."""
    seconds = (args.hours * 3600 or args.minutes * 60) or minutes * 60
    pace = Pace(args.restart_every, args.incident_every or max(0.5, args.restart_every / 25))
    with tempfile.TemporaryDirectory() as directory:
        found = soaked(Path(directory), seconds, pace, args.seed)
    return {
        "minutes": round(seconds / 60, 1),
        "seconds_of_a_life": round(pace.life_s, 1),
        "seconds_between_incidents": round(pace.incident_s, 1),
        **found,
    }


def passed(figures: dict[str, object]) -> bool:
    """Whether nothing was lost, doubled, repeated or left, and nothing grew."""
    bad = ("lost", "doubled", "stuck", "unfinished", "unrecorded", "repeated", "strays", "complaints")
    state = figures["state"]
    assert isinstance(state, dict)
    return (
        not any(figures[name] for name in bad)
        and figures["incidents"] == figures["runs"] == figures["passed_runs"]
        and not state.get("runs_after_forgetting")
        and vitals.flat({name: figures[name] for name in vitals.RISES})
    )
