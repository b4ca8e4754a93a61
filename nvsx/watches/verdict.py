"""Verdict: what looking at a clause gave: met, unmet (looked, and it is not there) or blind (could not look)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["met", "unmet", "blind"]


class Verdict(NamedTuple):
    """`detail` says what was observed; `version` is the resourceVersion of the object that decided.

    `inferred`: proven by a later trace, not seen happening. `terminal`: the wanted state can no longer come.
    `due`: when it can change although nothing on the cluster does, epoch seconds, 0.0 never.
    """

    state: State
    detail: str
    version: str = ""
    inferred: bool = False
    terminal: bool = False
    due: float = 0.0

    @property
    def is_met(self) -> bool:
        return self.state == "met"


def met(detail: str, version: str = "", *, inferred: bool = False) -> Verdict:
    return Verdict("met", detail, version, inferred)


def unmet(detail: str, version: str = "", *, terminal: bool = False, due: float = 0.0) -> Verdict:
    return Verdict("unmet", detail, version, terminal=terminal, due=due)


def blind(detail: str) -> Verdict:
    return Verdict("blind", detail)


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Met if one is; else blind if one is, because that one may hold; terminal only if all are."""
    found = tuple(verdicts)
    for wanted in ("met", "blind"):
        for verdict in found:
            if verdict.state == wanted:
                return verdict
    joined = "; ".join(dict.fromkeys(verdict.detail for verdict in found))
    return unmet(joined, terminal=bool(found) and all(verdict.terminal for verdict in found))


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Met only if all are; a terminal one decides, then an unmet one, then a blind one."""
    found = tuple(verdicts)
    for verdict in found:
        if verdict.terminal:
            return verdict
    for wanted in ("blind", "unmet"):
        chosen = [verdict for verdict in found if verdict.state == wanted]
        if chosen:
            return chosen[0]._replace(detail="; ".join(dict.fromkeys(verdict.detail for verdict in chosen)))
    detail = "; ".join(dict.fromkeys(verdict.detail for verdict in found))
    return Verdict("met", detail, inferred=any(verdict.inferred for verdict in found))
