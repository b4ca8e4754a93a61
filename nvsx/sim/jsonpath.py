"""kubectl's JSONPath templates: the subset that scripts use, printing what kubectl prints.

Known: text, `{.a.b}`, `{.a['b.c']}`, `{.a.b\\.c}`, `{.l[0]}`, `{.l[-1]}`, `{.l[0:2]}`, `{.l[*]}`, `{.m.*}`, `{..a}`,
`{['a','b']}`, `{.l[?(@.a=="b")]}` (also != < <= > >= and bare existence), `{"text"}`, `{range …}…{end}`, several
paths in one pair of braces.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STEP = re.compile(
    r"""(?P<deep>\.\.)(?P<any>\*|(?:[^\s.\[\]{}'"\\]|\\.)+)
      | \.(?P<name>\*|(?:[^\s.\[\]{}'"\\]|\\.)+)
      | \[\s*(?P<quoted>'(?:[^'\\]|\\.)*'(?:\s*,\s*'(?:[^'\\]|\\.)*')*)\s*\]
      | \[\?\((?P<filter>(?:[^()"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*)\)\]
      | \[(?P<index>[-\d:,*\s]*)\]""",
    re.VERBOSE,
)
_FILTER = re.compile(r"\s*(?P<left>@\S*?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*\Z")
_ABSENT: Any = object()


class JsonPathError(ValueError):
    """The template is not one that kubectl takes."""


class _Piece(NamedTuple):
    """Text, a path, or the start or end of a range."""

    kind: str
    value: str


def fill(template: str, data: Any) -> str:
    """What `kubectl -o jsonpath=TEMPLATE` prints of `data`; a path that leads nowhere prints nothing."""
    pieces = _pieces(template)
    text, rest = _print(pieces, 0, data, data)
    if rest != len(pieces):
        raise JsonPathError("not in range, nothing to end")
    return text


def find(path: str, data: Any) -> list[Any]:
    """Every value at a bare path such as `.status.phase` or `{.status.phase}`."""
    bare = path.strip().removeprefix("{").removesuffix("}")
    return _walk(bare if bare.startswith((".", "[", "@", "$")) else f".{bare}", data, data)


def _pieces(template: str) -> list[_Piece]:
    pieces = []
    at = 0
    while at < len(template):
        opening = template.find("{", at)
        if opening != at:
            end = len(template) if opening < 0 else opening
            pieces.append(_Piece("text", template[at:end]))
            at = end
            continue
        inner, at = _inside_braces(template, at + 1)
        pieces += _actions(inner)
    return pieces


def _inside_braces(template: str, start: int) -> tuple[str, int]:
    quote = ""
    for at in range(start, len(template)):
        sign = template[at]
        if quote:
            quote = "" if sign == quote and template[at - 1] != "\\" else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "}":
            return template[start:at], at + 1
    raise JsonPathError("unclosed action")


def _actions(inner: str) -> list[_Piece]:
    """The words in one pair of braces: paths, quoted texts, `range` and `end`."""
    pieces = []
    text = inner.strip()
    while text:
        if text[0] in "\"'":
            quoted = re.match(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", text)
            if not quoted:
                raise JsonPathError("unterminated quoted string")
            pieces.append(_Piece("text", _unquoted(quoted[0])))
            text = text[quoted.end() :].lstrip()
            continue
        if word := re.match(r"(range|end)(?=\s|\Z|\.|\[|@|\$)", text):
            text = text[word.end() :].lstrip()
            pieces.append(_Piece(word[1], ""))
            if word[1] == "end":
                continue
            path = _path_text(text)
            pieces[-1] = _Piece("range", path)
        else:
            path = _path_text(text)
            pieces.append(_Piece("path", path))
        text = text[len(path) :].lstrip()
    return pieces


def _path_text(text: str) -> str:
    at = 1 if text[:1] in "@$" else 0
    while found := _STEP.match(text, at):
        at = found.end()
    if not at or (at < len(text) and not text[at].isspace() and text[at] not in "\"'"):
        raise JsonPathError(f"unrecognized character in action: {text[at : at + 1]!r}")
    return text[:at]


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), text[1:-1])


def _print(pieces: list[_Piece], at: int, data: Any, root: Any) -> tuple[str, int]:
    """The text of the pieces from `at` to the end, or to the `end` of the range that they stand in."""
    printed: list[str] = []
    while at < len(pieces):
        kind, value = pieces[at]
        if kind == "end":
            return "".join(printed), at
        if kind == "range":
            items = _walk(value, data, root)
            close = _closing(pieces, at)
            printed += [_print(pieces[:close], at + 1, item, root)[0] for item in items]
            at = close
        elif kind == "text":
            printed.append(value)
        else:
            printed.append(" ".join(shown(found) for found in _walk(value, data, root)))
        at += 1
    return "".join(printed), at


def _closing(pieces: list[_Piece], start: int) -> int:
    depth = 0
    for at in range(start, len(pieces)):
        depth += {"range": 1, "end": -1}.get(pieces[at].kind, 0)
        if not depth:
            return at
    raise JsonPathError("unexpected end of input, expected {end}")


def shown(value: Any) -> str:
    """A value as it is printed: text bare, the rest as JSON."""
    if isinstance(value, (dict, list)):
        text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        return escape_html(text)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def escape_html(text: str) -> str:
    """JSON text as Go's encoder leaves it."""
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _walk(path: str, data: Any, root: Any) -> list[Any]:
    found = [root if path[:1] == "$" else data]
    at = 1 if path[:1] in ("@", "$") else 0
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            raise JsonPathError(f"unrecognized character in action: {path[at]!r}")
        found = [value for thing in found for value in _take(step, thing, root)]
        at = step.end()
    return found


def _take(step: re.Match[str], thing: Any, root: Any) -> list[Any]:
    if step["deep"]:
        return _deep(thing, _name(step["any"]))
    if step["name"]:
        return _children(thing) if step["name"] == "*" else _child(thing, _name(step["name"]))
    if step["quoted"]:
        names = re.findall(r"'((?:[^'\\]|\\.)*)'", step["quoted"])
        return [value for name in names for value in _child(thing, re.sub(r"\\(.)", r"\1", name))]
    if step["filter"] is not None:
        return [item for item in _children(thing) if _passes(step["filter"], item, root)]
    return _indexed(thing, step["index"].strip())


def _name(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _child(thing: Any, name: str) -> list[Any]:
    return [thing[name]] if isinstance(thing, dict) and name in thing else []


def _children(thing: Any) -> list[Any]:
    if isinstance(thing, dict):
        return [thing[key] for key in sorted(thing)]
    return list(thing) if isinstance(thing, list) else []


def _deep(thing: Any, name: str) -> list[Any]:
    own = _children(thing) if name == "*" else _child(thing, name)
    return own + [value for child in _children(thing) for value in _deep(child, name)]


def _indexed(thing: Any, text: str) -> list[Any]:
    if text == "*":
        return _children(thing)
    if not isinstance(thing, list):
        return []
    if ":" in text:
        bounds = [int(bound) if bound.strip() else None for bound in text.split(":")]
        return thing[slice(*bounds)]
    chosen = []
    for number in text.split(","):
        position = int(number)
        if not -len(thing) <= position < len(thing):
            raise JsonPathError(f"array index out of bounds: index {position}, length {len(thing)}")
        chosen.append(thing[position])
    return chosen


def _passes(text: str, item: Any, root: Any) -> bool:
    parsed = _FILTER.match(text)
    if not parsed:
        raise JsonPathError(f"the filter {text!r} is not one that is known here")
    left = _walk(parsed["left"], item, root)
    if not parsed["operator"]:
        return bool(left)
    right = _operand(parsed["right"], item, root)
    value = left[0] if left else _ABSENT
    if _ABSENT in (value, right):
        return False
    try:
        return _COMPARE[parsed["operator"]](value, right)
    except TypeError:
        raise JsonPathError("incompatible types for comparison") from None


def _operand(text: str, item: Any, root: Any) -> Any:
    if text[:1] in "\"'":
        return _unquoted(text)
    if text[:1] in "@$":
        found = _walk(text, item, root)
        return found[0] if found else _ABSENT
    try:
        return json.loads(text)
    except ValueError:
        raise JsonPathError(f"{text!r} is no value to compare with") from None


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
