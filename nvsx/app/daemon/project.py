"""What the daemon works by, read whole and held as one value: a broken set is refused, and the old one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.checking.configuration import load_config
from nvsx.catalog import Catalog
from nvsx.catalog.library import FOLDER
from nvsx.errors import DocumentInvalid, NvsxError, Place
from nvsx.model import RESOLVED_HOOK
from nvsx.runbook.finding import error
from nvsx.runbook.requires import requirements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from nvsx.config import Config
    from nvsx.errors import Problem
    from nvsx.model import Runbook


class Project(NamedTuple):
    """Runbooks by name, and `nvsx.yaml`. `missing` maps a hook's script to variables that it requires and lacks."""

    where: str
    runbooks: Mapping[str, Runbook]
    config: Config
    missing: Mapping[str, tuple[str, ...]]

    def prepared(self, runbook: Runbook) -> Runbook:
        """The runbook with the hooks of `nvsx.yaml` where it has none of its own: the last resort of every run."""
        of_runs = {name: script for name, script in self.config.hooks.items() if name != RESOLVED_HOOK}
        return runbook._replace(hooks={**of_runs, **runbook.hooks})


def load_project(root: Path | None, environment: Mapping[str, str]) -> Project:
    """The project below `root`, or the bundled library. `environment` is what hooks get.

    DocumentInvalid carries everything that is wrong with it: a hook that is not there would be missed at 3 a.m.
    """
    catalog = Catalog(root)
    found: list[Problem] = []
    runbooks: dict[str, Runbook] = {}
    for name in catalog.names():
        examined = catalog.examine(name)
        found += (problem for problem in examined.problems if problem.severity == "error")
        if examined.runbook:
            runbooks[name] = examined.runbook
    try:
        _, config = load_config(catalog)
    except DocumentInvalid as invalid:
        raise DocumentInvalid(f"{catalog.where} cannot be used", (*found, *invalid.problems)) from None
    missing: dict[str, tuple[str, ...]] = {}
    for path, place in _scripts(runbooks.values(), config):
        try:
            script = catalog.script(path)
        except NvsxError as problem:
            found.append(error(place, path, problem.message, problem.hint))
            continue
        if not script.executable:
            found.append(error(Place(script.label), "", "is not executable", f"chmod +x {script.label}"))
        if lacking := tuple(name for name in requirements(script.text) if not environment.get(name)):
            missing[script.label] = lacking
    if found:
        raise DocumentInvalid(f"{catalog.where} cannot be used", tuple(dict.fromkeys(found)), hint="nvsx lint")
    return Project(catalog.where, runbooks, config, missing)


def _scripts(runbooks: Iterable[Runbook], config: Config) -> Iterator[tuple[str, Place]]:
    """The scripts that are named, relative to the root, each once, and where it is named first."""
    places: dict[str, Place] = {}
    for runbook in runbooks:
        for script in runbook.hooks.values():
            places.setdefault(f"{FOLDER}/{script}", Place(runbook.file))
        for stage in runbook.stages:
            for script in stage.hooks.values():
                places.setdefault(f"{FOLDER}/{script}", stage.place)
            if stage.action:
                places.setdefault(stage.action.script, stage.place)
    heartbeat = config.heartbeat.hook if config.heartbeat else ""
    for script in (*config.hooks.values(), *([heartbeat] if heartbeat else ())):
        places.setdefault(f"{FOLDER}/{script}", Place("nvsx.yaml"))
    yield from places.items()
