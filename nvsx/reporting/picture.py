"""The timeline of one run as SVG: what NVSentinel did, what the run did, and when hooks ran, on one axis."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cells import printable
from nvsx.durations import format_duration
from nvsx.reporting.blocks import TONES
from nvsx.reporting.story import MOMENT_WORDS
from nvsx.reporting.words import offset, span
from nvsx.watches import moments
from nvsx.watches.clockwork import TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.reporting.account import Account

WIDTH, LEFT, RIGHT = 960, 110, 14
LANE, BAR, TOP = 44, 24, 30
THINNEST = 3.0
LETTER = 7.2  # about how wide a letter of a label is
MARKED = (
    moments.FAULT,
    moments.DOWN,
    moments.READY,
    moments.RELEASED,
    moments.DRAIN_FAILED,
    moments.REMEDIATION_FAILED,
)
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_MOST_TICKS = 9


class _Axis(NamedTuple):
    zero: float
    first: float
    last: float

    def x(self, at: float) -> float:
        share = (at - self.first) / max(self.last - self.first, 1e-9)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def timeline(account: Account) -> str:
    """The picture, as an element to stand in an HTML page; "" where nothing has a time."""
    times = [one.at for one in account.instants]
    times += [at for stage in account.stages if stage.began for at in (stage.began, stage.decided) if at]
    times += [at for effect in account.effects for at in (effect.began, effect.ended) if at]
    if not times:
        return ""
    first, last = min(times), max(times)
    axis = _Axis(account.zero, first, max(last, first + 1.0))
    lanes = (("NVSentinel", _phases), ("the run", _stages), ("hooks", _hooks))
    height = TOP + LANE * len(lanes) + 8
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Timeline of the incident" class="timeline">',
        *_ticks(axis, height),
    ]
    for number, (name, draw) in enumerate(lanes):
        top = TOP + number * LANE + (LANE - BAR) / 2
        parts.append(f'<text class="lane" x="0" y="{top + BAR / 2 + 5:g}">{name}</text>')
        parts += draw(account, axis, top)
    parts += _marks(account, axis, height)
    return "\n".join([*parts, "</svg>"])


def _ticks(axis: _Axis, height: float) -> Iterator[str]:
    length = axis.last - axis.first
    step = next((step for step in _STEPS_S if length / step <= _MOST_TICKS), _STEPS_S[-1])
    number = int((axis.first - axis.zero) // step)
    while (at := axis.zero + number * step) <= axis.last:
        if at >= axis.first:
            x = axis.x(at)
            label = "fault" if number == 0 and axis.zero > axis.first - 1 else _tick(number * step)
            anchor = "end" if x > WIDTH - 60 else "middle"
            yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 8:g}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{TOP - 12}" text-anchor="{anchor}">{label}</text>'
        number += 1


def _tick(seconds: float) -> str:
    """A round time without the figures that are zero: 5m, 1h, 1h30m."""
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    words = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(int(left), length)
        if count:
            words.append(f"{count}{unit}")
    return sign + ("".join(words) or "0")


def _phases(account: Account, axis: _Axis, top: float) -> Iterator[str]:
    for phase in account.phases:
        if phase.name != TOTAL and phase.begin is not None and phase.seconds is not None:
            title = f"{phase.name}: {span(phase.seconds, phase.within_s)}, from {offset(phase.begin, axis.zero)}"
            yield _bar(axis, phase.begin, phase.begin + phase.seconds, top, f"phase-{phase.name}", phase.name, title)


def _stages(account: Account, axis: _Axis, top: float) -> Iterator[str]:
    for stage in account.stages:
        if not stage.began or stage.status == "skipped":
            continue
        # A stage is drawn for as long as it kept the run waiting, which its verdict may have come before.
        end = max(stage.decided or axis.last, stage.began)
        title = f"{stage.stage}: {stage.status or 'running'}, {format_duration(stage.elapsed_s)}"
        tone = TONES.get(stage.status, "blue")
        yield _bar(axis, stage.began, end, top, f"tone-{tone}", stage.stage, title)


def _hooks(account: Account, axis: _Axis, top: float) -> Iterator[str]:
    for effect in account.effects:
        if effect.role == "prerequisite" or not effect.began:
            continue
        script = effect.script.rpartition("/")[2]
        title = f"{effect.stage or 'run'} {effect.name} {script}: {effect.outcome or 'running'}"
        tone = TONES.get(effect.outcome, "blue")
        x = axis.x(effect.began)
        yield (
            f'<circle class="tone-{tone}" cx="{x:.1f}" cy="{top + BAR / 2:g}" r="6">'
            f"<title>{_safe(title)}, {offset(effect.began, axis.zero)}</title></circle>"
        )


def _marks(account: Account, axis: _Axis, height: float) -> Iterator[str]:
    for one in account.instants:
        if one.moment in MARKED:
            x = axis.x(one.at)
            yield (
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 8:g}">'
                f"<title>{MOMENT_WORDS[one.moment]}, {offset(one.at, axis.zero)}</title></line>"
            )


def _bar(axis: _Axis, begin: float, end: float, top: float, kind: str, name: str, title: str) -> str:
    x = axis.x(begin)
    length = max(THINNEST, axis.x(end) - x)
    drawn = (
        f'<rect class="bar {kind}" x="{x:.1f}" y="{top:g}" width="{length:.1f}" height="{BAR}" rx="3">'
        f"<title>{_safe(title)}</title></rect>"
    )
    if length < LETTER * len(name) + 8:
        return drawn
    return f'{drawn}\n<text class="name" x="{x + 6:.1f}" y="{top + BAR / 2 + 5:g}">{_safe(name)}</text>'


def _safe(text: str) -> str:
    return escape(printable(text))
