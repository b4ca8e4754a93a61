"""Every read that nvsx makes of a cluster, as the rights it needs: doctor asks for them, manifests grant them."""

from __future__ import annotations

from typing import NamedTuple

EVERYWHERE, INSTALLATION = "", "<nvsentinel>"
"""Scopes: the whole cluster (all namespaces), and the namespace that NVSentinel is installed in."""


class Right(NamedTuple):
    """Verbs on one resource. `scope` is EVERYWHERE, INSTALLATION or a namespace's name.

    `without` says what is lost where the right is missing and nvsx still works; "" means that nvsx needs it.
    """

    group: str
    resource: str  # `pods/log` for a subresource
    verbs: tuple[str, ...]
    scope: str
    why: str
    without: str = ""


_LOOK = ("get", "list", "watch")
JANITOR = "janitor.dgxc.nvidia.com"

READS: tuple[Right, ...] = (
    Right("", "nodes", _LOOK, EVERYWHERE, "conditions, labels, annotations and taints of nodes"),
    Right("", "namespaces", ("get",), EVERYWHERE, "which cluster this is", "a cluster is known by its context alone"),
    Right("", "events", ("list", "watch"), "default", "faults that do not cordon, and what a drain waits for"),
    Right("", "pods", ("get", "list", "watch"), INSTALLATION, "NVSentinel's components"),
    Right("", "pods/log", ("get",), INSTALLATION, "log watches and evidence", "no log watches, less evidence"),
    Right("", "configmaps", _LOOK, INSTALLATION, "the breaker, drain modes and repairs"),
    Right("apps", "deployments", ("list",), INSTALLATION, "what is installed and ready"),
    Right("apps", "daemonsets", ("list",), INSTALLATION, "what is installed and ready"),
    Right("apps", "statefulsets", ("list",), INSTALLATION, "what is installed and ready"),
    Right(JANITOR, "rebootnodes", _LOOK, EVERYWHERE, "ordered repairs"),
    Right(JANITOR, "gpuresets", _LOOK, EVERYWHERE, "ordered repairs"),
    Right(JANITOR, "terminatenodes", _LOOK, EVERYWHERE, "ordered repairs"),
    Right("", "pods", ("list",), EVERYWHERE, "the pods of a node, as evidence", "evidence lacks the node's pods"),
    Right("", "pods/exec", ("create",), INSTALLATION, "mongosh in the database's pod", "MongoDB is not read"),
)
