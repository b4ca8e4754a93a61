"""Runs as the deck sees them: short, made of real event types, one for each way that a run can look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.deck import NEW, DeckState, fold
from nvsx.events import Chain, Finish, Hook, Note, Output, Prerequisite, RunEvent, StageBegin, StageEnd, Start, Watch

if TYPE_CHECKING:
    from nvsx.events import Body

NOON = 1_798_113_600.0  # 2026-12-24T12:00:00Z
STAGES = ("preflight", "detect", "quarantine", "drain", "remediate", "recover", "postmortem")
NODE = "gke-ml-pool-a100-8ksx"
CR = f"maintenance-{NODE}-66f0a1b2c3d4e5f601020304"

Told = tuple[float, Any]
"""Seconds after noon, and what was said then."""


def start(**more: Any) -> Told:
    about = {
        "runbook": "gpu-off-bus",
        "runbook_nickname": "rogue-moose",
        "title": "GPU fell off bus → self-heal",
        "target_node": NODE,
        "target_alias": "brave-wombat",
        "stages": STAGES,
        "nvsx_version": "1.0.0",
        "artifact_dir": "/var/lib/nvsx/runs/x/artifacts",
    }
    return 0.0, Start(**(about | more))


def begin(at: float, stage: str, timeout_s: float, *waiting: str) -> Told:
    return at, StageBegin(stage, stage.title(), timeout_s, waiting)


def saw(at: float, stage: str, clause: str, kind: str, text: str, state: Any, detail: str) -> Told:
    return at, Watch(stage, clause, kind, text, state, detail)


def chain(at: float, topic: str, subject: str, text: str, tone: Any, *, since: float = 0.0) -> Told:
    return at, Chain(topic, subject, text, tone, NOON + at, NOON + since if since else 0.0)


def end(
    at: float, stage: str, elapsed_s: float, status: Any = "pass", reason: str = "", *, inferred: bool = False
) -> Told:
    return at, StageEnd(stage, status, elapsed_s, reason, inferred)


def hook(at: float, stage: str, outcome: Any = "ok", detail: str = "") -> list[Told]:
    script = f"hooks/gpu-off-bus/on-{stage}.sh"
    code = 0 if outcome == "ok" else 7
    return [
        (at, Hook(stage, "onSuccess", script, 1, "begin", final=False)),
        (at + 0.1, Output(stage, "onSuccess", "slack: sent (200)")),
        (at + 0.2, Hook(stage, "onSuccess", script, 1, "end", outcome, code, 0.2, detail)),
    ]


def finish(at: float, status: Any, verdict: str, *, code: int, reason: str = "", failed: int = 0) -> Told:
    mttr = at - 6 if status == "pass" else None
    return at, Finish(status == "pass", status, code, at, failed, mttr, "nvsx/0", "/a", 11, 0, 0, 0, verdict, reason)


def skipped(at: float, *stages: str) -> list[Told]:
    return [end(at, stage, 0.0, "skipped") for stage in stages]


PREFLIGHT: list[Told] = [
    start(),
    begin(0.0, "preflight", 60),
    (0.1, Prerequisite("janitor runs", True, 0.1)),
    end(0.1, "preflight", 0.1),
]
DETECT: list[Told] = [
    *PREFLIGHT,
    begin(0.1, "detect", 120, "condition SysLogsXIDError=True"),
    saw(0.2, "detect", "0", "node-condition", "condition SysLogsXIDError=True", "unmet", "SysLogsXIDError=False"),
]
DETECTED: list[Told] = [
    *DETECT,
    chain(12, "condition", "SysLogsXIDError", "SysLogsXIDError=True, error code 79, RESTART_BM", "bad"),
    saw(
        12,
        "detect",
        "0",
        "node-condition",
        "condition SysLogsXIDError=True",
        "met",
        "SysLogsXIDError=True, error code 79",
    ),
    end(12, "detect", 11.9),
    *hook(12, "detect"),
    (12.3, Note("narration", "brave-wombat has lost a GPU.", "detect")),
]
DRAINED: list[Told] = [
    *DETECTED,
    begin(12.3, "quarantine", 300, "node spec.unschedulable=true"),
    chain(13, "cordon", "node", "cordoned by NVSentinel", "bad"),
    chain(13, "state", "node", "quarantined", "work"),
    saw(13, "quarantine", "0", "node", "node spec.unschedulable=true", "met", "spec.unschedulable=true"),
    end(13, "quarantine", 0.7),
    begin(13, "drain", 86400, "NVSentinel state drain-succeeded or later"),
    chain(14, "state", "node", "draining", "work"),
    chain(14.5, "drain", "pods", "waits for default/train-0", "work"),
    saw(14, "drain", "0", "nvsentinel-state", "NVSentinel state drain-succeeded or later", "unmet", "state draining"),
]
REPAIR: list[Told] = [
    *DRAINED,
    chain(38, "state", "node", "drain-succeeded", "work"),
    saw(
        38,
        "drain",
        "0",
        "nvsentinel-state",
        "NVSentinel state drain-succeeded or later",
        "met",
        "state drain-succeeded",
    ),
    end(38, "drain", 25.0),
    begin(38, "remediate", 300, "rebootnodes.janitor.dgxc.nvidia.com for the node"),
]
RECOVER: list[Told] = [
    *REPAIR,
    chain(39, "repair", CR, "RebootNode SignalSent=absent", "work", since=39),
    saw(39, "remediate", "0", "crd", "rebootnodes.janitor.dgxc.nvidia.com for the node", "met", CR),
    end(39, "remediate", 1.0),
    *hook(39, "remediate"),
    begin(
        39.3, "recover", 2400, "condition Ready=True", "condition SysLogsXIDError=False", "node released by NVSentinel"
    ),
    saw(39.3, "recover", "0", "node-condition", "condition Ready=True", "met", "Ready=True"),
    saw(39.3, "recover", "1", "node-condition", "condition SysLogsXIDError=False", "unmet", "SysLogsXIDError=True"),
    chain(48, "repair", CR, "RebootNode SignalSent=True, NodeReady=Unknown", "work", since=39),
    chain(97, "node", "Ready", "Ready=Unknown (NodeStatusUnknown)", "bad"),
    saw(97, "recover", "0", "node-condition", "condition Ready=True", "unmet", "Ready=Unknown"),
]
PASSED: list[Told] = [
    *RECOVER,
    chain(330, "node", "Ready", "Ready=True", "good"),
    chain(330, "node", "bootID", "booted anew (boot ID 1f0c77aa)", "work"),
    chain(341, "repair", CR, "RebootNode NodeReady=True (Succeeded)", "good", since=39),
    saw(330, "recover", "0", "node-condition", "condition Ready=True", "met", "Ready=True"),
    chain(356, "condition", "SysLogsXIDError", "SysLogsXIDError=False", "good"),
    saw(356, "recover", "1", "node-condition", "condition SysLogsXIDError=False", "met", "SysLogsXIDError=False"),
    chain(357, "cordon", "node", "can be scheduled again, by NVSentinel", "good"),
    chain(357, "recovery", "node", "NVSentinel released the node, and the fault is gone", "good"),
    saw(357, "recover", "2", "back-in-service", "node released by NVSentinel", "met", "released, schedulable, healthy"),
    end(357, "recover", 317.7),
    *hook(357, "recover"),
    begin(357.3, "postmortem", 300),
    end(358, "postmortem", 0.7),
]
RUNS: dict[str, list[Told]] = {
    "waiting": DETECT,
    "draining": DRAINED,
    "recovering": RECOVER,
    "passed": [*PASSED, finish(358, "pass", "PASSED", code=0)],
    "hook-failed": [
        *REPAIR,
        saw(39, "remediate", "0", "crd", "rebootnodes for the node", "met", CR),
        end(39, "remediate", 1.0),
        *hook(39, "remediate", "failed", "pagerduty: 503"),
        finish(40, "pass", "PASSED, 1 HOOK FAILED", code=1, failed=1),
    ],
    "timeout": [
        *RECOVER,
        end(2439.3, "recover", 2400.0, "timeout", "not met: condition Ready=True (Ready=Unknown)"),
        end(2441, "postmortem", 1.0),
        finish(2441, "timeout", "FAILED at recover", code=1, reason="timeout after 40m00s"),
    ],
    "failed": [
        *DRAINED,
        chain(700, "state", "node", "drain-failed", "bad"),
        chain(700, "people", "node", "the drain failed, and nothing follows by itself", "bad"),
        end(700, "drain", 687.0, "fail", "NVSentinel state drain-failed: nobody acts on this node"),
        *skipped(700, "remediate", "recover"),
        end(701, "postmortem", 1.0),
        finish(701, "fail", "FAILED at drain", code=1, reason="drain-failed"),
    ],
    "blind": [
        *DRAINED,
        chain(20, "sight", "node", "cannot look: connection refused", "blind"),
        saw(20, "drain", "0", "nvsentinel-state", "NVSentinel state drain-succeeded", "blind", "connection refused"),
        (20, Note("blind", "cannot see the cluster: connection refused", "drain", "warning")),
    ],
    "inferred": [
        *DETECTED,
        begin(12.3, "quarantine", 300, "node spec.unschedulable=true"),
        end(12.4, "quarantine", 0.1, inferred=True, reason="uncordoned meanwhile"),
        begin(12.4, "drain", 86400, "NVSentinel state drain-succeeded or later"),
    ],
    "storm": [
        start(
            title="Many nodes at once", runbook="storm", runbook_nickname="loud-heron", target_node="", target_alias=""
        ),
        begin(0.0, "preflight", 60),
        end(0.1, "preflight", 0.1),
        begin(0.1, "detect", 120),
        *[(1.0 + index / 10, Output("detect", "onSuccess", f"gpu-{index:03d} is quarantined")) for index in range(60)],
    ],
}
LAST = {
    name: told[-1][0] + (0 if name in ("passed", "timeout", "failed", "hook-failed") else 3)
    for name, told in RUNS.items()
}
"""The moment, in seconds after noon, at which each run is drawn."""


def events(told: list[Told]) -> list[RunEvent]:
    return [
        RunEvent("20261224-120000-7f3a", "b8187064-56ef", seq, NOON + at, body) for seq, (at, body) in enumerate(told)
    ]


def state(told: list[Told]) -> DeckState:
    known = NEW
    for event in events(told):
        known = fold(known, event)
    return known


def bodies(told: list[Told]) -> list[Body]:
    return [body for _, body in told]
