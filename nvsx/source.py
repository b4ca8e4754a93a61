"""A document as its author wrote it: plain data, and for every value the place where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.errors import Place

DataPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """`data` holds dict, list, str, int, float, bool and None only. `places` gives each value's place by its path, and
    each mapping key's place by the path with the key followed by `"\0key"`.
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
