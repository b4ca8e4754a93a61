"""NVSentinel's vocabulary on a cluster: the keys it writes, and how to read them off a Node.

Spelling and meaning follow the NVSentinel v1 sources (fault-quarantine/pkg/common, commons/pkg/statemanager,
platform-connectors' Kubernetes connector).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.ports import Object

STATE_LABEL = "dgxc.nvidia.com/nvsentinel-state"
EVENTS_ANNOTATION = "quarantineHealthEvent"
TAINTS_ANNOTATION = "quarantineHealthEventAppliedTaints"
PRE_CORDONED_ANNOTATION = "quarantineHealthEventCordonPreExisting"
UNDONE = {
    "quarantinedNodeUncordonedManually": "uncordoned",
    "quarantinedNodeUntaintedManually": "untainted",
}
"""Annotations that fault-quarantine leaves, value `True`, when a human undid what it had done."""
REMEDIATION_ANNOTATION = "latestFaultRemediationState"
GPU_LABEL = "nvidia.com/gpu.present"
CORDON_TIME_SUFFIX = "/cordon-timestamp"  # the prefix is configurable
UNCORDON_TIME_SUFFIX = "/uncordon-timestamp"
UNCORDON_BY_SUFFIX = "/uncordon-by"
CORDON_BY_SUFFIX = "/cordon-by"
CORDONER = "NVSentinel"
EXTERNAL_TAINT = "nvsentinel.dgxc.nvidia.com/external-remediation"
"""On a node that was handed over to a repair service outside."""

STATES = ("quarantined", "draining", "drain-succeeded", "remediating", "remediation-succeeded")
"""Values of the state label along the way that goes well, in order."""

FAILED_AFTER = {"drain-failed": "draining", "remediation-failed": "drain-succeeded"}
"""The terminal values, each with the last good state that it proves."""

ACTIONS = {
    0: "NONE",
    2: "COMPONENT_RESET",
    5: "CONTACT_SUPPORT",
    6: "RUN_FIELDDIAG",
    15: "RESTART_VM",
    24: "RESTART_BM",
    25: "REPLACE_VM",
    26: "RUN_DCGMEUD",
    27: "CUSTOM",
    99: "UNKNOWN",
}
"""RecommendedAction numbers, from health_event.proto."""

FOR_PEOPLE = frozenset({"CONTACT_SUPPORT", "RUN_FIELDDIAG", "RUN_DCGMEUD", "UNKNOWN"})
"""Recommended actions for which fault-remediation orders nothing: somebody has to come."""

OPT_OUT_LABELS = ("k8saas.nvidia.com/ManagedByNVSentinel", "nvsentinel.dgxc.nvidia.com/managed")
"""Node labels whose value `false` keeps NVSentinel's hands off the node."""

_LONGEST_TIME = 64
_KEPT_TEXT = 16 * 1024
"""Longer annotations are read anew each time: what is kept must stay small."""

_ERROR_CODE = r"ErrorCode:(\S+)"
_ACTION = r"Recommended Action=([A-Z_]+);"
_LABEL_TIME = r"(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\Z"


class Condition(NamedTuple):
    """A node condition; `since` is its last transition, epoch seconds, 0 if unknown."""

    type: str
    status: str
    reason: str
    message: str
    since: float

    @property
    def error_codes(self) -> tuple[str, ...]:
        return tuple(re.findall(_ERROR_CODE, self.message))

    @property
    def recommended_action(self) -> str:
        found = re.search(_ACTION, self.message)
        return found.group(1) if found else ""

    @property
    def is_fault(self) -> bool:
        """True for a fault that NVSentinel reports, not for Kubernetes' own conditions such as Ready."""
        return self.status == "True" and self.reason == f"{self.type}IsNotHealthy"


class QuarantineEvent(NamedTuple):
    """One health event of the quarantine annotation; `time` in epoch seconds, 0 if unknown."""

    id: str
    check: str
    error_codes: tuple[str, ...]
    action: str
    message: str
    entities: tuple[str, ...]
    time: float
    agent: str = ""
    component_class: str = ""
    fatal: bool = False


