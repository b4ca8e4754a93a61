"""Runbooks that must load and runbooks that must not, as files; run as a program, writes what the latter are answered.

python -m tests.corpus        # then read every change in `git diff tests/examples`
"""

from __future__ import annotations

from pathlib import Path

from nvsx.catalog import read_runbook
from nvsx.errors import DocumentInvalid
from nvsx.main import draw

EXAMPLES = Path(__file__).parent / "examples"
VALID = sorted((EXAMPLES / "valid").glob("*.yaml"))
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
