"""Looks a draft over before anything of it gets into a project: parsed, linted, its scripts read by bash."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx import assets
from nvsx.app.checking.linting import lint_project
from nvsx.app.drafting.files import SCRIPT, File, write_files
from nvsx.app.drafting.scaffold import scripts_needed
from nvsx.catalog import Catalog
from nvsx.catalog.library import FOLDER, SUFFIX
from nvsx.conversion.draft import FEWEST_HOOKS
from nvsx.conversion.sorting import writes_in
from nvsx.documents import read_yaml
from nvsx.errors import NvsxError, Place
from nvsx.runbook.finding import error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nvsx.conversion.draft import Draft
    from nvsx.errors import Problem


def files_of(draft: Draft) -> tuple[File, ...]:
    """The draft as files of a project."""
    hooks = (File(f"{FOLDER}/{path}", text, SCRIPT) for path, text in draft.hooks.items())
    return (File(f"{FOLDER}/{draft.name}{SUFFIX}", draft.runbook), *hooks)


def scripts_for(draft: Draft, catalog: Catalog) -> tuple[File, ...]:
    """The scripts that nvsx ships, that the draft names and that the project does not have."""
    data = _data(draft)
    return scripts_needed(catalog, data) if data else ()


def problems_of(draft: Draft, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """Everything that keeps a draft out of a project (`error`), and what one would want to know (`warning`)."""
    found = list(_of_hooks(draft))
    if any(not _in_place(draft, path) for path in draft.hooks):
        return tuple(found)
    with tempfile.TemporaryDirectory(prefix="nvsx-draft-") as directory:
        root = Path(directory)
        write_files(root, files_of(draft))
        write_files(root, scripts_for(draft, Catalog(root)))
        report = lint_project(Catalog(root), (draft.name,), environment)
        found += [_moved(problem, directory) for problem in report.problems if problem.severity != "note"]
    found += _of_actions(draft)
    return tuple(found)


def _moved(problem: Problem, directory: str) -> Problem:
    """The problem as if the draft stood in a project."""
    file, message, hint = (
        text.replace(f"{directory}/", "") for text in (problem.place.file, problem.message, problem.hint)
    )
    return problem._replace(place=problem.place._replace(file=file), message=message, hint=hint)


def _of_hooks(draft: Draft) -> Iterator[Problem]:
    named = re.findall(r"hooks/[\w./-]+", draft.runbook)
    runbook = f"{FOLDER}/{draft.name}{SUFFIX}"
    if len(draft.hooks) < FEWEST_HOOKS:
        yield error(Place(runbook), "", f"has {len(draft.hooks)} hooks; it should have {FEWEST_HOOKS} or more")
    for path, text in draft.hooks.items():
        label = f"{FOLDER}/{path}"
        if not _in_place(draft, path):
            yield error(Place(label), "", f"is not where it belongs: hooks/{draft.name}/NAME.sh")
        elif path not in named:
            yield error(Place(label), "", "is used by no stage", f"name it in {runbook}, or leave it out")
        for line, what in writes_in(text):
            yield error(Place(label, line), "", what, "watch what NVSentinel does; keep only what tells or collects")


def _in_place(draft: Draft, path: str) -> bool:
    return bool(re.fullmatch(rf"hooks/{re.escape(draft.name)}/[a-z0-9][a-z0-9-]*\.sh", path))


def _of_actions(draft: Draft) -> Iterator[Problem]:
    shipped = assets.names("scripts/")
    runbook = f"{FOLDER}/{draft.name}{SUFFIX}"
    for stage in (_data(draft) or {}).get("stages", ()):
        script = stage["action"]["script"] if "action" in stage else ""
        if script and script not in shipped:
            yield error(Place(runbook), "", f"action {script} is not one that nvsx ships", "leave it to NVSentinel")


def _data(draft: Draft) -> dict[str, Any] | None:
    """The draft's runbook as data, None where lint will say that it is none."""
    try:
        data = read_yaml(draft.runbook, "draft").data
        stages = data["stages"]
        sound = all(isinstance(stage, dict) and isinstance(stage.get("action", {}), dict) for stage in stages)
        named = all(isinstance(stage["action"].get("script"), str) for stage in stages if "action" in stage)
    except (NvsxError, KeyError, TypeError, AttributeError):
        return None
    return data if sound and named else None
