"""Reads the runbooks of a library: cheaply for a list, wholly for a run, and with everything that is wrong for lint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.catalog.library import FOLDER, SUFFIX, BundledLibrary, ProjectLibrary
from nvsx.errors import DocumentInvalid, NotFoundHere, NvsxError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.catalog.library import Library
    from nvsx.errors import Problem
    from nvsx.model import Runbook
    from nvsx.settings import Settings
    from nvsx.source import Document


CONFIG_FILE = "nvsx.yaml"


class Summary(NamedTuple):
    """What a list shows of a runbook. `problem` says why it could not be read; the other fields may then be empty."""

    name: str
    nickname: str
    title: str
    tags: tuple[str, ...]
    summary: str
    file: str
    problem: str = ""


class Examined(NamedTuple):
    """A runbook's file with everything that is wrong in it; what could not be read is None."""

    document: Document | None
    runbook: Runbook | None
    problems: tuple[Problem, ...]


class Script(NamedTuple):
    """A hook or an action as lint looks at it. `path` is relative to the root."""

    path: str
    label: str
    text: str
    executable: bool


class Catalog:
    """The runbooks of one project root, or of the bundled library where `root` is None."""

    def __init__(self, root: Path | None) -> None:
        self.library: Library = ProjectLibrary(root) if root else BundledLibrary()

    @classmethod
    def for_settings(cls, settings: Settings) -> Catalog:
        """The catalog of the project root that the settings found."""
        return cls(settings.project)

    @property
    def root(self) -> Path | None:
        return self.library.root

    @property
    def bundled(self) -> bool:
        return self.library.root is None

    @property
    def where(self) -> str:
        return self.library.where

    def names(self) -> tuple[str, ...]:
        """Names of all files that can be runbooks, sorted; what is in them is not looked at."""
        from nvsx.names import is_slug

        stems = (file.removesuffix(SUFFIX) for file in self.library.files() if file.endswith(SUFFIX))
        return tuple(stem for stem in stems if is_slug(stem))

    def summaries(self) -> tuple[Summary, ...]:
        """One entry for each YAML file. Reads no further than `metadata`, so a fault below it is not seen here."""
        files = (file for file in self.library.files() if file.endswith((SUFFIX, ".yml")))
        return tuple(self._summary(file) for file in files)

    def load(self, wanted: str) -> Runbook:
        """The runbook with this name or nickname; `#nickname` finds nicknames only.

        NotFoundHere lists what there is; UsageError where several have the nickname; DocumentInvalid with all problems.
        """
        name = self.find(wanted)
        return read_runbook(self.read(name), self.label(name))

    def find(self, wanted: str) -> str:
        """The name of the runbook with this name or nickname; NotFoundHere and UsageError as `load`."""
        from nvsx.names import check_slug

        nickname = check_slug(wanted.removeprefix("#"))
        names = self.names()
        if nickname == wanted and wanted in names:
            return wanted
        summaries = self.summaries()
        found = [summary.name for summary in summaries if summary.nickname == nickname and summary.name in names]
        if len(found) > 1:
            raise UsageError(
                f"several runbooks are called #{nickname}: {', '.join(found)}", hint=f"nvsx show {found[0]}"
            )
        if not found:
            raise self._not_found(wanted, summaries)
        return found[0]

    def read(self, name: str) -> bytes:
        """The bytes of a runbook's file, as they are."""
        return self.library.read(f"{FOLDER}/{name}{SUFFIX}")

    def label(self, name: str) -> str:
        """What to call a runbook's file in a message."""
        return self.library.label(f"{FOLDER}/{name}{SUFFIX}")

    def examine(self, name: str) -> Examined:
        """A runbook with all its problems, none of which is raised."""
        try:
            document = _document(self.read(name), self.label(name))
        except DocumentInvalid as error:
            return Examined(None, None, error.problems)
        from nvsx.runbook.parse import parse

        try:
            return Examined(document, parse(document), ())
        except DocumentInvalid as error:
            return Examined(document, None, explain(document) or error.problems)

    def script(self, path: str) -> Script:
        """The script at a path relative to the root; errors as `Library.read`."""
        text = self.library.read(path).decode("utf-8", "replace")
        return Script(path, self.library.label(path), text, self.library.executable(path))

    def config(self) -> Document | None:
        """The project's `nvsx.yaml`, None where there is none; DocumentInvalid and EnvironmentUnusable."""
        if self.bundled:
            return None
        try:
            return _document(self.library.read(CONFIG_FILE), self.library.label(CONFIG_FILE))
        except NotFoundHere:
            return None

    def resolve_hook(self, hook: str) -> Path:
        """The file of a `hook:` (relative to `runbooks/`), links followed; errors as `ProjectLibrary.resolve`."""
        return self._resolve(f"{FOLDER}/{hook}")

    def resolve_script(self, script: str) -> Path:
        """The file of an `action.script` (relative to the root), links followed; errors as `ProjectLibrary.resolve`."""
        return self._resolve(script)

    def _resolve(self, path: str) -> Path:
        if isinstance(self.library, ProjectLibrary):
            return self.library.resolve(path)
        raise NotFoundHere(
            f"{path} is in the bundled library, which has no files of its own", hint="nvsx --project DIR"
        )

    def _not_found(self, wanted: str, summaries: tuple[Summary, ...]) -> NotFoundHere:
        from nvsx.nearest import nearest

        known = {summary.name: summary.nickname for summary in summaries}
        if not known:
            return NotFoundHere(
                f"there is no runbook {wanted} in {self.where}: it holds none", hint="nvsx --project DIR list"
            )
        words = {word: name for name, nickname in known.items() for word in (name, nickname, f"#{nickname}")}
        near = nearest(wanted, words)
        there = ", ".join(f"{name} (#{nickname})" if nickname else name for name, nickname in known.items())
        hint = f"did you mean `{near}`? There are {there}" if near else f"there are {there}"
        return NotFoundHere(f"there is no runbook {wanted} in {self.where}", hint=hint)

    def _summary(self, file: str) -> Summary:
        path = f"{FOLDER}/{file}"
        label = self.library.label(path)
        stem = file.rpartition(".")[0]
        try:
            return _summarise(self.library.read(path), stem, file, label)
        except DocumentInvalid as error:
            problem = str(error.problems[0]) if error.problems else error.message
        except NvsxError as error:
            problem = error.message
        return Summary(stem, "", "", (), "", label, problem)


