"""A new runbook with its hooks, made for one fault or for none in particular; nothing is written here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.app.drafting.files import SCRIPT, File
from nvsx.app.drafting.hookstubs import hook_stub
from nvsx.app.drafting.starters import free_nickname, nicknames, shipped, starter_for
from nvsx.catalog import read_runbook
from nvsx.catalog.library import FOLDER, SUFFIX
from nvsx.errors import DocumentInvalid, NvsxError, Refused, UsageError
from nvsx.runbook.faults import HOOKS, generic, starter
from nvsx.runbook.lint_triggers import ties
from nvsx.runbook.writing import runbook_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nvsx.catalog import Catalog
    from nvsx.model import Runbook

FLAGSHIP = "gpu-off-bus"
LOWEST_PRIORITY = -1000
_HOOK_COUNT = 3

_NO_TRIGGER = (
    "Nothing starts this runbook by itself yet. Say which fault it is for:",
    '  trigger: {errorCodes: ["79"], fatal: true}',
    "nvsx show --schema trigger tells what else it can ask for.",
)


class Scaffold(NamedTuple):
    """The files of a new runbook, and what to tell of it."""

    name: str
    nickname: str
    files: tuple[File, ...]
    notes: tuple[str, ...] = ()


def new_runbook(catalog: Catalog, name: str, *, fault: str = "", title: str = "", summary: str = "") -> Scaffold:
    """A runbook `name` that lints clean, with three hooks that run as they are.

    Refused where there is one already; UsageError where title or summary cannot stand in a runbook.
    """
    _refuse_existing(catalog, name)
    nickname = free_nickname(name, nicknames(catalog))
    about = {
        "name": name,
        "nickname": nickname,
        "title": title or ("" if fault else title_of(name)),
        "summary": summary or ("" if fault else "What this runbook is for, in a sentence."),
    }
    scripts = {script: hook and hook_path(name, hook) for script, hook in HOOKS.items()}
    data = starter_for(fault, about, scripts) if fault else starter(generic(shipped(FLAGSHIP)), about, scripts)
    data["stages"] = _with_three_hooks(data["stages"], name)
    _checked(data, name)
    notes = _stand_back(data, catalog)
    text = _checked(data, name)
    hooks = tuple(File(f"{FOLDER}/{path}", hook_stub(_hook_name(path)), SCRIPT) for path in _hooks_of(data))
    runbook = File(f"{FOLDER}/{name}{SUFFIX}", text)
    return Scaffold(name, nickname, (runbook, *hooks, *scripts_needed(catalog, data)), notes)


def hook_path(runbook: str, hook: str) -> str:
    """Where a hook of a runbook's own lies, relative to `runbooks/`."""
    return f"hooks/{runbook}/{hook}.sh"


def scripts_needed(catalog: Catalog, data: Mapping[str, Any]) -> tuple[File, ...]:
    """The scripts that nvsx ships, that a runbook's actions name, and that the project does not have yet."""
    from nvsx import assets

    named = dict.fromkeys(stage["action"]["script"] for stage in data["stages"] if "action" in stage)
    there = assets.names("scripts/")
    root = catalog.root
    assert root is not None
    return tuple(
        File(path, assets.text(path), assets.mode(path))
        for path in named
        if path in there and not (root / path).exists()
    )


def _refuse_existing(catalog: Catalog, name: str) -> None:
    root = catalog.root
    assert root is not None
    for path in (f"{FOLDER}/{name}{SUFFIX}", f"{FOLDER}/{name}.yml", f"{FOLDER}/hooks/{name}"):
        file: Path = root / path
        if file.exists() or file.is_symlink():
            raise Refused(f"{file} is there already, and nvsx overwrites nothing", hint="choose another name")


def title_of(name: str) -> str:
    """A title made of a runbook's name, for when nobody gives a better one."""
    words = name.replace("-", " ").split()
    return " ".join([words[0].capitalize(), *words[1:]])


def _with_three_hooks(stages: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The stages with `acknowledge` at the beginning, and one at the end where there are fewer than three hooks."""
    if stages[0]["id"] != "preflight":
        stages = [{"id": "preflight", "title": "Acknowledge the incident"}, *stages]
    if "hook" not in stages[0]:
        stages[0] = {**stages[0], "hook": hook_path(name, "acknowledge")}
    if len({stage["hook"] for stage in stages if "hook" in stage}) < _HOOK_COUNT:
        stages[-1] = {**stages[-1], "hook": hook_path(name, "report")}
    return stages


def _hooks_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    of_run = data.get("hooks", {}).values()
    return tuple(dict.fromkeys([*(stage["hook"] for stage in data["stages"] if "hook" in stage), *of_run]))


def _hook_name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".sh")


def _stand_back(data: dict[str, Any], catalog: Catalog) -> tuple[str, ...]:
    """Let the runbooks that answer to the same events go before this one, whose hooks are still empty."""
    others = list(_loaded(catalog))
    rivals: list[str] = []
    for _ in range(len(others) + 1):
        new = read_runbook(runbook_text(data), "new")
        tied = [tie for tie in ties([*others, new]) if new.name in (tie.winner, tie.loser)]
        if not tied:
            break
        rivals += [tie.winner if tie.loser == new.name else tie.loser for tie in tied]
        lowest = min(other.trigger.priority for other in others if other.name in rivals and other.trigger)
        data["trigger"] = {**data["trigger"], "priority": max(LOWEST_PRIORITY, lowest - 1)}
    if not rivals:
        return ()
    return (
        f"{', '.join(sorted(set(rivals)))} answers to the same events and still comes first:"
        " raise trigger.priority when your hooks are ready",
    )


def _loaded(catalog: Catalog) -> list[Runbook]:
    found = []
    for name in catalog.names():
        try:
            found.append(catalog.load(name))
        except NvsxError:  # lint tells of it
            continue
    return found


def _checked(data: dict[str, Any], name: str) -> str:
    """The runbook's text; UsageError where a title or summary from the command line cannot stand in it."""
    remarks = {} if "trigger" in data else {"prerequisites": _NO_TRIGGER}
    text = runbook_text(data, remarks)
    try:
        read_runbook(text, f"{name}{SUFFIX}")
    except DocumentInvalid as error:
        problem = error.problems[0]
        flag = f"--{problem.path.rpartition('.')[2]}" if problem.path.startswith("metadata.") else problem.path
        raise UsageError(f"{flag or 'title or summary'}: {problem.message}", hint=f"nvsx init {name} --help") from None
    return text
