"""Known: ids of events that were told, by time of storage, in sixteen bytes each: a flood is remembered whole.

An id is kept as 64 bits of its hash, among those of the same ten seconds. Of 2,033 events a second these are 20,330:
that a new id is taken for one of them has a probability of 20,330 / 2^64, about 1e-15. For the 1.3 million events of a
bad week that makes one in a billion; what is then missed in the database the node's own stream tells all the same.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right, insort
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICE_MS = 10_000


class _Slice(NamedTuple):
    """What was stored within SLICE_MS. Both are sorted, each for itself: nobody asks when one id was stored."""

    hashes: array[int]
    stamps: array[int]  # epoch milliseconds


class Known:
    """A set of ids that forgets by time. A copy shares its slices with the original until either writes to them."""

    __slots__ = ("_count", "_own", "_slices")

    def __init__(self, slices: dict[int, _Slice] | None = None) -> None:
        self._slices = slices or {}
        self._own: set[int] = set()  # slices that nobody else holds
        self._count = sum(len(one.hashes) for one in self._slices.values())

    def copy(self) -> Known:
        self._own = set()
        return Known(dict(self._slices))

    def add(self, id_: str, time: float) -> bool:
        """Remember an id that was stored at a time (epoch seconds); False where it is known from there."""
        stamp, key = milliseconds(time), _hash(id_)
        number = stamp // SLICE_MS
        one = self._slices.get(number)
        at = bisect_left(one.hashes, key) if one else 0
        if one and at < len(one.hashes) and one.hashes[at] == key:
            return False
        if one is None or number not in self._own:
            one = _Slice(one.hashes[:], one.stamps[:]) if one else _Slice(array("Q"), array("q"))
            self._slices[number] = one
            self._own.add(number)
        one.hashes.insert(at, key)
        insort(one.stamps, stamp)
        self._count += 1
        return True

    def has(self, id_: str, time: float) -> bool:
        """Whether an id that was stored at a time is known."""
        one = self._slices.get(milliseconds(time) // SLICE_MS)
        return one is not None and _holds(one.hashes, _hash(id_))

    def __contains__(self, id_: str) -> bool:
        """Whether an id is known, whenever it was stored: that takes longer."""
        key = _hash(id_)
        return any(_holds(one.hashes, key) for one in self._slices.values())

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self._slices == other._slices

    __hash__ = None  # type: ignore[assignment]

    def since(self, start: float) -> Known:
        """What is left when everything from before a time is forgotten, and nothing that came less than a slice before
        it.
        """
        first = milliseconds(start) // SLICE_MS
        self._own = set()
        return Known({number: one for number, one in self._slices.items() if number >= first})

    def newest(self, now: float) -> float | None:
        """The newest time of storage that is not later than `now`, epoch seconds; None where there is none."""
        latest = milliseconds(now)
        for number in sorted(self._slices, reverse=True):
            stamps = self._slices[number].stamps
            if at := bisect_right(stamps, latest):
                return stamps[at - 1] / 1000
        return None

    def stamps(self) -> array[int]:
        """The times of storage of all, epoch milliseconds, in order."""
        found = array("q")
        for number in sorted(self._slices):
            found.extend(self._slices[number].stamps)
        return found

    def to_data(self, most: int) -> list[list[str]]:
        """About the `most` newest of them, for a file."""
        kept: list[list[str]] = []
        count = 0
        for number in sorted(self._slices, reverse=True):
            if count >= most:
                break
            one = self._slices[number]
            count += len(one.hashes)
            kept.append([b64encode(part.tobytes()).decode() for part in one])
        return kept


def known_from_data(data: Sequence[Sequence[str]]) -> Known:
    """What `to_data` gave; ValueError where it is damaged."""
    slices = {}
    for hashes, stamps in data:
        one = _Slice(array("Q", b64decode(hashes, validate=True)), array("q", b64decode(stamps, validate=True)))
        numbers = {stamp // SLICE_MS for stamp in one.stamps}
        if len(one.hashes) != len(one.stamps) or len(numbers) != 1 or any(list(part) != sorted(part) for part in one):
            raise ValueError("ids of events are damaged")
        slices[numbers.pop()] = one
    return Known(slices)


def milliseconds(seconds: float) -> int:
    """A time as the database keeps it."""
    return round(seconds * 1000)


def _hash(id_: str) -> int:
    # Not Python's own: it differs from process to process.
    return int.from_bytes(blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _holds(hashes: array[int], key: int) -> bool:
    at = bisect_left(hashes, key)
    return at < len(hashes) and hashes[at] == key
