"""Takes the values out of a document one by one, and refuses each that is not exactly what may stand there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from nvsx.durations import parse_duration
from nvsx.errors import DocumentInvalid, Problem
from nvsx.runbook.grammar import FORMS
from nvsx.runbook.kinds import EFFECTS, STATE_NAMES
from nvsx.source import dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nvsx.errors import Place
    from nvsx.source import DataPath, Document

_LONGEST_TEXT = 10_000
_LONGEST_PATTERN = 1000


class Part:
    """A mapping inside a document, with its place."""

    def __init__(self, document: Document, path: DataPath, value: Any) -> None:
        self._document = document
        self._path = path
        self.value: Mapping[str, Any] = value
        if not isinstance(value, dict):
            self.refuse("must be a mapping")

    @property
    def place(self) -> Place:
        return self._document.place(self._path)

    def refuse(self, message: str, *steps: str | int) -> NoReturn:
        path = (*self._path, *steps)
        problem = Problem(self._document.place(path), dotted(path), message)
        raise DocumentInvalid(f"{self._document.file} is not a valid runbook", (problem,))

    def only(self, *keys: str, required: tuple[str, ...] = ()) -> None:
        """Refuse keys that are not known, and the absence of required ones."""
        for key in self.value:
            if key not in keys:
                self.refuse(f"unknown key {key!r}", key)
        for key in required:
            if key not in self.value:
                self.refuse(f"`{key}` is required")

    def part(self, key: str) -> Part | None:
        """The mapping under a key, None where it is not given."""
        return Part(self._document, (*self._path, key), self.value[key]) if key in self.value else None

    def parts(self, key: str) -> Iterator[Part]:
        """The mappings in the list under a key."""
        for index, value in enumerate(self.list(key)):
            yield Part(self._document, (*self._path, key, index), value)

    def list(self, key: str) -> list[Any]:
        values = self.value.get(key, [])
        if not isinstance(values, list):
            self.refuse("must be a list", key)
        return values

    def get(self, key: str, form: str, default: Any = "") -> Any:
        """The value under a key in one of the forms, `default` where the key is not given."""
        return self._read(form, self.value[key], key) if key in self.value else default

    def all(self, key: str, form: str) -> tuple[Any, ...]:
        """The values of the list under a key, each in the form."""
        return tuple(self._read(form, value, key, index) for index, value in enumerate(self.list(key)))

    def each(self, form: str) -> dict[str, Any]:
        """All values of the mapping, each in the form."""
        return {key: self._read(form, value, key) for key, value in self.value.items()}

    def _read(self, form: str, value: Any, *steps: str | int) -> Any:
        try:
            return read_value(form, value)
        except ValueError as error:
            self.refuse(str(error), *steps)


def read_value(form: str, value: Any) -> Any:
    """A value in a form, durations as seconds; ValueError says what it must be."""
    if form in _READERS:
        return _READERS[form](value)
    wanted = FORMS[form]
    if not isinstance(value, str) or not wanted.fits(value):
        raise ValueError(f"does not have the form of a {form}")
    return value


def _duration(value: Any) -> float:
    if not isinstance(value, str) or not FORMS["duration"].fits(value):
        raise ValueError("is not a duration")
    return parse_duration(value)


def _duration_text(value: Any) -> str:
    """A duration that is checked here and read by the watch itself."""
    _duration(value)
    return str(value)


def _code(value: Any) -> str:
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not FORMS["code"].fits(text):
        raise ValueError("is not an error code")
    return text


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return value

    return read


def _text(longest: int, shortest: int = 0) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise ValueError("must be text" + (" that is not empty" if shortest else ""))
        return value

    return read


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return read


def _status(value: Any) -> str:
    return _choice("True", "False", "Unknown")(str(value) if isinstance(value, bool) else value)


def _scalar(value: Any) -> str:
    """A value that the cluster's JSON is compared with, as text: `expect: true` means the same as `expect: "true"`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(1000)(str(value) if type(value) is int else value)


def _regex(value: Any) -> str:
    pattern = _text(_LONGEST_PATTERN, 1)(value)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return pattern


def _condition(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not {"type"} <= value.keys() <= {"type", "status"}:
        raise ValueError("must be a mapping with `type`, and `status` if it is not True")
    return {"type": read_value("word", value["type"]), "status": _status(value.get("status", "True"))}


def _filter(value: Any) -> dict[str, Any]:
    """A filter of the database: data, never code."""
    if isinstance(value, str):
        import json

        try:
            value = json.loads(_text(_LONGEST_TEXT)(value), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ValueError("must be a filter: a mapping, or a JSON object as text") from None
    if not isinstance(value, dict) or not value:
        raise ValueError("must be a filter: a mapping, or a JSON object as text")
    code = next((key for key in _keys(value) if key in CODE_OPERATORS), "")
    if code:
        raise ValueError(f"{code} would run code in the database; only queries on fields are allowed")
    return value


CODE_OPERATORS = frozenset({"$where", "$function", "$accumulator"})


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_READERS: dict[str, Callable[[Any], Any]] = {
    "duration": _duration,
    "durationText": _duration_text,
    "code": _code,
    "bool": _bool,
    "count": _integer(1, 1_000_000),
    "attempts": _integer(1, 20),
    "priority": _integer(-1000, 1000),
    "maxConcurrent": _integer(1, 10_000),
    "status": _status,
    "scalar": _scalar,
    "label": _text(253),
    "labelValue": _text(1000),
    "effect": _choice(*EFFECTS),
    "state": _choice(*STATE_NAMES),
    "onUnknown": _choice("retry", "skip", "fail"),
    "summary": _text(4000, 1),
    "script": _text(_LONGEST_TEXT, 1),
    "argument": _text(_LONGEST_TEXT),
    "expectation": _text(1000),
    "expected": _text(1000, 1),
    "regex": _regex,
    "condition": _condition,
    "filter": _filter,
}
