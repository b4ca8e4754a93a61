"""Reads fields of a message from outside: what has the wrong form is refused with the path at which it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import NvsxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_TEXT = 4096
"""Characters kept of any one text; the whole message stays with the run as its payload."""


class Malformed(NvsxError):
    """The message is not what its format says. `path` is where, as `alerts[0].labels`."""

    code = "malformed"

    def __init__(self, path: str, fact: str) -> None:
        super().__init__(f"{path}: {fact}" if path else fact)
        self.path = path
        self.fact = fact


class Fields:
    """A JSON object and the path at which it stands. What is missing or null reads as empty."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise Malformed(path, f"must be an object, not {_kind(value)}")
        self.value: dict[str, Any] = value
        self.path = path

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def text(self, *names: str) -> str:
        """The first of these fields that is not empty; a number or a truth value reads as its JSON."""
        for name in names:
            value = self.value.get(name)
            if isinstance(value, (dict, list)):
                raise Malformed(self.at(name), f"must be a text, not {_kind(value)}")
            if value not in (None, ""):
                return as_text(value)
        return ""

    def needed(self, name: str) -> str:
        found = self.text(name)
        if not found:
            raise Malformed(self.at(name), "is missing")
        return found

    def inner(self, name: str) -> Fields:
        """The object in a field; an empty one where the field is missing."""
        value = self.value.get(name)
        return Fields({} if value is None else value, self.at(name))

    def each(self, name: str, most: int) -> Iterator[Fields]:
        """The objects of a list."""
        for index, item in enumerate(self._list(name, most)):
            yield Fields(item, f"{self.at(name)}[{index}]")

    def texts(self, name: str, most: int = 1000) -> tuple[str, ...]:
        """The texts of a list; one text stands for a list of one."""
        value = self.value.get(name)
        if isinstance(value, (str, int, float)):
            return (as_text(value),) if value != "" else ()
        found = []
        for index, item in enumerate(self._list(name, most)):
            if isinstance(item, (dict, list)):
                raise Malformed(f"{self.at(name)}[{index}]", f"must be a text, not {_kind(item)}")
            found.append(as_text(item))
        return tuple(found)

    def table(self, name: str) -> dict[str, str]:
        """An object of texts, such as labels; what is neither text nor number in it is left out."""
        return {
            as_text(key): as_text(value)
            for key, value in self.inner(name).value.items()
            if isinstance(value, (str, int, float))
        }

    def _list(self, name: str, most: int) -> list[Any]:
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Malformed(self.at(name), f"must be a list, not {_kind(value)}")
        if len(value) > most:
            raise Malformed(self.at(name), f"has {len(value)} items, {most} at most are read")
        return value


def as_text(value: object) -> str:
    """A JSON scalar as text, bounded, without NUL and without halves of characters (`\\ud800`), which no file takes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ("" if value is None else str(value))[:LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def first(table: Mapping[str, str], *names: str) -> str:
    """The first of these labels that is there and not empty."""
    return next((table[name] for name in names if table.get(name)), "")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
