"""Watches on log lines: of pods by selector, or of one training pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import verdict
from nvsx.watches.predicate import Lines, LogSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.ports import LogLine
    from nvsx.watches.incident import Incident
    from nvsx.watches.predicate import Sight, Source
    from nvsx.watches.verdict import Verdict

_LONGEST_LINE = 8192


class LogPattern(NamedTuple):
    """`kind: log` and `kind: training-log`: a line of this incident matches a regular expression."""

    pattern: str
    source: LogSource
    place: str = ""  # of the clause, for what is wrong with its pattern

    @property
    def text(self) -> str:
        return f"log of {self.source.namespace}/{self.source.pod or self.source.selector} matches /{self.pattern}/"

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        return (self.source,)

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        sight = sights[self.source]
        assert isinstance(sight, Lines)
        line = sight.matched.get(self.pattern)
        if line is None and self.pattern in sight.too_slow:
            return verdict.blind(
                f"the pattern takes too long on one line: {self.place} (write it without nested repeats)"
            )
        if line is None:
            return verdict.unmet("no line matches yet")
        return verdict.met(f"{line.pod}: {' '.join(line.text.split())[:160]}")

    def matches(self, line: LogLine, incident: Incident, search: Callable[[str, str], bool]) -> bool:
        """Whether a line belongs to the incident and matches; only its first 8 KiB are looked at. `search` says
        whether a pattern is in a text.
        """
        of_incident = not line.time or incident.covers(line.time)
        return of_incident and search(self.pattern, line.text[:_LONGEST_LINE])
