"""Scenario: what happens in a simulated cluster and when, read from YAML and checked before anything is played."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx import assets, documents
from nvsx.durations import parse_duration
from nvsx.errors import DocumentInvalid, NotFoundHere, Problem
from nvsx.sim.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.errors import Place
    from nvsx.source import DataPath, Document

_BESIDE = ("body", "conditions", "taints", "untaint")  # what stands beside `patch` in a step
BUNDLED = "nvsx/sim/scenarios/"
_MOMENT = re.compile(r"(?:([a-z][a-z0-9-]*)\s*([+-])\s*)?(\S+?)(?:\.\.(\S+))?\Z")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time between `low` and `high` seconds, counted from `mark` or else from where the step's list says."""

    low: float = 0.0
    high: float = 0.0
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, or (`steps` not empty) a part played in place.

    `at` counts from the start of the list that the step stands in, `after` from the step before. `jitter_s` moves this
    step alone, so that it may overtake others. `each` plays it once per set of variables, `every_s` apart.
    """

    place: Place
    number: str = ""  # of NVSentinel's timeline
    actor: str = ""
    does: str = ""
    mark: str = ""
    at: Moment | None = None
    after: Moment = Moment()
    jitter_s: float = 0.0
    operation: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    assign: Mapping[str, Any] = field(default_factory=dict)  # `set`
    scope: Mapping[str, Any] = field(default_factory=dict)  # `with`
    each: tuple[Mapping[str, Any], ...] = ({},)
    every_s: float = 0.0
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with its parts resolved. Variables and bodies still carry their tokens: playing fills them in."""

    name: str
    title: str
    summary: str
    file: str
    variables: Mapping[str, Any]
    templates: Mapping[str, Any]
    objects: tuple[Mapping[str, Any], ...]
    logs: tuple[Mapping[str, Any], ...]
    documents: tuple[Mapping[str, Any], ...]
    steps: tuple[Step, ...]

    def all_steps(self) -> Iterable[Step]:
        """Every step, parts opened."""
        return _opened(self.steps)


def _opened(steps: Iterable[Step]) -> Iterable[Step]:
    for step in steps:
        if step.steps:
            yield from _opened(step.steps)
        else:
            yield step


def scenario_names() -> tuple[str, ...]:
    """The bundled scenarios."""
    inner = (name.removeprefix(BUNDLED) for name in assets.names(BUNDLED))
    return tuple(sorted(name.removesuffix(".yaml") for name in inner if "/" not in name))


def check_scenario(name: str) -> None:
    """NotFoundHere, with the names that there are, unless a scenario of this name ships with nvsx."""
    if name not in scenario_names():
        raise NotFoundHere(f"no scenario {name!r}", hint=f"there are: {', '.join(scenario_names())}")


