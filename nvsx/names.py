"""Names from outside are checked here before they are used, and nodes get an alias that one can say over the phone."""

from __future__ import annotations

import re
from functools import lru_cache

from nvsx.errors import NotFoundHere, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NODE = rf"{_LABEL}(?:\.{_LABEL})*"
_NAMESPACE = _LABEL
_SLUG = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_CONTEXT = r"[^\s\x00-\x1f\x7f\"'`$\\-][^\s\x00-\x1f\x7f\"'`$\\]{0,252}"
_ALIAS_DIGITS = 2


def is_node_name(text: str) -> bool:
    """An RFC 1123 subdomain: what Kubernetes accepts as a node's name."""
    return len(text) <= 253 and bool(re.fullmatch(_NODE, text))


def is_slug(text: str) -> bool:
    """A runbook or source name: lower-case letters, digits and inner dashes, 63 at most."""
    return bool(re.fullmatch(_SLUG, text))


def check_node_name(text: str) -> str:
    """`text`, if a node can have that name; UsageError otherwise."""
    if is_node_name(text):
        return text
    raise UsageError(
        f"{_shown(text)} cannot be a node's name: lower-case letters, digits, '-' and '.' only",
        hint="kubectl get nodes",
    )


def check_slug(text: str, what: str = "runbook") -> str:
    """`text`, if it is a slug (so no separator, no `..`, no option); UsageError otherwise."""
    if is_slug(text):
        return text
    raise UsageError(
        f"{_shown(text)} cannot be a {what}'s name: lower-case letters, digits and inner '-' only",
        hint="nvsx list" if what == "runbook" else "",
    )


def check_namespace(text: str) -> str:
    """`text`, if a namespace can have that name; UsageError otherwise."""
    if re.fullmatch(_NAMESPACE, text):
        return text
    raise UsageError(f"{_shown(text)} cannot be a namespace", hint="kubectl get namespaces")


def check_context(text: str) -> str:
    """`text`, if it can be handed to kubectl as a context: no blanks, quotes or leading dash; UsageError otherwise."""
    if re.fullmatch(_CONTEXT, text):
        return text
    raise UsageError(f"{_shown(text)} cannot be a context's name", hint="kubectl config get-contexts -o name")


def alias(node: str) -> str:
    """A name's `adjective-animal`: one of 4,096, a pure function of it. The empty name has none.

    Nodes have one, and so has a runbook that names no nickname of its own.
    """
    return _aliased(node, 0)


def alias_among(node: str, nodes: Iterable[str]) -> str:
    """The alias of one node where `nodes` are the nodes of its cluster; for many nodes see `aliases`."""
    twins = [other for other in nodes if other != node and alias(other) == alias(node)]
    return aliases([node, *twins])[node]


def aliases(nodes: Iterable[str]) -> dict[str, str]:
    """Every node's alias: with more of its hash (two hex digits, as a rule) where another one has the same."""
    found: dict[str, str] = {}
    pending, digits = set(nodes), 0
    while pending:
        holders: dict[str, list[str]] = {}
        for node in pending:
            holders.setdefault(_aliased(node, digits), []).append(node)
        alone = {owners[0]: name for name, owners in holders.items() if len(owners) == 1}
        found |= alone
        pending -= alone.keys()
        digits += _ALIAS_DIGITS
    return found


def resolve_node(text: str, nodes: Sequence[str]) -> str:
    """The one of `nodes` that `text` names, raw or by alias; NotFoundHere when there is none, or more than one."""
    if text in nodes:
        return text
    wanted = text.strip().lower()
    names = aliases(nodes)
    found = [node for node in nodes if wanted in (names[node], alias(node), _aliased(node, _ALIAS_DIGITS))]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{names[node]} ({node})" for node in found)
        raise NotFoundHere(f"{len(found)} nodes are called {wanted}: {shown}", hint=f"say which: {names[found[0]]}")
    raise NotFoundHere(f"this cluster has no node {_shown(text)}", hint=_suggestion(wanted, names))


def _suggestion(wanted: str, names: dict[str, str]) -> str:
    from difflib import get_close_matches

    known = {name: node for node in names for name in (node, names[node])}
    near = get_close_matches(wanted, list(known), n=3, cutoff=0.6)
    if not near:
        return "kubectl get nodes"
    shown = [name if name == known[name] else f"{name} ({known[name]})" for name in near]
    return f"did you mean {' or '.join(shown)}?"


@lru_cache(maxsize=20_000)
def _aliased(node: str, digits: int) -> str:
    if not node:
        return ""
    from hashlib import sha256

    from nvsx.words import ADJECTIVES, ANIMALS

    digest = sha256(node.encode("utf-8", "surrogatepass")).digest()
    words = f"{ADJECTIVES[digest[0] % 64]}-{ANIMALS[digest[1] % 64]}"
    return f"{words}-{digest[2:].hex()[:digits]}" if digits else words


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
