"""The trail: what NVSentinel's chain shows of one node, told change by change to people who watch it.

It tells what is seen, watched for by a clause or not, and nothing that is only to be expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.events import Chain
from nvsx.oracle.position import RECOVERED, RELEASED, UNSEEN
from nvsx.oracle.sights import judged
from nvsx.ports import Seen
from nvsx.watches import nvsentinel
from nvsx.watches.pods import event_time
from nvsx.watches.predicate import node_events_path, node_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nvsx.events import Tone
    from nvsx.oracle.facts import Facts
    from nvsx.oracle.maintenance import Progress
    from nvsx.oracle.position import Position
    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source

_TONES: dict[Progress, Tone] = {"waiting": "work", "working": "work", "done": "good", "failed": "bad", "people": "bad"}
_DRAIN_REASONS = ("AwaitingPodCompletion", "WaitingBeforeForceDelete")
_FOR_PEOPLE = "people: "


class Mark(NamedTuple):
    """One thing as it stands. Its text is told when it changes; an empty one is remembered and not told."""

    topic: str
    subject: str
    text: str
    tone: Tone
    since: float = 0.0  # epoch seconds, by the object itself
    moved: float = 0.0  # when it last changed by the object itself, where that is not `since`
    calm: bool = False  # all is well: told only after something else was
    usual: bool = False  # not told on the first look


class Trail:
    """What was told of one node. `began` is the run's begin, epoch seconds."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._known: dict[tuple[str, str], Mark] = {}
        self._troubled: set[tuple[str, str]] = set()  # what was told to be other than well
        self._node_seen = self._breaker_seen = False

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> list[Chain]:
        """The changes since the last look, in the order in which they happened."""
        seen = sights.get(node_path(incident.node))
        if not isinstance(seen, Seen):
            return []
        if seen.blind is not None:
            marks = [Mark("sight", "node", f"cannot look: {seen.blind.message}", "blind")]
        elif not seen.listed:
            return []
        else:
            node = next(iter(seen.objects.values()), None)
            marks = [Mark("sight", "node", "looking again", "good", calm=True)]
            marks += _gone(incident) if node is None else _marks(node, sights, incident)
            marks += self._vanished(marks)
        told = [self._chain(mark, now) for mark in marks if self._is_news(mark)]
        self._node_seen = self._node_seen or seen.blind is None
        self._breaker_seen = self._breaker_seen or any(mark.topic == "breaker" for mark in marks)
        return sorted(told, key=lambda change: change.at)

    def _is_news(self, mark: Mark) -> bool:
        """Whether it is to be told; remembers it."""
        key = mark.topic, mark.subject
        known = self._known.get(key)
        self._known[key] = mark
        if known is not None and known.text == mark.text:
            return False
        if mark.calm:
            told = key in self._troubled
            self._troubled.discard(key)
            return told and bool(mark.text)
        if not mark.text or (mark.usual and not self._has_looked(mark)):
            return False
        self._troubled.add(key)
        return True

    def _has_looked(self, mark: Mark) -> bool:
        return self._breaker_seen if mark.topic == "breaker" else self._node_seen

    def _vanished(self, marks: list[Mark]) -> list[Mark]:
        """Taints that are there no more: nothing of the node speaks of them."""
        there = {(mark.topic, mark.subject) for mark in marks}
        return [
            Mark("taint", subject, f"{subject} is gone", "good", calm=True)
            for topic, subject in self._known
            if topic == "taint" and (topic, subject) not in there
        ]

    def _chain(self, mark: Mark, now: float) -> Chain:
        own = mark.moved or mark.since
        before = 0 < own < int(self._began)
        late = mark.topic not in ("repair", "sight") and not self._has_looked(mark)
        return Chain(mark.topic, mark.subject, mark.text, mark.tone, own if before or late else now, mark.since)


def _gone(incident: Incident) -> list[Mark]:
    return [Mark("node", "Ready", f"there is no node {incident.node} in this cluster", "bad")]


def _marks(node: Object, sights: Mapping[Source, Sight], incident: Incident) -> Iterator[Mark]:
    _, facts, where = judged(node, sights, incident)
    yield from _conditions(node, facts)
    yield from _quarantine(node, facts)
    yield from _taints(node)
    yield _drain(facts, sights)
    yield from _repairs(facts)
    yield from _machine(node)
    if facts.breaker is not UNSEEN:
        text = f"circuit breaker {facts.breaker}" if facts.breaker else ""
        yield Mark("breaker", "circuit-breaker", text, "bad" if facts.tripped else "good", calm=not facts.tripped)
    yield Mark("people", "node", _people(facts, where), "bad")
    over = where.phase in (RECOVERED, RELEASED)
    tone: Tone = "bad" if where.needs_people else "good"
    yield Mark("recovery", "node", where.reason if over else "", tone, where.since if over else 0.0)


