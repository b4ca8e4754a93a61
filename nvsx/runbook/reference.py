"""The runbook language told from its schema: what `nvsx show --schema` prints and what `runbooks/README.md` lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.runbook.emit import block, inline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Schema = Mapping[str, Any]

_WORDS = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}
_NAMED = {
    "slug": "name",
    "duration": "duration",
    "path": "path",
    "regex": "regular expression",
    "selector": "label selector",
    "code": "error code",
    "words": "list of words",
    "for": "duration",
}
"""How a table calls the definitions that are forms of text, not pieces of the language."""


class Row(NamedTuple):
    """A field of a piece."""

    name: str
    type: str
    required: bool
    default: str
    description: str


def rows(piece: Schema, schema: Schema) -> Iterator[Row]:
    """The fields of a piece, in the schema's order."""
    required = piece.get("required", ())
    for name, field in piece.get("properties", {}).items():
        whole = {**_target(field, schema), **field}
        if "const" in whole and name == "kind":
            continue
        default = inline(whole["default"]) if "default" in whole else ""
        yield Row(name, type_words(field, schema), name in required, default, str(whole.get("description", "")))


def type_words(field: Schema, schema: Schema) -> str:
    """What may stand in a field, in a few words."""
    name = field.get("$ref", "").rpartition("/")[2]
    if name in _NAMED:
        return _NAMED[name]
    whole = {**_target(field, schema), **field}
    if name and "title" in whole and "enum" not in whole:
        return f"mapping, see {name}"
    if "const" in whole:
        return str(whole["const"])
    if "enum" in whole:
        return " ".join(choice for choice in whole["enum"] if isinstance(choice, str))
    if whole.get("type") == "array":
        inner = type_words(whole.get("items", {}), schema)
        return f"list of {inner.removeprefix('mapping, see ')}" if inner else "list"
    types = whole.get("type", "")
    return " or ".join(_WORDS[known] for known in ([types] if isinstance(types, str) else types) if known)


def described(name: str, piece: Schema, schema: Schema) -> str:
    """A piece for the terminal: what it is, its fields, an example."""
    title = f"{name}: " if name else ""
    lines = [f"{title}{piece.get('description', '')}"]
    fields = list(rows(piece, schema))
    if fields:
        lines += ["", *_table(fields)]
    if name == "watch":
        lines += ["", *_kinds(schema)]
    for example in piece.get("examples", ()):
        lines += ["", "example:", *(f"  {line}" for line in block(example).rstrip("\n").split("\n"))]
    if not name:
        pieces = ", ".join(key for key, part in schema["$defs"].items() if "title" in part)
        lines += ["", f"pieces: {pieces}", f"one of them: {schema.get('x-show', '').replace('{}', 'PIECE')}"]
    return "\n".join(lines)


def _table(fields: list[Row]) -> Iterator[str]:
    names = max(len(row.name) for row in fields)
    for row in fields:
        more = " (required)" if row.required else f" (default {row.default})" if row.default else ""
        yield f"  {row.name:<{names}}  {row.type}{more}"
        yield f"  {'':<{names}}    {row.description}"


def _kinds(schema: Schema) -> Iterator[str]:
    kinds = {name: part for name, part in schema["$defs"].items() if name.startswith("watch.")}
    column = max(map(len, kinds))
    for name, part in kinds.items():
        yield f"  {name:<{column}}  {part['description']}"


def markdown(name: str, schema: Schema) -> str:
    """A piece's fields as a Markdown table."""
    piece = schema["$defs"][name] if name else schema
    lines = ["| field | takes | default | |", "|---|---|---|---|"]
    for row in rows(piece, schema):
        default = "**required**" if row.required else f"`{row.default}`" if row.default else ""
        cells = (f"`{row.name}`", row.type, default, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def kinds_markdown(schema: Schema) -> str:
    """All watch kinds as a Markdown table: fields (required ones bold), and when a clause of the kind is met."""
    lines = ["| kind | fields | met when |", "|---|---|---|"]
    for name, part in schema["$defs"].items():
        if not name.startswith("watch."):
            continue
        fields = (row for row in rows(part, schema) if row.name not in ("absent", "for"))
        drawn = ", ".join(f"**`{row.name}`**" if row.required else f"`{row.name}`" for row in fields)
        lines.append(f"| `{part['title']}` | {drawn} | {part['description']} |")
    return "\n".join(lines)


_GENERATED = re.compile(r"(<!-- (?:fields of: ?(?P<piece>[\w.-]*)|kinds) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def refreshed(page: str, schema: Schema) -> str:
    """A Markdown page with its tables made anew, each between `<!-- fields of: PIECE -->` and `<!-- end -->`."""

    def table(mark: re.Match[str]) -> str:
        made = kinds_markdown(schema) if mark["piece"] is None else markdown(mark["piece"], schema)
        return f"{mark[1]}{made}\n"

    return _GENERATED.sub(table, page)


def _target(field: Schema, schema: Schema) -> Schema:
    if "$ref" not in field:
        return {}
    target: Schema = schema["$defs"][field["$ref"].rpartition("/")[2]]
    return {**_target(target, schema), **target}
