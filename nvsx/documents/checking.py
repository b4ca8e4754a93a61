"""Checks a document against a JSON Schema and says everything that is wrong in the words of the document.

A schema may say what a value must be in `errorMessage` (editors show it as well) and, at its top, which command shows a
piece of it in `x-show`, with `{}` for the name of the piece.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from nvsx.errors import Problem
from nvsx.nearest import nearest
from nvsx.source import dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nvsx.source import DataPath, Document

    Schema = Mapping[str, Any]

MAX_PROBLEMS = 200
_LONGEST_SEARCHED = 10_000

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def problems(document: Document, schema: Schema) -> tuple[Problem, ...]:
    """Everything in the document that the schema does not allow, in the order of the text; at most 200 problems."""
    errors = _validator(schema).iter_errors(document.data)
    found = islice((problem for error in errors for problem in _explain(error, document, schema)), MAX_PROBLEMS * 2)
    once: dict[tuple[str, str], Problem] = {}
    for problem in found:
        once.setdefault((problem.path, problem.message), problem)
    ordered = sorted(once.values(), key=lambda problem: (problem.place.line, problem.place.column))
    return tuple(ordered[:MAX_PROBLEMS])


def piece(schema: Schema, name: str) -> Schema | None:
    """The part of the schema that has a name of its own: `watch.taint`, or the whole for ""; None if there is none."""
    found: Schema | None = schema if not name else schema.get("$defs", {}).get(name)
    return found if found is not None and "title" in found else None


def _validator(schema: Schema) -> Any:
    import jsonschema

    draft = jsonschema.Draft202012Validator
    types = draft.TYPE_CHECKER.redefine("integer", _is_integer)
    own = {"pattern": _pattern, "format": _format}
    return jsonschema.validators.extend(draft, own, type_checker=types)(schema)  # type: ignore[no-untyped-call]


def _is_integer(_: Any, value: Any) -> bool:
    """As it is written: 1.0 is none, although JSON Schema says so."""
    return type(value) is int


def _pattern(_: Any, pattern: str, instance: Any, schema: Schema) -> Iterator[Any]:
    """As the standard means it: Python's own `$` would let a line feed pass at the end.

    A text that is too long is not searched, which may take the square of its length: `maxLength` has told of it.
    """
    from jsonschema import ValidationError

    if not isinstance(instance, str) or len(instance) > schema.get("maxLength", _LONGEST_SEARCHED):
        return
    strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if not re.search(strict, instance):
        yield ValidationError("pattern")


def _format(_: Any, name: str, instance: Any, __: Schema) -> Iterator[Any]:
    from jsonschema import ValidationError

    if name == "regex" and isinstance(instance, str):
        try:
            re.compile(instance)
        except (re.error, OverflowError, RecursionError) as error:
            yield ValidationError(str(error))


def _explain(error: Any, document: Document, schema: Schema) -> Iterator[Problem]:
    path: DataPath = tuple(error.absolute_path)
    section = _section(schema, error.absolute_schema_path)
    see = schema.get("x-show", "").replace("{}", section).rstrip(" .")
    explain = _EXPLAIN.get(error.validator, _value)
    for key, message, hint in explain(error, section):
        where = (*path, key) if key and key in error.instance else path
        place = document.key_place(where) if key else document.place(path)
        yield Problem(place, dotted(path), message, hint or see)


def _section(schema: Schema, steps: Iterable[Any]) -> str:
    """The name of the innermost titled definition on the way to a keyword, "" for the document itself."""
    here: Any = schema
    name = ""
    for step in steps:
        while isinstance(here, dict) and step not in here and "$ref" in here:
            target = here["$ref"].rpartition("/")[2]
            here = schema["$defs"][target]
            name = target if "title" in here else name
        here = here[step]
    return name


def _owner(section: str) -> str:
    """How a message names the watch clause that it is about."""
    kind = section.removeprefix("watch.")
    if kind == section:
        return ""
    return f" for kind: {kind}" if kind != "anyOf" else " for anyOf"


def _unknown_keys(error: Any, section: str) -> Iterator[tuple[str, str, str]]:
    known = list(error.schema.get("properties", {}))
    for key in error.instance:
        if key not in known:
            near = nearest(key, (name for name in known if name not in error.instance))
            meant = f"; did you mean `{near}`?" if near else ""
            yield key, f"unknown key {_shown(key)}{_owner(section)}{meant}", ""


def _missing_keys(error: Any, section: str) -> Iterator[tuple[str, str, str]]:
    for key in error.validator_value:
        if key not in error.instance:
            yield "", f"`{key}` is required{_owner(section)}", ""


def _wrong_type(error: Any, _: str) -> Iterator[tuple[str, str, str]]:
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    value = error.instance
    says = error.schema.get("errorMessage")
    must = says or f"must be {_either([_TYPES[name] for name in wanted])}"
    if value is None:
        yield "", f"is empty; it {must}", ""
        return
    hint = ""
    if "duration" in str(says) and isinstance(value, (int, float)) and not isinstance(value, bool):
        hint = f"write {_scalar(value)}s for seconds, {_scalar(value)}m for minutes"
    elif "string" in wanted and not says and not isinstance(value, (dict, list)):
        hint = f'quote it: "{_scalar(value)}"'
    elif wanted == ["array"]:
        hint = "write a list: each entry on a line of its own, with '- ' before it"
    yield "", _found(must, value), hint


def _wrong_const(error: Any, _: str) -> Iterator[tuple[str, str, str]]:
    yield "", f"must be {error.validator_value}, not {_shown(error.instance)}", ""


def _wrong_choice(error: Any, _: str) -> Iterator[tuple[str, str, str]]:
    choices = [choice for choice in error.validator_value if isinstance(choice, str)]
    near = nearest(error.instance, choices) if isinstance(error.instance, str) else ""
    meant = f"; did you mean `{near}`?" if near else ""
    yield "", f"must be {_either(choices)}, not {_shown(error.instance)}{meant}", ""


def _value(error: Any, _: str) -> Iterator[tuple[str, str, str]]:
    """Everything that is wrong with a value itself."""
    keyword, limit, value = error.validator, error.validator_value, error.instance
    says = error.schema.get("errorMessage", "")
    if keyword == "format":
        yield "", f"{says}: {error.message}", ""
    elif keyword in _LIMITS:
        shown = f" (found {_shown(value)})" if keyword in _BOUNDS else ""
        yield "", _LIMITS[keyword](limit) + shown, ""
    elif keyword in {"anyOf", "oneOf"}:
        yield "", says or "is none of the things that may stand here", ""
    else:
        yield "", _found(says or "has a form that is not allowed", value), ""


_EXPLAIN: dict[str, Callable[[Any, str], Iterator[tuple[str, str, str]]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_keys,
    "type": _wrong_type,
    "const": _wrong_const,
    "enum": _wrong_choice,
}

_LIMITS: dict[str, Callable[[Any], str]] = {
    "minLength": lambda limit: "must not be empty" if limit == 1 else f"must have {limit} characters at least",
    "maxLength": lambda limit: f"is longer than {limit:,} characters",
    "minItems": lambda limit: f"needs {_entries(limit)} at least",
    "maxItems": lambda limit: f"has more than {_entries(limit)}",
    "minProperties": lambda limit: f"needs {_entries(limit)} at least",
    "minimum": lambda limit: f"must be {limit:,} or more",
    "maximum": lambda limit: f"must be {limit:,} or less",
    "exclusiveMinimum": lambda limit: f"must be more than {limit:,}",
}

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum")


def _entries(count: int) -> str:
    return "one entry" if count == 1 else f"{count} entries"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _found(says: str, value: Any) -> str:
    return f"{says} (found {_shown(value)})"


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    """A value for a message: short, and nothing in it can move a cursor."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    return _scalar(value) if value is not None else "nothing"
