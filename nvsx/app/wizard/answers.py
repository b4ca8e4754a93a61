"""Answers to the first-run wizard from a file, checked as a whole before the first of them is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import DocumentInvalid, EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Answers(NamedTuple):
    """What was answered beforehand; empty values were not. `runbooks` None means all that fit."""

    context: str = ""
    namespace: str = ""
    project: str = ""
    runbooks: tuple[str, ...] | None = None
    channels: Mapping[str, str] = {}
    drill: bool | None = None


def read_answers(file: Path) -> Answers:
    """The answers in a YAML file; DocumentInvalid with everything that is wrong with it.

    EnvironmentUnusable where it holds channels, which are secrets, and every user of the machine may read it.
    """
    import json

    from nvsx import assets
    from nvsx.documents import load_document, problems

    document = load_document(file)
    found = problems(document, json.loads(assets.text("schemas/answers.schema.json")))
    if found:
        raise DocumentInvalid(f"{file} cannot be used as answers", found, hint="nvsx setup --help")
    data: dict[str, Any] = document.data
    if data.get("channels") and file.stat().st_mode & 0o004:
        raise EnvironmentUnusable(f"{file} holds secrets, and every user can read it", hint=f"chmod 600 {file}")
    runbooks = data.get("runbooks", "all")
    return Answers(
        context=data.get("context", ""),
        namespace=data.get("namespace", ""),
        project=data.get("project", ""),
        runbooks={"all": None, "none": ()}[runbooks] if isinstance(runbooks, str) else tuple(runbooks),
        channels=data.get("channels", {}),
        drill=data.get("drill"),
    )
