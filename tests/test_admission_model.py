"""T9: random stories of reports, runs, silences and restarts; the ledger's admission against the model of it.

`NVSX_TRUST_SEQUENCES` sets how many (30); every failure prints the shortest story that shows it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.trust import storyline
from tests.trust.storyline import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SEQUENCES = int(os.environ.get("NVSX_TRUST_SEQUENCES", "30"))


def drawn(fields: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in fields.items()})


class Admission(RuleBasedStateMachine):
    shelf: ClassVar[Shelf | None] = None

    @initialize()
    def begin(self) -> None:
        Admission.shelf = Admission.shelf or Shelf()
        self.story = Admission.shelf.story()

    def teardown(self) -> None:
        if hasattr(self, "story"):
            self.story.end()

    @rule(faults=st.lists(drawn(storyline.FAULT), min_size=1, max_size=5))
    def nodes_fail(self, faults: list[dict[str, Any]]) -> None:
        self.story.nodes_fail(faults)

    @rule(facts=drawn(storyline.REPORT))
    def report(self, facts: dict[str, Any]) -> None:
        self.story.report(facts)

    @precondition(lambda self: self.story.unfinished)
    @rule(data=st.data())
    def run_ends(self, data: st.DataObject) -> None:
        self.story.run_ends(data.draw(st.sampled_from(self.story.unfinished)))

    @precondition(lambda self: self.story.unfinished)
    @rule(data=st.data(), page=st.sampled_from(storyline.PAGES))
    def run_pages(self, data: st.DataObject, page: str) -> None:
        self.story.run_pages(data.draw(st.sampled_from(self.story.unfinished)), page)

    @rule()
    def nodes_are_released(self) -> None:
        self.story.nodes_are_released()

    @rule(seconds=st.sampled_from(storyline.PAUSES_S))
    def time_passes(self, seconds: float) -> None:
        self.story.time_passes(seconds)

    @rule(silence=drawn(storyline.SILENCE))
    def is_silenced(self, silence: dict[str, Any]) -> None:
        self.story.is_silenced(**silence)

    @precondition(lambda self: self.story.model.hushes)
    @rule()
    def speaks_again(self) -> None:
        self.story.speaks_again()

    @rule()
    def restarts(self) -> None:
        self.story.restarts()

    @invariant()
    def incidents_agree(self) -> None:
        if hasattr(self, "story"):
            self.story.agree()


def teardown_module() -> None:
    if Admission.shelf:
        Admission.shelf.close()
        Admission.shelf = None


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(
    max_examples=SEQUENCES, stateful_step_count=storyline.STEPS, deadline=None, suppress_health_check=list(HealthCheck)
)
