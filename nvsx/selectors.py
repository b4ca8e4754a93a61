"""Label selectors with the API server's own meaning: for the simulator, for triggers and for silences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_KEY = re.compile(_NAME + r"\Z")
_EQUALS = re.compile(rf"({_NAME})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)\Z")
_SET = re.compile(rf"({_NAME})\s+(in|notin)\s*\(([^()]*)\)\Z")


class Requirement(NamedTuple):
    """One term of a selector: `operator` is in, notin, exists or absent."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def admits(self, labels: Mapping[str, str]) -> bool:
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "absent":
            return self.key not in labels
        inside = self.key in labels and labels[self.key] in self.values
        return inside if self.operator == "in" else not inside


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The terms of a label selector (`a=b,c!=d,e in (f,g),h,!i`); ValueError says which one is malformed."""
    return tuple(_label_term(term.strip()) for term in _split(text)) if text.strip() else ()


def _split(text: str) -> list[str]:
    return re.split(r",(?![^()]*\))", text)


def _label_term(term: str) -> Requirement:
    if equals := _EQUALS.match(term):
        operator = "notin" if equals[3] == "!=" else "in"
        return Requirement(equals[1], operator, frozenset({equals[4]}))
    if chosen := _SET.match(term):
        return Requirement(chosen[1], chosen[3], frozenset(value.strip() for value in chosen[4].split(",")))
    if term.startswith("!") and _KEY.match(term[1:].strip()):
        return Requirement(term[1:].strip(), "absent")
    if _KEY.match(term):
        return Requirement(term, "exists")
    raise ValueError(f"unable to parse requirement: {term!r} is not a label selector")
