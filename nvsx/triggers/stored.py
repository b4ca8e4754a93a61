"""Ways through the stored events: onward in time, and back to what was stored late among the events already read.

Both ask for little, since the database is that of a cluster in trouble: its only index is that on `createdAt`, so
nothing is asked for that it would have to sort, and what is known is counted instead of read again.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import Garbled
from nvsx.healthevents.cursor import at_once, between
from nvsx.healthevents.ejson import identifier, moment
from nvsx.healthevents.known import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nvsx.ports import Database, Object

PAGE = 1000
_INDEX = {"createdAt": 1}  # and _id, which comes with everything


class Page(NamedTuple):
    """Documents in order of time: `whole`, or their ids and times alone."""

    documents: list[Object]
    whole: bool = False


async def onward(
    database: Database, start: float, end: float | None = None, *, new_from: float = math.inf
) -> AsyncIterator[Page]:
    """All that was stored from `start` on (to `end`), page by page. What is not older than `new_from` is expected to be
    new, so that it is read whole; of the rest ids and times.

    Pages overlap by a moment, since any number of documents may be of one millisecond.
    """
    filter_ = between(start, end)
    while True:
        whole = start >= new_from
        page = await database.find("", filter_, fields=None if whole else _INDEX, sort=_INDEX, limit=PAGE)
        yield Page(page, whole)
        if len(page) < PAGE:
            return
        last = _time(page[-1])
        filter_ = between(last, end)
        if milliseconds(last) == milliseconds(start):
            async for more in _at_once(database, last):
                yield more
            filter_ = between(last, end, after=True)
        start = last


async def _at_once(database: Database, time: float) -> AsyncIterator[Page]:
    """Those of one millisecond in which more were stored than a page holds."""
    last = ""
    while True:
        page = await database.find("", at_once(time, last), fields=_INDEX, sort={"_id": 1}, limit=PAGE)
        yield Page(page)
        if len(page) < PAGE:
            return
        last = identifier(page[-1].get("_id")) or ""
        if not last:
            raise Garbled("the last document of a page has no _id to go on from")


async def late(database: Database, known: Sequence[int], start: float, end: float) -> AsyncIterator[Page]:
    """Pages of the spans from `start` to `end` that hold more than is known: `known` are the times of what is, epoch
    milliseconds, in order.
    """
    waiting = [(milliseconds(start), milliseconds(end))]
    while waiting:
        first, last = waiting.pop()
        low, high = bisect_left(known, first), bisect_right(known, last)
        found = await database.count("", between(first / 1000, last / 1000))
        if found == high - low:
            continue
        if first == last or high - low <= PAGE // 2 or abs(found - (high - low)) > PAGE:
            async for page in onward(database, first / 1000, last / 1000):
                yield page
            continue
        middle = max(known[(low + high) // 2], first + 1)
        waiting += [(middle, last), (first, middle - 1)]


def _time(document: dict[str, Any]) -> float:
    """A document that is no event has a time all the same."""
    time = moment(document.get("createdAt"))
    if time is None:
        raise Garbled("the last document of a page has no createdAt to go on from")
    return time
