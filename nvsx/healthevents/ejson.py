"""MongoDB's extended JSON, relaxed and canonical: the few types that documents of NVSentinel are made of."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

_NUMBERS = ("$numberLong", "$numberInt", "$numberDouble", "$numberDecimal")
_LATEST = 253_402_300_800.0  # the year 10000, where datetime ends


class ObjectId(str):
    """The 24 hex digits of an `_id`, told apart from a text that looks alike."""

    __slots__ = ()


def number(value: Any) -> float | None:
    """A finite number, plain or in its canonical form; None if `value` is no such thing."""
    if isinstance(value, dict) and len(value) == 1:
        (key, text), *_ = value.items()
        if key not in _NUMBERS or not isinstance(text, str):
            return None
        try:
            value = int(text) if key in ("$numberLong", "$numberInt") else float(text)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def moment(value: Any) -> float | None:
    """Epoch seconds of a `$date`, a protobuf `{seconds, nanos}` or an RFC 3339 text; None if it is neither."""
    if isinstance(value, dict):
        if "$date" in value:
            inner = value["$date"]
            return moment(inner) if isinstance(inner, str) else _in_range(number(inner), 1000)
        if "seconds" not in value and "nanos" not in value:
            return None
        seconds, nanos = number(value.get("seconds", 0)), number(value.get("nanos", 0))
        return None if seconds is None or nanos is None else _in_range(seconds + nanos / 1e9, 1)
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
        return _in_range(when.replace(tzinfo=when.tzinfo or UTC).timestamp(), 1)
    except (ValueError, OverflowError):
        return None


def _in_range(value: float | None, units: int) -> float | None:
    return value / units if value is not None and abs(value / units) < _LATEST else None


def identifier(value: Any) -> str | None:
    """The text of an `_id`: an ObjectId, a UUID or a plain text; None if it is none of them."""
    if isinstance(value, dict) and len(value) == 1:
        value = value.get("$oid", value.get("$uuid"))
    return value if isinstance(value, str) else None


def plain(value: Any) -> Any:
    """`value` with extended JSON's objects as Python's: ObjectId, aware datetime, int, float, None. Others stay."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key, inner), *_ = value.items()
        if key == "$oid" and isinstance(inner, str):
            return ObjectId(inner)
        if key == "$date" and (seconds := moment(value)) is not None:
            return datetime.fromtimestamp(seconds, UTC)
        if key in _NUMBERS and (counted := number(value)) is not None:
            return counted
        if key == "$undefined":
            return None
    return {key: plain(inner) for key, inner in value.items()}
