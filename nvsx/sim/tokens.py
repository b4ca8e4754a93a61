"""Tokens in scenario text: `{{now}}`, `{{ago:26h}}`, `{{node}}`; a text that is one token keeps the value's type."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nvsx.sim.world import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*?))?\s*\}\}")

JSON_TEXT = "$json"
"""A mapping with only this key stands for its value as compact JSON text: what annotations hold."""

if TYPE_CHECKING:
    Lookup = Callable[[str, str], Any]


def render(value: Any, lookup: Lookup) -> Any:
    """`value` with every token replaced by `lookup(name, argument)`; LookupError for a name that is not known."""
    if isinstance(value, str):
        return _render_text(value, lookup)
    if isinstance(value, list):
        return [render(item, lookup) for item in value]
    if isinstance(value, dict):
        if set(value) == {JSON_TEXT}:
            return json.dumps(render(value[JSON_TEXT], lookup), separators=(",", ":"), ensure_ascii=False)
        return {_render_text(key, lookup): render(item, lookup) for key, item in value.items()}
    return value


def _render_text(text: str, lookup: Lookup) -> Any:
    whole = _TOKEN.fullmatch(text)
    if whole:
        return lookup(whole[1], whole[2] or "")
    return _TOKEN.sub(lambda found: str(lookup(found[1], found[2] or "")), text)


def names_in(value: Any) -> set[str]:
    """Every token name that occurs in `value`."""
    if isinstance(value, str):
        return {found[1] for found in _TOKEN.finditer(value)}
    if isinstance(value, dict):
        return names_in(list(value.items()))
    if isinstance(value, (list, tuple)):
        return {name for item in value for name in names_in(item)}
    return set()


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, cut off as clocks do, but unharmed by the float's last digits."""
    return round(seconds * 1e6) // 1000


def _millis(seconds: float) -> str:
    whole = milliseconds(seconds)
    return datetime.fromtimestamp(whole // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole % 1000:03d}Z"


TIME_FORMS: Mapping[str, Callable[[float], Any]] = {
    "": rfc3339,
    "seconds": lambda seconds: milliseconds(seconds) // 1000,
    "nanos": lambda seconds: milliseconds(seconds) % 1000 * 1_000_000,
    "millis": _millis,
    "micros": lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "label": lambda seconds: datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
}
"""Forms of a time by the token's argument: API time, epoch seconds and nanoseconds, EJSON date, MicroTime, label."""