def names(settings: Settings) -> tuple[str, ...]:
    """Names of the runbooks at hand, as `Catalog.names` gives them."""
    return Catalog.for_settings(settings).names()


def read_runbook(data: bytes | str, file: str) -> Runbook:
    """The runbook in a text; DocumentInvalid carries everything that is wrong with it. `file` is its file's name."""
    from nvsx.runbook.parse import parse

    document = _document(data, file)
    try:
        return parse(document)
    except DocumentInvalid as error:
        found = explain(document) or error.problems
        raise DocumentInvalid(f"{file} is not a valid runbook", found) from None


def explain(document: Document) -> tuple[Problem, ...]:
    """Everything that is wrong with a document as a runbook: its form by the schema, its meaning by the rules."""
    from nvsx.catalog.schemas import runbook_schema
    from nvsx.documents import problems
    from nvsx.runbook import rules

    form = problems(document, runbook_schema())
    told = {problem.path for problem in form}
    meaning = (problem for problem in rules.problems(document) if problem.path not in told)
    return tuple(sorted((*form, *meaning), key=lambda problem: (problem.place.line, problem.place.column)))


def _document(data: bytes | str, file: str) -> Document:
    from nvsx.documents import read_yaml

    return read_yaml(data, file)


def _summarise(data: bytes, stem: str, file: str, label: str) -> Summary:
    from nvsx.documents import read_head
    from nvsx.names import alias, is_slug

    head = read_head(data, label, until="metadata").data
    about = head.get("metadata") if isinstance(head, dict) else None
    if not isinstance(about, dict):
        return Summary(stem, "", "", (), "", label, f"{label}: is not a runbook: it has no metadata")
    name, tags = about.get("name"), about.get("tags")
    problem = ""
    if not file.endswith(SUFFIX):
        problem = f"{label}: is not read: rename it to {stem}{SUFFIX}"
    elif not is_slug(stem):
        problem = f"{label}: cannot be a runbook's file: lower-case letters, digits and inner '-' only"
    elif name != stem:
        problem = f"{label}: metadata.name must be the file's name, {stem}, not {name}"
    elif head.get("apiVersion", "nvsx/v1") != "nvsx/v1":
        problem = f"{label}: apiVersion must be nvsx/v1, not {head['apiVersion']}"
    return Summary(
        name=stem,
        nickname=_text(about.get("nickname")) or (alias(stem) if not problem else ""),
        title=_text(about.get("title")) or stem,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        summary=_text(about.get("summary")),
        file=label,
        problem=problem,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
