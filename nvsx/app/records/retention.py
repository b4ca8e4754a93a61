"""What is old is forgotten, once a day: rows of the ledger, and the directories of runs that have ended long ago."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.clock import Clock
    from nvsx.ledger import Ledger

EVERY_S = 86400.0
KEEP_S = 90 * 86400.0
_PRUNED, _KEEP = "pruned", "keep"


async def forget_old(ledger: Ledger, runs: Path, clock: Clock, keep_s: float | None = None) -> None:
    """Forget what ended more than `keep_s` ago, unless that was done within a day. Without it, what a daemon was told
    last counts: a run by hand must not forget what the daemon is to keep.

    Unfinished runs and open incidents are kept whatever their age. Raises EnvironmentUnusable as the ledger does.
    """
    now = clock.now()
    told = ledger.cursor(_KEEP)
    if keep_s is None:
        keep_s = float(told or KEEP_S)
    elif told != str(keep_s):
        await ledger.set_cursor(_KEEP, str(keep_s))
    if 0.0 <= now - float(ledger.cursor(_PRUNED) or 0.0) < EVERY_S:  # a time ahead of now is that of a wrong clock
        return
    await ledger.prune(now - keep_s)
    needed = frozenset(row.id for row in ledger.unfinished())
    with clock.holding():
        await asyncio.to_thread(_remove, runs, now - keep_s, needed)
    await ledger.set_cursor(_PRUNED, str(now))


def _remove(runs: Path, before: float, needed: frozenset[str]) -> None:
    try:
        entries = tuple(runs.iterdir())
    except OSError:
        return  # there are none, or they are another user's to forget
    for entry in entries:
        try:
            old = entry.name not in needed and entry.stat().st_mtime < before
        except OSError:
            continue  # somebody else removed it
        if old:
            shutil.rmtree(entry, ignore_errors=True)
