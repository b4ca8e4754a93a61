"""The reads that nvsx makes on this cluster with these runbooks, as single questions to `kubectl auth can-i`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.errors import DocumentInvalid
from nvsx.ports import ApiPath
from nvsx.rights import EVERYWHERE, INSTALLATION, READS, Right
from nvsx.watches.incident import Incident
from nvsx.watches.predicate import LogSource
from nvsx.watches.table import compile_clause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvsx.doctor.ground import Ground
    from nvsx.model import Runbook
    from nvsx.watches.predicate import Source
    from nvsx.watches.table import Compiled


class Question(NamedTuple):
    """One verb on one resource; `without` as in `Right`."""

    verb: str
    resource: str
    group: str
    namespace: str
    why: str
    without: str

    @property
    def text(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{where}"

    @property
    def command(self) -> str:
        what, _, subresource = self.resource.partition("/")
        named = f"{what}.{self.group}" if self.group else what
        below = f" --subresource={subresource}" if subresource else ""
        return f"auth can-i {self.verb} {named}{below} " + (f"-n {self.namespace}" if self.namespace else "-A")


def questions(ground: Ground) -> tuple[Question, ...]:
    """Each once: what nvsx always reads, and what the watches of the runbooks at hand read besides."""
    rights = [*READS, *of_runbooks(ground.runbooks(), ground.namespace)]
    found: dict[tuple[str, str, str, str], Question] = {}
    for right in rights:
        namespace = ground.namespace if right.scope == INSTALLATION else right.scope
        for verb in right.verbs:
            key = (verb, right.resource, right.group, namespace)
            found.setdefault(key, Question(*key, right.why, right.without))
    return tuple(found.values())


def of_runbooks(runbooks: Iterable[Runbook], namespace: str) -> Iterator[Right]:
    """What the watches of these runbooks read; `namespace` is NVSentinel's. May say the same thing more than once."""
    incident = Incident("node", 0.0, namespace)
    for runbook in runbooks:
        for stage in runbook.stages:
            for clause in stage.watch:
                try:
                    compiled = compile_clause(clause)
                except DocumentInvalid:
                    continue  # lint says what is wrong with it
                for source in _sources(compiled, incident):
                    yield from _right(source, f"{runbook.name}, {stage.id}: {compiled.text}")


def _sources(compiled: Compiled, incident: Incident) -> Iterator[Source]:
    if compiled.predicate is not None:
        yield from compiled.predicate.sources(incident)
    for one in compiled.alternatives:
        yield from _sources(one, incident)


def _right(source: Source, why: str) -> Iterator[Right]:
    if isinstance(source, LogSource):
        yield Right("", "pods/log", ("get",), source.namespace or EVERYWHERE, why)
        yield Right("", "pods", ("get", "list"), source.namespace or EVERYWHERE, why)  # kubectl logs finds them first
    elif isinstance(source, ApiPath):
        yield Right(source.group, source.resource, ("list", "watch"), source.namespace or EVERYWHERE, why)
