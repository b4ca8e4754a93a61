"""The fields of one health event in any spelling, read strictly: what is not understood is named, not guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.health import EXECUTE, STORE_AND_ANALYSE, STORE_ONLY, Entity, HealthEvent
from nvsx.healthevents.ejson import moment, number
from nvsx.watches.nvsentinel import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

STRATEGIES = {0: EXECUTE, 1: EXECUTE, 2: STORE_ONLY, 3: STORE_AND_ANALYSE}
"""ProcessingStrategy numbers; NVSentinel itself rewrites 0 (unspecified) to 1."""

UNSPECIFIED = "UNSPECIFIED"
_SHOWN = 60


class Rejection(NamedTuple):
    """Why something that should be a health event is none: the field's dotted path ("" for the whole) and a fact."""

    path: str
    message: str
    source: str
    id: str = ""  # of the stored document, where that much could be read

    def __str__(self) -> str:
        where = f"document {self.id}: " if self.id else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class Unreadable(Exception):
    """Raised by readers, turned into a Rejection by decoders."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Fields:
    """Reads typed fields of one mapping. A field that is missing or null has its default; a wrong type is Unreadable.

    Names are given in camelCase. With `lower` they stand in lower case, as the Go driver stores them.
    """

    __slots__ = ("_lower", "_path", "_raw")

    def __init__(self, raw: Mapping[str, Any], path: str = "", *, lower: bool = False) -> None:
        self._raw = raw
        self._path = path
        self._lower = lower

    def value(self, name: str) -> Any:
        return self._raw.get(name.lower() if self._lower else name)

    def path(self, name: str) -> str:
        name = name.lower() if self._lower else name
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        found = self.value(name)
        if found is None:
            return ""
        if not isinstance(found, str):
            raise self.unreadable(name, "text", found)
        return found

    def required(self, name: str) -> str:
        """A text that must be there and not be empty."""
        found = self.text(name)
        if not found:
            raise Unreadable(self.path(name), "is missing" if self.value(name) is None else "is empty")
        return found

    def flag(self, name: str) -> bool:
        found = self.value(name)
        if found is None:
            return False
        if not isinstance(found, bool):
            raise self.unreadable(name, "true or false", found)
        return found

    def enum(self, name: str, names: Mapping[int, str], default: str) -> str:
        """An enumeration by number or name; an unknown number stays as it is, since newer servers add some."""
        found = self.value(name)
        if found is None:
            return default
        if isinstance(found, str):
            return found or default
        counted = number(found)
        if counted is None or counted != int(counted):
            raise self.unreadable(name, "a number or a name", found)
        return names.get(int(counted)) or str(int(counted))

    def listed(self, name: str) -> list[Any]:
        found = self.value(name)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.unreadable(name, "a list", found)
        return found

    def inner(self, name: str) -> Fields | None:
        """The fields of a mapping below; None where there is none."""
        found = self.value(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise self.unreadable(name, "an object", found)
        return Fields(found, self.path(name), lower=self._lower)

    def time(self, name: str) -> float:
        """Epoch seconds of a date in any form; 0.0 where there is none."""
        found = self.value(name)
        if found is None:
            return 0.0
        seconds = moment(found)
        if seconds is None:
            raise self.unreadable(name, "a time", found)
        return seconds

    def unreadable(self, name: str, wanted: str, found: Any) -> Unreadable:
        return Unreadable(self.path(name), f"must be {wanted} (found {shown(found)})")


def shown(value: Any) -> str:
    """A value for a message: short, and one line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def read_event(fields: Fields, *, source: str) -> HealthEvent:
    """What the monitor said; the fields that only a stored document has keep their defaults. Raises Unreadable."""
    strategy = fields.enum("processingStrategy", STRATEGIES, EXECUTE)
    return HealthEvent(
        node=fields.required("nodeName"),
        check=fields.required("checkName"),
        id=fields.text("id"),
        agent=fields.text("agent"),
        component_class=fields.text("componentClass"),
        error_codes=_codes(fields),
        action=fields.enum("recommendedAction", ACTIONS, ACTIONS[0]),
        message=fields.text("message"),
        entities=_entities(fields),
        fatal=fields.flag("isFatal"),
        healthy=fields.flag("isHealthy"),
        strategy=EXECUTE if strategy == UNSPECIFIED else strategy,
        generated_time=fields.time("generatedTimestamp"),
        source=source,
    )


def _codes(fields: Fields) -> tuple[str, ...]:
    codes = fields.listed("errorCode")
    for at, code in enumerate(codes):
        if not isinstance(code, str):
            raise fields.unreadable(f"errorCode[{at}]", "text", code)
    return tuple(codes)


def _entities(fields: Fields) -> tuple[Entity, ...]:
    found = []
    for at, raw in enumerate(fields.listed("entitiesImpacted")):
        name = f"entitiesImpacted[{at}]"
        if not isinstance(raw, dict):
            raise fields.unreadable(name, "an object", raw)
        entity = Fields(raw, fields.path(name), lower=fields._lower)
        found.append(Entity(entity.text("entityType"), entity.text("entityValue")))
    return tuple(found)
