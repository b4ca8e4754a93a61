"""T1, the kill sweep: SIGKILL at every journal transition and at random moments, then compare with what really ran.

Every life is a fork of one process that has everything imported, so that a kill and a restart cost milliseconds.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.app.records.openruns import worth_knowing
from nvsx.cluster.processes import find_marked
from nvsx.ledger import UNKNOWN, Ledger
from tests.trust.victim import BODY, Places, Trap, live, prepared

if TYPE_CHECKING:
    from collections.abc import Callable

LIVES_PER_LEDGER = 100
"""Random kills of one ledger, before it is judged and the next one begun."""

PATIENCE_S = 60.0

SLOW = "EffectStarted of quarantine/finally"

FEW = {
    SLOW,
    "admission",
    "RunBegan",
    "EffectIntended action action of remediate",
    "EffectEnded of remediate/onSuccess",
    "StageEnded of recover",
    "EffectStarted of postmortem/action",
    "RunEnded",
}
"""Kill points for the ordinary test run; all others are for `make trust`."""


@dataclass
class Figures:
    """What a sweep found. All but `kills`, `incidents` and `unknown` must be 0 or empty."""

    kills: int = 0
    incidents: int = 0
    unknown: int = 0
    lost: int = 0
    repeated: int = 0  # completed hooks and actions that ran again
    undeclared: int = 0  # effects of which the journal knows nothing
    unlisted: int = 0  # unknown effects that `nvsx status` does not name
    final_missing: int = 0  # runs whose postmortem neither ran once nor is unknown
    overlapped: int = 0  # attempts that went on while the next one was at work
    left: int = 0  # processes that outlived everything
    most_unknown_per_kill: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        bad = (
            self.lost
            + self.repeated
            + self.undeclared
            + self.unlisted
            + self.final_missing
            + self.overlapped
            + self.left
        )
        return not bad and not self.notes and self.most_unknown_per_kill <= 1.0

    def add(self, other: Figures) -> None:
        for name, value in vars(other).items():
            if name == "most_unknown_per_kill":
                self.most_unknown_per_kill = max(self.most_unknown_per_kill, value)
            else:
                setattr(self, name, getattr(self, name) + value)


def points(on_unknown: str = "fail") -> list[str]:
    """The journal entries of an undisturbed run, in order."""
    with directory_for_one() as directory:
        source, target = os.pipe()
        child = forked(lambda: live(Places.make(Path(directory)), Trap(), 1, on_unknown, target))
        os.close(target)
        with os.fdopen(source) as told:
            labels, _, modules = told.read().partition("\n\n")
        assert ended(child) == 0
    prepared(BODY.replace("ON_UNKNOWN", on_unknown))
    for name in modules.split():  # so that a life need not import what its like always does
        with suppress(ImportError):
            importlib.import_module(name)
    return labels.splitlines()


def at_every_point(on_unknown: str = "fail", only: Callable[[str], bool] = lambda _: True) -> Figures:
    """Kill at each entry of the journal, before and after its COMMIT; each restart goes on to the end."""
    found = Figures()
    for number, label in enumerate(points(on_unknown), 1):
        if not only(label):
            continue
        for moment in ("before", "after"):
            with directory_for_one() as directory:
                places = Places.make(Path(directory))
                slow = label == SLOW and moment == "after"
                if slow:  # the hook is still at work when the next life begins
                    Path(f"{places.log}.slow").touch()
                trap = Trap(number, moment)
                code = ended(forked(lambda places=places, trap=trap: live(places, trap, 1, on_unknown)))  # type: ignore[misc]
                if code != -signal.SIGKILL:
                    found.notes.append(f"{moment} {label}: the victim ended with {code}")
                _finish(places, on_unknown, found)
                time.sleep(0.5 if slow else 0.0)
                found.add(judged(places, 1, f"{moment} {label}"))
    return found


def at_random(count: int, seed: int, on_unknown: str = "fail") -> Figures:
    """Kill at random moments, each restart the next victim."""
    points(on_unknown)
    mean_s = 0.5 * duration(on_unknown)
    rng = random.Random(seed)
    found = Figures()
    while count > 0:
        lives = min(count, LIVES_PER_LEDGER)
        count -= lives
        with directory_for_one() as directory:
            places = Places.make(Path(directory))
            killed = 0
            while killed < lives:
                child = forked(lambda places=places: live(places, Trap(), 1000, on_unknown))  # type: ignore[misc]
                time.sleep(rng.expovariate(1 / mean_s))
                os.kill(child, signal.SIGKILL)
                code = ended(child)
                killed += code == -signal.SIGKILL
                if code not in (-signal.SIGKILL, 0):
                    found.notes.append(f"a life ended by itself with {code}")
                    break
            _finish(places, on_unknown, found)
            found.add(judged(places, killed, f"seed {seed}"))
    return found


def duration(on_unknown: str) -> float:
    """How long one undisturbed run takes now, on this machine and with what else it does."""
    with directory_for_one() as directory:
        places = Places.make(Path(directory))
        began = time.monotonic()
        assert ended(forked(lambda: live(places, Trap(), 1, on_unknown))) == 0
        return time.monotonic() - began


def directory_for_one() -> tempfile.TemporaryDirectory[str]:
    """In memory where possible: SIGKILL loses nothing of the page cache, so the disk would only be slow."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="nvsx-trust-", dir=memory)


