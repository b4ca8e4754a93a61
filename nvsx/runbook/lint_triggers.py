"""Runbooks beside each other: whose triggers ask for the same events with nothing but the name to decide."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from nvsx.routing.wants import wants_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nvsx.model import Runbook
    from nvsx.routing.wants import Wants


class Tie(NamedTuple):
    """Two runbooks that answer to the same events, equally specific, with one priority; the name makes the winner."""

    winner: str
    loser: str
    about: str


def ties(runbooks: Sequence[Runbook]) -> Iterator[Tie]:
    """Every pair of runbooks of which only the name decides which one runs."""
    asked = [(runbook.name, wanted) for runbook in runbooks for wanted in wants_of(runbook)]
    seen = set()
    for (one, left), (other, right) in combinations(asked, 2):
        pair = tuple(sorted((one, other)))
        if one == other or pair in seen or not _same_rank(left, right) or not _overlap(left, right):
            continue
        seen.add(pair)
        yield Tie(pair[0], pair[1], _about(left, right))


def _same_rank(left: Wants, right: Wants) -> bool:
    return left.occasion == right.occasion and left.rank == right.rank


def _overlap(left: Wants, right: Wants) -> bool:
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


def _about(left: Wants, right: Wants) -> str:
    for one, other in ((left.checks, right.checks), (left.codes, right.codes), (left.actions, right.actions)):
        common = sorted(one & other)
        if common:
            return ", ".join(common)
    return {"event": "the same events"}.get(left.occasion, f"{left.occasion} events")
