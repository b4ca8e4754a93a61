"""The calls that nvsx makes by itself (see `nvsx.app.daemon.alarms`), as people and programs are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.app.records.recorded import dead_owners
from nvsx.cells import printable
from nvsx.durations import format_duration
from nvsx.ledger import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nvsx.ledger import Alarm, EffectRow, Reader
    from nvsx.terminal import Paint

ORPHANED = "orphaned"
WAITING = "waiting"
CALLING = "calling"


_SIGNS = {"ok": ("●", "green"), "not_configured": ("○", "yellow"), WAITING: ("◆", "cyan"), CALLING: ("◆", "cyan")}


class ShownCall(NamedTuple):
    """A call of nvsx's own as people see it: `status` is its outcome, or one of the words above."""

    alarm: Alarm
    status: str
    attempts: tuple[EffectRow, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The attempts of which nobody knows whether they did their work."""
        cut_off = [one for one in self.attempts if one.outcome == UNKNOWN]
        return tuple(f"attempt {one.attempt} of {one.name} {one.script}" for one in cut_off)


def shown_calls(reader: Reader, directory: Path, alarms: Sequence[Alarm]) -> list[ShownCall]:
    """Calls with their attempts. An attempt without a result is unknown where nobody works on it."""
    is_dead = dead_owners(reader, directory)
    shown = []
    for alarm in alarms:
        left = not alarm.ended and (not alarm.owner or is_dead(alarm.owner))
        attempts = tuple(reader.effects(alarm.id, ended=bool(alarm.ended) or left))
        status = alarm.outcome or ((ORPHANED if attempts else WAITING) if left else CALLING)
        shown.append(ShownCall(alarm, status, attempts))
    return shown


def calls_worth_knowing(reader: Reader, directory: Path, since: float) -> tuple[ShownCall, ...]:
    """Calls that have not ended, and those since a time of which an attempt is unknown; the oldest first."""
    found = (*reader.alarms(limit=10_000, unfinished=True), *reader.alarms(limit=10_000, since=since))
    alarms = sorted({alarm.id: alarm for alarm in found}.values(), key=lambda alarm: (alarm.at, alarm.id))
    return tuple(one for one in shown_calls(reader, directory, alarms) if not one.alarm.ended or one.unknown)


def about(alarm: Alarm) -> str:
    """What a call is about, in one line."""
    return printable(f"{alarm.alias or alarm.node}: {alarm.why}" if alarm.node else alarm.why)


def call_lines(calls: Sequence[ShownCall], now: float, paint: Paint) -> Iterator[str]:
    """The calls as lines below runs or a status; none where there is nothing to say."""
    if not calls:
        return
    yield ""
    yield "nvsx's own calls:"
    for one in calls:
        alarm = one.alarm
        sign, color = _SIGNS.get(one.status, ("✗", "red"))
        mark = paint("✗", "red") if one.unknown else paint(sign, color)
        yield f"  {mark} {alarm.id}  {alarm.hook}, {one.status}, {format_duration(max(0.0, now - alarm.at))} ago"
        yield f"      {about(alarm)}"
        if one.status in (ORPHANED, WAITING):
            yield "      nobody calls it now; nvsx serve does as soon as it runs"
        for what in one.unknown:
            yield paint(f"      unknown: {printable(what)} was cut off; look whether it did its work", "yellow")


def call_data(calls: Sequence[ShownCall]) -> list[dict[str, object]]:
    """The calls for programs."""
    kept = ("attempt", "intended", "started", "ended", "outcome", "exit_code", "detail")
    return [
        {
            **{name: value for name, value in one.alarm._asdict().items() if name != "payload"},
            "kind": one.alarm.kind,
            "status": one.status,
            "unknown": list(one.unknown),
            "attempts": [{name: getattr(each, name) for name in kept} for each in one.attempts],
        }
        for one in calls
    ]
