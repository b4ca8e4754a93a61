"""The reads that nvsx makes of a cluster, as RBAC rules: all of them, and nothing else.

A test compares the table with the paths that stand in nvsx's code. What a project's runbooks watch beyond it is added
from the runbooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvsx.model import Clause, Runbook

WATCHED = ("get", "list", "watch")
JANITOR = "janitor.dgxc.nvidia.com"


class Right(NamedTuple):
    """One rule, and what nvsx wants it for."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()  # the only objects; () for all


CLUSTER = (
    Right("", ("nodes",), WATCHED, "conditions, labels, annotations, taints; hooks ask for them too"),
    Right("", ("pods",), WATCHED, "pods on the node that is drained, NVSentinel's own, those that runbooks watch"),
    Right("", ("events",), WATCHED, "what NVSentinel says of nodes and pods while it drains"),
    Right("", ("namespaces",), ("get",), "its UID is how nvsx knows the cluster again", ("kube-system",)),
    Right(JANITOR, ("rebootnodes", "gpuresets", "terminatenodes"), WATCHED, "how far a repair is"),
)
"""In the whole cluster."""

NVSENTINEL = (
    Right("", ("configmaps",), WATCHED, "the circuit breaker, NVSentinel's settings, the database's name"),
    Right("", ("pods/log",), ("get",), "for runbooks that watch NVSentinel's logs"),
)
"""In NVSentinel's namespace."""

DATABASE = (
    Right("", ("pods/exec",), ("create",), "mongosh inside the database's pod, for find and count only"),
    Right("", ("secrets",), ("get",), "how Percona's database is opened", ("internal-mongodb-users",)),
)
"""Only where the database is asked through its pod; NVSX_MONGO_URI needs none of it."""


class Wanted(NamedTuple):
    """What runbooks watch beyond the table: custom resources, and the namespaces whose logs they read."""

    resources: tuple[Right, ...]
    log_namespaces: tuple[str, ...]


def wanted_by(runbooks: Iterable[Runbook], namespace: str) -> Wanted:
    """What a project's runbooks need; `namespace` is NVSentinel's, whose rights are in the table."""
    known = {(right.group, resource) for right in CLUSTER for resource in right.resources}
    found: dict[tuple[str, str], set[str]] = {}
    namespaces: set[str] = set()
    for runbook in runbooks:
        for clause in _clauses(clause for stage in runbook.stages for clause in stage.watch):
            if clause.kind == "crd":
                kind = (str(clause.fields["group"]), str(clause.fields["resource"]))
                if kind not in known:
                    found.setdefault(kind, set()).add(runbook.name)
            elif clause.kind in ("log", "training-log"):
                namespaces.add(str(clause.fields.get("namespace", "default")))
    rights = [
        Right(group, (resource,), WATCHED, f"watched by {', '.join(sorted(names))}")
        for (group, resource), names in sorted(found.items())
    ]
    return Wanted(tuple(rights), tuple(sorted(namespaces - {namespace})))


def _clauses(clauses: Iterable[Clause]) -> Iterator[Clause]:
    for clause in clauses:
        if clause.any_of:
            yield from _clauses(clause.any_of)
        else:
            yield clause
