"""The tests of runbooks: finds them beside the runbooks, rehearses each, and holds what came of it against its file."""

from __future__ import annotations

import posixpath
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.rehearsal.simulation import Rehearsal, rehearse
from nvsx.app.scripts import ProjectScripts
from nvsx.catalog.library import FOLDER, SUFFIX
from nvsx.catalog.schemas import schema_of_tests
from nvsx.clock import RealClock, SimulatedClock
from nvsx.documents import problems, read_yaml
from nvsx.errors import DocumentInvalid, NotFoundHere, NvsxError, Problem
from nvsx.expectations.kinds import Mismatch, judge
from nvsx.expectations.reading import Case, misplaced, read_cases
from nvsx.expectations.seen import fold
from nvsx.nearest import nearest
from nvsx.sim.scenario import check_scenario
from nvsx.sinks.text import TextLines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.catalog import Catalog
    from nvsx.events import RunEvent
    from nvsx.model import Runbook
    from nvsx.source import Document

TESTS = f"{FOLDER}/tests"
STORY_BEGINS = 1_768_446_000.0  # a night in January 2026, 03:00 UTC; tests that say dates can rely on it
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TMPDIR")
"""What hooks see of the environment that nvsx was started in: no key that somebody has exported changes a test."""


class Work(NamedTuple):
    """A test with everything it is about, read and checked."""

    case: Case
    runbook: Runbook
    scenario: str  # a bundled one's name, or a file's path from the root


class Stand(NamedTuple):
    """Where tests are rehearsed: the project root, a directory of their own, and what hooks inherit."""

    root: Path
    base: Path
    environment: Mapping[str, str]


class Tested(NamedTuple):
    """What came of a test. `error` is why it could not be rehearsed to its end; times are seconds."""

    case: Case
    mismatches: tuple[Mismatch, ...]
    error: str
    wall_s: float
    story_s: float  # on the cluster's time
    log: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.mismatches and not self.error


def files_of_tests(catalog: Catalog) -> tuple[str, ...]:
    """The files of tests in a library, by their paths from its root."""
    return tuple(f"{TESTS}/{name}" for name in catalog.library.files(TESTS) if name.endswith((SUFFIX, ".yml")))


def collect(catalog: Catalog, names: Sequence[str] = (), seed: int | None = None) -> tuple[Work, ...]:
    """Every test of these runbooks (all of the library when none is named), in the order of files.

    DocumentInvalid carries what is wrong in any file of tests; NotFoundHere where a named runbook has no test.
    """
    found: list[Work] = []
    wrong: list[Problem] = []
    for file in files_of_tests(catalog):
        try:
            found += _works(catalog, file, names)
        except DocumentInvalid as error:
            wrong += error.problems
    if wrong:
        raise DocumentInvalid("there is something wrong with these tests", tuple(wrong))
    for name in names:
        if not any(work.case.runbook == name for work in found):
            raise NotFoundHere(f"{name} has no tests", hint=f"write {TESTS}/{name}{SUFFIX}: nvsx show --schema test")
    if seed is not None:
        found = [work._replace(case=work.case._replace(seed=seed)) for work in found]
    return tuple(found)


def rehearse_case(work: Work, stand: Stand, number: int) -> Tested:
    """Rehearse one test and judge it. What it writes is gone afterwards."""
    case, base = work.case, stand.base / str(number)
    base.mkdir()
    kept = _Kept()
    clock = SimulatedClock(start=STORY_BEGINS)
    real = RealClock()
    began = real.monotonic()
    rehearsal = Rehearsal(
        runbook=work.runbook,
        scenario=str(stand.root / work.scenario) if "/" in work.scenario else work.scenario,
        base=base,
        root=stand.root,
        environment=stand.environment,
        variables=case.variables,
        seed=case.seed,
        drill=case.drill,
    )
    mismatches: tuple[Mismatch, ...] = ()
    error = ""
    try:
        rng = random.Random(case.seed)  # noqa: S311 - a run's id, not a secret
        scripts = ProjectScripts(stand.root)
        rehearsed = clock.run(rehearse(rehearsal, clock=clock, sink=kept, scripts=scripts, rng=rng))
        seen = fold(
            kept.events,
            messages=rehearsed.messages,
            fault_time=rehearsed.director.fault_time,
            artifacts=_files(kept.artifact_dir),
        )
        if seen:
            mismatches = tuple(judge(case.expectations, seen))
        error = "" if seen else "the run did not come to its end"
    except DocumentInvalid as refused:
        error = "\n".join([refused.message, *map(str, refused.problems)])
    except NvsxError as refused:
        error = refused.message
    finally:
        shutil.rmtree(base, ignore_errors=True)
    log = kept.log() if mismatches or error else ()
    return Tested(case, mismatches, error, real.monotonic() - began, clock.monotonic(), log)


def environment_of_tests(environment: Mapping[str, str]) -> dict[str, str]:
    """What hooks of a test inherit of an environment."""
    return {name: environment[name] for name in _KEPT_VARIABLES if name in environment}


class _Kept:
    """A sink that keeps what is said."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []
        self.artifact_dir = ""

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)
        self.artifact_dir = self.artifact_dir or getattr(event.body, "artifact_dir", "")

    def close(self) -> None: ...

    def log(self) -> tuple[str, ...]:
        """The events as text."""
        lines = TextLines(table=False)
        return tuple(line for event in self.events for line in lines.draw(event))


def _files(directory: str) -> list[str]:
    root = Path(directory)
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()] if directory else []


def _works(catalog: Catalog, file: str, names: Sequence[str]) -> Iterator[Work]:
    label = catalog.library.label(file)
    document = read_yaml(catalog.library.read(file), label)
    found = problems(document, schema_of_tests())
    if found:
        raise DocumentInvalid(f"{label} is not a valid file of tests", found)
    if names and document.data["runbook"] not in names:
        return
    runbook = _runbook(catalog, document)
    cases = read_cases(document)
    wrong = tuple(misplaced(cases, runbook))
    if wrong:
        raise DocumentInvalid(f"{label} does not fit {runbook.name}", wrong)
    yield from [
        Work(case, runbook, _scenario(catalog, document, index, case.scenario)) for index, case in enumerate(cases)
    ]


def _runbook(catalog: Catalog, document: Document) -> Runbook:
    name = document.data["runbook"]
    if name not in catalog.names():
        near = nearest(name, catalog.names())
        hint = f"did you mean {near}?" if near else "nvsx list"
        problem = Problem(document.place(("runbook",)), "runbook", f"there is no runbook {name}", hint)
        raise DocumentInvalid(f"{document.file} tests nothing", (problem,))
    return catalog.load(name)


def _scenario(catalog: Catalog, document: Document, index: int, name: str) -> str:
    """The scenario of a test, which is there. A path counts from `runbooks/tests/` and stays inside the project."""
    try:
        if "/" not in name and not name.endswith((SUFFIX, ".yml")):
            check_scenario(name)
            return name
        file = posixpath.normpath(f"{TESTS}/{name}")
        catalog.library.read(file)
        return file
    except NvsxError as error:
        problem = Problem(document.place(("tests", index, "scenario")), "scenario", error.message, error.hint)
        raise DocumentInvalid(f"{document.file} has no such scenario", (problem,)) from None
