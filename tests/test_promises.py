"""What nvsx tells people to type must exist: no document, hint or topic may name a command that nvsx does not have."""

from __future__ import annotations

import re

import pytest

from nvsx.commands import COMMANDS
from tests.rehearsing import CHECKOUT

SAID = [
    CHECKOUT / "README.md",
    CHECKOUT / "runbooks/README.md",
    *sorted(path for path in (CHECKOUT / "nvsx").rglob("*.py") if "_vendor" not in path.parts),
]
# As people are told to type it: in backquotes, as a hint, or at the start of an indented line.
TYPED = re.compile(r"""(?:`|hint=f?["']|^\s+)(?:\./)?nvsx(?:\.pyz)? ([a-z]+)\b""", re.MULTILINE)
PROSE = {"has", "is", "and", "runs", "can", "itself", "with", "that"}


@pytest.mark.parametrize("path", SAID, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_command_that_is_named_exists(path) -> None:
    named = set(TYPED.findall(path.read_text(encoding="utf-8"))) - PROSE
    assert named <= set(COMMANDS), f"{path}: {sorted(named - set(COMMANDS))}"
