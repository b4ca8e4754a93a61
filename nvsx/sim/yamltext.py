"""Objects as the YAML that kubectl prints: sorted keys, lists level with their key, quotes only where needed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 80
_READ_AS_ANOTHER_TYPE = re.compile(
    r"""(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE|y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)\Z
      | [-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z
      | [-+]?0(?:x[0-9a-fA-F_]+|b[01_]+|o?[0-7_]+)\Z
      | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z
      | [-+]?\.(?:inf|Inf|INF)\Z | \.(?:nan|NaN|NAN)\Z
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?\Z
      | <<\Z | =\Z""",
    re.VERBOSE,
)
_NOT_PLAIN_FIRST = re.compile(r"""[\[\]{},#&*!|>'"%@`]|[-?:](?=\s|\Z)|---|\.\.\.""")
_NOT_PLAIN_INSIDE = re.compile(r":(?=\s|\Z)|(?<=\s)#")
_SPECIAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def to_yaml(data: Any) -> str:
    """One YAML document for JSON data, ending in a line feed."""
    if isinstance(data, (dict, list)) and data:
        return "".join(f"{line}\n" for line in _block(data, 0))
    return f"{_scalar(data, 0, 0)}\n"


def _block(data: Any, indent: int) -> Iterator[str]:
    pad = " " * indent
    if isinstance(data, dict):
        for key in sorted(data):
            yield from _entry(f"{pad}{_key(str(key))}:", data[key], indent)
        return
    for item in data:
        if isinstance(item, (dict, list)) and item:
            lines = list(_block(item, indent + 2))
            yield f"{pad}- {lines[0].lstrip(' ')}"
            yield from lines[1:]
        else:
            yield f"{pad}- {_scalar(item, indent, indent + 2)}"


def _entry(head: str, value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from _block(value, indent if isinstance(value, list) else indent + 2)
    else:
        yield f"{head} {_scalar(value, indent, len(head) + 1)}"


def _key(text: str) -> str:
    return _scalar(text, 0, -10_000)


def _scalar(value: Any, indent: int, column: int) -> str:
    if isinstance(value, str):
        return _text(value, indent, column)
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return json.dumps(value)


def _text(text: str, indent: int, column: int) -> str:
    if not text or _READ_AS_ANOTHER_TYPE.match(text) or _SPECIAL.search(text):
        return _double(text)
    if "\n" in text:
        return _literal(text, indent) if text.strip() and not re.search(r"[ \n]\n|\A[ \n]", text) else _double(text)
    if text[0] == " " or text[-1] == " " or _NOT_PLAIN_FIRST.match(text) or _NOT_PLAIN_INSIDE.search(text):
        return _folded("'" + text.replace("'", "''") + "'", indent, column)
    return _folded(text, indent, column)


def _double(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _SPECIAL.sub(lambda found: f"\\u{ord(found[0]):04X}", quoted)


def _literal(text: str, indent: int) -> str:
    chomp = "" if text.endswith("\n") else "-"
    pad = " " * (indent + 2)
    return "\n".join([f"|{chomp}", *(pad + line if line else "" for line in text.removesuffix("\n").split("\n"))])


def _folded(text: str, indent: int, column: int) -> str:
    """Break a long plain or quoted text where the emitter would: at the first single space beyond the width."""
    lines, line, at = [], "", column
    pad = " " * (indent + 2)
    for index, sign in enumerate(text):
        inside = 0 < index < len(text) - 1
        if sign == " " and inside and at > _WIDTH and text[index - 1] != " " and text[index + 1] != " ":
            lines.append(line)
            line, at = "", len(pad)
        else:
            line += sign
            at += 1
    return f"\n{pad}".join([*lines, line])
