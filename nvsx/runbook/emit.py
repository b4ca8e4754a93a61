"""Plain data as YAML that people would write, and that reads back as the same data."""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(r"(?:[A-Za-z_$][A-Za-z0-9_./$-]*(?: [A-Za-z0-9_./$-]+)*|[0-9]+[smhd])\Z", re.ASCII)
_WORDS = {None: "null", True: "true", False: "false"}
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}


def inline(value: Any) -> str:
    """A value on one line, in flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{inline(str(key))}: {inline(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, str):
        return value if _PLAIN.match(value) and value.lower() not in _RESERVED else _quoted(value)
    return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def _quoted(text: str) -> str:
    """Double quotes, or single ones where that needs no escapes; what YAML does not take as it is becomes one."""
    if text.isascii() and text.isprintable():
        if not set(text) & set('"\\'):
            return f'"{text}"'
        if "'" not in text:
            return f"'{text}'"
    import json

    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def block(value: Any, indent: int = 0) -> str:
    """A value over as many lines as it needs, each ended by a line feed."""
    margin = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{margin}{inline(str(key))}:{_below(entry, indent + 2)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)) and value:
        return "".join(f"{margin}- {block(entry, indent + 2).lstrip(' ')}" for entry in value)
    return f"{margin}{inline(value)}\n"


def _below(value: Any, indent: int) -> str:
    short = inline(value)
    fits = len(short) <= 80 and "{" not in short and not isinstance(value, dict)
    if isinstance(value, (dict, list, tuple)) and value and not fits:
        return "\n" + block(value, indent)
    return f" {short}\n"
