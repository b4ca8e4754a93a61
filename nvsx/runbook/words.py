"""A runbook in words: every field of it, for people who want to know what it will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.cells import wrap
from nvsx.runbook.emit import inline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.model import Clause, Prerequisite, Runbook, Stage, Trigger

SUMMARY_CELLS = 90
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Line(NamedTuple):
    """A line of a description: how deep it stands, what it is about, and the text. `faint` ones may be dimmed."""

    depth: int
    label: str
    text: str
    faint: bool = False


def as_written(seconds: float) -> str:
    """A duration as a runbook would write it, exactly: `24h`, `1h30m`, `500ms`."""
    if seconds != round(seconds):
        return f"{round(seconds * 1000)}ms"
    rest, text = round(seconds), ""
    if rest and rest % 3600 == 0 and rest <= 48 * 3600:  # people say 24h, not 1d
        return f"{rest // 3600}h"
    for size, unit in _UNITS:
        if rest >= size:
            text += f"{rest // size}{unit}"
            rest %= size
    return text or "0s"


def headline(runbook: Runbook) -> Iterator[Line]:
    if runbook.summary:
        for text in wrap(runbook.summary, SUMMARY_CELLS):
            yield Line(0, "", text)
    yield Line(0, "tags", ", ".join(runbook.tags) or "none")
    if runbook.estimated_duration_s is not None:
        yield Line(0, "usually takes", as_written(runbook.estimated_duration_s))
    yield Line(0, "file", runbook.file)


def trigger(wanted: Trigger | None) -> Iterator[Line]:
    """Each field that asks for something; without a trigger, what decides in its place."""
    if wanted is None:
        yield Line(0, "", "none: tags and the conditions of the detect stage decide which events it takes", faint=True)
        return
    lists = {
        "checks": wanted.check_names,
        "error codes": wanted.error_codes,
        "recommended actions": wanted.recommended_actions,
        "component classes": wanted.component_classes,
        "labels": tuple(f"{key}={value}" for key, value in wanted.labels.items()),
    }
    for label, values in lists.items():
        if values:
            yield Line(0, label, ", ".join(values))
    if wanted.fatal is not None:
        yield Line(0, "fatal", "yes" if wanted.fatal else "no")
    if wanted.nodes:
        yield Line(0, "nodes", wanted.nodes)
    if wanted.stalled_s is not None:
        yield Line(0, "stalled", f"nobody acts for {as_written(wanted.stalled_s)}")
    for label, flag, meaning in (
        ("storm", wanted.storm, "one run for a storm of faults"),
        ("unhandled", wanted.unhandled, "fatal events that no other runbook takes"),
        ("remote", wanted.remote, "a webhook may start it although it has an action"),
    ):
        if flag:
            yield Line(0, label, meaning)
    yield Line(0, "priority", str(wanted.priority))
    if wanted.cooldown_s:
        yield Line(0, "cooldown", f"{as_written(wanted.cooldown_s)} on the same node")
    if wanted.max_concurrent:
        yield Line(0, "at a time", f"{wanted.max_concurrent} at most")


def prerequisite(wanted: Prerequisite) -> Iterator[Line]:
    expects = f"expects {inline(wanted.expect)}" if wanted.expect else "expects exit status 0"
    yield Line(0, wanted.name, expects)
    for line in wanted.check.rstrip().split("\n"):
        yield Line(1, "", line, faint=True)


def stage(wanted: Stage) -> Iterator[Line]:
    """Everything that the stage does, in the order in which it does it."""
    if wanted.action:
        yield Line(0, "action", " ".join([wanted.action.script, *map(_word, wanted.action.args)]))
    for text in wanted.expect:
        yield Line(0, "expect", f"output with {inline(text)}")
    for watched in wanted.watch:
        yield from clause(watched, "watch")
    for name, script in wanted.hooks.items():
        yield Line(0, name, script)
    if wanted.hooks:
        yield Line(0, "hook timeout", as_written(wanted.hook_timeout_s))
    if wanted.retry.attempts > 1:
        yield Line(0, "retry", f"{wanted.retry.attempts} attempts, first pause {as_written(wanted.retry.backoff_s)}")
    if wanted.dwell_s:
        yield Line(0, "dwell", as_written(wanted.dwell_s))
    if wanted.on_unknown:
        yield Line(0, "when cut off", wanted.on_unknown)


def _word(argument: str) -> str:
    plain = argument and not any(sign.isspace() or sign in "\"'\\" for sign in argument)
    return argument if plain else inline(argument)


def clause(watched: Clause, label: str, depth: int = 0) -> Iterator[Line]:
    """A clause in words, then as it would be written; alternatives below."""
    if watched.any_of:
        yield Line(depth, label, f"any of {len(watched.any_of)}{_modifiers(watched)}")
        for alternative in watched.any_of:
            yield from clause(alternative, "or", depth + 1)
        return
    from nvsx.watches.table import compile_clause

    yield Line(depth, label, compile_clause(watched).text)
    yield Line(depth, "", inline(as_data(watched)), faint=True)


def _modifiers(watched: Clause) -> str:
    absent = ", none of which may be there" if watched.absent else ""
    return absent + (f", for {as_written(watched.hold_s)}" if watched.hold_s else "")


def as_data(watched: Clause) -> dict[str, Any]:
    """A clause as a runbook writes it."""
    data: dict[str, Any] = {"kind": watched.kind, **watched.fields}
    if watched.any_of:
        data = {"anyOf": [as_data(alternative) for alternative in watched.any_of]}
    if watched.absent:
        data["absent"] = True
    if watched.hold_s:
        data["for"] = as_written(watched.hold_s)
    return data
