"""The faults that people write runbooks for, and the runbook that a team begins with: one that ships, made its own.

What is right about a fault (its trigger, what is watched, how long things take) is written down once, in the runbook
that ships for it. A starter takes it from there and changes only names, hooks and what this one cluster has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Data = Mapping[str, Any]


class Fault(NamedTuple):
    """`runbook` is the shipped one; `title` and `summary` are what a list shows of the fault itself."""

    runbook: str
    title: str
    summary: str


FAULTS: Mapping[str, Fault] = {
    "xid-79": Fault("gpu-off-bus", "GPU fell off the bus", "XID 79: only a reboot brings the GPU back"),
    "ecc": Fault("ecc-memory", "GPU memory error", "XID 48, 64, 95: an error that ECC cannot correct"),
    "nvlink": Fault("nvlink-down", "NVLink is down", "a link between GPUs is down; the node is rebooted"),
    "thermal": Fault("thermal-throttle", "GPU is too hot", "nothing is cordoned; look at the cooling in working hours"),
    "driver-hang": Fault("driver-hang", "GPU or its driver hangs", "XID 46, 62, 109, 119 …: engine or GSP timeouts"),
    "inforom": Fault("inforom-corrupt", "InfoROM is corrupt", "the card cannot be trusted to know its own state"),
    "gpu-reset": Fault("gpu-reset", "One GPU needs a reset", "COMPONENT_RESET, without a reboot of the node"),
    "contact-support": Fault("contact-support", "A fault for people", "NVSentinel cordons, and repairs nothing"),
}
"""What `--fault` and the wizard offer; the first six are the common ones."""

HOOKS: Mapping[str, str] = {
    # hook of a shipped runbook: the starter's own that takes its place, without `.sh`; "" leaves the place empty
    "hooks/incident/acknowledge.sh": "acknowledge",
    "hooks/incident/repair-ordered.sh": "page",
    "hooks/incident/needs-people.sh": "page",
    "hooks/incident/stopped.sh": "page",
    "hooks/incident/recovered.sh": "resolve",
    "hooks/incident/drained.sh": "drained",
    "hooks/incident/note.sh": "note",
    "hooks/incident/waiting.sh": "",
}
STAGE_NEEDS: Mapping[str, tuple[str, ...]] = {
    # stage: the components of NVSentinel without which what it waits for never happens
    "quarantine": ("fault-quarantine",),
    "drain": ("fault-quarantine", "node-drainer"),
    "remediate": ("fault-quarantine", "node-drainer", "fault-remediation"),
}
_NAMESPACE = "${NVSX_NAMESPACE:-nvsentinel}"


class Site(NamedTuple):
    """What a cluster has, as far as it is known; the defaults are those of NVSentinel itself.

    `components` are the names of those that are installed (None: not known, so all are supposed to be). `repairs` are
    the custom resources that its fault-remediation creates, each with `group`, `resource` and `version` (empty: as in
    the shipped runbook). `drain_timeout` is a duration as a runbook writes it ("" for the shipped one).
    """

    namespace: str = "nvsentinel"
    components: frozenset[str] | None = None
    repairs: tuple[Data, ...] = ()
    drain_timeout: str = ""


ANY_SITE = Site()


def starter(shipped: Data, about: Data, hooks: Mapping[str, str], site: Site = ANY_SITE) -> dict[str, Any]:
    """A runbook as data: the shipped one with metadata of its own, other hooks, and for this site.

    `about` overrides `metadata` (an empty value keeps what the shipped one says). `hooks` maps the shipped hooks to
    those that take their place, both relative to `runbooks/`; "" leaves a place empty, a hook that is not named stays.
    """
    data: dict[str, Any] = {**shipped}
    data["metadata"] = _kept({**shipped["metadata"], **_kept(about)})
    checks = [_check(check, site) for check in shipped.get("prerequisites", ()) if _has(site, _component(check))]
    data["prerequisites"] = checks
    data["hooks"] = _renamed(shipped.get("hooks", {}), hooks)
    data["stages"] = [_stage(stage, hooks, site) for stage in shipped["stages"] if _happens(stage["id"], site)]
    present = {stage["id"] for stage in data["stages"]}
    data["narration"] = {key: text for key, text in shipped.get("narration", {}).items() if key in present}
    return _kept(data)


GENERIC_STAGES: Mapping[str, Data] = {
    # what a runbook for no fault in particular says otherwise: NVSentinel at work on the node, whatever it has seen
    "detect": {"watch": [{"kind": "nvsentinel-state", "state": "quarantined"}]},
    "quarantine": {"watch": [{"kind": "node", "field": "spec.unschedulable", "expect": "true"}]},
    "remediate": {
        "title": "NVSentinel orders the repair",
        "watch": [{"kind": "nvsentinel-state", "state": "remediating"}],
    },
    "recover": {"watch": [{"kind": "node-condition", "type": "Ready", "status": "True"}]},
}
_GENERIC_NARRATION = {"remediate": "NVSentinel has ordered the repair of {{targetAlias}}."}


def generic(shipped: Data) -> dict[str, Any]:
    """The flagship without what makes it one fault's: nothing starts it by itself, and any fault's chain fits it."""
    data = {key: value for key, value in shipped.items() if key != "trigger"}
    data["metadata"] = {"name": "", "nickname": "", "title": "", "summary": ""}
    data["stages"] = [{**stage, **GENERIC_STAGES.get(stage["id"], {})} for stage in shipped["stages"]]
    data["narration"] = {**shipped["narration"], **_GENERIC_NARRATION}
    return data


def _kept(data: Data) -> dict[str, Any]:
    """Without the empty values."""
    return {key: value for key, value in data.items() if value or value is False}


def _has(site: Site, component: str) -> bool:
    return not component or site.components is None or component in site.components


def _happens(stage: str, site: Site) -> bool:
    return all(_has(site, component) for component in STAGE_NEEDS.get(stage, ()))


def _component(check: Data) -> str:
    """The component that a prerequisite asks for, "" where it asks for something else."""
    return check["check"].partition("app.kubernetes.io/name=")[2].partition(" ")[0] if "check" in check else ""


def _check(check: Data, site: Site) -> dict[str, Any]:
    own = _NAMESPACE.replace("nvsentinel", site.namespace)
    return {**check, "check": check["check"].replace(_NAMESPACE, own)}


def _renamed(named: Mapping[str, str], hooks: Mapping[str, str]) -> dict[str, str]:
    return {when: new for when, script in named.items() if (new := hooks.get(script, script))}


def _stage(stage: Data, hooks: Mapping[str, str], site: Site) -> dict[str, Any]:
    own = {**stage}
    if "hook" in own:
        own["hook"] = hooks.get(own["hook"], own["hook"])
    if "hooks" in own:
        own["hooks"] = _renamed(own["hooks"], hooks)
    if stage["id"] == "drain" and site.drain_timeout:
        own["timeout"] = site.drain_timeout
    if site.repairs and "watch" in own:
        own["watch"] = list(_watch(own["watch"], site.repairs))
    return _kept(own)


def _watch(clauses: Sequence[Data], repairs: Sequence[Data]) -> Iterator[Data]:
    """The clauses, with those for a repair's custom resource made for the ones that this site creates."""
    for clause in clauses:
        if not _about_repair(clause):
            yield clause
        elif len(repairs) == 1:
            yield {"kind": "crd", **repairs[0]}
        else:
            yield {"anyOf": [{"kind": "crd", **repair} for repair in repairs]}


def _about_repair(clause: Data) -> bool:
    alternatives = clause.get("anyOf", ())
    return clause.get("kind") == "crd" or (bool(alternatives) and all(map(_about_repair, alternatives)))
