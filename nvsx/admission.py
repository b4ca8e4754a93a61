"""Admission: whether what was reported starts a run. Every source asks here, and every answer has its reason.

A pure function over what nvsx remembers. Whoever calls it does so inside one transaction of that memory and writes
the answer down in the same one, so that two processes can never both start what only one may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from nvsx.alerts import FIRING, RESOLVED
from nvsx.config import covers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.config import Limits, Silence

START, DUPLICATE, ATTACH, QUEUE, IGNORE, REFUSE = "start", "duplicate", "attach", "queue", "ignore", "refuse"

BY_HAND = "manual"
"""The source of runs that a person asked for."""

POLL = "poll"
"""The source of what nvsx reads itself; it may read it again after each start, and with every sweep."""

FORGOTTEN_S = 6 * 3600.0
"""An incident whose run has ended is closed after this long without news, even if its node is still quarantined."""

UNRELATED = "and belongs to no incident that is known"
"""How the reason ends where an end or an update was told of something that nvsx has nothing to do with."""

_UNDER_WAY = "its run is under way"
_ENDED = (
    "its run has ended, and the incident is open until its node is released, or nothing is heard of it for"
    f" {FORGOTTEN_S / 3600:.0f} h"
)


class Occasion(NamedTuple):
    """Something a source reported, with the runbook that routing chose for it. Times are epoch seconds, 0.0 unknown."""

    source: str  # "poll", "webhook", the name of a webhook source, or "manual"
    time: float  # when it came
    node: str = ""
    runbook: str = ""  # routing's choice, "" where it chose none
    why: str = ""  # routing's reason, with the rule's file:line
    status: str = FIRING
    delivery: str = ""  # the same for every attempt to deliver it; "" where the source has none
    key: str = ""  # the source's own key of the incident
    issued_key: str = ""  # a paging key of nvsx that came back
    about: float = 0.0  # when what is reported happened
    session: str = ""  # NVSentinel's quarantine session of the node, "" where it is not known or there is none
    anonymous: bool = False  # it says neither check nor runbook: it can only belong to what is already known
    elsewhere: str = ""  # the name of another cluster, where it is about one
    labels: Mapping[str, str] = {}  # of the node, for silences
    cooldown_s: float = 0.0  # of the runbook
    max_concurrent: int = 0  # of the runbook, 0: no limit


class Incident(NamedTuple):
    """One incident that nvsx remembers. `closed` is 0.0 while it is open."""

    id: int
    node: str
    runbook: str
    run_id: str
    opened: float = 0.0
    closed: float = 0.0
    session: str = ""
    run_ended: float = 0.0
    news: float = 0.0  # when it was last heard of


class Memory(Protocol):
    """What admission asks of the ledger, all within one transaction."""

    def answered(self, source: str, delivery: str) -> str | None:
        """The run that this delivery was answered with before, "" for none; None if it is new."""
        ...

    def latest(self, node: str, runbook: str) -> Incident | None:
        """The newest incident of this node and runbook, open or closed."""
        ...

    def on_node(self, node: str) -> Incident | None:
        """The newest open incident of a node, whatever its runbook."""
        ...

    def with_key(self, source: str, key: str) -> Incident | None:
        """The newest incident to which this source's key was attached."""
        ...

    def issued(self, key: str) -> Incident | None:
        """The incident for which nvsx issued this paging key."""
        ...

    def active(self, runbook: str) -> int:
        """Runs of a runbook that have not ended, queued ones included."""
        ...

    def waiting(self) -> int:
        """All runs that have not ended, queued ones included."""
        ...


class Decision(NamedTuple):
    """The answer. `incident` is the one it belongs to, where that is known before."""

    verdict: str
    reason: str
    incident: Incident | None = None

    @property
    def run_id(self) -> str:
        return self.incident.run_id if self.incident else ""


