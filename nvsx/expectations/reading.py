"""Reads a file of tests: its form by the schema, then the values, each with the place it will be blamed by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import DocumentInvalid, Problem
from nvsx.expectations import kinds
from nvsx.expectations.kinds import Expectation
from nvsx.expectations.ranges import Range, count_range, time_range
from nvsx.source import dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nvsx.errors import Place
    from nvsx.model import Runbook
    from nvsx.source import DataPath, Document

DEFAULT_SEED = 1


class Case(NamedTuple):
    """One rehearsal to be held against its expectations. A variable that is None is taken away."""

    runbook: str
    name: str
    place: Place
    scenario: str
    seed: int
    drill: bool
    variables: Mapping[str, str | None]
    expectations: tuple[Expectation, ...]


def read_cases(document: Document) -> tuple[Case, ...]:
    """The tests of a document that has the schema's form; DocumentInvalid with all that no schema can see."""
    found = tuple(_problems(document))
    if found:
        raise DocumentInvalid(f"{document.file} is not a valid file of tests", found)
    return tuple(_case(document, index, raw) for index, raw in enumerate(document.data["tests"]))


def misplaced(cases: Sequence[Case], runbook: Runbook) -> Iterator[Problem]:
    """Expectations of stages and scripts that the runbook does not have: they could never be told apart from right."""
    preflight = {"preflight"} if runbook.prerequisites else set()
    stages = {stage.id for stage in runbook.stages} | preflight
    scripts = {*runbook.hooks.values(), *(s for stage in runbook.stages for s in stage.hooks.values())}
    scripts |= {stage.action.script for stage in runbook.stages if stage.action}
    for expectation in (one for case in cases for one in case.expectations):
        wanted = expectation.wanted
        stage, script = getattr(wanted, "stage", ""), getattr(wanted, "script", "")
        if stage and stage not in stages:
            there = " ".join(one for one in stages)
            message = f"{runbook.name} has no stage {stage}"
            yield Problem(expectation.place, expectation.path, message, f"it has {there}")
        if script and script not in scripts:
            message = f"{runbook.name} names no script {script}"
            yield Problem(expectation.place, expectation.path, message, f"it names {', '.join(sorted(scripts))}")


def _problems(document: Document) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for index, raw in enumerate(document.data["tests"]):
        base: DataPath = ("tests", index)
        if raw["name"] in names:
            there = f"is the name of tests[{names[raw['name']]}], too"
            yield _problem(document, (*base, "name"), there, "names tell tests apart in reports")
        names.setdefault(raw["name"], index)
        messages = raw["expect"].get("messages", ())
        ids = [message["id"] for message in messages if "id" in message]
        for position, message in enumerate(messages):
            path = (*base, "expect", "messages", position)
            if "id" in message and ids.count(message["id"]) > 1:
                yield _problem(document, (*path, "id"), f"two messages are called {message['id']}", "give them two ids")
            for key in ("sameKeyAs", "otherKeyThan"):
                if key in message and message[key] not in ids:
                    known = f"ids here: {', '.join(ids)}" if ids else f"give a message `id: {message[key]}`"
                    yield _problem(document, (*path, key), f"no message here has the id {message[key]}", known)
        yield from _bad_ranges(document, (*base, "expect"), raw["expect"])


def _bad_ranges(document: Document, path: DataPath, value: Any) -> Iterator[Problem]:
    """What the schema takes for a range and is none, such as `3..1`."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _bad_ranges(document, (*path, index), inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            read = _RANGES.get(key)
            if key != "fields" and read is None:
                yield from _bad_ranges(document, (*path, key), inner)
            elif read is not None:
                try:
                    read(inner)
                except ValueError as error:
                    yield _problem(document, (*path, key), str(error))


_RANGES: Mapping[str, Callable[[Any], Range]] = {
    "times": count_range,
    "writes": count_range,
    "refusedWrites": count_range,
    "lasts": time_range,
    "sinceFault": time_range,
    "total": time_range,
    "mttr": time_range,
}


def _problem(document: Document, path: DataPath, message: str, hint: str = "") -> Problem:
    return Problem(document.place(path), dotted(path), message, hint)


def _case(document: Document, index: int, raw: Mapping[str, Any]) -> Case:
    base: DataPath = ("tests", index, "expect")
    expectations = []
    for key, value in raw["expect"].items():
        for path, wanted in _READ[key](value):
            whole = (*base, key, *path)
            expectations.append(Expectation(wanted, document.place(whole), dotted((key, *path))))
    return Case(
        runbook=document.data["runbook"],
        name=raw["name"],
        place=document.place(("tests", index)),
        scenario=raw["scenario"],
        seed=raw.get("seed", DEFAULT_SEED),
        drill=raw.get("drill", False),
        variables=raw.get("variables", {}),
        expectations=tuple(expectations),
    )


def _stages(value: Any) -> Iterator[tuple[DataPath, kinds.Wanted]]:
    if isinstance(value, str):
        yield (), kinds.AllStagesEnd(value)
        return
    for stage, wanted in value.items():
        facts: Mapping[str, Any] = {"status": wanted} if isinstance(wanted, str) else wanted
        lasts = time_range(facts["lasts"]) if "lasts" in facts else None
        status, reason = facts.get("status", ""), facts.get("reason", "")
        yield (stage,), kinds.StageEnds(stage, status, reason, lasts, facts.get("inferred"))


def _hooks(value: Any) -> Iterator[tuple[DataPath, kinds.Wanted]]:
    for index, raw in enumerate(value):
        known = {key: raw[key] for key in ("hook", "stage", "script", "outcome") if key in raw}
        since = time_range(raw["sinceFault"]) if "sinceFault" in raw else None
        yield (index,), kinds.HookFires(**known, times=count_range(raw.get("times", 1)), since_fault=since)


def _messages(value: Any) -> Iterator[tuple[DataPath, kinds.Wanted]]:
    for index, raw in enumerate(value):
        texts = raw.get("contains", ())
        yield (
            (index,),
            kinds.MessageSent(
                to=raw.get("to", ""),
                id=raw.get("id", ""),
                method=raw.get("method", ""),
                contains=(texts,) if isinstance(texts, str) else tuple(texts),
                fields=raw.get("fields", {}),
                key=raw.get("key", ""),
                same_key_as=raw.get("sameKeyAs", ""),
                other_key_than=raw.get("otherKeyThan", ""),
                times=count_range(raw.get("times", 1)),
            ),
        )


def _each(make: Callable[[str], kinds.Wanted]) -> Callable[[Any], Iterator[tuple[DataPath, kinds.Wanted]]]:
    return lambda value: (((index,), make(text)) for index, text in enumerate(value))


def _one(make: Callable[[Any], kinds.Wanted]) -> Callable[[Any], Iterator[tuple[DataPath, kinds.Wanted]]]:
    return lambda value: iter((((), make(value)),))


_READ: Mapping[str, Callable[[Any], Iterator[tuple[DataPath, kinds.Wanted]]]] = {
    "exitCode": _one(kinds.ExitCode),
    "verdict": _one(kinds.VerdictIs),
    "stages": _stages,
    "hooks": _hooks,
    "messages": _messages,
    "output": _each(kinds.Says),
    "artifacts": _each(kinds.Keeps),
    "total": _one(lambda text: kinds.Takes("total", time_range(text))),
    "mttr": _one(lambda text: kinds.Takes("mttr", time_range(text))),
    "writes": _one(lambda count: kinds.Writes(count_range(count))),
    "refusedWrites": _one(lambda count: kinds.Writes(count_range(count), refused=True)),
}
