"""A document becomes a Runbook, or is refused: nothing behind this door needs to check a runbook again.

It is strict by itself, so that reading a good runbook needs no schema; the full account of what is wrong with a bad one
comes from the schema and from `rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import DocumentInvalid
from nvsx.model import (
    DEFAULT_HOOK_TIMEOUT_S,
    DEFAULT_TIMEOUTS_S,
    OTHER_TIMEOUT_S,
    RUN_HOOKS,
    STAGE_HOOKS,
    STAGE_IDS,
    Action,
    Clause,
    Prerequisite,
    Retry,
    Runbook,
    Stage,
    Trigger,
)
from nvsx.names import alias
from nvsx.runbook import rules
from nvsx.runbook.kinds import COMMON, KINDS
from nvsx.runbook.reading import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.source import Document

TITLES: Mapping[str, str] = {
    "preflight": "Check the prerequisites",
    "baseline": "Look at the healthy state",
    "inject": "Inject the fault",
    "detect": "Detect the fault",
    "quarantine": "Quarantine the node",
    "drain": "Drain the node",
    "remediate": "Order the repair",
    "recover": "Recover the node",
    "postmortem": "Collect the evidence",
}
"""Titles of stages that have none of their own."""

_TOP = ("apiVersion", "kind", "metadata", "trigger", "prerequisites", "hooks", "stages", "narration")
_METADATA = ("name", "nickname", "title", "summary", "tags", "estimatedDuration")
_TRIGGER_LISTS = ("checkNames", "errorCodes", "recommendedActions", "componentClasses")
_TRIGGER_FLAGS = ("fatal", "storm", "unhandled", "remote")
_TRIGGER = (*_TRIGGER_LISTS, *_TRIGGER_FLAGS, "nodes", "labels", "stalled", "priority", "cooldown", "maxConcurrent")
_STAGE = ("id", "title", "action", "watch", "hook", "hooks", "expect", "timeout", "dwell", "hookTimeout", "retry")


def parse(document: Document) -> Runbook:
    """The runbook that the document holds; DocumentInvalid with one problem of its form, or with all of its meaning."""
    top = Part(document, (), document.data)
    top.only(*_TOP, required=("apiVersion", "kind", "metadata", "stages"))
    for key, wanted in (("apiVersion", "nvsx/v1"), ("kind", "Runbook")):
        if top.value[key] != wanted:
            top.refuse(f"must be {wanted}", key)
    runbook = _runbook(top, document)
    found = rules.problems(document)
    if found:
        raise DocumentInvalid(f"{document.file} is not a valid runbook", found)
    return runbook


def _runbook(top: Part, document: Document) -> Runbook:
    about = top.part("metadata")
    assert about is not None
    about.only(*_METADATA, required=("name",))
    name = about.get("name", "slug")
    trigger = top.part("trigger")
    return Runbook(
        name=name,
        nickname=about.get("nickname", "slug") or alias(name),
        title=about.get("title", "line") or name,
        file=document.file,
        text=document.text,
        summary=about.get("summary", "summary"),
        tags=about.all("tags", "word"),
        estimated_duration_s=about.get("estimatedDuration", "duration", None),
        trigger=_trigger(trigger) if trigger else None,
        prerequisites=tuple(map(_prerequisite, top.parts("prerequisites"))),
        hooks=_hooks(top, RUN_HOOKS),
        stages=_stages(top),
        narration=_narration(top),
    )


def _trigger(part: Part) -> Trigger:
    part.only(*_TRIGGER)
    if not part.value:
        part.refuse("needs one entry at least")
    for key in (*_TRIGGER_LISTS, "labels"):
        if key in part.value and not part.value[key]:
            part.refuse("needs one entry at least", key)
    labels = part.part("labels")
    for key in labels.value if labels else ():
        if len(key) > 253:
            part.refuse("has a name that is too long", "labels", key)
    return Trigger(
        check_names=part.all("checkNames", "word"),
        error_codes=part.all("errorCodes", "code"),
        recommended_actions=part.all("recommendedActions", "actionName"),
        component_classes=part.all("componentClasses", "word"),
        fatal=part.get("fatal", "bool", None),
        nodes=part.get("nodes", "line"),
        labels=labels.each("labelValue") if labels else {},
        stalled_s=part.get("stalled", "duration", None),
        storm=part.get("storm", "bool", False),
        unhandled=part.get("unhandled", "bool", False),
        remote=part.get("remote", "bool", False),
        priority=part.get("priority", "priority", 0),
        cooldown_s=part.get("cooldown", "duration", 0.0),
        max_concurrent=part.get("maxConcurrent", "maxConcurrent", 0),
        place=part.place,
    )


def _prerequisite(part: Part) -> Prerequisite:
    part.only("name", "check", "expect", required=("name", "check"))
    return Prerequisite(part.get("name", "line"), part.get("check", "script"), part.get("expect", "expectation"))


def _hooks(owner: Part, names: tuple[str, ...]) -> dict[str, str]:
    part = owner.part("hooks")
    if part is None:
        return {}
    part.only(*names)
    return part.each("path")


def _narration(top: Part) -> dict[str, str]:
    part = top.part("narration")
    if part is None:
        return {}
    part.only(*STAGE_IDS)
    return part.each("line")


def _stages(top: Part) -> tuple[Stage, ...]:
    stages = tuple(map(_stage, top.parts("stages")))
    if not 1 <= len(stages) <= len(STAGE_IDS):
        top.refuse(f"needs one to {len(STAGE_IDS)} entries", "stages")
    return stages


def _stage(part: Part) -> Stage:
    part.only(*_STAGE, "onUnknown", required=("id",))
    stage_id = part.value["id"]
    if stage_id not in STAGE_IDS:
        part.refuse("is not a stage", "id")
    hooks = _hooks(part, STAGE_HOOKS)
    if "hook" in part.value:
        hooks.setdefault("onSuccess", part.get("hook", "path"))
    return Stage(
        id=stage_id,
        title=part.get("title", "line") or TITLES[stage_id],
        place=part.place,
        action=_action(part),
        watch=tuple(map(_clause, part.parts("watch"))),
        hooks=hooks,
        expect=part.all("expect", "expected"),
        timeout_s=part.get("timeout", "duration", DEFAULT_TIMEOUTS_S.get(stage_id, OTHER_TIMEOUT_S)),
        dwell_s=part.get("dwell", "duration", 0.0),
        hook_timeout_s=part.get("hookTimeout", "duration", DEFAULT_HOOK_TIMEOUT_S),
        retry=_retry(part),
        on_unknown=part.get("onUnknown", "onUnknown"),
    )


def _action(stage: Part) -> Action | None:
    part = stage.part("action")
    if part is None:
        return None
    part.only("script", "args", required=("script",))
    if len(part.list("args")) > 100:
        part.refuse("has more than 100 entries", "args")
    return Action(part.get("script", "path"), part.all("args", "argument"))


def _retry(stage: Part) -> Retry:
    part = stage.part("retry")
    if part is None:
        return Retry()
    part.only("attempts", "backoff")
    return Retry(part.get("attempts", "attempts", 1), part.get("backoff", "duration", 1.0))


def _clause(part: Part) -> Clause:
    if "anyOf" in part.value:
        part.only("anyOf", "absent", "for")
        children = tuple(map(_clause, part.parts("anyOf")))
        if not children:
            part.refuse("needs one entry at least", "anyOf")
        return Clause("anyOf", {}, part.place, _absent(part), _hold(part), children)
    kind = part.value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        part.refuse("`kind` must be one of " + ", ".join(KINDS))
    fields = KINDS[kind]
    part.only("kind", *fields, required=tuple(name for name, field in fields.items() if field.required))
    if kind == "node-event" and not part.value.keys() & {"reason", "type"}:
        part.refuse("`reason` or `type` is required")
    given = {
        name: part.get(name, field.form) for name, field in fields.items() if name in part.value and name not in COMMON
    }
    return Clause(kind, given, part.place, _absent(part), _hold(part))


def _absent(part: Part) -> bool:
    return bool(part.get("absent", "bool", False))


def _hold(part: Part) -> float:
    return float(part.get("for", "duration", 0.0))