def decide(
    occasion: Occasion, memory: Memory, limits: Limits, silences: Sequence[Silence] = (), *, stopping: bool = False
) -> Decision:
    """Whether the occasion starts a run, belongs to one, or does nothing."""
    known = _known(occasion, memory)
    if known:
        return known
    if occasion.status != FIRING:
        word = "resolved" if occasion.status == RESOLVED else "no begin of an incident"
        return Decision(IGNORE, f"{word}, {UNRELATED}")
    if not occasion.runbook:
        return Decision(IGNORE, occasion.why or "no runbook answers to it")
    silence = next(
        (s for s in silences if covers(s, occasion.time, occasion.node, occasion.labels, occasion.runbook)), None
    )
    if silence:
        return Decision(IGNORE, f"silenced until {silence.until_text}: {silence.why}")
    return _admit(occasion, memory, limits, stopping=stopping)


def by_hand(occasion: Occasion, memory: Memory, *, force: bool) -> Decision:
    """Whether a person's own `run` may start. Silences, cooldown and limits are for machines; a run that is under way
    on the same incident is not started twice unless the person insists.
    """
    latest = memory.latest(occasion.node, occasion.runbook) if occasion.node else None
    if latest and not latest.closed and not latest.run_ended and not force:
        return Decision(ATTACH, "a run of this runbook is under way on this node", latest)
    return Decision(START, "asked for by hand, though one is under way" if force else "asked for by hand")


def _known(occasion: Occasion, memory: Memory) -> Decision | None:
    """What is not new: told before, about another cluster, an echo, or part of an incident that is known."""
    if occasion.delivery:
        run_id = memory.answered(occasion.source, occasion.delivery)
        if run_id is not None:
            return Decision(DUPLICATE, "this delivery was answered before", _named(run_id, occasion))
    if occasion.elsewhere:
        return Decision(IGNORE, f"it is about the cluster {occasion.elsewhere}")
    if occasion.issued_key:
        incident = memory.issued(occasion.issued_key)
        what = "nvsx itself opened it"
        return (
            Decision(ATTACH, what, incident) if incident else Decision(IGNORE, f"{what}, from another host or long ago")
        )
    if occasion.status != FIRING or occasion.anonymous:
        return _belonging(occasion, memory)
    return None


def _belonging(occasion: Occasion, memory: Memory) -> Decision | None:
    """The incident of an end, of an update, or of an alert that says nothing but a node."""
    incident = memory.with_key(occasion.source, occasion.key) if occasion.key else None
    if incident:
        return Decision(ATTACH, "its key belongs to this incident", incident)
    incident = memory.on_node(occasion.node) if occasion.node else None
    if incident:
        return Decision(ATTACH, "the node has this incident open", incident)
    return None


def _admit(occasion: Occasion, memory: Memory, limits: Limits, *, stopping: bool) -> Decision:
    latest = memory.latest(occasion.node, occasion.runbook)
    if latest and not latest.closed and not _is_new_session(occasion, latest):
        return Decision(ATTACH, _ENDED if latest.run_ended else _UNDER_WAY, latest)
    if latest and occasion.about and occasion.about <= latest.closed:
        return Decision(ATTACH, "it happened before the incident was closed", latest)
    if latest and occasion.cooldown_s and occasion.time < latest.run_ended + occasion.cooldown_s:
        left = latest.run_ended + occasion.cooldown_s - occasion.time
        return Decision(IGNORE, f"the runbook's cooldown lasts {left:.0f} s more", latest)
    if stopping:
        return Decision(REFUSE, "nvsx is stopping")
    if memory.waiting() >= limits.max_waiting:
        return Decision(REFUSE, f"{limits.max_waiting} runs are waiting already")
    if occasion.max_concurrent and memory.active(occasion.runbook) >= occasion.max_concurrent:
        return Decision(QUEUE, f"{occasion.max_concurrent} runs of {occasion.runbook} at a time")
    return Decision(START, occasion.why)


def _is_new_session(occasion: Occasion, incident: Incident) -> bool:
    """Whether the node was quarantined anew after this incident's own quarantine had ended."""
    if not incident.session or not occasion.session or occasion.session == incident.session:
        return False
    return bool(incident.run_ended)


def closes(incident: Incident, now: float, *, quarantined: bool | None) -> bool:
    """Whether an open incident is over. `quarantined` is None where the node could not be looked at."""
    if incident.closed or not incident.run_ended:
        return False
    return quarantined is False or now >= max(incident.news, incident.run_ended) + FORGOTTEN_S


def _named(run_id: str, occasion: Occasion) -> Incident | None:
    return Incident(0, occasion.node, occasion.runbook, run_id) if run_id else None
