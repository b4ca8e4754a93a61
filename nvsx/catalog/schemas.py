"""The schemas of the files that people write: the runbook language, its tests, and `nvsx.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import NotFoundHere

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG, TEST = "config", "test"
_FILES = (CONFIG, TEST)  # files beside the runbooks, whose pieces are named by them: `config.source`, `test.message`


def runbook_schema() -> dict[str, Any]:
    """The schema of the runbook language."""
    return _schema("runbook")


def config_schema() -> dict[str, Any]:
    """The schema of `nvsx.yaml`."""
    return _schema(CONFIG)


def schema_of_tests() -> dict[str, Any]:
    """The schema of a file of tests."""
    return _schema(TEST)


def schema_piece(name: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A named piece (`watch.taint`, `config.source`, `test.message`; "" is the whole runbook): its name, itself,
    and its whole schema.

    NotFoundHere lists the names that there are. `taint` alone finds `watch.taint`.
    """
    from nvsx.documents import piece

    first, _, rest = name.partition(".")
    of_file = first in _FILES
    schema = _schema(first) if of_file else runbook_schema()
    inner = rest if of_file else name
    for candidate in (inner, f"watch.{inner}"):
        found = piece(schema, candidate)
        if found is not None:
            return candidate, found, schema
    raise _not_found(name)


def piece_names() -> tuple[str, ...]:
    """Every name that `schema_piece` takes, the whole runbook apart."""
    ours = (name for name, part in runbook_schema()["$defs"].items() if "title" in part)
    others = (
        piece
        for file in _FILES
        for piece in (file, *(f"{file}.{name}" for name, part in _schema(file)["$defs"].items() if "title" in part))
    )
    return (*ours, *others)


def _not_found(name: str) -> NotFoundHere:
    from nvsx.nearest import nearest

    known = piece_names()
    near = nearest(name, known) or nearest(f"watch.{name}", known)
    hint = f"nvsx show --schema {near}" if near else f"there are {', '.join(known)}"
    return NotFoundHere(f"the runbook language has no piece {name!r}", hint=hint)


def _schema(name: str) -> dict[str, Any]:
    import json

    from nvsx import assets

    schema: dict[str, Any] = json.loads(assets.text(f"schemas/{name}.schema.json"))
    return schema
