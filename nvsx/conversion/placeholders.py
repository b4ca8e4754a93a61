"""Gaps that a page leaves for its reader: the node's are filled from the run, others are for people."""

from __future__ import annotations

import re

from nvsx.conversion.scan import DOUBLE, SINGLE, scan

NODE = "NVSX_TARGET_NODE"
_NODE_WORDS = r"(?:(?:the|your|bad|gpu|target|affected|faulty|k8s)[-_ ])*(?:node|host)(?:[-_ ]?(?:name|id))?"
_NODE_GAP = re.compile(rf"<{_NODE_WORDS}>|\{{\{{\s*{_NODE_WORDS}\s*\}}\}}|\[{_NODE_WORDS}\]", re.IGNORECASE)
_GAP = re.compile(
    r"<[A-Z][A-Z0-9_ -]*>|<[a-z]+(?:[-_ ][a-z]+)+>|<(?:ticket|id|key|pod|name|namespace|uuid|url)>|\{\{[^}]*\}\}"
)
_NODE_VARIABLE = re.compile(r"(?:\w*_)?NODE(?:_?NAME|_?ID)?", re.IGNORECASE)


def fill_node(text: str) -> str:
    """The text of a block of shell with the node's name from the run wherever the page left it to its reader."""
    states = scan(text).states
    parts: list[str] = []
    at = 0
    for found in _NODE_GAP.finditer(text):
        state = states[found.start()]
        filled = {SINGLE: f"'\"${NODE}\"'", DOUBLE: f"${{{NODE}}}"}.get(state, f'"${NODE}"')
        parts += [text[at : found.start()], filled]
        at = found.end()
    return "".join([*parts, text[at:]])


def gap(text: str) -> str:
    """What a reader would still have to fill in, "" where there is nothing."""
    found = _GAP.search(text)
    return found[0] if found else ""


def names_node(variable: str) -> bool:
    """Whether a variable is what pages call the node that they are about."""
    return bool(_NODE_VARIABLE.fullmatch(variable))
