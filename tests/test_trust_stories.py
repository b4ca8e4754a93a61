"""The stories of T9 that are drawn by chance: they agree with the model, and tell which one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.ledger import keeping
from nvsx.ledger.admitting import SqlMemory
from tests.trust import stories

if TYPE_CHECKING:
    import pytest

SEEDS = range(1000, 1040)


def test_stories_agree_with_the_model_and_are_the_same_again() -> None:
    found = stories.played(SEEDS)
    assert found.wrong == []
    assert found.stories == len(SEEDS)
    assert found.steps == 40 * len(SEEDS)
    assert found.restarts > 0
    assert stories.played(SEEDS[:5]) == stories.played(SEEDS[:5])


def test_a_ledger_that_answers_wrong_is_found_and_the_story_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlMemory, "issued", lambda self, key: self.on_node("gpu-1"))
    found = stories.played(SEEDS)
    assert found.wrong
    seed = int(found.wrong[0].partition(":")[0].removeprefix("seed "))
    assert seed in SEEDS
    assert "report" in found.wrong[0]
    assert stories.played([seed]).wrong, "by itself too"


def test_a_ledger_that_forgets_a_silence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "add_silence", lambda *_: 1)
    assert stories.played(SEEDS).wrong
