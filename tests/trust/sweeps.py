"""T1 as a measurement of the table: the kill sweep at the journal's points, and at random moments."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.trust import kills

if TYPE_CHECKING:
    import argparse


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust kills`: so many random kills after the points."""
    began = time.monotonic()
    if args.points == "all":
        swept = kills.at_every_point("fail")
        swept.add(kills.at_every_point("retry", lambda label: "action" in label))
    else:
        swept = kills.at_every_point("fail", lambda label: label in kills.FEW)
    points = _shown(swept, time.monotonic() - began)
    began = time.monotonic()
    found = kills.at_random(count, args.seed)
    return {"points": points, "random": _shown(found, time.monotonic() - began)}


def passed(figures: dict[str, object]) -> bool:
    return all(isinstance(part, dict) and part["good"] for part in figures.values())


def _shown(found: kills.Figures, seconds: float) -> dict[str, object]:
    return {**vars(found), "good": found.good, "seconds_per_kill": round(seconds / max(1, found.kills), 4)}
