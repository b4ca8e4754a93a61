"""Runbooks that must load and runbooks that must not, as files, and the page that tells the language.

Run as a program, it writes what is generated: the answers to the bad runbooks, and the tables of `runbooks/README.md`
and of the page on tests below it.

    python -m tests.corpus        # then read every change in `git diff`
"""

from __future__ import annotations

from pathlib import Path

from nvsx.catalog import read_runbook, runbook_schema, schema_of_tests
from nvsx.errors import DocumentInvalid
from nvsx.main import draw
from nvsx.runbook.reference import refreshed

EXAMPLES = Path(__file__).parent / "examples"
VALID = sorted((EXAMPLES / "valid").glob("*.yaml"))
PAGE = Path(__file__).parent.parent / "runbooks/README.md"
TESTS_PAGE = PAGE.parent / "tests/README.md"
INVALID = sorted((EXAMPLES / "invalid").glob("*.yaml"))


def answer(file: Path) -> str:
    """What a user sees who asks for this runbook; "" when it loads."""
    try:
        read_runbook(file.read_bytes(), file.name)
    except DocumentInvalid as error:
        return draw(error) + "\n"
    return ""


if __name__ == "__main__":
    for invalid in INVALID:
        invalid.with_suffix(".txt").write_text(answer(invalid), "utf-8")
    for page, schema in ((PAGE, runbook_schema()), (TESTS_PAGE, schema_of_tests())):
        page.write_text(refreshed(page.read_text("utf-8"), schema), "utf-8")
