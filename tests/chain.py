"""Objects of NVSentinel's chain as a cluster shows them, for tests of what nvsx makes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from nvsx.health import HealthEvent

T0 = 1_787_306_400.0  # 2026-08-21T10:00:00Z
FAULT = T0 + 7
NODE = "gpu-node-1"
ID = "66f0a1b2c3d4e5f601020304"
SECOND_ID = "66f0a1b2c3d4e5f601020305"
OLD_ID = "66e000000000000000000001"
UUID = "0a1b2c3d-0000-4000-8000-00000000000a"
STATE = "dgxc.nvidia.com/nvsentinel-state"
ACTIONS = {
    "NONE": 0,
    "COMPONENT_RESET": 2,
    "CONTACT_SUPPORT": 5,
    "RUN_FIELDDIAG": 6,
    "RESTART_VM": 15,
    "RESTART_BM": 24,
    "REPLACE_VM": 25,
    "RUN_DCGMEUD": 26,
    "CUSTOM": 27,
    "UNKNOWN": 99,
}


def stamp(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def label_stamp(time: float) -> str:
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def event(
    action: str = "RESTART_BM", *, id_: str = ID, check: str = "SysLogsXIDError", code: str = "79", at: float = FAULT
) -> dict[str, Any]:
    """An entry of the quarantine annotation."""
    return {
        "version": 1,
        "agent": "syslog-health-monitor",
        "componentClass": "GPU",
        "checkName": check,
        "isFatal": True,
        "message": f"NVRM: Xid (PCI:0000:17:00): {code}",
        "recommendedAction": ACTIONS[action],
        "errorCode": [code],
        "entitiesImpacted": [{"entityType": "PCI", "entityValue": "0000:17:00"}],
        "generatedTimestamp": {"seconds": int(at), "nanos": 401000000},
        "nodeName": NODE,
        "processingStrategy": 1,
        "id": id_,
    }


def condition(
    check: str = "SysLogsXIDError",
    status: str = "True",
    *,
    action: str = "RESTART_BM",
    code: str = "79",
    at: float = FAULT,
) -> dict[str, Any]:
    bad = status == "True"
    return {
        "type": check,
        "status": status,
        "reason": f"{check}Is{'Not' if bad else ''}Healthy",
        "message": f"ErrorCode:{code} PCI:0000:17:00 lost. Recommended Action={action};"
        if bad
        else "No Health Failures",
        "lastTransitionTime": stamp(at),
    }


def ready(status: str = "True", *, at: float = T0 - 9000) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "reason": "KubeletReady", "lastTransitionTime": stamp(at)}


def node(
    *conditions: dict[str, Any],
    state: str = "",
    events: list[dict[str, Any]] | str | None = None,
    cordoned: bool = False,
    cordon_by: bool = False,
    released: float = 0.0,
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """A node with any of NVSentinel's marks; a `str` as events is the annotation's text as it is."""
    noted = dict(annotations or {})
    marked = {"nvidia.com/gpu.present": "true", **(labels or {})}
    if events is not None:
        noted["quarantineHealthEvent"] = events if isinstance(events, str) else json.dumps(events)
        noted["quarantineHealthEventIsCordoned"] = "True"
    if state:
        marked[STATE] = state
    if cordon_by:
        marked["k8saas.nvidia.com/cordon-by"] = "NVSentinel"
        marked["k8saas.nvidia.com/cordon-reason"] = "Syslog-fatal-error-ruleset"
        marked["k8saas.nvidia.com/cordon-timestamp"] = label_stamp(FAULT + 1)
    if released:
        marked["k8saas.nvidia.com/uncordon-by"] = "NVSentinel"
        marked["k8saas.nvidia.com/uncordon-timestamp"] = label_stamp(released)
    spec: dict[str, Any] = {"unschedulable": True} if cordoned else {}
    if taints:
        spec["taints"] = taints
    return {
        "metadata": {"name": NODE, "resourceVersion": "7", "labels": marked, "annotations": noted},
        "spec": spec,
        "status": {"conditions": [ready(), *conditions]},
    }


def quarantined(state: str = "quarantined", *conditions: dict[str, Any], **marks: Any) -> dict[str, Any]:
    """A node as fault-quarantine and those after it leave it."""
    action = marks.pop("action", "RESTART_BM")
    marks.setdefault("events", [event(action)])
    marks = {"cordoned": True, "cordon_by": True, **marks}
    return node(*(conditions or (condition(action=action),)), state=state, **marks)


def request(
    *conditions: tuple[str, str, str],
    kind: str = "RebootNode",
    id_: str = ID,
    target: str = NODE,
    phase: str = "",
    at: float = FAULT + 14,
    completed: float = 0.0,
    name: str = "",
    message: str = "",
) -> dict[str, Any]:
    """A maintenance object; conditions are (type, status, reason)."""
    status: dict[str, Any] = {}
    if conditions:
        status["conditions"] = [
            {"type": type_, "status": value, "reason": reason, "message": message, "lastTransitionTime": stamp(at + 8)}
            for type_, value, reason in conditions
        ]
        status["startTime"] = stamp(at + 1)
    if phase:
        status["phase"] = phase
    if completed:
        status["completionTime"] = stamp(completed)
    return {
        "apiVersion": "janitor.dgxc.nvidia.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": name or f"maintenance-{target}-{id_}", "creationTimestamp": stamp(at)},
        "spec": {"nodeName": target},
        "status": status,
    }


def breaker(status: str = "CLOSED") -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "circuit-breaker", "namespace": "nvsentinel"},
        "data": {"status": status, "cursor": "RESUME"},
    }


def document(**fields: Any) -> HealthEvent:
    """The latest event about the node, with its document's status."""
    base = HealthEvent(
        node=NODE,
        check="SysLogsXIDError",
        id=ID,
        agent="syslog-health-monitor",
        component_class="GPU",
        error_codes=("79",),
        action="RESTART_BM",
        fatal=True,
        generated_time=FAULT + 0.401,
        created_time=FAULT + 0.412,
        source="mongo",
    )
    return base._replace(**fields)
