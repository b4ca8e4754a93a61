"""Names from outside are checked here before they are used, and nodes get an alias that one can say over the phone."""

from __future__ import annotations

import re

from nvsx.errors import NotFoundHere, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NODE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_SLUG = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_CONTEXT = re.compile(r"[^\s\x00-\x1f\x7f\"'`$\\-][^\s\x00-\x1f\x7f\"'`$\\]{0,252}")
_ALIAS_DIGITS = 2


def is_node_name(text: str) -> bool:
    """An RFC 1123 subdomain: what Kubernetes accepts as a node's name."""
    return len(text) <= 253 and bool(_NODE.fullmatch(text))


def is_slug(text: str) -> bool:
    """A runbook or source name: lower-case letters, digits and inner dashes, 63 at most."""
    return bool(_SLUG.fullmatch(text))


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
    if _NAMESPACE.fullmatch(text):
        return text
    raise UsageError(f"{_shown(text)} cannot be a namespace", hint="kubectl get namespaces")


def check_context(text: str) -> str:
    """`text`, if it can be handed to kubectl as a context: no blanks, quotes or leading dash; UsageError otherwise."""
    if _CONTEXT.fullmatch(text):
        return text
    raise UsageError(f"{_shown(text)} cannot be a context's name", hint="kubectl config get-contexts -o name")


def alias(node: str) -> str:
    """The node's `adjective-animal`: one of 4,096, a pure function of its name. The empty name has none."""
    return _aliased(node, 0)


def alias_among(node: str, nodes: Iterable[str]) -> str:
    """The node's alias where `nodes` are the nodes of its cluster: with more of the hash (two hex digits, as a rule)
    where another one has the same.
    """
    twins = {other for other in nodes if other != node and alias(other) == alias(node)}
    digits = 0
    while twins and digits < 60:
        digits += _ALIAS_DIGITS
        twins = {other for other in twins if _aliased(other, digits) == _aliased(node, digits)}
    return _aliased(node, digits)


def resolve_node(text: str, nodes: Sequence[str]) -> str:
    """The one of `nodes` that `text` names, raw or by alias; NotFoundHere when there is none, or more than one."""
    if text in nodes:
        return text
    wanted = text.strip().lower()
    found = [node for node in nodes if wanted in _answers_to(node, nodes)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{alias_among(node, nodes)} ({node})" for node in found)
        raise NotFoundHere(
            f"{len(found)} nodes are called {wanted}: {shown}", hint=f"--target-node {alias_among(found[0], nodes)}"
        )
    raise NotFoundHere(f"this cluster has no node {_shown(text)}", hint=_suggestion(wanted, nodes))


def _answers_to(node: str, nodes: Sequence[str]) -> tuple[str, str, str]:
    return alias(node), _aliased(node, _ALIAS_DIGITS), alias_among(node, nodes)


def _suggestion(wanted: str, nodes: Sequence[str]) -> str:
    from difflib import get_close_matches

    names = {name: node for node in nodes for name in (node, alias_among(node, nodes))}
    near = get_close_matches(wanted, list(names), n=3, cutoff=0.6)
    if not near:
        return "nvsx status, or kubectl get nodes"
    return (
        "did you mean " + " or ".join(name if name == names[name] else f"{name} ({names[name]})" for name in near) + "?"
    )


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
