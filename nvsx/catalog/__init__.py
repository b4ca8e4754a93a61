"""The door to a project's runbooks: finds them by name or nickname, reads them, keeps every path inside the root."""

from __future__ import annotations

from nvsx.catalog.library import BundledLibrary, ProjectLibrary
from nvsx.catalog.reading import Catalog, Examined, Script, Summary, explain, names, read_runbook
from nvsx.catalog.schemas import config_schema, piece_names, runbook_schema, schema_of_tests, schema_piece

__all__ = [
    "BundledLibrary",
    "Catalog",
    "Examined",
    "ProjectLibrary",
    "Script",
    "Summary",
    "config_schema",
    "explain",
    "names",
    "piece_names",
    "read_runbook",
    "runbook_schema",
    "schema_of_tests",
    "schema_piece",
]