def parse_time(text: object) -> float:
    """Epoch seconds of an RFC 3339 time, or of NVSentinel's label form `2026-08-21T10-00-08Z`; 0.0 if it is neither."""
    return _parsed_time(text) if isinstance(text, str) and len(text) <= _LONGEST_TIME else 0.0


@lru_cache(maxsize=4096)
def _parsed_time(text: str) -> float:
    from datetime import UTC, datetime

    label = re.match(_LABEL_TIME, text)
    if label:
        text = f"{label[1]}T{label[2]}:{label[3]}:{label[4]}Z"
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()


def metadata(thing: Object) -> dict[str, Any]:
    found = thing.get("metadata")
    return found if isinstance(found, dict) else {}


def labels_of(thing: Object) -> dict[str, str]:
    return metadata(thing).get("labels") or {}


def annotations_of(thing: Object) -> dict[str, str]:
    return metadata(thing).get("annotations") or {}


def resource_version(thing: Object) -> str:
    return str(metadata(thing).get("resourceVersion", ""))


def uid(thing: Object) -> str:
    """What tells an object from another one that has its name later."""
    return str(metadata(thing).get("uid", ""))


def conditions(thing: Object) -> Iterator[Condition]:
    """The conditions in an object's status; malformed ones are passed over."""
    for raw in _raw_conditions(thing):
        yield _condition(raw)


def condition(thing: Object, type_: str) -> Condition | None:
    return next((_condition(raw) for raw in _raw_conditions(thing) if raw["type"] == type_), None)


def _raw_conditions(thing: Object) -> Iterator[dict[str, Any]]:
    for raw in (thing.get("status") or {}).get("conditions") or ():
        if isinstance(raw, dict) and "type" in raw:
            yield raw


def _condition(raw: dict[str, Any]) -> Condition:
    return Condition(
        str(raw["type"]),
        str(raw.get("status", "Unknown")),
        str(raw.get("reason") or ""),
        str(raw.get("message") or ""),
        parse_time(raw.get("lastTransitionTime")),
    )


def quarantine_events(node: Object) -> tuple[QuarantineEvent, ...]:
    """The health events for which fault-quarantine holds the node, oldest first; () when there are none or they are
    unreadable (a damaged annotation is evidence of nothing).
    """
    text = annotations_of(node).get(EVENTS_ANNOTATION)
    if not isinstance(text, str):
        return ()
    return _events_in(text) if len(text) <= _KEPT_TEXT else _events_in.__wrapped__(text)


@lru_cache(maxsize=256)  # one version of a node is asked for its events again and again
def _events_in(text: str) -> tuple[QuarantineEvent, ...]:
    try:
        listed = _listed(text)
    except ValueError:
        return ()
    return tuple(_quarantine_event(raw) for raw in listed if isinstance(raw, dict))


def annotated_events(node: Object) -> list[Any]:
    """The quarantine annotation's list as it stands there, [] without one. ValueError, with the fact, if it is none."""
    return _listed(annotations_of(node).get(EVENTS_ANNOTATION))


def _listed(text: str | None) -> list[Any]:
    if not text:
        return []
    import json

    try:
        listed = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"is not JSON: {text[:60]!r}") from None
    if not isinstance(listed, list):
        raise ValueError(f"must be a list (found {text[:60]!r})")
    return listed


def _quarantine_event(raw: dict[str, Any]) -> QuarantineEvent:
    stamp = raw.get("generatedTimestamp")
    if isinstance(stamp, dict):
        time = _number(stamp.get("seconds")) + _number(stamp.get("nanos")) / 1e9
    else:
        time = parse_time(stamp)
    action = raw.get("recommendedAction", 0)
    codes = raw.get("errorCode")
    entities = raw.get("entitiesImpacted")
    return QuarantineEvent(
        id=str(raw.get("id") or ""),
        check=str(raw.get("checkName") or ""),
        error_codes=tuple(str(code) for code in codes) if isinstance(codes, list) else (),
        action=ACTIONS.get(action, str(action)) if isinstance(action, int) else str(action),
        message=str(raw.get("message") or ""),
        entities=tuple(
            f"{entity.get('entityType', '')}:{entity.get('entityValue', '')}"
            for entity in (entities if isinstance(entities, list) else ())
            if isinstance(entity, dict)
        ),
        time=time,
        agent=str(raw.get("agent") or ""),
        component_class=str(raw.get("componentClass") or ""),
        fatal=raw.get("isFatal") is True,
    )


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0


