"""What must hold between the parts of a runbook and no schema can say: all of it at once, however broken the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import Problem
from nvsx.model import STAGE_IDS
from nvsx.runbook.grammar import FORMS
from nvsx.runbook.reading import read_value
from nvsx.source import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.source import DataPath, Document

    Found = Iterator[tuple[DataPath, str, str]]

_SUFFIX = ".yaml"
_POSITIVE = ("timeout", "hookTimeout", "estimatedDuration", "stalled", "after")
_DURATIONS = (*_POSITIVE, "dwell", "cooldown", "backoff", "for")


def problems(document: Document) -> tuple[Problem, ...]:
    """Every broken rule, in the order of the text. Parts that have not even the right form are passed over."""
    data = _mapping(document.data)
    found = [
        Problem(document.place(path), dotted(path), message, hint)
        for rule in (_name, _order, _hooks, _durations, _filters)
        for path, message, hint in rule(data, document.file)
    ]
    return tuple(sorted(found, key=lambda problem: (problem.place.line, problem.place.column)))


def _name(data: dict[str, Any], file: str) -> Found:
    name = _mapping(data.get("metadata")).get("name")
    base = file.rpartition("/")[2]
    if not isinstance(name, str) or not FORMS["slug"].fits(name) or not base.endswith(_SUFFIX):
        return
    if base != name + _SUFFIX:
        hint = f"write name: {base.removesuffix(_SUFFIX)}, or rename the file to {name}{_SUFFIX}"
        yield ("metadata", "name"), f"must be the file's name, {base.removesuffix(_SUFFIX)}, not {name}", hint


def _order(data: dict[str, Any], _: str) -> Found:
    seen: dict[str, int] = {}
    for index, stage in _stages(data):
        stage_id = stage.get("id")
        if stage_id not in STAGE_IDS:
            continue
        path = ("stages", index, "id")
        rank = STAGE_IDS.index(stage_id)
        after = next((earlier for earlier in seen if STAGE_IDS.index(earlier) > rank), "")
        if stage_id in seen:
            yield path, f"stage {stage_id} is there already, as stages[{seen[stage_id]}]", "put both into one stage"
        elif after:
            order = " ".join(STAGE_IDS)
            yield path, f"stage {stage_id} must stand before {after}", f"the order is {order}"
        seen.setdefault(stage_id, index)


def _hooks(data: dict[str, Any], _: str) -> Found:
    for index, stage in _stages(data):
        if "hook" in stage and "onSuccess" in _mapping(stage.get("hooks")):
            hint = "`hook` is short for `hooks.onSuccess`; keep one of them"
            yield ("stages", index, "hook"), "clashes with hooks.onSuccess", hint


def _durations(data: dict[str, Any], _: str) -> Found:
    for path, value in _walk(data, ()):
        if path[-1] not in _DURATIONS or not isinstance(value, str) or not FORMS["duration"].fits(value):
            continue
        if path[0] in ("narration", "prerequisites") or "labels" in path or "filter" in path:
            continue
        try:
            seconds = read_value("duration", value)
        except ValueError as error:
            yield path, str(error), ""
        else:
            if path[-1] in _POSITIVE and seconds <= 0:
                yield path, f"must be more than 0, not {value}", ""


def _filters(data: dict[str, Any], _: str) -> Found:
    for path, value in _walk(data.get("stages"), ("stages",)):
        if path[-1] == "kind" and value == "mongo-event":
            clause = _at(data, path[:-1])
            if isinstance(clause.get("filter"), (str, dict)):
                try:
                    read_value("filter", clause["filter"])
                except ValueError as error:
                    yield (*path[:-1], "filter"), str(error), "nvsx show --schema watch.mongo-event"


def _walk(value: Any, path: DataPath) -> Iterator[tuple[DataPath, Any]]:
    """Every value that is neither list nor mapping, with its path."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        if isinstance(child, (dict, list)):
            yield from _walk(child, (*path, step))
        else:
            yield (*path, step), child


def _at(data: Any, path: DataPath) -> dict[str, Any]:
    for step in path:
        data = data[step]
    return _mapping(data)


def _stages(data: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    stages = data.get("stages")
    for index, stage in enumerate(stages if isinstance(stages, list) else ()):
        if isinstance(stage, dict):
            yield index, stage


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
