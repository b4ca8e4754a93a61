"""JSON data copied and merged: what a patch leaves of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nvsx.ports import Object

_Json = TypeVar("_Json")


def copy_of(thing: _Json) -> _Json:
    """A deep copy of JSON data."""
    return cast("_Json", _copy(thing))


def _copy(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _copy(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [_copy(value) for value in thing]
    return thing


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386: mappings merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy_of(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def merged_by(items: Iterable[Object], changes: Iterable[Object], keys: tuple[str, ...]) -> list[Object]:
    """A list of records with others merged in by their identifying keys, as strategic merge does for conditions."""
    result = {tuple(item.get(key) for key in keys): item for item in items}
    for change in changes:
        identity = tuple(change.get(key) for key in keys)
        result[identity] = {**result.get(identity, {}), **change}
    return list(result.values())