def _finish(places: Places, on_unknown: str, found: Figures) -> None:
    """The last life, which nobody disturbs."""
    code = ended(forked(lambda: live(places, Trap(), 0, on_unknown)))
    if code:
        found.notes.append(f"the last life ended with {code}")


def judged(places: Places, kills: int, what: str) -> Figures:
    """Compare the ledger with the log that the effects wrote, and with what was accepted."""
    found = Figures(kills=kills)
    accepted = set(places.accepted.read_text().split()) if places.accepted.exists() else set()
    log = places.log.read_text().splitlines() if places.log.exists() else []
    found.overlapped = overlaps(log)
    begun = Counter(tuple(line.split()[1:]) for line in log if line.startswith("begin "))
    ledger = Ledger.open(places.state)
    try:
        runs = {run.id: run for run in ledger.runs(limit=1_000_000)}
        found.incidents = len(runs)
        lost = [run_id for run_id in accepted if run_id not in runs or not runs[run_id].ended]
        lost += [run.id for run in runs.values() if not run.ended]
        found.lost = len(set(lost))
        known = set()
        unknown: dict[str, int] = {}
        for run_id in runs:
            attempts = Counter[str]()
            finished = set()
            for effect in ledger.effects(run_id, ended=True):
                known.add((effect.key, str(effect.attempt)))
                found.repeated += effect.key in finished  # another attempt after one that is known to have ended well
                if effect.outcome == "ok":
                    finished.add(effect.key)
                attempts[effect.key] += 1
                if effect.outcome == UNKNOWN:
                    unknown[run_id] = unknown.get(run_id, 0) + 1
            final = [e for e in ledger.effects(run_id, ended=True) if e.key == f"{run_id}/postmortem/action"]
            times = sum(n for (key, _), n in begun.items() if key == f"{run_id}/postmortem/action")
            is_unknown = any(e.outcome == UNKNOWN for e in final)
            if not (times == 1 or is_unknown) or times > max(1, len(final)):
                found.final_missing += 1
                found.notes.append(f"{what}: the postmortem of {run_id} ran {times} times: {final}")
        found.repeated += sum(n - 1 for n in begun.values() if n > 1)
        found.undeclared = sum(1 for effect in begun if effect not in known)
        found.unknown = sum(unknown.values())
        listed = worth_knowing(places.state, ledger.now())
        named = {one.run.id: len(one.unknown) for one in listed.runs}
        found.unlisted = sum(count != named.get(run_id, 0) for run_id, count in unknown.items())
        found.left = sum(len(find_marked(run_id)) for run_id in runs)
    finally:
        ledger.close()
    found.most_unknown_per_kill = found.unknown / kills if kills else float(found.unknown)
    if found.lost or found.repeated or found.undeclared or found.unlisted or found.overlapped or found.left:
        found.notes.append(f"{what}: {found}")
    return found


def overlaps(log: list[str]) -> int:
    """How many attempts came to their end after a later one had begun."""
    latest: dict[str, int] = {}
    count = 0
    for line in log:
        what, key, attempt = line.split()
        if what == "begin":
            latest[key] = int(attempt)
        else:
            count += int(attempt) < latest.get(key, 0)
    return count


def forked(work: Callable[[], None]) -> int:
    """The pid of a child that does `work` and ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def ended(child: int) -> int:
    """A child's exit code, negative for a signal; a child that never ends is killed and says so."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 999
