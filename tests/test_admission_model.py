"""T9: random stories of reports, runs, silences and restarts; the ledger's admission against the model of it.

`NVSX_TRUST_SEQUENCES` sets how many (30); every failure prints the shortest story that shows it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nvsx.admission import Occasion
from nvsx.config import Limits, Silence
from nvsx.journal import EffectIntended, RunEnded
from nvsx.ledger import Evidence, Ledger, NewRun, admitting, entries, keeping
from tests.trust.model import Hush, Model, Said

SEQUENCES = int(os.environ.get("NVSX_TRUST_SEQUENCES", "30"))
NODES = ("", "gpu-1", "gpu-2")
RUNBOOKS = ("off-bus", "thermal", "storm")
COOLDOWN = {"thermal": 300.0}
MOST = {"storm": 1}
ROOM = 3
FAULTS = st.tuples(
    st.sampled_from(("gpu-1", "gpu-2", "gpu-3")),
    st.sampled_from(RUNBOOKS),
    st.sampled_from(("", "q1", "q2")),
    st.sampled_from((None, 0.0, 100.0)),
    st.sampled_from(("", "", "f1", "f2", "f3", "f4")),
)
SHARED: dict[str, Any] = {}


def shared_ledger() -> Ledger:
    """One ledger for all stories: each has a cluster of its own, which is quicker than a file of its own."""
    if not SHARED:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        SHARED["directory"] = tempfile.mkdtemp(prefix="nvsx-model-", dir=memory)
        SHARED["ledger"] = Ledger.open(Path(SHARED["directory"]))
    ledger: Ledger = SHARED["ledger"]
    return ledger


def teardown_module() -> None:
    if SHARED:
        SHARED["ledger"].close()
        shutil.rmtree(SHARED["directory"])
        SHARED.clear()


class Admission(RuleBasedStateMachine):
    stories: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        Admission.stories += 1
        self.story = f"s{Admission.stories}"
        self.ledger = shared_ledger()
        self.model = Model(COOLDOWN, MOST, ROOM)
        self.count = 0

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger = shared_ledger()
            self.ledger.write(lambda connection: connection.execute("DELETE FROM silences"))

    @rule(faults=st.lists(FAULTS, min_size=1, max_size=5))
    def nodes_fail(self, faults: list[tuple[str, str, str, float | None, str]]) -> None:
        for node, runbook, session, ago, delivery in faults:
            self._hear(Said("poll", node, runbook, session=session, delivery=delivery), ago)

    @rule(
        source=st.sampled_from(("poll", "alertmanager")),
        node=st.sampled_from(NODES),
        runbook=st.sampled_from(("", *RUNBOOKS)),
        firing=st.sampled_from((True, True, True, False)),
        delivery=st.sampled_from(("", "", "d1", "d2")),
        key=st.sampled_from(("", "", "k1", "k2")),
        page=st.sampled_from(("", "", "", "", "p1", "p2")),
        ago=st.sampled_from((None, 0.0, 10.0, 400.0)),
        session=st.sampled_from(("", "q1", "q2")),
        elsewhere=st.sampled_from((False, False, False, True)),
    )
    def report(self, *, ago: float | None, page: str, **facts: Any) -> None:
        page = f"{self.story}/{page}" if page else ""
        self._hear(Said(**facts, page=page, anonymous=not facts["runbook"]), ago)

    def _hear(self, said: Said, ago: float | None) -> None:
        said.about = 0.0 if ago is None else self.model.now - ago
        self.count += 1
        run = f"20260101-{self.story}-{self.count:04x}"
        occasion = Occasion(
            source=said.source, time=self.model.now, node=said.node, runbook=said.runbook,
            status="firing" if said.firing else "resolved", key=said.key, issued_key=said.page, about=said.about,
            delivery=f"{self.story}-{said.delivery}" if said.delivery else "", session=said.session,
            anonymous=said.anonymous, elsewhere="other" if said.elsewhere else "",
            cooldown_s=COOLDOWN.get(said.runbook, 0.0), max_concurrent=MOST.get(said.runbook, 0),
        )  # fmt: skip
        case = admitting.Case(occasion, self.story, Evidence(), NewRun(run, said.runbook, "text", said.node), "", ())
        limits = Limits(max_waiting=ROOM)
        found = self.ledger.write(lambda c: admitting.admit(c, case, limits, (), stopping=False))
        assert (found.decision.verdict, found.run_id) == self.model.hears(said, run), found

    @precondition(lambda self: self.model.unfinished)
    @rule(data=st.data())
    def run_ends(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.model.unfinished)))
        self.model.ends(run)
        ended = RunEnded(run, self.model.now, "pass", 0, 0)
        self.ledger.write(lambda connection: entries.write(connection, ended, ""))

    @precondition(lambda self: self.model.unfinished)
    @rule(data=st.data(), page=st.sampled_from(("p1", "p2")))
    def run_pages(self, data: st.DataObject, page: str) -> None:
        run = data.draw(st.sampled_from(sorted(self.model.unfinished)))
        self.model.pages_with(run, f"{self.story}/{page}")
        key = f"{run}/detect/{page}"
        intended = EffectIntended(
            run, self.model.now, "detect", "hook", "onSuccess", "x", 1, key, f"{self.story}/{page}"
        )
        self.ledger.write(lambda connection: entries.write(connection, intended, ""))

    @rule()
    def nodes_are_released(self) -> None:
        for incident in self.ledger.incidents():
            if incident.cluster == self.story and incident.run_ended:
                self.model.closes(incident.run_id)
                number, now = incident.id, self.model.now
                self.ledger.write(lambda c, number=number, now=now: keeping.close_incident(c, number, now))  # type: ignore[misc]

    @rule(seconds=st.sampled_from((1.0, 60.0, 301.0)))
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    @rule(
        node=st.sampled_from(("gpu-1", "gpu-2")),
        runbook=st.sampled_from(("", *RUNBOOKS)),
        lasts=st.sampled_from((30.0, 600.0)),
    )
    def is_silenced(self, node: str, runbook: str, lasts: float) -> None:
        until = self.model.now + lasts
        silence = Silence(until, "why", "soon", node=node, runbook=runbook)
        number = self.ledger.write(lambda c: keeping.add_silence(c, silence, self.model.now))
        self.model.hushes[number] = Hush(node, runbook, until)

    @precondition(lambda self: self.model.hushes)
    @rule()
    def speaks_again(self) -> None:
        number, hush = self.model.hushes.popitem()
        removed = self.ledger.write(lambda c: keeping.remove_silence(c, number, self.model.now))
        assert removed == (self.model.now < hush.until)

    @rule()
    def restarts(self) -> None:
        if self.count % 7 == 3:  # seldom: it costs as much as a hundred reports
            SHARED["ledger"].close()
            SHARED["ledger"] = self.ledger = Ledger.open(Path(SHARED["directory"]))

    @invariant()
    def incidents_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        real = self.ledger.ask(
            "SELECT run_id, closed != 0, session, evidence FROM incidents WHERE cluster = ? ORDER BY id", self.story
        )
        assert [(run, bool(closed), session, evidence) for run, closed, session, evidence in real] == [
            (one.run, bool(one.closed), one.session, one.reports) for one in self.model.faults
        ]


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(
    max_examples=SEQUENCES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
