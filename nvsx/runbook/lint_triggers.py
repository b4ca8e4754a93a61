"""Runbooks beside each other: whose triggers ask for the same events with nothing but the name to decide."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.model import Runbook


class Tie(NamedTuple):
    """Two runbooks that answer to the same events, equally specific, with one priority; the name makes the winner."""

    winner: str
    loser: str
    about: str


class _Asked(NamedTuple):
    """What a runbook asks of an event. Empty sets ask for nothing."""

    checks: frozenset[str]
    codes: frozenset[str]
    actions: frozenset[str]
    classes: frozenset[str]
    fatal: bool | None
    nodes: str
    labels: frozenset[tuple[str, str]]
    occasion: str  # "event", "stalled", "storm" or "unhandled": these never meet
    priority: int
    explicit: bool

    @property
    def weight(self) -> int:
        fields = (self.checks, self.codes, self.actions, self.classes, self.nodes, self.labels)
        return sum(1 for field in fields if field) + (self.fatal is not None)


def ties(runbooks: Sequence[Runbook]) -> Iterator[Tie]:
    """Every pair of runbooks of which only the name decides which one runs."""
    asked = [(runbook.name, wanted) for runbook in runbooks for wanted in _asked(runbook)]
    seen = set()
    for (one, left), (other, right) in combinations(asked, 2):
        pair = tuple(sorted((one, other)))
        if one == other or pair in seen or not _same_rank(left, right) or not _overlap(left, right):
            continue
        seen.add(pair)
        yield Tie(pair[0], pair[1], _about(left, right))


def _asked(runbook: Runbook) -> Iterator[_Asked]:
    trigger = runbook.trigger
    if trigger is None:
        yield from _implied(runbook)
        return
    occasions = {"stalled": trigger.stalled_s is not None, "storm": trigger.storm, "unhandled": trigger.unhandled}
    named = [name for name, wanted in occasions.items() if wanted]
    for occasion in named or ["event"]:
        yield _Asked(
            checks=_lowered(trigger.check_names),
            codes=_lowered(trigger.error_codes),
            actions=_lowered(trigger.recommended_actions),
            classes=_lowered(trigger.component_classes),
            fatal=trigger.fatal,
            nodes=trigger.nodes,
            labels=frozenset(trigger.labels.items()),
            occasion=occasion,
            priority=trigger.priority,
            explicit=True,
        )


def _implied(runbook: Runbook) -> Iterator[_Asked]:
    """Without a trigger: each tag may be a check's name or `xid-CODE`, each condition of detect the name of a check."""
    detect = runbook.stage("detect")
    clauses = [inner for clause in (detect.watch if detect else ()) for inner in (clause, *clause.any_of)]
    conditions = {clause.fields["type"].lower() for clause in clauses if clause.kind == "node-condition"}
    tags = {tag.lower() for tag in runbook.tags}
    empty: frozenset[str] = frozenset()
    codes = frozenset(tag.removeprefix("xid-") for tag in tags if tag.startswith("xid-"))
    for checks, wanted in ((frozenset(tags | conditions), empty), (empty, codes)):
        if checks or wanted:
            yield _Asked(checks, wanted, empty, empty, None, "", frozenset(), "event", 0, explicit=False)


def _lowered(words: Sequence[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _same_rank(left: _Asked, right: _Asked) -> bool:
    return (left.occasion, left.explicit, left.weight, left.priority) == (
        right.occasion,
        right.explicit,
        right.weight,
        right.priority,
    )


def _overlap(left: _Asked, right: _Asked) -> bool:
    """Whether one event can answer to both; when in doubt (node patterns), yes."""
    sets = ((left.checks, right.checks), (left.codes, right.codes), (left.actions, right.actions))
    if any(one and other and not one & other for one, other in (*sets, (left.classes, right.classes))):
        return False
    if left.explicit is False and not any(one and other for one, other in sets):
        return False
    if None not in (left.fatal, right.fatal) and left.fatal != right.fatal:
        return False
    if left.nodes and right.nodes and left.nodes != right.nodes and _apart(left.nodes, right.nodes):
        return False
    labels = dict(left.labels)
    return all(labels.get(key, value) == value for key, value in right.labels)


def _apart(one: str, other: str) -> bool:
    """Whether no node can match both: different values of one label, or different names."""
    left, right = (
        dict(part.split("=", 1) for part in nodes.split(",") if "=" in part and "!" not in part)
        for nodes in (one, other)
    )
    if left or right:
        return any(key in right and right[key] != value for key, value in left.items())
    return not any(sign in one + other for sign in "*?[ ")


def _equalities(nodes: str) -> dict[str, str]:
    """The labels that a selector wants equal to a value."""
    parts = (part.replace("==", "=").partition("=") for part in nodes.split(",") if "=" in part and "!" not in part)
    return {key.strip(): value.strip() for key, _, value in parts}


def _about(left: _Asked, right: _Asked) -> str:
    for one, other in ((left.checks, right.checks), (left.codes, right.codes), (left.actions, right.actions)):
        common = sorted(one & other)
        if common:
            return ", ".join(common)
    return {"event": "the same events"}.get(left.occasion, f"{left.occasion} events")
