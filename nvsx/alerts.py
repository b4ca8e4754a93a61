"""Alert: what one sender said about one incident, whichever way it spells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.health import HealthEvent

FIRING, RESOLVED, OTHER = "firing", "resolved", "other"
"""An incident's begin (or a reminder of it), its end, and everything else a sender may tell of it."""


class Alert(NamedTuple):
    """One alert of one delivery. Empty strings are what the sender did not say; times are epoch seconds, 0.0 unknown.

    `node` is only ever a field that means the node; `mentions` are texts in which a node's name may stand as a word.
    """

    format: str  # a key of `nvsx.triggers.formats.FORMATS`
    status: str = FIRING
    key: str = ""  # the sender's own key of the incident: the same from its begin to its end
    delivery: str = ""  # the same for every attempt to deliver this one
    runbook: str = ""
    node: str = ""
    mentions: tuple[str, ...] = ()
    check: str = ""  # NVSentinel's check, where the sender passes it on
    error_codes: tuple[str, ...] = ()
    cluster: str = ""
    title: str = ""
    labels: Mapping[str, str] = {}
    url: str = ""  # where a person can look at it
    started_time: float = 0.0
    issued_key: str = ""  # a paging key that nvsx itself issued: what comes back with it starts nothing
    health: HealthEvent | None = None  # where the sender is NVSentinel itself
    drill: bool = False
