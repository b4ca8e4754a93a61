"""The runbooks in `tests/examples`: those that load, and what is said of those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nvsx.catalog import explain, read_runbook
from nvsx.documents import load_document
from nvsx.errors import DocumentInvalid
from nvsx.runbook.parse import parse
from tests.corpus import INVALID, VALID, answer

if TYPE_CHECKING:
    from pathlib import Path


def names(file: Path) -> str:
    return file.stem


@pytest.mark.parametrize("file", VALID, ids=names)
def test_loads(file: Path) -> None:
    assert answer(file) == ""
    assert explain(load_document(file)) == ()


@pytest.mark.parametrize("file", INVALID, ids=names)
def test_is_refused_in_these_words(file: Path) -> None:
    assert answer(file) == file.with_suffix(".txt").read_text("utf-8")


@pytest.mark.parametrize("file", INVALID, ids=names)
def test_is_refused_without_the_schema_too(file: Path) -> None:
    with pytest.raises(DocumentInvalid):
        parse(load_document(file))


def test_the_corpus_is_there() -> None:
    assert len(INVALID) >= 60
    assert {file.stem for file in VALID} >= {"gpu-off-bus", "old-kinds", "everything", "minimal"}
    assert all(f"{file.name}:" in file.with_suffix(".txt").read_text("utf-8") for file in INVALID)


def test_every_problem_has_a_line_and_almost_all_a_next_step() -> None:
    problems = []
    for file in INVALID:
        try:
            read_runbook(file.read_bytes(), file.name)
        except DocumentInvalid as error:
            problems += error.problems
    assert all(problem.place.line for problem in problems)
    assert sum(1 for problem in problems if problem.hint) > 0.9 * len(problems)
