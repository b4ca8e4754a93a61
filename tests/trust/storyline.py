"""T9: one story of reports, runs, silences and restarts, told to the real ledger and to the model at once.

`tests/test_admission_model.py` has hypothesis think up stories, which finds the shortest that goes wrong;
`tests/trust/stories.py` draws them by the hundred thousand.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.admission import Occasion
from nvsx.config import Limits, Silence
from nvsx.journal import EffectIntended, RunEnded
from nvsx.ledger import Evidence, Ledger, NewRun, admitting, entries, keeping
from tests.trust.model import Hush, Model, Said

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

RUNBOOKS = ("off-bus", "thermal", "storm")
COOLDOWN = {"thermal": 300.0}
MOST = {"storm": 1}
ROOM = 3
STEPS = 40

REPORT: Mapping[str, Sequence[Any]] = {
    # a field of what a source says: its values; the oftener one stands there, the oftener it is drawn
    "source": ("poll", "alertmanager"),
    "node": ("", "gpu-1", "gpu-2"),
    "runbook": ("", *RUNBOOKS),
    "firing": (True, True, True, False),
    "delivery": ("", "", "d1", "d2"),
    "key": ("", "", "k1", "k2"),
    "page": ("", "", "", "", "p1", "p2"),
    "ago": (None, 0.0, 10.0, 400.0),
    "session": ("", "q1", "q2"),
    "elsewhere": (False, False, False, True),
}
FAULT: Mapping[str, Sequence[Any]] = {
    "node": ("gpu-1", "gpu-2", "gpu-3"),
    "runbook": RUNBOOKS,
    "session": ("", "q1", "q2"),
    "ago": (None, 0.0, 100.0),
    "delivery": ("", "", "f1", "f2", "f3", "f4"),
}
SILENCE: Mapping[str, Sequence[Any]] = {
    "node": ("gpu-1", "gpu-2"),
    "runbook": ("", *RUNBOOKS),
    "lasts": (30.0, 600.0),
}
PAGES = ("p1", "p2")
PAUSES_S = (1.0, 30.0, 60.0, 300.0, 301.0)
_OF_A_STORY = {
    # a table: which of its rows belong to the story `?`
    "incidents": "cluster = ?",
    "runs": "cluster = ?",
    "sender_keys": "cluster = ?",
    "decisions": "cluster = ?",
    "evidence": "run_id LIKE '20260101-' || ? || '-%'",
    "effects": "run_id LIKE '20260101-' || ? || '-%'",
    "deliveries": "delivery LIKE ? || '-%'",
    "issued": "key LIKE ? || '/%'",
}


class Shelf:
    """One ledger for all stories, in memory where the machine has such a place: each is a cluster of its own."""

    def __init__(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._directory = Path(tempfile.mkdtemp(prefix="nvsx-model-", dir=memory))
        self.ledger = Ledger.open(self._directory)
        self._stories = 0
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1
        self.ledger.close()
        self.ledger = Ledger.open(self._directory)

    def story(self) -> Story:
        self._stories += 1
        return Story(self, f"s{self._stories}")

    def close(self) -> None:
        self.ledger.close()
        shutil.rmtree(self._directory)


class Story:
    """Each method is a step: it fails where the ledger does not do what the model does."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self.name = name
        self.model = Model(COOLDOWN, MOST, ROOM)
        self._shelf = shelf
        self._count = 0

    @property
    def unfinished(self) -> list[str]:
        return sorted(self.model.unfinished)

    def nodes_fail(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self._hear(*({"source": "poll", **facts} for facts in faults))

    def report(self, facts: Mapping[str, Any]) -> None:
        page = f"{self.name}/{facts['page']}" if facts["page"] else ""
        self._hear({**facts, "page": page, "anonymous": not facts["runbook"]})

    def run_ends(self, run: str) -> None:
        self.model.ends(run)
        ended = RunEnded(run, self.model.now, "pass", 0, 0)
        self._write(lambda connection: entries.write(connection, ended, ""))

    def run_pages(self, run: str, page: str) -> None:
        page = f"{self.name}/{page}"
        self.model.pages_with(run, page)
        key = f"{run}/detect/{page}"
        intended = EffectIntended(run, self.model.now, "detect", "hook", "onSuccess", "x", 1, key, page)
        self._write(lambda connection: entries.write(connection, intended, ""))

    def nodes_are_released(self) -> None:
        now = self.model.now
        for incident in self._shelf.ledger.incidents():
            if incident.cluster == self.name and incident.run_ended:
                self.model.closes(incident.run_id)
                number = incident.id
                self._write(lambda connection, number=number: keeping.close_incident(connection, number, now))  # type: ignore[misc]

    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    def is_silenced(self, node: str, runbook: str, lasts: float) -> None:
        until = self.model.now + lasts
        silence = Silence(until, "why", "soon", node=node, runbook=runbook)
        number = self._write(lambda connection: keeping.add_silence(connection, silence, self.model.now))
        self.model.hushes[number] = Hush(node, runbook, until)

    def speaks_again(self) -> None:
        number, hush = self.model.hushes.popitem()
        removed = self._write(lambda connection: keeping.remove_silence(connection, number, self.model.now))
        assert removed == (self.model.now < hush.until)

    def restarts(self) -> None:
        if self._count % 7 == 3:  # seldom: it costs as much as a hundred reports
            self._shelf.restart()

    def agree(self) -> None:
        """The incidents that the ledger knows are those of the model."""
        real = self._shelf.ledger.ask(
            "SELECT run_id, closed != 0, session, evidence FROM incidents WHERE cluster = ? ORDER BY id", self.name
        )
        assert [(run, bool(closed), session, evidence) for run, closed, session, evidence in real] == [
            (one.run, bool(one.closed), one.session, one.reports) for one in self.model.faults
        ]

    def end(self) -> None:
        """Take the story off the shelf, so that it holds up none of those that come."""

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM silences")
            for table, whose in _OF_A_STORY.items():
                connection.execute(f"DELETE FROM {table} WHERE {whose}", (self.name,))

        self._write(forget)

    def _hear(self, *news: Mapping[str, Any]) -> None:
        """What sources say at once is decided in one transaction, in order."""
        heard = [self._made(**facts) for facts in news]
        limits = Limits(max_waiting=ROOM)
        admitted = self._write(
            lambda connection: [admitting.admit(connection, case, limits, (), stopping=False) for _, case in heard]
        )
        for (said, case), found in zip(heard, admitted, strict=True):
            assert case.run
            assert (found.decision.verdict, found.run_id) == self.model.hears(said, case.run.run_id), found

    def _made(self, *, ago: float | None, **facts: Any) -> tuple[Said, admitting.Case]:
        said = Said(**facts, about=0.0 if ago is None else self.model.now - ago)
        self._count += 1
        run = f"20260101-{self.name}-{self._count:04x}"
        occasion = Occasion(
            source=said.source, time=self.model.now, node=said.node, runbook=said.runbook,
            status="firing" if said.firing else "resolved", key=said.key, issued_key=said.page, about=said.about,
            delivery=f"{self.name}-{said.delivery}" if said.delivery else "", session=said.session,
            anonymous=said.anonymous, elsewhere="other" if said.elsewhere else "",
            cooldown_s=COOLDOWN.get(said.runbook, 0.0), max_concurrent=MOST.get(said.runbook, 0),
        )  # fmt: skip
        new = NewRun(run, said.runbook, "text", said.node)
        return said, admitting.Case(occasion, self.name, Evidence(), new, "", ())

    def _write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return self._shelf.ledger.write(work)
