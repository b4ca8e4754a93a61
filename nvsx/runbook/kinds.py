"""The watch kinds of the runbook language: which fields a clause of each kind takes, and which it must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches.nvsentinel import FAILED_AFTER, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping


class Field(NamedTuple):
    """A field of a clause: its form, as `reading.read_value` knows it, and whether it must be there."""

    form: str
    required: bool = False


COMMON = {"absent": Field("bool"), "for": Field("duration")}
CONDITION = {"type": Field("word", required=True), "status": Field("status")}
STATE_NAMES = (*STATES, *FAILED_AFTER)
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

KINDS: Mapping[str, Mapping[str, Field]] = {
    "pod": {
        "selector": Field("selector", required=True),
        "namespace": Field("namespace"),
        "expect": Field("podExpect"),
        **COMMON,
    },
    "node": {"field": Field("field", required=True), "expect": Field("scalar", required=True), **COMMON},
    "node-condition": {
        "type": Field("word", required=True),
        "status": Field("status"),
        "errorCode": Field("code"),
        "reason": Field("word"),
        **COMMON,
    },
    "taint": {"key": Field("word", required=True), "value": Field("label"), "effect": Field("effect"), **COMMON},
    "crd": {
        "group": Field("group", required=True),
        "resource": Field("resource", required=True),
        "version": Field("version"),
        "condition": Field("condition"),
        "phase": Field("word"),
        **COMMON,
    },
    "pod-event": {
        "reason": Field("word", required=True),
        "namespace": Field("namespace"),
        "selector": Field("selector"),
        **COMMON,
    },
    "node-event": {"reason": Field("word"), "type": Field("word"), **COMMON},
    "nvsentinel-state": {"state": Field("state", required=True), **COMMON},
    "stalled": {"after": Field("durationText"), **COMMON},
    "mongo-event": {
        "collection": Field("collection"),
        "filter": Field("filter", required=True),
        "count": Field("count"),
        **COMMON,
    },
    "log": {
        "namespace": Field("namespace"),
        "selector": Field("selector", required=True),
        "pattern": Field("regex", required=True),
    },
    "training-log": {
        "pod": Field("word", required=True),
        "namespace": Field("namespace"),
        "pattern": Field("regex", required=True),
    },
}
"""Every kind, with its fields in the order in which they are shown."""
