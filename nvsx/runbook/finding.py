"""What lint finds: an error stops the runbook from doing what it says, a warning makes that unlikely, a note is about
this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.errors import Problem

if TYPE_CHECKING:
    from nvsx.errors import Place


def error(place: Place, path: str, message: str, hint: str = "") -> Problem:
    return Problem(place, path, message, hint)


def warning(place: Place, path: str, message: str, hint: str = "") -> Problem:
    return Problem(place, path, message, hint, "warning")


def note(place: Place, path: str, message: str, hint: str = "") -> Problem:
    return Problem(place, path, message, hint, "note")
