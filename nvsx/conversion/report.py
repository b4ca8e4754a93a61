"""Accounts for a page: what became of every section and of every command on it, in its own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.conversion.sorting import DEFINES, DROPPED, KEPT, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.conversion.draft import Draft, Fate
    from nvsx.conversion.markdown import Section
    from nvsx.conversion.sorting import Entry, Sorted

UNTOLD = "nothing is said of it"
_CARRIED = "kept where it is used"
_UNUSED = "nothing that is kept uses it"


class Row(NamedTuple):
    """A command's account. `where` is a hook for what is kept, a reason for the others."""

    kind: str
    where: str
    first: int
    last: int
    text: str


class Account(NamedTuple):
    section: Section
    rows: tuple[Row, ...]


def account_for(found: Sorted, draft: Draft) -> tuple[Account, ...]:
    """Every section of the page with its commands. Where a command stands in a hook that is looked up, not believed."""
    places = {path: _flat(text) for path, text in draft.hooks.items()}
    rows = [_row(entry, places, draft.fates) for entry in found.entries]
    return tuple(
        Account(section, tuple(row for row in rows if section.first <= row.first <= section.last))
        for section in found.page.sections
    )


def _row(entry: Entry, places: Mapping[str, str], fates: Sequence[Fate]) -> Row:
    kind, where = _settled(entry, places, fates)
    return Row(kind, where, entry.first, entry.last, entry.text)


def _settled(entry: Entry, places: Mapping[str, str], fates: Sequence[Fate]) -> tuple[str, str]:
    inside = [path.rpartition("/")[2] for path, text in places.items() if _flat(entry.text) in text]
    told = next((fate for fate in fates if fate.first <= entry.first and entry.last <= fate.last), None)
    if entry.kind == DEFINES:
        used = inside or [path for path, text in places.items() if f" {entry.what}=" in f" {text}"]
        return (KEPT, _CARRIED) if used else (DROPPED, _UNUSED)
    if inside and (entry.kind == KEPT or not _is_short(entry.text)):
        return KEPT, ", ".join(inside)
    if told and told.kind != KEPT:
        return told.kind, told.why or UNTOLD
    if entry.kind == KEPT:
        return PEOPLE, UNTOLD if not told else "is said to be kept, and is in no hook as it stands here"
    return entry.kind, entry.what


def _is_short(text: str) -> bool:
    """Too short to be found in a hook for certain: it may be a part of something else."""
    return len(text) < 12


def _flat(text: str) -> str:
    """A text in which layout does not count: joined lines, single blanks."""
    return " ".join(text.replace("\\\n", " ").split())


def counts(accounts: Sequence[Account]) -> dict[str, int]:
    """How many commands were kept, dropped, and left for people."""
    kinds = [row.kind for account in accounts for row in account.rows]
    return {kind: kinds.count(kind) for kind in (KEPT, DROPPED, PEOPLE)}


def untold(accounts: Sequence[Account]) -> Iterator[Row]:
    """The team's own commands that are in no hook and that nothing is said of."""
    return (row for account in accounts for row in account.rows if row.kind == PEOPLE and row.where == UNTOLD)
