"""Wants: what a runbook asks of a report before it answers. Lint compares them, routing holds reports against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvsx.errors import Place
    from nvsx.model import Runbook

EVENT, STALLED, STORM, UNHANDLED = "event", "stalled", "storm", "unhandled"
"""Occasions; a runbook that names one of the last three answers to that and not to events."""

Rank = tuple[bool, bool, int, int]


class Wants(NamedTuple):
    """What one runbook asks of one occasion. All that is given must fit; empty sets ask for nothing. Lower case."""

    occasion: str
    checks: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    fatal: bool | None = None
    nodes: str = ""  # label selector, or a pattern of names
    labels: frozenset[tuple[str, str]] = frozenset()
    priority: int = 0
    explicit: bool = False  # written as a trigger, not read from tags and conditions
    place: Place | None = None

    @property
    def weight(self) -> int:
        """How many things it asks for."""
        fields = (self.checks, self.codes, self.actions, self.classes, self.nodes, self.labels)
        return sum(1 for field in fields if field) + (self.fatal is not None)

    @property
    def rank(self) -> Rank:
        """The greater one wins: a trigger before tags, an error code before a check's name, more before less."""
        return (self.explicit, bool(self.codes), self.weight, self.priority)


def wants_of(runbook: Runbook) -> Iterator[Wants]:
    """Everything that this runbook answers to."""
    trigger = runbook.trigger
    if trigger is None:
        yield from _implied(runbook)
        return
    occasions = {STALLED: trigger.stalled_s is not None, STORM: trigger.storm, UNHANDLED: trigger.unhandled}
    named = [name for name, wanted in occasions.items() if wanted]
    for occasion in named or [EVENT]:
        yield Wants(
            occasion,
            checks=_lowered(trigger.check_names),
            codes=_lowered(trigger.error_codes),
            actions=_lowered(trigger.recommended_actions),
            classes=_lowered(trigger.component_classes),
            fatal=trigger.fatal,
            nodes=trigger.nodes,
            labels=frozenset(trigger.labels.items()),
            priority=trigger.priority,
            explicit=True,
            place=trigger.place,
        )


def _implied(runbook: Runbook) -> Iterator[Wants]:
    """Without a trigger: each tag may be a check's name or `xid-CODE`, each condition of detect the name of a check."""
    detect = runbook.stage("detect")
    clauses = [inner for clause in (detect.watch if detect else ()) for inner in (clause, *clause.any_of)]
    conditions = {clause.fields["type"].lower() for clause in clauses if clause.kind == "node-condition"}
    tags = {tag.lower() for tag in runbook.tags}
    codes = frozenset(tag.removeprefix("xid-") for tag in tags if tag.startswith("xid-"))
    if tags or conditions:
        yield Wants(EVENT, checks=frozenset(tags | conditions))
    if codes:
        yield Wants(EVENT, codes=codes)


def _lowered(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)
