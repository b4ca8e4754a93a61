"""Which node an alert is about: named by a field, or found as a whole word in its texts. Never guessed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.names import aliases, is_node_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.alerts import Alert
    from nvsx.ports import Object

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*[A-Za-z0-9]|[A-Za-z0-9]")


class Resolved(NamedTuple):
    """The node ("" where it is not known) and how it was found, in words for the record."""

    node: str
    how: str


class KnownNodes:
    """What a cluster's nodes are called: name, host name, internal address, provider id, alias."""

    def __init__(self, nodes: Iterable[Object]) -> None:
        self.names: frozenset[str] = frozenset()
        self._by_call: dict[str, str] = {}
        doubtful: set[str] = set()
        listed = {node["metadata"]["name"]: node for node in nodes}
        self.names = frozenset(listed)
        nicknames = self._aliases = aliases(listed)
        for name, node in listed.items():
            for call in {name, nicknames[name], *_calls(node)}:
                if self._by_call.setdefault(call.lower(), name) != name and call.lower() not in listed:
                    doubtful.add(call.lower())
        for call in doubtful:
            del self._by_call[call]
        self._by_call |= {name: name for name in listed}

    def alias(self, node: str) -> str:
        """The node's alias among the others, "" where there is no such node."""
        return self._aliases.get(node, "")

    def find(self, call: str) -> str:
        """The node that is called so, "" where none or more than one is."""
        return self._by_call.get(call.strip().lower(), "")

    def mentioned(self, text: str) -> set[str]:
        """The nodes that a text names as whole words."""
        words = {match[0] for match in _WORD.finditer(text)}
        parts = {part for word in words for part in re.split(r"[/:]", word)}
        return {node for word in words | parts if (node := self.find(word))}


def resolve(alert: Alert, known: KnownNodes | None) -> Resolved:
    """The alert's node. `known` is None while the cluster cannot be asked: then a field is taken at its word."""
    said = alert.node.strip()
    if known is None:
        return Resolved(said, "named, the cluster could not be asked") if is_node_name(said) else _nobody(said)
    if node := known.find(said):
        return Resolved(node, "named")
    mentioned: set[str] = set()
    for text in alert.mentions:
        mentioned |= known.mentioned(text)
    if len(mentioned) == 1:
        return Resolved(mentioned.pop(), "found in the alert's text")
    if is_node_name(said):
        return Resolved(said, "named, this cluster has no such node")
    if mentioned:
        return Resolved("", f"the alert's text names {len(mentioned)} nodes: {', '.join(sorted(mentioned)[:5])}")
    return _nobody(said)


def _nobody(said: str) -> Resolved:
    return Resolved("", f"{said[:80]!r} cannot be a node's name" if said else "the alert names no node")


def _calls(node: Object) -> Iterable[str]:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    if host := labels.get("kubernetes.io/hostname"):
        yield host
    for address in (node.get("status") or {}).get("addresses") or ():
        if address.get("type") in ("InternalIP", "Hostname", "InternalDNS") and address.get("address"):
            yield address["address"]
    provider = (node.get("spec") or {}).get("providerID")
    if provider:
        yield provider
        yield provider.rpartition("/")[2]
