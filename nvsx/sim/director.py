"""The director plays a scenario on a World: fills in tokens, keeps the time, and remembers what truly happened when."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.durations import parse_duration
from nvsx.errors import ClusterError, DocumentInvalid, Problem
from nvsx.sim.merging import merged
from nvsx.sim.operations import OPERATIONS
from nvsx.sim.tokens import TIME_FORMS, milliseconds, render
from nvsx.sim.world import SUFFIX_ALPHABET, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nvsx.clock import Clock
    from nvsx.ports import Object
    from nvsx.sim.scenario import Moment, Scenario, Step
    from nvsx.sim.world import World

_FAULT_MARK = "fault"
_FAULT_TIME = "fault time"  # a variable that no token can name


class Cue(NamedTuple):
    """A step with its time in seconds from the start, and the variables that its part was given, outermost first."""

    time: float
    step: Step
    scopes: tuple[Mapping[str, Any], ...]


class Played(NamedTuple):
    """A step as it was played; `time` in epoch seconds, `node` the one that its part was about."""

    time: float
    step: Step
    node: str


class _Local(dict[str, Any]):
    """What the steps of one playing of a part have set: two playings side by side do not meet."""


class Director:
    """Plays one scenario once. The same seed gives the same times, order and identifiers."""

    def __init__(self, world: World, scenario: Scenario, clock: Clock, seed: int) -> None:
        self.world = world
        self.scenario = scenario
        self.seed = seed
        self.truth: dict[str, float] = {}  # mark -> when it first came, on its own node where it did; epoch seconds
        self.played: list[Played] = []
        self._clock = clock
        self._random = random.Random(self.seed)  # noqa: S311 - the dice of a simulation
        self._variables: dict[str, Any] = {}
        self._reached: dict[str, asyncio.Event] = {}
        self._own: set[str] = set()  # marks that have come on the scenario's own node
        for name, value in scenario.variables.items():
            self._variables[name] = self._fill(value, ())
        world.context = str(self._variables.get("context", world.context))
        self._furnish()
        self._cues = self._schedule()

    @property
    def node(self) -> str:
        """The node that the scenario is about, "" when it has none."""
        return str(self._variables.get("node", ""))

    @property
    def fault_time(self) -> float:
        """When the monitor saw the fault, epoch seconds as its event carries it; 0.0 before."""
        return milliseconds(self.truth.get(_FAULT_MARK, 0.0)) / 1000

    @property
    def length(self) -> float:
        """Seconds from the start to the last step."""
        return self._cues[-1].time if self._cues else 0.0

    def variable(self, name: str) -> Any:
        """A variable of the scenario as it stands now, such as `doc_id`."""
        return self._variables[name]

    async def run(self) -> None:
        """Play every step at its time; returns after the last."""
        start = self._clock.monotonic()
        for cue in self._cues:
            pause = start + cue.time - self._clock.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._play(cue)

    async def reached(self, mark: str) -> float:
        """Wait until a marked moment has come; its true time."""
        await self._reached.setdefault(mark, asyncio.Event()).wait()
        return self.truth[mark]

    # The script

    def _schedule(self) -> list[Cue]:
        marks: dict[str, float] = {}
        cues, _ = self._times(self.scenario.steps, 0.0, (), marks)
        return sorted(cues, key=lambda cue: cue.time)

    def _times(
        self, steps: Sequence[Step], start: float, scopes: tuple[Mapping[str, Any], ...], marks: dict[str, float]
    ) -> tuple[list[Cue], float]:
        """The cues of a list of steps, and when its last step is due."""
        cues: list[Cue] = []
        due = start
        for step in steps:
            due = self._due(step, start, due, marks)
            ends = due
            for index, variables in enumerate(step.each):
                at = due + index * step.every_s
                inner = (*scopes, {"index": index}, step.scope, variables)
                if step.steps:
                    local = (_Local(),) if variables else ()
                    opened, ends = self._times(step.steps, at, (*inner, *local), marks)
                    cues += opened
                else:
                    ends = at
                    at += self._random.uniform(0, step.jitter_s) if step.jitter_s else 0.0
                    cues.append(Cue(at, step, inner))
                    marks.setdefault(step.mark, at)
            due = ends
        return cues, due

    def _due(self, step: Step, start: float, before: float, marks: Mapping[str, float]) -> float:
        moment: Moment = step.at or step.after
        if moment.mark and moment.mark not in marks:
            problem = Problem(step.place, "at", f"no step before this one has the mark {moment.mark!r}")
            raise DocumentInvalid(f"{self.scenario.name} cannot be played", (problem,))
        origin = marks[moment.mark] if moment.mark else start if step.at else before
        drawn = moment.low if moment.low == moment.high else self._random.uniform(moment.low, moment.high)
        return max(0.0, origin + drawn)

    # The stage

    def _furnish(self) -> None:
        """Put the initial objects, logs and documents in place."""
        for entry in self.scenario.objects:
            for index, variables in enumerate(entry.get("each") or [{}] * entry.get("times", 1)):
                scopes = ({"index": index}, entry.get("with", {}), variables)
                self.world.create(self._manifest(entry, scopes))
        for line in self.scenario.logs:
            OPERATIONS["log"](self.world, self._fill({"log": line}, ()))
        for document in self.scenario.documents:
            OPERATIONS["insert"](self.world, self._fill({"insert": document}, ()))

    def _manifest(self, entry: Mapping[str, Any], scopes: tuple[Mapping[str, Any], ...]) -> Object:
        """The object that an entry gives: whole, or a template with its variables and changes."""
        if "template" not in entry:
            bare = {key: value for key, value in entry.items() if key not in ("each", "times", "with")}
            return dict(self._fill(bare, scopes))
        name = self._fill(entry["template"], scopes)
        if name not in self.scenario.templates:
            raise DocumentInvalid(f"scenario {self.scenario.name}: there is no template {name!r}")
        template = self.scenario.templates[name]
        return dict(self._fill(merged(template, entry.get("but", {})), scopes))

    def _fill(self, value: Any, scopes: Iterable[Mapping[str, Any]]) -> Any:
        known = dict(self._variables)
        for scope in scopes:
            known.update(render(dict(scope), self._lookup(known)))
        return render(value, self._lookup(known))

    def _lookup(self, known: Mapping[str, Any]) -> Callable[[str, str], Any]:
        def lookup(name: str, argument: str) -> Any:
            if name in known:
                return known[name]
            if name in self._tokens:
                return self._token(name, argument, known)
            raise DocumentInvalid(
                f"scenario {self.scenario.name}: unknown token {{{{{name}}}}}",
                hint=f"tokens: {', '.join(sorted(self._tokens))}; or a name under vars",
            )

        return lookup

    def _token(self, name: str, argument: str, known: Mapping[str, Any]) -> Any:
        try:
            return self._tokens[name](self, argument, known)
        except (KeyError, ValueError) as error:
            raise DocumentInvalid(f"scenario {self.scenario.name}: {{{{{name}:{argument}}}}}: {error}") from None

    def _ago(self, span: str) -> float:
        return self._clock.now() - parse_duration(span)

    def _uid(self, argument: str, known: Mapping[str, Any]) -> str:
        return str(self.world.get(self.world.resources.named("nodes"), known[argument])["metadata"]["uid"])

    _tokens: Mapping[str, Callable[[Director, str, Mapping[str, Any]], Any]] = {
        "now": lambda self, form, _: TIME_FORMS[form](self._clock.now()),
        "fault_time": lambda _, form, known: TIME_FORMS[form](known[_FAULT_TIME]),
        "ago": lambda self, span, _: rfc3339(self._ago(span)),
        "uid": lambda self, variable, known: self._uid(variable, known),
        "hex": lambda self, length, _: "".join(self._random.choice("0123456789abcdef") for _ in range(int(length))),
        "suffix": lambda self, length, _: "".join(
            self._random.choice(SUFFIX_ALPHABET) for _ in range(int(length or 5))
        ),
        "ago_seconds": lambda self, span, _: int(self._ago(span)),
        "object_id": lambda self, span, _: f"{int(self._ago(span or '0s')):08x}{self._random.getrandbits(64):016x}",
    }

    def _body(self, step: Step, scopes: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any]:
        if step.operation == "create":
            return {"create": self._manifest(step.body["create"], scopes)}
        return dict(self._fill(dict(step.body), scopes))

    # The play

    def _play(self, cue: Cue) -> None:
        step = cue.step
        now = self._clock.now()
        about = str(self._fill("{{node}}", cue.scopes)) if "node" in self._variables else ""
        if step.mark and (step.mark not in self.truth or (about == self.node and step.mark not in self._own)):
            self.truth[step.mark] = now
        if step.mark and about == self.node:
            self._own.add(step.mark)
        variables = next((scope for scope in reversed(cue.scopes) if isinstance(scope, _Local)), self._variables)
        if step.mark == _FAULT_MARK:
            variables[_FAULT_TIME] = now
        for name, value in step.assign.items():
            variables[name] = self._fill(value, cue.scopes)
        if step.operation:
            try:
                OPERATIONS[step.operation](self.world, self._body(step, cue.scopes))
            except ClusterError as refused:
                problem = Problem(step.place, step.operation, refused.message)
                raise DocumentInvalid(f"{self.scenario.name} cannot be played on", (problem,)) from refused
        self.played.append(Played(now, step, about))
        if step.mark:
            self._reached.setdefault(step.mark, asyncio.Event()).set()
