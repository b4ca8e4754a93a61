"""Mutants that no test can kill, each with the reason why nothing that anybody can observe is different."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.trust.operators import Mutant

_NUMBERED = "SQLite numbers every row that it inserts from 1: what stands for no number is there for the type checker"

REASONS: dict[tuple[str, str, str], str] = {
    ("nvsx/ledger/owning.py", "Owner.__init__", "6 + 1"): "a random name with one more byte is as random as needed",
    ("nvsx/ledger/writer.py", "Writer._try", "without connection.execute('RELEASE job')"): (
        "savepoints of one transaction may nest until its COMMIT: the same rows, with more memory meanwhile"
    ),
    **{
        (f"nvsx/ledger/{module}.py", function, change): _NUMBERED
        for module, function in (("keeping", "add_silence"), ("admitting", "_open"), ("admitting", "_keep_decision"))
        for change in ("0 + 1", "made.lastrowid or 0: without 0")
    },
}
"""(module, function, change) -> why it is the same program."""


def reason(mutant: Mutant) -> str:
    return REASONS.get((mutant.module, mutant.where, mutant.what), "")


def unknown(known: set[tuple[str, str, str]], modules: set[str]) -> list[tuple[str, str, str]]:
    """Lines of the table that are about no mutant any more: the code went on without them."""
    return [key for key in REASONS if key[0] in modules and key not in known]
