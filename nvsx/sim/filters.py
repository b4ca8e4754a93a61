"""MongoDB's filters on documents of the World: the operators that watches and nvsx's own queries use.

Values are those of `nvsx.healthevents.ejson.plain`. An operator that is not here is refused by name, never ignored.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nvsx.healthevents.ejson import ObjectId
from nvsx.sim.status import NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Test = Callable[[list[Any]], bool]


def document_matcher(filter_: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Whether a document passes the filter. NotSimulated for an operator that is not known here."""
    tests = [_clause(key, value) for key, value in filter_.items()]
    return lambda document: all(test(document) for test in tests)


def _clause(key: str, value: Any) -> Callable[[Any], bool]:
    if key in ("$and", "$or", "$nor"):
        branches = [document_matcher(branch) for branch in value]
        found = {"$and": all, "$or": any, "$nor": any}[key]
        return lambda document: found(branch(document) for branch in branches) != (key == "$nor")
    if key.startswith("$"):
        raise NotSimulated(f"the simulated database does not know {key}")
    path = key.split(".")
    test = _test(value)
    return lambda document: test(list(values_at(document, path)))


def values_at(document: Any, path: list[str]) -> list[Any]:
    """What stands at a dotted path, one value for each element of the lists on the way; [] where nothing does."""
    found = [document]
    for step in path:
        below: list[Any] = []
        for value in found:
            if isinstance(value, list):
                below += [item[step] for item in value if isinstance(item, dict) and step in item]
                below += [value[int(step)]] if step.isdigit() and int(step) < len(value) else []
            elif isinstance(value, dict) and step in value:
                below.append(value[step])
        found = below
    return found


def _test(wanted: Any) -> Test:
    """The condition on one field, which gets all values at its path."""
    if not (isinstance(wanted, dict) and wanted and all(key.startswith("$") for key in wanted)):
        return lambda values: _any_equal(values, wanted)
    if "$regex" in wanted:
        rest = {key: value for key, value in wanted.items() if key not in ("$regex", "$options")}
        return _all([_regex(wanted), *([_test(rest)] if rest else [])])
    return _all([_operator(key, value) for key, value in wanted.items()])


def _all(tests: list[Test]) -> Test:
    return lambda values: all(test(values) for test in tests)


def _regex(wanted: Mapping[str, Any]) -> Test:
    flags = 0
    for letter in wanted.get("$options", ""):
        flags |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}[letter]
    pattern = re.compile(wanted["$regex"], flags)
    return lambda values: any(isinstance(value, str) and pattern.search(value) for value in _spread(values))


def _operator(name: str, wanted: Any) -> Test:
    if name in _ORDERS:
        order = _ORDERS[name]
        return lambda values: any(_comparable(value, wanted) and order(value, wanted) for value in _spread(values))
    if name not in _OTHERS:
        raise NotSimulated(f"the simulated database does not know {name}")
    return _OTHERS[name](wanted)


def _spread(values: list[Any]) -> list[Any]:
    """The values and, where one is a list, its elements: a condition on a list is met by any of them."""
    return [*values, *(item for value in values if isinstance(value, list) for item in value)]


def _any_equal(values: list[Any], wanted: Any) -> bool:
    if wanted is None and not values:
        return True
    return any(_equal(value, wanted) for value in _spread(values))


def _equal(value: Any, wanted: Any) -> bool:
    return _kind(value) is _kind(wanted) and bool(value == wanted)


def _kind(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)


def _comparable(value: Any, wanted: Any) -> bool:
    return _kind(value) is _kind(wanted) and _kind(value) in (float, str, datetime, ObjectId, bool)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, wanted: value > wanted,
    "$gte": lambda value, wanted: value >= wanted,
    "$lt": lambda value, wanted: value < wanted,
    "$lte": lambda value, wanted: value <= wanted,
}


def _in(wanted: Any) -> Test:
    return lambda values: any(_any_equal(values, one) for one in wanted)


def _not(test: Test) -> Test:
    return lambda values: not test(values)


_OTHERS: dict[str, Callable[[Any], Test]] = {
    "$eq": lambda wanted: lambda values: _any_equal(values, wanted),
    "$ne": lambda wanted: lambda values: not _any_equal(values, wanted),
    "$in": _in,
    "$nin": lambda wanted: _not(_in(wanted)),
    "$exists": lambda wanted: lambda values: bool(values) == bool(wanted),
    "$not": lambda wanted: _not(_test(wanted)),
    "$size": lambda wanted: lambda values: any(isinstance(v, list) and len(v) == wanted for v in values),
    "$all": lambda wanted: _all([_operator("$eq", one) for one in wanted]),
    "$elemMatch": lambda wanted: (
        lambda values: any(
            document_matcher(wanted)(item) for value in values if isinstance(value, list) for item in value
        )
    ),
}


def sort_key(path: str) -> Callable[[Any], tuple[int, Any]]:
    """A key that orders documents by one field as MongoDB does, missing and null first, then by type."""
    steps = path.split(".")
    ranks = {float: 2, str: 3, ObjectId: 7, bool: 8, datetime: 9}

    def key(document: Any) -> tuple[int, Any]:
        value = next(iter(values_at(document, steps)), None)
        rank = ranks.get(_kind(value), 1)
        return (rank, value) if rank > 1 else (1, 0)

    return key
