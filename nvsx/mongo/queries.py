"""Requests to the database, built here and nowhere else: reads only, and a runbook's filter stays data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import Refused
from nvsx.runbook.reading import CODE_OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REFUSED = CODE_OPERATORS | {"$out", "$merge"}
"""What runs code in the server, or writes."""

STAGES = frozenset({"$match", "$sort", "$limit", "$skip", "$count", "$group", "$project", "$unwind"})
"""What an aggregation may consist of."""

LONGEST_ANSWER = 5_000
"""Documents in one answer; who needs more asks again from the last one on."""


def find(
    database: str, collection: str, filter_: Mapping[str, Any], *, fields: Mapping[str, Any] | None,
    sort: Mapping[str, int] | None, limit: int, milliseconds: int,
) -> dict[str, Any]:  # fmt: skip
    """The request for the first `limit` documents that match."""
    checked(filter_)
    limit = min(max(limit, 1), LONGEST_ANSWER)
    return {"act": "find", "database": database, "collection": collection, "filter": filter_, "fields": fields or {},
            "sort": sort or {}, "limit": limit, "ms": milliseconds}  # fmt: skip


def count(
    database: str, collection: str, filter_: Mapping[str, Any], *, limit: int, milliseconds: int
) -> dict[str, Any]:
    """The request for the number of documents that match, at most `limit` (0: all)."""
    checked(filter_)
    request = {"act": "count", "database": database, "collection": collection, "filter": filter_, "ms": milliseconds}
    return {**request, "limit": limit} if limit > 0 else request


def aggregate(database: str, collection: str, stages: Sequence[Mapping[str, Any]], milliseconds: int) -> dict[str, Any]:
    """The request for an aggregation of stages that read."""
    for stage in stages:
        if other := set(stage) - STAGES:
            raise Refused(f"nvsx does not send {', '.join(sorted(other))} to the database: it only reads")
        checked(stage)
    return {"act": "aggregate", "database": database, "collection": collection, "stages": list(stages),
            "ms": milliseconds}  # fmt: skip


def checked(filter_: Mapping[str, Any]) -> Mapping[str, Any]:
    """`filter_`, if it is nothing but conditions on fields; Refused otherwise."""
    found = next((key for key in _keys(filter_) if key in REFUSED), "")
    if found:
        raise Refused(
            f"nvsx does not send {found} to the database: only conditions on fields are data",
            hint="nvsx show --schema watch.mongo-event",
        )
    return filter_


def _keys(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from (str(key) for key in found)
            waiting += found.values()
        elif isinstance(found, list | tuple):
            waiting += found
