"""What PATCH means, by its content type: merge, strategic merge and JSON patch. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.sim.merging import copy_of, merged
from nvsx.sim.status import BadRequest, NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.ports import Object

_MERGE_KEYS: Mapping[str, str] = {
    "conditions": "type",
    "addresses": "type",
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "ownerReferences": "uid",
}
"""Lists that a strategic merge patch merges, by the field that tells their items apart; others it replaces."""


def patched(content_type: str, thing: Object, body: Any) -> Object:
    """`thing` as a patch of `content_type` leaves it; BadRequest for a patch that does not fit."""
    form = content_type.partition(";")[0].strip()
    change = _FORMS.get(form)
    if change is None:
        raise NotSimulated(f"the simulator's API server does not do patches of type {form!r}")
    found = change(thing, body)
    if not isinstance(found, dict):
        raise BadRequest("the patch leaves no object")
    return found


def strategic(thing: Any, patch: Any) -> Any:
    """A strategic merge patch as Kubernetes means it for its own types."""
    if not isinstance(patch, dict):
        return copy_of(patch)
    if patch.get("$patch") == "replace":
        return {key: copy_of(value) for key, value in patch.items() if key != "$patch"}
    result = dict(thing) if isinstance(thing, dict) else {}
    for key, value in patch.items():
        if key.startswith(("$setElementOrder/", "$retainKeys")) or key == "$patch":
            continue  # they tell about the order and the parts of what is merged anyhow
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list) and key in _MERGE_KEYS:
            result[key] = _merged_list(result.get(key) or [], value, _MERGE_KEYS[key])
        else:
            result[key] = strategic(result.get(key), value)
    return result


def _merged_list(present: list[Any], changes: list[Any], by: str) -> list[Any]:
    items = {item.get(by): item for item in present if isinstance(item, dict)}
    for change in changes:
        if not isinstance(change, dict) or by not in change:
            raise BadRequest(f"map: {change} does not contain declared merge key: {by}")
        if change.get("$patch") == "delete":
            items.pop(change[by], None)
        else:
            items[change[by]] = strategic(items.get(change[by]), change)
    return list(items.values())


def json_patch(thing: Any, operations: Any) -> Any:
    """RFC 6902: add, remove, replace, test; the others are refused by name."""
    if not isinstance(operations, list):
        raise BadRequest("a JSON patch is a list of operations")
    result = copy_of(thing)
    for operation in operations:
        action, path = operation.get("op"), str(operation.get("path", ""))
        if action not in ("add", "remove", "replace", "test"):
            raise NotSimulated(f"the simulator's API server does not do the JSON patch operation {action!r}")
        keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
        try:
            _operate(result, keys, action, copy_of(operation.get("value")))
        except (LookupError, ValueError, TypeError):
            raise BadRequest(f"the server rejected our request due to an error in our request: {path}") from None
    return result


def _operate(thing: Any, keys: list[str], action: str, value: Any) -> None:
    *parents, last = keys
    for key in parents:
        thing = thing[int(key)] if isinstance(thing, list) else thing[key]
    at: Any = last
    if isinstance(thing, list):
        at = len(thing) if last == "-" else int(last)
    if action == "test":
        if thing[at] != value:
            raise ValueError(last)
    elif action == "remove":
        del thing[at]
    elif isinstance(thing, list) and action == "add":
        thing.insert(at, value)
    else:
        if action == "replace" and at not in (range(len(thing)) if isinstance(thing, list) else thing):
            raise KeyError(at)
        thing[at] = value


_FORMS: Mapping[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": merged,
    "application/strategic-merge-patch+json": strategic,
    "application/json-patch+json": json_patch,
}
