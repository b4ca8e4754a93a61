"""What a runbook that loads may still have wrong: words that mean nothing, times too short, parts without effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.model import DRILL_STAGES
from nvsx.nearest import nearest
from nvsx.runbook.checks import ACTIONS, CHECKS, misspelt
from nvsx.runbook.finding import error, warning
from nvsx.runbook.lint_clauses import clause_problems
from nvsx.runbook.lint_scripts import check_problems
from nvsx.runbook.words import as_written

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nvsx.errors import Problem
    from nvsx.model import Runbook
    from nvsx.source import Document

TOKENS = ("targetNode", "targetAlias", "elapsed", "incidentElapsed", "artifactDir", "artifactCount")
"""What narration can say with `{{…}}`."""

SHORTEST: Mapping[str, tuple[float, str]] = {
    "detect": (60, "NVSentinel needs up to a minute to set a condition"),
    "quarantine": (120, "NVSentinel may take two minutes to cordon"),
    "drain": (3600, "by default NVSentinel waits until workloads end by themselves"),
    "remediate": (60, "NVSentinel orders the repair after its last look at the drain, up to a minute later"),
    "recover": (1500, "a reboot may take 25 minutes before the janitor gives up"),
}
"""Below which time a stage that watches ends before NVSentinel is done, in seconds, and why."""

_TOKEN = re.compile(r"\{\{(.*?)\}\}")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class _Text(NamedTuple):
    runbook: Runbook
    document: Document
    variables: Collection[str]


def lint(runbook: Runbook, document: Document, variables: Collection[str]) -> tuple[Problem, ...]:
    """Errors and warnings of one runbook, in the order of its text. `variables` are the NVSX_ names that nvsx sets."""
    text = _Text(runbook, document, variables)
    found = [problem for rule in _RULES for problem in rule(text)]
    found += clause_problems(runbook)
    return tuple(sorted(found, key=lambda problem: (problem.place.line, problem.place.column)))


def _narration(text: _Text) -> Iterator[Problem]:
    present = {stage.id for stage in text.runbook.stages}
    for stage_id, said in text.runbook.narration.items():
        place, path = text.document.place(("narration", stage_id)), f"narration.{stage_id}"
        for token in _TOKEN.findall(said):
            if token not in TOKENS:
                near = nearest(token.strip(), TOKENS)
                known = " ".join(f"{{{{{token}}}}}" for token in TOKENS)
                hint = f"did you mean {{{{{near}}}}}?" if near else f"there are {known}"
                yield error(place, path, f"unknown token {{{{{token}}}}}", hint)
        if stage_id not in present:
            yield warning(place, path, f"is never said: there is no stage {stage_id}")


def _arguments(text: _Text) -> Iterator[Problem]:
    for index, stage in enumerate(text.runbook.stages):
        for number, argument in enumerate(stage.action.args if stage.action else ()):
            path = f"stages[{index}].action.args[{number}]"
            place = text.document.place(("stages", index, "action", "args", number))
            for match in _VARIABLE.finditer(argument):
                name = match[1] or match[2]
                if name in text.variables or name.startswith("NVSX_OUT_"):
                    continue
                if name.startswith("NVSX_"):
                    near = nearest(name, text.variables)
                    hint = f"did you mean ${near}?" if near else "nvsx help environment"
                    yield error(place, path, f"unknown variable ${name}", hint)
                else:
                    message = f"${name} stays as it is: only $NVSX_… is expanded"
                    yield warning(place, path, message, "read it in the script, from its environment")


def _timeouts(text: _Text) -> Iterator[Problem]:
    for index, stage in enumerate(text.runbook.stages):
        least, why = SHORTEST.get(stage.id, (0.0, ""))
        if stage.watch and stage.timeout_s < least:
            place = text.document.place(("stages", index, "timeout"))
            message = f"{as_written(stage.timeout_s)} is short: {why}"
            yield warning(place, f"stages[{index}].timeout", message, f"timeout: {as_written(least)} or more")


def _stages(text: _Text) -> Iterator[Problem]:
    for index, stage in enumerate(text.runbook.stages):
        path = f"stages[{index}]"
        if stage.expect and not stage.action:
            place = text.document.place(("stages", index, "expect"))
            yield warning(place, f"{path}.expect", "expects output of an action, and there is none")
        if stage.id in DRILL_STAGES and stage.action and text.runbook.trigger:
            message = f"{stage.id} runs in drills only: an event that triggers this runbook skips it"
            yield warning(stage.place, path, message, "keep drills in a runbook of their own")


def _remote(text: _Text) -> Iterator[Problem]:
    trigger = text.runbook.trigger
    harmless = ("postmortem", *DRILL_STAGES)
    acting = [stage.id for stage in text.runbook.stages if stage.action and stage.id not in harmless]
    if trigger and trigger.labels and acting and not trigger.remote:
        place = text.document.key_place(("trigger",))
        message = f"asks for an alert's labels, but no webhook may start it: it has an action in {', '.join(acting)}"
        yield warning(place, "trigger", message, "remote: true")


def _trigger(text: _Text) -> Iterator[Problem]:
    trigger = text.runbook.trigger
    if not trigger:
        return
    for index, name in enumerate(trigger.check_names):
        near = misspelt(name, CHECKS)
        if near:
            yield _in_trigger(text, ("checkNames", index), f"NVSentinel has no check {name}", f"did you mean {near}?")
    for index, name in enumerate(trigger.recommended_actions):
        near = misspelt(name, ACTIONS)
        if near or name not in ACTIONS:
            hint = f"did you mean {near}?" if near else f"there are {' '.join(ACTIONS)}"
            yield _in_trigger(text, ("recommendedActions", index), f"NVSentinel has no action {name}", hint)
    checks = [CHECKS[name] for name in trigger.check_names if name in CHECKS]
    if checks and len(checks) == len(trigger.check_names):
        for index, code in enumerate(trigger.error_codes):
            if not any(check.carries([code]) for check in checks):
                names = ", ".join(trigger.check_names)
                hint = "leave checkNames out, or add the check that reports it"
                yield _in_trigger(text, ("errorCodes", index), f"no event of {names} carries the code {code}", hint)
    if trigger.fatal is True and set(trigger.recommended_actions) == {"NONE"}:
        yield _in_trigger(text, ("fatal",), "an event with the action NONE is never fatal: this matches nothing", "")


def _in_trigger(text: _Text, steps: tuple[str | int, ...], message: str, hint: str) -> Problem:
    from nvsx.source import dotted

    path = ("trigger", *steps)
    return warning(text.document.place(path), dotted(path), message, hint)


def _tags(text: _Text) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, tag in enumerate(text.runbook.tags):
        path = ("metadata", "tags", index)
        if tag.lower() in seen:
            yield warning(text.document.place(path), f"metadata.tags[{index}]", f"tag {tag} is there twice")
        seen.add(tag.lower())


def _prerequisites(text: _Text) -> Iterator[Problem]:
    for index, wanted in enumerate(text.runbook.prerequisites):
        place = text.document.place(("prerequisites", index, "check"))
        yield from check_problems(wanted.check, place, f"prerequisites[{index}].check")


_RULES = (_narration, _arguments, _timeouts, _stages, _remote, _trigger, _tags, _prerequisites)