def load_scenario(name: str) -> Scenario:
    """A bundled scenario by name, or any by its path (it ends in .yaml or has a slash).

    NotFoundHere when there is none; DocumentInvalid with every problem of the file.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        try:
            return _Loader(name, Path(name).read_bytes(), Path(name).parent).scenario()
        except OSError as error:
            raise NotFoundHere(f"cannot read the scenario {name}: {error.strerror}") from None
    check_scenario(name)
    file = f"{BUNDLED}{name}.yaml"
    return _Loader(file, assets.read(file), None).scenario()


class _Loader:
    """Reads one scenario and the parts that it names, each once; collects problems.

    Parts are looked for in `parts` beside the file (`directory`), then among the bundled ones.
    """

    def __init__(self, file: str, text: bytes, directory: Path | None) -> None:
        self._file = file
        self._text = text
        self._directory = directory
        self._problems: list[Problem] = []
        self._parts: dict[str, Document] = {}
        self._open: list[str] = []

    def scenario(self) -> Scenario:
        document = self._read(self._file, self._text)
        data = document.data
        layers = [*self._layers(document), data]
        steps = self._steps(document, ("steps",))
        if self._problems:
            raise DocumentInvalid(f"{self._file} is not a valid scenario", tuple(self._problems))
        metadata = data.get("metadata", {})
        return Scenario(
            name=metadata.get("name", Path(self._file).stem),
            title=metadata.get("title", ""),
            summary=metadata.get("summary", ""),
            file=self._file,
            variables=_stacked(layers, "vars"),
            templates=_stacked(layers, "templates"),
            objects=_joined(layers, "objects"),
            logs=_joined(layers, "logs"),
            documents=_joined(layers, "documents"),
            steps=steps,
        )

    def _read(self, file: str, text: bytes) -> Document:
        document = documents.read_yaml(text, file)
        if not file.startswith(BUNDLED):  # what nvsx ships was checked when it was built
            found = documents.problems(document, json.loads(assets.text("schemas/scenario.schema.json")))
            if found:
                raise DocumentInvalid(f"{file} is not a valid scenario", found)
        return document

    def _problem(self, document: Document, path: DataPath, message: str, hint: str = "") -> None:
        dotted = ".".join(str(key) for key in path)
        self._problems.append(Problem(document.place(path), dotted, message, hint))

    def _layers(self, document: Document) -> list[dict[str, Any]]:
        """The data of all bases, most general first."""
        layers = []
        for index, name in enumerate(document.data.get("base", ())):
            if name in self._open:
                self._problem(document, ("base", index), f"part {name!r} stands on itself")
                continue
            part = self._part(document, ("base", index), name)
            if part is not None:
                self._open.append(name)
                layers += [*self._layers(part), part.data]
                self._open.pop()
        return layers

    def _part(self, document: Document, path: DataPath, name: str) -> Document | None:
        if name not in self._parts:
            own = self._directory / "parts" / f"{name}.yaml" if self._directory else None
            try:
                if own and own.is_file():
                    self._parts[name] = self._read(str(own), own.read_bytes())
                else:
                    self._parts[name] = _bundled_part(name)
            except NotFoundHere:
                self._problem(document, path, f"no part {name!r}", f"parts are files in {BUNDLED}parts/")
                return None
        return self._parts[name]

    def _steps(self, document: Document, path: DataPath) -> tuple[Step, ...]:
        listed = document.data.get("steps", ()) or ()
        return tuple(self._step(document, (*path, index), raw) for index, raw in enumerate(listed))

    def _step(self, document: Document, path: DataPath, raw: Mapping[str, Any]) -> Step:
        found = [operation for operation in OPERATIONS if operation in raw]
        if len(found) > 1:
            self._problem(document, path, f"does {' and '.join(found)}: one operation a step")
        operation = found[0] if found else ""
        for key in _BESIDE:
            if key in raw and operation != "patch":
                self._problem(document, (*path, key), f"{key} belongs to a patch, and there is none in this step")
        each = tuple(raw.get("each", ())) or tuple({} for _ in range(raw.get("times", 1)))
        return Step(
            place=document.place(path),
            number=str(raw.get("step", "")),
            actor=raw.get("actor", ""),
            does=raw.get("does", ""),
            mark=raw.get("mark", ""),
            at=self._moment(document, (*path, "at"), raw["at"]) if "at" in raw else None,
            after=self._moment(document, (*path, "after"), raw.get("after", "0s")),
            jitter_s=self._moment(document, (*path, "jitter"), raw.get("jitter", "0s")).high,
            operation=operation,
            body={key: raw[key] for key in (operation, *_BESIDE) if key in raw},
            assign=raw.get("set", {}),
            scope=raw.get("with", {}),
            each=each,
            every_s=self._moment(document, (*path, "every"), raw.get("every", "0s")).high,
            steps=self._used(document, path, raw["use"]) if "use" in raw else (),
        )

    def _used(self, document: Document, path: DataPath, name: str) -> tuple[Step, ...]:
        if name in self._open:
            self._problem(document, (*path, "use"), f"part {name!r} uses itself")
            return ()
        part = self._part(document, (*path, "use"), name)
        if part is None:
            return ()
        self._open.append(name)
        steps = self._steps(part, ("steps",))
        self._open.pop()
        return steps

    def _moment(self, document: Document, path: DataPath, text: str) -> Moment:
        found = _MOMENT.match(text)
        try:
            if not found:
                raise ValueError(f"{text!r} is not a time; write 7.4s, 1s..10s or fault + 20s")
            sign = -1.0 if found[2] == "-" else 1.0
            low = parse_duration(found[3])
            high = parse_duration(found[4]) if found[4] else low
        except ValueError as error:
            self._problem(document, path, str(error))
            return Moment()
        return Moment(sign * low, sign * high, found[1] or "")


@cache
def _bundled_part(name: str) -> Document:
    """A part that ships with nvsx, read once: whoever plays many scenarios meets most parts in each."""
    file = f"{BUNDLED}parts/{name}.yaml"
    return documents.read_yaml(assets.read(file), file)


def _stacked(layers: Iterable[Mapping[str, Any]], key: str) -> dict[str, Any]:
    return {name: value for layer in layers for name, value in (layer.get(key) or {}).items()}


def _joined(layers: Iterable[Mapping[str, Any]], key: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for layer in layers for item in (layer.get(key) or ()))
