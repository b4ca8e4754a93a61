"""The first runbooks of a team: those that ship, made to fit what a cluster really has."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.app.drafting.files import SCRIPT, File
from nvsx.app.drafting.starters import shipped
from nvsx.catalog.library import FOLDER
from nvsx.doctor.install import CHAIN, REMEDIATION
from nvsx.runbook.faults import FAULTS, Site, starter
from nvsx.runbook.writing import REMARKS, runbook_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.app.wizard.survey import Survey

LAST_RESORT = "unhandled-fault"
FITTED = "Fitted by nvsx setup to"
_RESET = ("COMPONENT_RESET", "RESTART_VM")
"""A reset whose GPU cannot be named becomes a restart."""

ACTIONS: Mapping[str, tuple[str, ...]] = {
    # shipped runbook: the actions that NVSentinel recommends for its fault
    "gpu-off-bus": ("RESTART_BM",),
    "ecc-memory": _RESET,
    "nvlink-down": (*_RESET, "RESTART_BM"),
    "driver-hang": _RESET,
    "inforom-corrupt": _RESET,
    "gpu-reset": ("COMPONENT_RESET",),
}
_FOR_PEOPLE = "hooks/incident/needs-people.sh"
_SLACK_S = 1800.0
"""What a drain is given beyond what node-drainer's settings say: pods take their grace, and budgets hold them up."""

_SOURCED = re.compile(r"#\s*shellcheck source=(\S+)")


class Starter(NamedTuple):
    """A runbook to begin with. `before` is the shipped one, written the same way: what differs was fitted.

    `scripts` are the hooks and actions that it names, relative to the root.
    """

    name: str
    title: str
    text: str
    before: str
    scripts: tuple[str, ...]


def offered(survey: Survey) -> tuple[str, ...]:
    """Names of the shipped runbooks that make sense here, the common faults first and the last resort at the end."""
    kinds = {repair.kind for repair in survey.repairs or () if repair.action == "COMPONENT_RESET"}
    names = [fault.runbook for fault in FAULTS.values()]
    known = survey.repairs is not None or not survey.install.has(REMEDIATION)
    if known and "GPUReset" not in kinds:
        names.remove("gpu-reset")
    return (*names, LAST_RESORT)


def fitted(name: str, survey: Survey) -> Starter:
    """A shipped runbook made for this cluster."""
    before = shipped(name)
    site = Site(
        namespace=survey.install.namespace,
        components=frozenset(one.app for one in survey.install.components),
        repairs=tuple(_repairs(name, survey)),
        drain_timeout=_drain_timeout(survey),
    )
    data = starter(before, {}, {}, site)
    if _nobody_repairs(before, survey):
        data = _for_people(data)
    text = runbook_text(data, {"apiVersion": [f"{FITTED} {survey.context or 'this cluster'}."]})
    if site.drain_timeout:
        text = text.replace(REMARKS["drain"], _drain_remark(survey))
    return Starter(name, str(before["metadata"]["title"]), text, runbook_text(before), tuple(_named(data)))


def _repairs(name: str, survey: Survey) -> Iterator[dict[str, str]]:
    """The custom resources that this cluster creates for the runbook's fault, each once."""
    told = set()
    for repair in survey.repairs or ():
        resource = survey.resources.get((repair.group, repair.version), {}).get(repair.kind)
        if repair.action in ACTIONS.get(name, ()) and resource and (repair.group, resource) not in told:
            told.add((repair.group, resource))
            yield {"group": repair.group, "resource": resource, "version": repair.version}


def _drain_timeout(survey: Survey) -> str:
    """ "" where jobs may take as long as they like, which the shipped timeout allows for."""
    if survey.drain is None or math.isinf(survey.drain.longest_s):
        return ""
    return f"{math.ceil((survey.drain.longest_s + _SLACK_S) / 60)}m"


def _drain_remark(survey: Survey) -> str:
    assert survey.drain is not None
    modes = sorted({mode.mode for mode in survey.drain.modes})
    return f"node-drainer's modes here are {', '.join(modes)}; half an hour is left for grace periods and budgets."