def faults(node: Object) -> tuple[Condition, ...]:
    """The node's active NVSentinel faults."""
    active = (_condition(raw) for raw in _raw_conditions(node) if raw.get("status") == "True")
    return tuple(found for found in active if found.is_fault)


def state(node: Object) -> str:
    """The state label's value, "" where there is none."""
    return labels_of(node).get(STATE_LABEL, "")


def cordoned(node: Object) -> bool:
    return (node.get("spec") or {}).get("unschedulable") is True


def is_annotated(node: Object) -> bool:
    """Whether the quarantine annotation holds something; what cannot be read counts, an empty list does not."""
    text = annotations_of(node).get(EVENTS_ANNOTATION) or ""
    return str(text).strip() not in ("", "[]", "null")


def cordoned_by_nvsentinel(node: Object) -> bool:
    """Whether NVSentinel's cordon labels are there. A human's uncordon leaves them behind."""
    return _signed(node, CORDON_BY_SUFFIX)


def released_by_nvsentinel(node: Object) -> float:
    """When NVSentinel last uncordoned the node, epoch seconds; 0.0 where its labels do not say that it did."""
    return label_time(node, UNCORDON_TIME_SUFFIX) if _signed(node, UNCORDON_BY_SUFFIX) else 0.0


def _signed(node: Object, suffix: str) -> bool:
    return any(key.endswith(suffix) and value == CORDONER for key, value in labels_of(node).items())


def opted_out(node: Object) -> bool:
    """Whether a label keeps NVSentinel from quarantining the node."""
    return any(labels_of(node).get(key) == "false" for key in OPT_OUT_LABELS)


def has_taint(node: Object, key: str) -> bool:
    taints = (node.get("spec") or {}).get("taints") or ()
    return any(isinstance(taint, dict) and taint.get("key") == key for taint in taints)


def label_time(node: Object, suffix: str) -> float:
    """Epoch seconds in the label that ends in `suffix`, whatever its configured prefix; 0.0 where there is none."""
    return max((parse_time(value) for key, value in labels_of(node).items() if key.endswith(suffix)), default=0.0)


def remediation_time(node: Object) -> float:
    """When fault-remediation last made a maintenance object for the node, epoch seconds; 0.0 where none is recorded."""
    text = annotations_of(node).get(REMEDIATION_ANNOTATION)
    if not isinstance(text, str):
        return 0.0
    return _ordered_time(text) if len(text) <= _KEPT_TEXT else _ordered_time.__wrapped__(text)


@lru_cache(maxsize=256)
def _ordered_time(text: str) -> float:
    import json

    try:
        groups = json.loads(text)["equivalenceGroups"]
        return max((parse_time(group.get("createdAt")) for group in groups.values()), default=0.0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0.0


def last_sign(node: Object) -> float:
    """The last sign of progress that the node shows, epoch seconds: its faults, its cordon, the order of its repair."""
    times = [event.time for event in quarantine_events(node)]
    times += [fault.since for fault in faults(node)]
    return max((*times, label_time(node, CORDON_TIME_SUFFIX), remediation_time(node)), default=0.0)


def reached(label: str, wanted: str) -> bool:
    """Whether a node whose state label is `label` has come to `wanted` or beyond."""
    if label == wanted:
        return True
    if wanted not in STATES:
        return False
    at = FAILED_AFTER.get(label, label)
    return at in STATES and STATES.index(at) >= STATES.index(wanted)
