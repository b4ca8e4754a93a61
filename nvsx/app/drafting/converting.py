"""Converts a page: takes its secrets out, has a draft made by rules or Claude, and looks it over until it is sound."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.drafting.drafts import problems_of
from nvsx.app.drafting.hookstubs import hook_stub
from nvsx.app.drafting.scaffold import FLAGSHIP, title_of
from nvsx.app.drafting.starters import free_nickname, nicknames, shipped
from nvsx.conversion.draft import Draft, draft_by_rules, fault_of
from nvsx.conversion.markdown import read_page
from nvsx.conversion.report import account_for, untold
from nvsx.conversion.secrets import redact
from nvsx.conversion.sorting import sort_page
from nvsx.errors import NotFoundHere, Place, UsageError
from nvsx.runbook.faults import FAULTS, generic
from nvsx.runbook.finding import error, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nvsx.app.drafting.prompting import Asks
    from nvsx.catalog import Catalog
    from nvsx.conversion.secrets import Redacted
    from nvsx.conversion.sorting import Sorted
    from nvsx.errors import Problem

REPAIR_ROUNDS = 2
_LONGEST_SLUG = 63
_STUBS: Mapping[str, str] = {"preflight": "acknowledge", "failure": "page", "recover": "resolve", "remediate": "page"}


class Source(NamedTuple):
    """A page without its secrets, read and sorted. `page` is its file's name, `name` that of the runbook to be."""

    page: str
    name: str
    redacted: Redacted
    sorted: Sorted


class Converted(NamedTuple):
    """A draft with what is still wrong in it; only one without an `error` may get into a project."""

    draft: Draft
    problems: tuple[Problem, ...]
    fault: str = ""
    rounds: int = 1

    @property
    def sound(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def read_source(file: Path, name: str, known: Mapping[str, str]) -> Source:
    """The page in a file. `known` are the variables of the env file. NotFoundHere, DocumentInvalid, UsageError."""
    from nvsx.documents import read_bounded
    from nvsx.documents.reading import MAX_BYTES

    try:
        data = read_bounded(file)
    except NotFoundHere as fault:
        raise NotFoundHere(fault.message, hint=f"ls {file.parent}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{file} is longer than {MAX_BYTES >> 20} MiB", hint="convert a part of it at a time")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text", hint=f"iconv -t UTF-8 {file}") from None
    if not text.strip() or "\0" in text:
        raise UsageError(f"{file} {'is empty' if not text.strip() else 'is no text'}", hint="nvsx convert page.md")
    redacted = redact(text, known)
    found = sort_page(read_page(redacted.text), redacted.values)
    return Source(file.name, name or slug_of(file.stem), redacted, found)


def slug_of(stem: str) -> str:
    """A runbook's name from a file's name; UsageError where nothing of it can be one."""
    slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    if not slug:
        raise UsageError(f"{stem!r} makes no name for a runbook", hint="--name SLUG")
    return slug


def convert_by_rules(source: Source, catalog: Catalog, environment: Mapping[str, str]) -> Converted:
    """A draft that no network is needed for."""
    fault = fault_of(source.sorted.page, source.redacted.text)
    about = {
        "name": source.name,
        "nickname": free_nickname(source.name, nicknames(catalog, but=source.name)),
        "title": title_of(source.name),
        "summary": f"Converted from {source.page}.",
    }
    base = shipped(FAULTS[fault].runbook) if fault else generic(shipped(FLAGSHIP))
    stubs = {moment: hook_stub(hook) for moment, hook in _STUBS.items()}
    draft = draft_by_rules(source.sorted, about, base, stubs, source.page)
    return Converted(draft, problems_of(draft, environment), fault)


def convert_by_claude(
    source: Source, ask: Asks, environment: Mapping[str, str], tell: Callable[[str], None]
) -> Converted:
    """A draft by Claude. Its faults go back to it, twice at most; then it stands as it is.

    `ask` puts a question and gives the answer's data (None where it is none) and its text; `tell` says what goes on.
    """
    from nvsx.app.drafting.prompting import complaint, draft_from, question

    words = question(source.page, source.redacted.text, source.name, tuple(source.redacted.values))
    for count in range(1, REPAIR_ROUNDS + 2):
        answer, text = ask(words)
        draft = draft_from(answer, source.name)
        problems = problems_of(draft, environment) if draft else (_formless(),)
        draft = draft or Draft(source.name, text, {})
        problems += _untold(source, draft)
        converted = Converted(draft, problems, rounds=count)
        if not _to_mend(problems) or (converted.sound and count > REPAIR_ROUNDS):
            return converted
        if count <= REPAIR_ROUNDS:
            tell(f"{_count(len(_to_mend(problems)))} in the draft: it goes back ({count} of {REPAIR_ROUNDS})")
            words = complaint(_to_mend(problems))
    return converted


def _to_mend(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """What is worth another round: errors, and commands of the team that have been lost."""
    return tuple(problem for problem in problems if problem.severity == "error" or problem.path == _LOST)


_LOST = "lines"


def _untold(source: Source, draft: Draft) -> tuple[Problem, ...]:
    if not draft.hooks:
        return ()
    return tuple(
        warning(Place(source.page, row.first), _LOST, f"is in no hook, and no fate is given for it: {row.text[:80]!r}")
        for row in untold(account_for(source.sorted, draft))
    )


def _formless() -> Problem:
    return error(Place("the answer"), "", "has not the form that was asked for: runbook, hooks, lines")


def _count(number: int) -> str:
    return f"{number} fault{'s' if number != 1 else ''}"
