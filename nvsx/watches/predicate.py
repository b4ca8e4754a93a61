"""Predicate: a watch clause as a pure value that says where to look and what it makes of what is seen there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from nvsx.ports import ApiPath, LogLine, Seen
from nvsx.watches import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.errors import ClusterError
    from nvsx.ports import Object
    from nvsx.watches.incident import Incident
    from nvsx.watches.verdict import Verdict


class LogSource(NamedTuple):
    """The log lines of some pods."""

    namespace: str
    selector: str = ""
    pod: str = ""


class DocumentSource(NamedTuple):
    """Documents of NVSentinel's database that a filter (EJSON text) selects."""

    collection: str
    filter: str
    enough: int = 1  # counting may stop here


class Lines(NamedTuple):
    """What is known of a LogSource: the first line that matched each pattern. Lines pass once, so a match stays."""

    matched: Mapping[str, LogLine]
    blind: ClusterError | None = None
    too_slow: frozenset[str] = frozenset()  # patterns that were given up


class Documents(NamedTuple):
    """What is known of a DocumentSource."""

    found: int
    blind: ClusterError | None = None


Source = ApiPath | LogSource | DocumentSource
Sight = Seen | Lines | Documents


class Sights(dict[Source, Sight]):
    """All that a run sees. `judged` is what the oracle made of it; it is forgotten with the next sight."""

    def __init__(self) -> None:
        super().__init__()
        self.judged: Any = None

    def __setitem__(self, source: Source, sight: Sight) -> None:
        self.judged = None
        super().__setitem__(source, sight)


class Predicate(Protocol):
    """One kind of watch clause with its fields. Implementations are frozen: equal fields, equal predicate."""

    @property
    def text(self) -> str:
        """The clause in words, for people who wait for it."""
        ...

    def sources(self, incident: Incident) -> tuple[Source, ...]:
        """Where to look; empty when it cannot look anywhere (a node watch without a node)."""
        ...

    def look(self, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
        """The verdict on what is seen; called only when every source has been seen and none is blind."""
        ...


@runtime_checkable
class Widening(Protocol):
    """A predicate that judges better with sources that it can do without: not seeing those blinds nobody."""

    def also(self, incident: Incident) -> tuple[Source, ...]:
        """Where else to look."""
        ...


def also(predicate: Predicate, incident: Incident) -> tuple[Source, ...]:
    """The sources that a predicate can do without."""
    return predicate.also(incident) if isinstance(predicate, Widening) else ()


def node_path(name: str) -> ApiPath:
    """The one node with this name."""
    return ApiPath("v1", "nodes", field_selector=f"metadata.name={name}")


def node_events_path(name: str) -> ApiPath:
    """Events about the node; both the node-drainer and the platform connector write them to `default`."""
    return ApiPath(
        "v1", "events", namespace="default", field_selector=f"involvedObject.kind=Node,involvedObject.name={name}"
    )


def evaluate(predicate: Predicate, sights: Mapping[Source, Sight], incident: Incident, now: float) -> Verdict:
    """The verdict of a predicate, blind where a source is blind or cannot be named."""
    sources = predicate.sources(incident)
    if not sources:
        return verdict.blind("no target node is known")
    for source in sources:
        sight = sights.get(source)
        if sight is not None and sight.blind is not None:
            return verdict.blind(describe_blindness(sight.blind))
    for source in sources:
        sight = sights.get(source)
        if sight is None or (isinstance(sight, Seen) and not sight.listed):
            return verdict.unmet("not looked yet")
    return predicate.look(sights, incident, now)


def describe_blindness(error: ClusterError) -> str:
    """Why it could not be looked, with the next step."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def seen_at(sights: Mapping[Source, Sight], source: Source) -> Seen:
    """The objects seen at `source`, which `evaluate` has checked to be there."""
    sight = sights[source]
    assert isinstance(sight, Seen)
    return sight


def only_object(sights: Mapping[Source, Sight], source: Source) -> Object | None:
    """The one object at a path that names one; None when a completed list does not have it."""
    return next(iter(seen_at(sights, source).objects.values()), None)