def _conditions(node: Object, facts: Facts) -> Iterator[Mark]:
    for fault in (*facts.older_faults, *facts.faults):
        codes = f", error code {', '.join(fault.error_codes)}" if fault.error_codes else ""
        action = f", {fault.recommended_action}" if fault.recommended_action else ""
        yield Mark("condition", fault.type, f"{fault.type}=True{codes}{action}", "bad", fault.since)
    active = {fault.type for fault in (*facts.older_faults, *facts.faults)}
    for type_ in facts.incident.opened_by:
        found = nvsentinel.condition(node, type_)
        if type_ in active:
            continue
        text = f"{type_}={found.status}" if found else f"{type_} is not on the node"
        well = found is None or found.status == "False"
        yield Mark("condition", type_, text, "good" if well else "bad", found.since if found else 0.0, calm=well)


def _quarantine(node: Object, facts: Facts) -> Iterator[Mark]:
    at = nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX) if facts.cordon_by else 0.0
    if facts.cordoned:
        by = ", as it was before the fault" if facts.pre_cordoned else " by NVSentinel" if facts.cordon_by else ""
        yield Mark("cordon", "node", f"cordoned{by}", "bad", at)
    else:
        by = ", by NVSentinel" if facts.released_at else f", {facts.manual} by a human" if facts.manual else ""
        yield Mark("cordon", "node", f"can be scheduled again{by}", "good", facts.released_at, calm=True)
    failed = facts.label in nvsentinel.FAILED_AFTER
    since = at if facts.label == nvsentinel.STATES[0] else 0.0
    yield Mark("state", "node", facts.label, "bad" if failed else "work", since)


def _taints(node: Object) -> Iterator[Mark]:
    """NVSentinel's taints and new ones; those of Kubernetes itself only mirror the cordon and the node's readiness."""
    applied = nvsentinel.annotations_of(node).get(nvsentinel.TAINTS_ANNOTATION) or ""
    for taint in (node.get("spec") or {}).get("taints") or ():
        key = str(taint.get("key", "")) if isinstance(taint, dict) else ""
        if not key or key.startswith("node.kubernetes.io/"):
            continue
        text = f"{key}={taint['value']}" if taint.get("value") else key
        ours = f'"{key}"' in applied or key == nvsentinel.EXTERNAL_TAINT
        yield Mark("taint", key, f"{text}:{taint.get('effect', '')}", "bad", usual=not ours)


def _drain(facts: Facts, sights: Mapping[Source, Sight]) -> Mark:
    """The pods that node-drainer says it waits for, where its Events are looked at."""
    seen = sights.get(node_events_path(facts.incident.node))
    if facts.label != "draining" or not isinstance(seen, Seen) or seen.blind is not None:
        return Mark("drain", "pods", "", "work")
    told = [
        event
        for event in seen.objects.values()
        if event.get("reason") in _DRAIN_REASONS and facts.incident.covers(event_time(event))
    ]
    if not told:
        return Mark("drain", "pods", "", "work")
    last = max(told, key=event_time)
    message = str(last.get("message") or last.get("reason"))
    pods = re.search(r"\[(.+)\]", message)
    return Mark("drain", "pods", f"waits for {pods[1]}" if pods else message, "work", event_time(last))


def _repairs(facts: Facts) -> Iterator[Mark]:
    for one in () if facts.repairs is UNSEEN else facts.repairs:
        yield Mark("repair", one.name, f"{one.kind} {one.detail}", _TONES[one.progress], one.created, one.time)


def _machine(node: Object) -> Iterator[Mark]:
    ready = nvsentinel.condition(node, "Ready")
    if ready:
        well = ready.status == "True"
        reason = f" ({ready.reason})" if ready.reason and not well else ""
        yield Mark("node", "Ready", f"Ready={ready.status}{reason}", "good" if well else "bad", ready.since, calm=well)
    boot = str(((node.get("status") or {}).get("nodeInfo") or {}).get("bootID") or "")
    if boot:
        yield Mark("node", "bootID", f"booted anew (boot ID {boot[:8]})", "work", usual=True)


def _people(facts: Facts, where: Position) -> str:
    """Why people must come, "" where they need not; steady while the chain goes on."""
    if not where.needs_people or where.phase == RELEASED:
        return ""
    if where.waits_for.startswith(_FOR_PEOPLE):
        return where.waits_for.removeprefix(_FOR_PEOPLE)
    return f"NVSentinel recommends {facts.for_people} and will order no repair" if facts.for_people else ""
