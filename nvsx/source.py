"""A document as its author wrote it: plain data, and for every value the place where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.errors import Place

DataPath = tuple[str | int, ...]

KEY = "\0key"
"""Last step of the path of a mapping's key itself: `("metadata", "name", KEY)`. It has a NUL, as no document can."""


class Document(NamedTuple):
    """`data` holds dict, list, str, int, float, bool and None only; parts that aliases share are one object.

    `places` gives each value's place by its path, and each mapping key's place by the path with `KEY` behind the key.
    """

    data: Any
    file: str
    text: str
    places: Mapping[DataPath, Place]

    def place(self, path: DataPath) -> Place:
        """The place of a value, or of the nearest value around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]

    def key_place(self, path: DataPath) -> Place:
        """The place of the key that the last step of `path` names; of the value where that is no key."""
        return self.place((*path, KEY))


def dotted(path: DataPath) -> str:
    """A path for people: `stages[2].watch[0].key`; keys that are no plain words in brackets."""
    text = ""
    for step in path:
        if step == KEY:
            continue
        if isinstance(step, int):
            text += f"[{step}]"
        elif step and all(sign.isalnum() or sign in "_-/" for sign in step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text
