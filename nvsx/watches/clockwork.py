"""The incident clock: from readings to moments and phases. What is not known stays unknown, and is never zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.watches import moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.watches.moments import Reading

TOLERANCE_S = 2.0
"""How far readings of one moment may lie apart before two clocks disagree."""

NEWS_S = 0.25
"""How long the news of a change takes to nvsx, where nothing is in its way."""

PHASES: tuple[tuple[str, str, str, str], ...] = (
    # phase, what it is for people, from, to
    ("detect", "until the cluster showed the fault", moments.FAULT, moments.DETECTED),
    ("cordon", "until the node was cordoned", moments.DETECTED, moments.CORDONED),
    ("drain", "until the workloads had left", moments.CORDONED, moments.DRAINED),
    ("remediate", "until the repair was ordered", moments.DRAINED, moments.ORDERED),
    ("recover", "until the node was back in service", moments.ORDERED, moments.RELEASED),
)
TOTAL = "total"


class Instant(NamedTuple):
    """When a moment was, by all that was said of it. `within_s` is how far it may be off; `skewed` where clocks of the
    cluster and of this machine disagree and this moment is told by one of the cluster's alone.
    """

    moment: str
    at: float
    within_s: float
    sources: tuple[str, ...]
    skewed: bool = False


class Phase(NamedTuple):
    """A part of the incident. `seconds` is None where it is not known, and `unknown` then says why.

    `skewed`: begin and end were told by clocks that disagree, or in the wrong order.
    """

    name: str
    begin: float | None
    seconds: float | None
    within_s: float = 0.0
    skewed: bool = False
    unknown: str = ""


def instants(readings: Iterable[Reading]) -> dict[str, Instant]:
    """The moments of an incident, in the order of the chain."""
    told = _told(readings)
    skew_s = _skew(told.values())
    return {moment: _instant(moment, one, skew_s) for moment, one in told.items()}


def skew(readings: Iterable[Reading]) -> float:
    """Seconds by which this machine's clock is ahead of the cluster's stamps; 0.0 where they agree, or nobody knows."""
    return _skew(_told(readings).values())


def _told(readings: Iterable[Reading]) -> dict[str, _Told]:
    """What is told of each moment. A label that says that the node was released before the fault is of an incident
    before this one.
    """
    by_moment: dict[str, list[Reading]] = {}
    for reading in readings:
        by_moment.setdefault(reading.moment, []).append(reading)
    fault = min((reading.earliest for reading in by_moment.get(moments.FAULT, ())), default=0.0)
    released = by_moment.pop(moments.RELEASED, [])
    ours = [one for one in released if one.source == moments.SIGHT or one.latest >= fault - TOLERANCE_S]
    if ours:
        by_moment[moments.RELEASED] = ours
    return {moment: _Told.of(by_moment[moment]) for moment in moments.ORDER if moment in by_moment}


class _Told(NamedTuple):
    """The finest stamp of a moment, and when nvsx saw it; either may be missing."""

    stamp: tuple[float, float] | None
    sight: tuple[float, float] | None
    sources: tuple[str, ...]

    @classmethod
    def of(cls, readings: list[Reading]) -> _Told:
        stamps = [reading for reading in readings if reading.source != moments.SIGHT]
        sight = next((reading for reading in readings if reading.source == moments.SIGHT), None)
        return cls(
            _finest(stamps) if stamps else None,
            (sight.earliest, sight.latest) if sight else None,
            tuple(dict.fromkeys(reading.source for reading in readings)),
        )

    @property
    def lag_s(self) -> float:
        """How much later nvsx saw it than the stamp says, at least; negative where it saw it before."""
        if self.stamp is None or self.sight is None:
            return 0.0
        low, high = self.stamp
        return min(0.0, self.sight[1] - low) or max(0.0, self.sight[0] - high)


def _skew(told: Iterable[_Told]) -> float:
    """What is seen before it is said to have happened proves that a clock is wrong. What is seen later may be late
    news: only where everything is late by as much at least, and not just one thing, is it taken for a clock.
    """
    lags = [one.lag_s for one in told if one.stamp and one.sight]
    least = min(lags, default=0.0)
    if least < -TOLERANCE_S or (least > TOLERANCE_S and len(lags) > 1):
        return least
    return 0.0


def _instant(moment: str, told: _Told, skew_s: float) -> Instant:
    if told.stamp is None or (skew_s and told.sight):
        assert told.sight is not None
        return _between(moment, told.sight, told.sources)
    if told.sight is None:
        return _between(moment, told.stamp, told.sources)._replace(skewed=bool(skew_s))
    (low, high), (first, last) = told.stamp, told.sight
    if last <= high + NEWS_S and first >= low - NEWS_S:
        low, high = min(max(low, first), high), max(min(high, last), low)
    return _between(moment, (low, high), told.sources)


def _finest(stamps: list[Reading]) -> tuple[float, float]:
    """The span of the finest stamp, narrowed by those that agree with it: seconds are cut off, nanoseconds are not."""
    finest = min(stamps, key=lambda reading: (reading.latest - reading.earliest, reading.earliest))
    low, high = finest.earliest, finest.latest
    for other in stamps:
        if other.earliest <= high and other.latest >= low:
            low, high = max(low, other.earliest), min(high, other.latest)
    return low, high


def _between(moment: str, span: tuple[float, float], sources: tuple[str, ...]) -> Instant:
    return Instant(moment, (span[0] + span[1]) / 2, (span[1] - span[0]) / 2, sources)


def phases(found: Mapping[str, Instant]) -> tuple[Phase, ...]:
    """The phases of the chain and their total, in order."""
    known = dict(found)
    cordoned, detected = known.get(moments.CORDONED), known.get(moments.DETECTED)
    if cordoned and detected and cordoned.at < detected.at:
        # The two writers race: a node that is cordoned for a fault shows it, whatever its conditions say yet.
        known[moments.DETECTED] = cordoned._replace(moment=moments.DETECTED)
    told = [_phase(name, begin, end, known) for name, _, begin, end in PHASES]
    return (*told, _phase(TOTAL, moments.FAULT, moments.RELEASED, known))


def _phase(name: str, begin: str, end: str, known: Mapping[str, Instant]) -> Phase:
    first, last = known.get(begin), known.get(end)
    if first is None or last is None:
        missing = begin if first is None else end
        return Phase(name, first.at if first else None, None, unknown=_why(missing, known))
    seconds = last.at - first.at
    within = first.within_s + last.within_s
    skewed = first.skewed != last.skewed or seconds < -(within + TOLERANCE_S)
    return Phase(name, first.at, max(0.0, seconds), within, skewed)


def _why(missing: str, known: Mapping[str, Instant]) -> str:
    """Why a moment has no time: the chain failed before it, nvsx missed it, or it has not come."""
    for failed in (moments.DRAIN_FAILED, moments.REMEDIATION_FAILED):
        # In the order a failure stands right behind the moment that it takes the place of.
        if failed in known and moments.ORDER.index(missing) >= moments.ORDER.index(failed) - 1:
            return f"the chain ended with {failed}"
    if missing == moments.FAULT:
        return "nobody told when the fault was"
    later = moments.ORDER[moments.ORDER.index(missing) + 1 : moments.ORDER.index(moments.RELEASED) + 1]
    if any(moment in known for moment in later):
        return f"nobody told when it was {missing}"
    return f"not {missing} while nvsx looked"


def time_to_repair(readings: Iterable[Reading]) -> float | None:
    """Seconds from the fault until NVSentinel released the node; None where either is not known."""
    return phases(instants(readings))[-1].seconds
