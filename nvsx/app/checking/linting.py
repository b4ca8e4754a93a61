"""Everything about a project that can be known without a cluster: runbooks, their scripts, `nvsx.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.checking.configuration import load_config
from nvsx.app.checking.shellcheck import check_scripts
from nvsx.catalog.library import FOLDER
from nvsx.errors import DocumentInvalid, NvsxError, Place
from nvsx.hookvariables import VARIABLES
from nvsx.runbook.finding import error, note, warning
from nvsx.runbook.lint import lint
from nvsx.runbook.lint_scripts import script_problems
from nvsx.runbook.lint_triggers import ties
from nvsx.runbook.requires import requirements
from nvsx.source import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.catalog import Catalog, Examined, Script
    from nvsx.errors import Problem
    from nvsx.source import DataPath, Document


class Report(NamedTuple):
    """What lint found, in the order of files and lines."""

    runbooks: tuple[str, ...]
    problems: tuple[Problem, ...]

    def count(self, severity: str) -> int:
        return sum(1 for problem in self.problems if problem.severity == severity)


class _Use(NamedTuple):
    """A place that names a script. `may_write` is true where it is an action's."""

    path: str  # relative to the root
    place: Place
    key: str
    may_write: bool


def lint_project(catalog: Catalog, names: Sequence[str], environment: Mapping[str, str]) -> Report:
    """Lint these runbooks, or the whole project when none is named. `environment` is what hooks would get."""
    chosen = tuple(names) or catalog.names()
    examined = {name: catalog.examine(name) for name in catalog.names()}
    found: list[Problem] = []
    uses: list[_Use] = []
    for name in chosen:
        found += _runbook(examined[name])
        uses += _uses(examined[name])
    if not names:
        found += _other_files(catalog)
        config_problems, config_uses = _config(catalog)
        found += config_problems
        uses += config_uses
    found += _ties(examined, chosen)
    scripts, missing = _scripts(catalog, uses)
    found += missing
    for script, may_write in scripts:
        found += _script(script, environment, may_write=may_write)
    found += check_scripts(catalog, [script for script, _ in scripts], environment)
    return Report(chosen, tuple(sorted(dict.fromkeys(found), key=_order)))


def _order(problem: Problem) -> tuple[str, int, int]:
    return problem.place.file, problem.place.line, problem.place.column


def _runbook(examined: Examined) -> tuple[Problem, ...]:
    if examined.runbook is None or examined.document is None:
        return examined.problems
    return lint(examined.runbook, examined.document, VARIABLES)


def _uses(examined: Examined) -> Iterator[_Use]:
    """The scripts that a runbook names. A broken runbook names none."""
    runbook, document = examined.runbook, examined.document
    if runbook is None or document is None:
        return
    for name, script in runbook.hooks.items():
        yield _hook(document, ("hooks", name), script)
    for index, stage in enumerate(runbook.stages):
        if stage.action:
            path: DataPath = ("stages", index, "action", "script")
            yield _Use(stage.action.script, document.place(path), dotted(path), may_write=True)
        for name, script in stage.hooks.items():
            short = name == "onSuccess" and "hook" in document.data["stages"][index]
            yield _hook(document, ("stages", index, *(("hook",) if short else ("hooks", name))), script)


def _hook(document: Document, path: DataPath, script: str) -> _Use:
    return _Use(f"{FOLDER}/{script}", document.place(path), dotted(path), may_write=False)


def _scripts(catalog: Catalog, uses: Sequence[_Use]) -> tuple[list[tuple[Script, bool]], list[Problem]]:
    """Each script once, with whether all that use it may write; and a problem for each use of one that is missing."""
    scripts: dict[str, tuple[Script, bool]] = {}
    missing = []
    for use in uses:
        try:
            script, may_write = scripts.get(use.path) or (catalog.script(use.path), True)
        except NvsxError as problem:
            missing.append(error(use.place, use.key, problem.message, problem.hint))
        else:
            scripts[use.path] = (script, may_write and use.may_write)
    return list(scripts.values()), missing


def _script(script: Script, environment: Mapping[str, str], *, may_write: bool) -> Iterator[Problem]:
    if not script.executable:
        yield error(Place(script.label), "", "is not executable", f"chmod +x {script.label}")
    yield from script_problems(script.text, script.label, may_write=may_write)
    for variable in requirements(script.text):
        if not environment.get(variable):
            yield note(Place(script.label), "", f"requires {variable}, which is not set here", "set it in nvsx.env")


def _ties(examined: Mapping[str, Examined], chosen: Sequence[str]) -> Iterator[Problem]:
    runbooks = [entry.runbook for entry in examined.values() if entry.runbook]
    for tie in ties(runbooks):
        if tie.winner not in chosen and tie.loser not in chosen:
            continue
        loser = examined[tie.loser].document
        assert loser is not None
        path: DataPath = ("trigger",) if "trigger" in loser.data else ("metadata",)
        message = f"answers to {tie.about} as {tie.winner} does, which comes first only by its name"
        yield warning(loser.key_place(path), str(path[0]), message, "give one of them a higher trigger.priority")


def _other_files(catalog: Catalog) -> Iterator[Problem]:
    """YAML files beside the runbooks that cannot be runbooks because of their names."""
    known = catalog.names()
    for summary in catalog.summaries():
        if summary.name not in known or not summary.file.endswith(".yaml"):
            message = summary.problem.removeprefix(f"{summary.file}: ")
            yield error(Place(summary.file), "", message)


def _config(catalog: Catalog) -> tuple[list[Problem], list[_Use]]:
    try:
        document, _ = load_config(catalog)
    except DocumentInvalid as problem:
        return list(problem.problems), []
    except NvsxError as problem:
        return [error(Place(str(catalog.root)), "nvsx.yaml", problem.message, problem.hint)], []
    if document is None:
        return [], []
    named = document.data.get("hooks", {}).items()
    uses = [_hook(document, ("hooks", name), script) for name, script in named]
    heartbeat = document.data.get("heartbeat", {})
    if "hook" in heartbeat:
        uses.append(_hook(document, ("heartbeat", "hook"), heartbeat["hook"]))
    return list(_sources(document, catalog.names())), uses


def _sources(document: Document, runbooks: Sequence[str]) -> Iterator[Problem]:
    from nvsx.nearest import nearest

    for name, source in document.data.get("sources", {}).items():
        for index, runbook in enumerate(source.get("runbooks", ())):
            if runbook not in runbooks:
                path = ("sources", name, "runbooks", index)
                near = nearest(runbook, runbooks)
                hint = f"did you mean {near}?" if near else "nvsx list"
                yield error(document.place(path), dotted(path), f"there is no runbook {runbook}", hint)
