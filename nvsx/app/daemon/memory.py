"""What the daemon itself must still know after a restart, beside runs and incidents: kept in the ledger as one text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.healthevents.cursor import Cursor, begin
from nvsx.healthevents.known import Known, known_from_data
from nvsx.triggers import stalls, storm
from nvsx.triggers.storm import CALM, Storm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.triggers.stalls import Standing

MOST_IDS = 50_000
"""Ids of events that are remembered over a restart; events beyond them may be read again and are recognised then."""

FORMAT = 1


class Memory(NamedTuple):
    """A value: take it from the daemon, keep it, begin from it."""

    cursor: Cursor
    troubled: Mapping[str, Any] = {}  # see Fleet.to_data
    left: Mapping[str, float] = {}  # nodes with an open incident that have left quarantine, and when
    storm: Storm = CALM
    storm_incident: int = 0
    breaker_incident: int = 0
    standings: Mapping[str, Standing] = {}
    alarms: Mapping[str, float] = {}  # as an older nvsx kept it: what its own hooks were called for, and when
    began: float = 0.0  # when nvsx first watched this cluster, epoch seconds
    first: bool = False  # that is now: nothing was remembered
    sweeps: bool = False  # a sweep of cron kept it, which comes again by itself


def remembered(text: str, now: float) -> Memory:
    """The memory in a kept text; a new one where there is none. ValueError where it is damaged."""
    if not text:
        return Memory(begin(now), began=now, first=True)
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError("it is of another nvsx")
    try:
        return Memory(
            cursor=Cursor(float(data["start"]), _known(data)),
            troubled=data["troubled"],
            left={str(node): float(time) for node, time in data.get("left", {}).items()},
            storm=storm.from_data(data["storm"]),
            storm_incident=int(data["storm_incident"]),
            breaker_incident=int(data["breaker_incident"]),
            standings=stalls.from_data(data["standings"]),
            alarms={str(key): float(time) for key, time in data.get("alarms", {}).items()},
            began=float(data["began"]),
            sweeps=data.get("sweeps", False) is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from None


def _known(data: Mapping[str, Any]) -> Known:
    if "seen" not in data:
        return known_from_data(data["known"])
    known = Known()  # as an older nvsx kept it
    for id_, time in data["seen"].items():
        known.add(str(id_), float(time))
    return known


def kept(memory: Memory) -> str:
    """The text that `remembered` reads."""
    data = {
        "format": FORMAT,
        "start": memory.cursor.start,
        "known": memory.cursor.seen.to_data(MOST_IDS),
        "troubled": dict(memory.troubled),
        "left": dict(memory.left),
        "storm": storm.to_data(memory.storm),
        "storm_incident": memory.storm_incident,
        "breaker_incident": memory.breaker_incident,
        "standings": stalls.to_data(memory.standings),
        "began": memory.began,
        "sweeps": memory.sweeps,
    }
    return json.dumps(data, separators=(",", ":"), sort_keys=True)
