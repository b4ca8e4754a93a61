"""The metrics that nvsx has, and their text form: what Prometheus scrapes and node_exporter reads from a file.

Whoever counts fills figures; names, meanings and label order stand here once. Times are seconds, moments are epoch
seconds, as Prometheus asks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    Figures: TypeAlias = "Mapping[str, Mapping[tuple[str, ...], float | Histogram]]"

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STAGE_BOUNDS_S = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0)
ANSWER_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Family(NamedTuple):
    """One metric: what it is, what it means, and by what it is told apart."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()  # upper ends of a histogram's buckets


FAMILIES: Mapping[str, Family] = {
    # name: in the order of the exposition
    "nvsx_build_info": Family(GAUGE, "Always 1; the version stands in the labels.", ("version", "python")),
    "nvsx_start_time_seconds": Family(GAUGE, "When this nvsx was started."),
    "nvsx_ready": Family(GAUGE, "1 while nvsx accepts and runs, 0 while it does not."),
    "nvsx_runs_total": Family(COUNTER, "Runs that have ended.", ("runbook", "status")),
    "nvsx_runs_open": Family(GAUGE, "Runs that have not ended.", ("state",)),
    "nvsx_runs_open_limit": Family(GAUGE, "Open runs beyond which nothing more is accepted."),
    "nvsx_incidents_open": Family(GAUGE, "Incidents that are open."),
    "nvsx_stage_duration_seconds": Family(
        HISTOGRAM, "How long stages took that have ended.", ("stage", "status"), STAGE_BOUNDS_S
    ),
    "nvsx_hooks_total": Family(COUNTER, "Hook and action processes that have ended.", ("role", "outcome")),
    "nvsx_hooks_running": Family(GAUGE, "Hook and action processes that are running."),
    "nvsx_hooks_running_limit": Family(GAUGE, "Hook and action processes that may run at once."),
    "nvsx_calls_total": Family(
        COUNTER, "Calls of nvsx's own (it is blind, a fault is nobody's, ...) that have ended.", ("kind", "outcome")
    ),
    "nvsx_calls_open": Family(GAUGE, "Calls of nvsx's own that have not ended."),
    "nvsx_call_last_failure_timestamp_seconds": Family(
        GAUGE, "When a call of nvsx's own last ended without reaching anybody.", ("kind",)
    ),
    "nvsx_ledger_damaged": Family(GAUGE, "1 once the ledger was found to be damaged, 0 while nothing is known of it."),
    "nvsx_admissions_total": Family(COUNTER, "What was reported, by source and decision.", ("source", "verdict")),
    "nvsx_events_unreadable_total": Family(COUNTER, "Health events that could not be read."),
    "nvsx_blind": Family(GAUGE, "1 while nvsx cannot see faults in any way."),
    "nvsx_degraded": Family(GAUGE, "1 while one way of seeing faults is lost.", ("way",)),
    "nvsx_cursor_lag_seconds": Family(GAUGE, "Age of the newest moment up to which health events were read."),
    "nvsx_poll_last_success_timestamp_seconds": Family(GAUGE, "When health events were last read."),
    "nvsx_heartbeat_last_success_timestamp_seconds": Family(GAUGE, "When the last sign of life was sent."),
    "nvsx_webhook_deliveries_total": Family(
        COUNTER, "Webhook deliveries, by source, answer and proof of the sender.", ("source", "verdict", "auth")
    ),
    "nvsx_webhook_answer_duration_seconds": Family(
        HISTOGRAM, "Time from a complete request to its answer.", ("source",), ANSWER_BOUNDS_S
    ),
    "nvsx_webhook_connections": Family(GAUGE, "Open connections."),
    "nvsx_webhook_connections_refused_total": Family(COUNTER, "Connections closed because too many were open."),
    "nvsx_drill_last_success_timestamp_seconds": Family(GAUGE, "When a drill of a runbook last passed.", ("runbook",)),
}


class Histogram:
    """A distribution that is being counted. `bounds` are those of its family."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # per bucket, the last one beyond all bounds
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def exposition(figures: Figures) -> str:
    """Prometheus's text format 0.0.4. `figures` maps a name of FAMILIES to label values (in that family's order) to the
    value; a name that FAMILIES does not have is a KeyError, one without values is left out.
    """
    unknown = figures.keys() - FAMILIES.keys()
    if unknown:
        raise KeyError(f"no such metric: {', '.join(sorted(unknown))}")
    lines: list[str] = []
    for name, family in FAMILIES.items():
        values = figures.get(name)
        if values:
            lines += (f"# HELP {name} {_help(family.help)}", f"# TYPE {name} {family.kind}")
            for labels in sorted(values):
                lines += _samples(name, family, labels, values[labels])
    return "\n".join(lines) + "\n" if lines else ""


def _samples(name: str, family: Family, values: tuple[str, ...], value: float | Histogram) -> Iterator[str]:
    pairs = list(zip(family.labels, values, strict=True))
    if not isinstance(value, Histogram):
        yield f"{name}{_labels(pairs)} {_number(value)}"
        return
    below = 0
    for bound, count in zip((*map(_number, value.bounds), "+Inf"), value.counts, strict=True):
        below += count
        yield f"{name}_bucket{_labels([*pairs, ('le', bound)])} {below}"
    yield f"{name}_sum{_labels(pairs)} {_number(value.total)}"
    yield f"{name}_count{_labels(pairs)} {below}"


def _labels(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{name}="{_value(value)}"' for name, value in pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
