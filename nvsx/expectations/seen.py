"""Seen: what came of a rehearsal, folded from its events, for expectations to be held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from nvsx.durations import format_duration
from nvsx.events import Finish, Hook, Output, StageEnd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nvsx.events import RunEvent
    from nvsx.messages import Message


class Firing(NamedTuple):
    """A hook or an action that was started; further attempts belong to it. `at` is epoch seconds."""

    stage: str
    hook: str
    script: str
    at: float
    outcome: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        again = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.stage or 'run'} {self.hook} {self.script}: {self.outcome or 'cut off'}{again}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One rehearsal. `fault_time` is the scenario's own, epoch seconds, 0.0 where it had no fault."""

    fault_time: float
    finish: Finish
    stages: dict[str, StageEnd] = field(default_factory=dict)
    firings: tuple[Firing, ...] = ()
    messages: tuple[Message, ...] = ()
    output: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    def since_fault(self, at: float) -> str:
        """A moment for people, counted from the fault."""
        return f"{format_duration(at - self.fault_time)} after the fault" if self.fault_time else "without a fault"


def fold(
    events: Iterable[RunEvent], *, messages: Sequence[Message], fault_time: float, artifacts: Sequence[str]
) -> Seen | None:
    """What the events of one run tell; None where the run did not come to its end."""
    stages: dict[str, StageEnd] = {}
    output: list[str] = []
    firings: list[Firing] = []
    finish: Finish | None = None
    for event in events:
        body = event.body
        if isinstance(body, StageEnd):
            stages[body.stage] = body
        elif isinstance(body, Output):
            output.append(body.text)
        elif isinstance(body, Hook):
            _fire(firings, body, event.t)
        elif isinstance(body, Finish):
            finish = body
    if finish is None:
        return None
    return Seen(fault_time, finish, stages, tuple(firings), tuple(messages), tuple(output), tuple(artifacts))


def _fire(firings: list[Firing], hook: Hook, at: float) -> None:
    """Add an attempt. Reminders' hooks overlap with others, so that an end is looked for by what it ends."""
    if hook.phase == "begin":
        if hook.attempt == 1:
            firings.append(Firing(hook.stage, hook.hook, hook.script, at))
        return
    for index in range(len(firings) - 1, -1, -1):
        firing = firings[index]
        if (firing.stage, firing.hook, firing.script) == (hook.stage, hook.hook, hook.script):
            firings[index] = firing._replace(outcome=hook.outcome, attempts=hook.attempt)
            return
