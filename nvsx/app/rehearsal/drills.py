"""When each runbook was last rehearsed with success: in the ledger, and mirrored in a small file.

The mirror is for `show`, which must not load a database to say one line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nvsx.settings import state_directory

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.settings import Settings

DRILLS_FILE = "drills.json"


def remember(settings: Settings, runbook: str, scenario: str, at: float) -> None:
    """Keep when a runbook was last rehearsed with success. Raises EnvironmentUnusable where no state can be kept."""
    import json

    from nvsx.ledger import Ledger

    directory = state_directory(settings)
    ledger = Ledger.open(directory)
    try:
        ledger.remember_drill(runbook, at, scenario)
    finally:
        ledger.close()
    file = directory / DRILLS_FILE
    known = _remembered(file)
    known[runbook] = {"at": at, "scenario": scenario}
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(known, sort_keys=True), "utf-8")
    fresh.replace(file)


def last_drill(settings: Settings, runbook: str) -> tuple[float, str] | None:
    """When a runbook was last rehearsed with success (epoch seconds), and on which scenario; (0.0, "") if it never was,
    None where nothing is kept at all.
    """
    known = last_drills(settings)
    return None if known is None else known.get(runbook, (0.0, ""))


def last_drills(settings: Settings) -> dict[str, tuple[float, str]] | None:
    """The same for all runbooks that ever were, by name."""
    if not os.path.exists(settings.state_dir / DRILLS_FILE):  # noqa: PTH110 - Path.exists raises where one may not look
        return None
    return {
        name: (float(found["at"]), str(found.get("scenario", "")))
        for name, found in _remembered(settings.state_dir / DRILLS_FILE).items()
        if isinstance(found, dict) and isinstance(found.get("at"), (int, float))
    }


def _remembered(file: Path) -> dict[str, Any]:
    """What is kept so far; a damaged file counts as nothing, since all it holds can be rehearsed again."""
    import json

    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
