"""A project's `nvsx.yaml`, read and checked whole: its form, and the sense of what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.catalog import config_schema
from nvsx.config import Config, ConfigInvalid, read_config
from nvsx.documents import problems
from nvsx.errors import DocumentInvalid
from nvsx.runbook.finding import error
from nvsx.source import dotted

if TYPE_CHECKING:
    from nvsx.catalog import Catalog
    from nvsx.source import Document


def load_config(catalog: Catalog) -> tuple[Document | None, Config]:
    """The configuration, and the document that it came from (None where there is none, or an empty one).

    DocumentInvalid carries everything that is wrong with it; EnvironmentUnusable where it may not be read.
    """
    document = catalog.config()
    if document is None or document.data is None:
        return None, Config()
    found = tuple(problems(document, config_schema()))
    if found:
        raise DocumentInvalid(f"{document.file} is not valid", found)
    try:
        return document, read_config(document.data)
    except ConfigInvalid as problem:
        where = error(document.place(problem.path), dotted(problem.path), problem.fact)
        raise DocumentInvalid(f"{document.file} is not valid", (where,)) from None
