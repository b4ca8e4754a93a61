"""The documents of a collection, with the indexes of NVSentinel's (`_id`, `createdAt`): a flood is read by them."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left, bisect_right, insort
from itertools import islice
from typing import TYPE_CHECKING, Any

import bson
from bson import ObjectId, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from nvsx.healthevents.ejson import plain
from nvsx.sim.filters import document_matcher, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

AWARE: CodecOptions[Any] = CodecOptions(tz_aware=True)
_RANGES: dict[str, tuple[int, Callable[..., int]]] = {
    # operator: which end of the range it sets, and how the place of a time is found
    "$gte": (0, bisect_left),
    "$gt": (0, bisect_right),
    "$lte": (1, bisect_right),
    "$lt": (1, bisect_left),
}


class Row:
    """A document as it goes over the wire; as Python's values only where a filter looks into it."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def whole(self) -> RawBSONDocument:
        return RawBSONDocument(self.raw)

    @property
    def plain(self) -> Any:
        return plain(json.loads(json_util.dumps(bson.decode(self.raw, AWARE))))

    def only(self, names: Iterable[str]) -> dict[str, Any]:
        found = self.whole
        return {name: found[name] for name in ("_id", *names) if name in found}


class Collection:
    """Rows in the order of their insertion."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._by_id: dict[Any, Row] = {}
        self._by_time: list[tuple[datetime, int]] = []
        self._lock = threading.Lock()

    def insert(self, raw: bytes) -> None:
        """Add a document in BSON."""
        row = Row(raw)
        known = bson.decode(raw, AWARE)
        with self._lock:
            self._rows.append(row)
            if isinstance(known.get("_id"), ObjectId):
                self._by_id[known["_id"]] = row
            created = known.get("createdAt")
            if hasattr(created, "tzinfo"):
                insort(self._by_time, (created, len(self._rows) - 1))

    def find(self, filter_: dict[str, Any], sort: dict[str, int], limit: int = 0) -> list[Row]:
        """The first rows that match (0: all of them); NotSimulated for an operator that is not known here."""
        with self._lock:
            found = self._matching(filter_)
            if sort == {"createdAt": 1} and "createdAt" in filter_:
                sort = {}  # the index has them in that order
            return list(islice(_sorted(found, sort), limit or None))

    def count(self, filter_: dict[str, Any]) -> int:
        with self._lock:
            return sum(1 for _ in self._matching(filter_))

    def _matching(self, filter_: dict[str, Any]) -> Iterator[Row]:
        rows, rest = self._narrowed(filter_)
        matches = document_matcher(plain(json.loads(json_util.dumps(rest)))) if rest else None
        return (row for row in rows if matches is None or matches(row.plain))

    def _narrowed(self, filter_: dict[str, Any]) -> tuple[Iterable[Row], dict[str, Any]]:
        """The rows that an index leads to, and the conditions that it has not answered."""
        wanted, time = filter_.get("_id"), filter_.get("createdAt")
        if (
            isinstance(wanted, dict)
            and wanted.keys() == {"$in"}
            and all(isinstance(i, ObjectId) for i in wanted["$in"])
        ):
            rest = {key: value for key, value in filter_.items() if key != "_id"}
            return [self._by_id[one] for one in wanted["$in"] if one in self._by_id], rest
        if hasattr(time, "tzinfo"):
            time = {"$gte": time, "$lte": time}
        if not isinstance(time, dict) or not time.keys() <= _RANGES.keys():
            return self._rows, filter_
        ends = [0, len(self._by_time)]
        for operator, moment in time.items():
            end, place = _RANGES[operator]
            found = place(self._by_time, moment, key=lambda entry: entry[0])
            ends[end] = min(ends[1], found) if end else max(ends[0], found)
        rest = {key: value for key, value in filter_.items() if key != "createdAt"}
        return (self._rows[self._by_time[at][1]] for at in range(*ends)), rest


def _sorted(rows: Iterable[Row], sort: dict[str, int]) -> Iterable[Row]:
    if not sort:
        return rows
    pairs = [(row.plain, row) for row in rows]
    for path, way in reversed(list(sort.items())):
        key = sort_key(path)
        pairs.sort(key=lambda pair: key(pair[0]), reverse=way < 0)
    return [row for _, row in pairs]
