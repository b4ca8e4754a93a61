"""The schemas of the files that people write: the runbook language and `nvsx.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvsx.errors import NotFoundHere

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = "config"


def runbook_schema() -> dict[str, Any]:
    """The schema of the runbook language."""
    return _schema("runbook")


def config_schema() -> dict[str, Any]:
    """The schema of `nvsx.yaml`."""
    return _schema(CONFIG)


def schema_piece(name: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A named piece (`watch.taint`, `config.source`; "" is the whole runbook): its name, itself, and its whole schema.

    NotFoundHere lists the names that there are. `taint` alone finds `watch.taint`.
    """
    from nvsx.documents import piece

    is_config = name == CONFIG or name.startswith(f"{CONFIG}.")
    schema = config_schema() if is_config else runbook_schema()
    inner = name.removeprefix(CONFIG).removeprefix(".") if is_config else name
    for candidate in (inner, f"watch.{inner}"):
        found = piece(schema, candidate)
        if found is not None:
            return candidate, found, schema
    raise _not_found(name)


def piece_names() -> tuple[str, ...]:
    """Every name that `schema_piece` takes, the whole runbook apart."""
    ours = (name for name, part in runbook_schema()["$defs"].items() if "title" in part)
    config = (f"{CONFIG}.{name}" for name, part in config_schema().get("$defs", {}).items() if "title" in part)
    return (*ours, CONFIG, *config)


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