def _nobody_repairs(before: Mapping[str, Any], survey: Survey) -> bool:
    """Whether the shipped runbook waits for a repair that nothing here would order."""
    waits = any(stage["id"] == "recover" for stage in before["stages"])
    return waits and not all(survey.install.has(name) for name in CHAIN)


def _for_people(data: dict[str, Any]) -> dict[str, Any]:
    """The runbook where the chain ends early: people are paged when the fault is seen, and nothing waits for them."""
    stages = []
    for stage in data["stages"]:
        if stage["id"] == "recover":
            continue
        if stage["id"] == "preflight":
            stage = {**stage, "title": "Acknowledge the incident"}
        if stage["id"] == "detect":
            stage = {**stage, "hook": _FOR_PEOPLE, "hookTimeout": "1m", "retry": {"attempts": 3, "backoff": "2s"}}
        stages.append(stage)
    present = {stage["id"] for stage in stages} - {"preflight"}
    narration = {key: text for key, text in data.get("narration", {}).items() if key in present}
    prerequisites = [one for one in data.get("prerequisites", ()) if "name=janitor" not in one["check"]]
    metadata = {**data["metadata"], **_about_people(data["metadata"])}
    made = {**data, "metadata": metadata, "stages": stages, "narration": narration, "prerequisites": prerequisites}
    return {key: value for key, value in made.items() if value}


def _about_people(about: Mapping[str, str]) -> dict[str, str]:
    """Title and summary without the repair that will not come: what the fault is stays as it ships."""
    fault = str(about["title"]).partition(" → ")[0]
    first = str(about["summary"]).partition(". ")[0]
    return {"title": f"{fault} → people", "summary": f"{first}. Nothing on this cluster repairs it: people are paged."}


def scripts_of(starters: Sequence[Starter]) -> list[File]:
    """The shipped hooks and scripts that runbooks name, and what those source, as they ship."""
    from nvsx import assets

    wanted = [path for one in starters for path in one.scripts]
    files: dict[str, File] = {}
    while wanted:
        path = wanted.pop(0)
        if path in files:
            continue
        content = assets.text(path)
        files[path] = File(path, content, SCRIPT if assets.mode(path) & 0o100 else 0o644)
        wanted += _SOURCED.findall(content)
    return [files[path] for path in sorted(files)]


def _named(data: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{FOLDER}/{hook}" for hook in data.get("hooks", {}).values())
    for stage in data["stages"]:
        yield from (f"{FOLDER}/{hook}" for hook in (stage.get("hook"), *stage.get("hooks", {}).values()) if hook)
        if "action" in stage:
            yield stage["action"]["script"]


def chain_in_words(survey: Survey) -> str:
    """What happens to a faulty node here."""
    install = survey.install
    if not install.acts:
        return "monitors only: faults are shown, nothing is quarantined; the runbooks will page people at once"
    missing = [name for name in CHAIN if not install.has(name)]
    if missing:
        return f"the chain ends before {missing[0]}: the runbooks will page people at once"
    return "faulty nodes are quarantined, drained and repaired"


def drain_in_words(survey: Survey) -> str:
    if survey.drain is None:
        return "not known; runbooks give a drain 24h"
    if survey.drain.custom:
        return f"by {survey.drain.custom}; runbooks give a drain 24h"
    modes = ", ".join(f"{mode.namespace} {mode.mode}" for mode in survey.drain.modes[:4])
    return f"{modes}; runbooks give a drain {_drain_timeout(survey) or '24h'}"


def repairs_in_words(survey: Survey) -> str:
    kinds: dict[str, list[str]] = {}
    for repair in survey.repairs or ():
        kinds.setdefault(repair.kind, []).append(repair.action)
    if not survey.install.has(REMEDIATION):
        return "nothing here repairs"
    return "; ".join(f"{kind} for {', '.join(sorted(set(who)))}" for kind, who in kinds.items()) or "not known"
