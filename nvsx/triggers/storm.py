"""Storm: when many nodes fail within minutes, their faults are one incident and not one for each. A pure value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.config import Limits

QUIET_WINDOWS = 5
"""A storm is over when no further node has failed for this many of its windows."""


class Storm(NamedTuple):
    """The faults of the last minutes, and the storm that they are, if they are one. Times are epoch seconds."""

    recent: Mapping[str, float] = {}  # node -> its newest fault
    began: float = 0.0  # 0.0 while it is calm
    nodes: tuple[str, ...] = ()  # of the storm, in the order in which they came
    last: float = 0.0  # when the newest node joined
    named: frozenset[str] = frozenset()  # nodes whose terminal failure was told

    @property
    def rages(self) -> bool:
        return bool(self.began)


CALM = Storm()


def gathered(storm: Storm, faults: Iterable[tuple[str, float]], now: float, limits: Limits) -> Storm:
    """The storm after faults (node, time), all of them known at `now`.

    They may come late and in any order: a storm is more than `limits.storm_nodes` distinct nodes within one
    `limits.storm_window_s`, whenever that was. A time ahead of `now` (a clock was set back) counts as now.
    """
    new = [(node, min(time, now)) for node, time in faults if node]
    if storm.rages:
        joined = tuple(dict.fromkeys(node for node, _ in new if node not in storm.nodes))
        return storm._replace(nodes=storm.nodes + joined, last=now) if joined else storm
    recent = {node: min(time, now) for node, time in storm.recent.items()}
    for node, time in new:
        recent[node] = max(time, recent.get(node, 0.0))
    crowd = _crowd(recent, limits)
    if crowd:
        return Storm(began=recent[crowd[0]], nodes=crowd, last=now)
    newest = max(recent.values(), default=0.0)
    return Storm({node: time for node, time in recent.items() if time > newest - 2 * limits.storm_window_s})


def _crowd(recent: Mapping[str, float], limits: Limits) -> tuple[str, ...]:
    """The nodes of the first window that holds too many of them, in order of time; () where none does."""
    ordered = sorted(recent.items(), key=lambda entry: (entry[1], entry[0]))
    for at, (_, time) in enumerate(ordered[limits.storm_nodes :]):
        if time - ordered[at][1] <= limits.storm_window_s:
            start = ordered[at][1]
            return tuple(node for node, when in ordered[at:] if when <= start + limits.storm_window_s)
    return ()


def quiet_at(storm: Storm, limits: Limits) -> float:
    """When the storm will be over if nothing more happens, epoch seconds; infinite while it is calm."""
    return storm.last + QUIET_WINDOWS * limits.storm_window_s if storm.rages else float("inf")


def after(storm: Storm, now: float, limits: Limits) -> Storm:
    """The storm at `now`: calm again once the quiet period has passed."""
    if storm.rages and now < storm.last:  # the clock was set back: the quiet counts from here on
        return storm._replace(last=now)
    return CALM if now >= quiet_at(storm, limits) else storm


def listed(storm: Storm) -> str:
    """The storm as its runbook's hooks get it in NVSX_TRIGGER_FILE: how many, then one node a line."""
    return f"{len(storm.nodes)} nodes:\n" + "".join(f"{node}\n" for node in storm.nodes)


def to_data(storm: Storm) -> dict[str, Any]:
    """The storm as JSON data, so that it outlasts the process."""
    return {**storm._asdict(), "recent": dict(storm.recent), "named": sorted(storm.named)}


def from_data(data: Mapping[str, Any]) -> Storm:
    """The storm in such data."""
    return Storm(
        recent={str(node): float(time) for node, time in data["recent"].items()},
        began=float(data["began"]),
        nodes=tuple(str(node) for node in data["nodes"]),
        last=float(data["last"]),
        named=frozenset(str(node) for node in data["named"]),
    )
