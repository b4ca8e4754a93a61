"""A runbook that is in no project yet: its text, its hooks, and what became of the lines of the page it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.conversion.hooks import write_hooks
from nvsx.conversion.phases import FAILURE, HOOKS
from nvsx.conversion.sorting import KEPT, PEOPLE
from nvsx.runbook.faults import HOOKS as SHIPPED_HOOKS
from nvsx.runbook.faults import starter
from nvsx.runbook.writing import runbook_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.conversion.markdown import Page
    from nvsx.conversion.sorting import Sorted

HOOK_TIMEOUT = "2m"
"""Hooks that people wrote for themselves tell several channels, one after the other."""

FEWEST_HOOKS = 3

_FAULTS = tuple(
    (fault, re.compile(pattern, re.IGNORECASE))
    for fault, pattern in (
        ("xid-79", r"xid[\s_:-]*79\b|fall(?:en|s)? off|fell off"),
        ("ecc", r"\becc\b|double[- ]bit|row[- ]?remap|uncontained|xid[\s_:-]*(?:48|64|95)\b"),
        ("nvlink", r"nv[- ]?link|nvswitch"),
        ("inforom", r"info[- ]?rom"),
        ("thermal", r"thermal|overheat|throttl|too hot|temperature"),
        ("driver-hang", r"(?:driver|gpu) hang|hangs|\bgsp\b|xid[\s_:-]*(?:46|62|109|110|119|120|136|140|143)\b"),
        ("gpu-reset", r"gpu[- ]reset|COMPONENT_RESET"),
        ("contact-support", r"CONTACT_SUPPORT|\brma\b only|field ?diag"),
    )
)
_TITLE_WEIGHT = 10
_LONGEST_SUMMARY = 400
_STAND_IN: Mapping[str, tuple[str, ...]] = {
    # moment: the stages whose place it takes where a runbook has none of its own for it
    "quarantine": ("detect",),
    "drain": ("quarantine", "detect"),
    "remediate": ("drain", "detect"),
    "recover": ("postmortem",),
}


class Draft(NamedTuple):
    """`hooks` are files by their paths relative to `runbooks/`. `fates` is what the draft's author says of the page's
    lines; empty for drafts by rules, which know.
    """

    name: str
    runbook: str
    hooks: Mapping[str, str]
    fates: tuple[Fate, ...] = ()


class Fate(NamedTuple):
    """What a draft's author says of some lines: kept in a hook, dropped, or left for people, and why."""

    first: int
    last: int
    kind: str
    where: str  # the hook of what is kept, relative to runbooks/
    why: str


def fault_of(page: Page, text: str) -> str:
    """The fault that a page is about, as `--fault` names it; "" where it is about none that ships."""
    counts = {
        fault: _TITLE_WEIGHT * len(pattern.findall(page.title)) + len(pattern.findall(text))
        for fault, pattern in _FAULTS
    }
    best = max(counts, key=lambda fault: counts[fault])
    return best if counts[best] else ""


def draft_by_rules(
    found: Sorted, about: Mapping[str, str], base: Mapping[str, Any], stubs: Mapping[str, str], page: str
) -> Draft:
    """The runbook of a page: a shipped one (`base`) with the page's hooks.

    `about` holds its `name` and `nickname`, and a `title` and `summary` for when the page has none. `stubs` are hooks
    by their moment, in the order in which they are taken until there are three.
    """
    name = about["name"]
    texts = write_hooks(found.entries, page)
    for moment, text in stubs.items():
        if len(texts) < FEWEST_HOOKS:
            texts.setdefault(moment, text)
    texts = {moment: texts[moment] for moment in HOOKS if moment in texts}
    paths = {moment: hook_path(name, moment) for moment in texts}
    own = {
        "name": name,
        "nickname": about["nickname"],
        "title": _line(found.page.title) or about.get("title", ""),
        "summary": summary_of(found.page) or about.get("summary", ""),
    }
    data = starter(base, own, dict.fromkeys(SHIPPED_HOOKS, ""))
    _hang_in(data, paths)
    return Draft(name, runbook_text(data, _remarks(found, page)), {paths[moment]: texts[moment] for moment in texts})


def hook_path(name: str, moment: str) -> str:
    """Where the hook for a moment lies, relative to `runbooks/`."""
    return f"hooks/{name}/{HOOKS[moment]}.sh"


def summary_of(page: Page) -> str:
    """The first paragraph of prose on a page, shortened."""
    for section in page.sections:
        for paragraph in section.prose.split("\n\n"):
            plain = re.sub(r"[*_`]+|\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
            if len(plain.split()) > 5 and not re.match(r"[|\-+>#\d]", plain):
                return _shortened(plain)
    return ""


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_SUMMARY:
        return text
    sentence = text[:_LONGEST_SUMMARY].rpartition(". ")[0]
    return f"{sentence}." if sentence else f"{text[:_LONGEST_SUMMARY]}…"


def _line(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:200].strip()


def _hang_in(data: dict[str, Any], paths: Mapping[str, str]) -> None:
    """Give the stages their hooks, and the run those for when the chain stops."""
    stages: list[dict[str, Any]] = data["stages"]
    if "preflight" in paths and stages[0]["id"] != "preflight":
        stages.insert(0, {"id": "preflight", "title": "Acknowledge the incident"})
    by_id = {stage["id"]: stage for stage in stages}
    for stage in stages:
        for key in ("hookTimeout", "retry", "dwell"):
            stage.pop(key, None)
    for moment, path in paths.items():
        if moment == FAILURE:
            data["hooks"] = {"onFailure": path, "onBlind": path}
        else:
            places = (moment, *_STAND_IN.get(moment, ()))
            stage = next((by_id[place] for place in places if place in by_id), stages[-1])
            _hang(stage, path)
    order = ("apiVersion", "kind", "metadata", "trigger", "prerequisites", "hooks", "stages", "narration")
    ordered = {key: data[key] for key in order if key in data}
    data.clear()
    data.update(ordered)


def _hang(stage: dict[str, Any], path: str) -> None:
    """The stage's hook; whatever way it ends for postmortem, which collects what there is."""
    if stage["id"] == "postmortem":
        stage.setdefault("hooks", {})["finally" if "finally" not in stage.get("hooks", {}) else "onSuccess"] = path
    elif "hook" in stage:
        stage.setdefault("hooks", {})["finally"] = path
    else:
        stage["hook"] = path
    stage["hookTimeout"] = HOOK_TIMEOUT


def _remarks(found: Sorted, page: str) -> dict[str, Sequence[str]]:
    left = [entry for entry in found.entries if entry.kind == PEOPLE]
    kept = sum(1 for entry in found.entries if entry.kind == KEPT)
    lines = [f"Converted from {_line(page)} by nvsx: {kept} of its commands are in the hooks below."]
    if left:
        lines.append("Left for people:")
        lines += [f"  line {entry.first}: {_first_line(entry.text)}" for entry in left]
    return {"apiVersion": lines}


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = _line(lines[0])[:80] if lines else ""
    return f"{shown} …" if len(lines) > 1 else shown
