"""Reads YAML written by anybody into plain data with places, in bounded time and memory.

Scalars follow YAML 1.2's core schema, not YAML 1.1 as PyYAML does by itself: only `true` and `false` are booleans, so
`on:`, `yes` and `no` stay text; `1:30` and dates stay text. Beyond the core schema two kinds of number stay text:
those with a leading zero (`007`), which nobody means as a number, and `.inf` and `.nan`, which JSON cannot hold.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from nvsx.errors import DocumentInvalid, Place, Problem
from nvsx.source import KEY, DataPath, Document

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
"""Values and keys in a document, each alias counted as often as it stands for something."""
MAX_DEPTH = 64
MAX_PROBLEMS = 100

_WORDS = {word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())}
_NULLS = ("", "~", "null", "Null", "NULL")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_LONGEST_NUMBER = 40
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_HINTS = (
    ("found character '\\t'", "indent with spaces; YAML takes no tabs there"),
    ("mapping values are not allowed", "quote a text that contains ': ', and check the indentation"),
    ("could not find expected ':'", "check the indentation, and that the key above ends in ':'"),
    ("expected <block end>", "check the indentation: entries of one list or mapping start in the same column"),
    ("found unexpected end of stream", "close the quotes"),
    ("expected ',' or ", "close the bracket, or put a comma between its entries"),
    ("found character '`'", "quote a text that starts with `"),
    ("found character '@'", "quote a text that starts with @"),
)


class _Node(NamedTuple):
    """A value as it was read. `size` and `height` count what stands inside it, aliases expanded."""

    value: Any  # dict of str to _Node, list of _Node, or a scalar
    place: Place
    keys: dict[str, Place]
    size: int = 1
    height: int = 0


def read_yaml(data: bytes | str, file: str) -> Document:
    """The one document in `data`; an empty one is None. `file` is the name that problems carry.

    DocumentInvalid, with the place of each problem, for what is not YAML and for what would not be safe to take:
    more than 1 MiB, 20,000 values or 64 levels; duplicate keys; keys that are not text; tags that construct objects;
    several documents; NUL.
    """
    text = _decode(data, file)
    return _document(_Builder(file).whole(text), file, text)


def read_head(data: bytes | str, file: str, *, until: str) -> Document:
    """Like `read_yaml`, for a mapping up to the value of its key `until`; what stands behind it is not read at all."""
    text = _decode(data, file)
    return _document(_Builder(file).head(text, until), file, text)


def _document(node: _Node, file: str, text: str) -> Document:
    places: dict[DataPath, Place] = {}
    return Document(_plain(node, (), places), file, text, places)


def _plain(node: _Node, path: DataPath, places: dict[DataPath, Place]) -> Any:
    places[path] = node.place
    if isinstance(node.value, dict):
        for key, place in node.keys.items():
            places[(*path, key, KEY)] = place
        return {key: _plain(child, (*path, key), places) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child, (*path, index), places) for index, child in enumerate(node.value)]
    return node.value


def _decode(data: bytes | str, file: str) -> str:
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        _fail(file, Place(file), f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        _fail(file, Place(file, line, column), "is not UTF-8 text", "save the file as UTF-8")
    at = text.find("\0")
    if at >= 0:
        _fail(file, Place(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)), "contains a NUL character")
    return text


def _fail(file: str, place: Place, message: str, hint: str = "") -> NoReturn:
    raise DocumentInvalid(f"{file} cannot be read", (Problem(place, "", message, hint),))


def _events(text: str) -> Iterator[Any]:
    """PyYAML's events. Its loaders would bring constructors and resolvers, which nvsx has no use for."""
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class Events(Reader, Scanner, Parser):
        def __init__(self) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)

    events = Events()
    while events.check_event():
        yield events.get_event()  # type: ignore[no-untyped-call]


class _Builder:
    """Builds nodes from PyYAML's events; nothing is built that was not counted first."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0
        self._problems: list[Problem] = []
        self._anchors: dict[str, _Node] = {}
        self._events: Iterator[Any] = iter(())

    def whole(self, text: str) -> _Node:
        with_errors = self._reading(text, self._whole)
        if self._problems:
            raise DocumentInvalid(f"{self._file} cannot be read", tuple(self._problems[:MAX_PROBLEMS]))
        return with_errors

    def head(self, text: str, until: str) -> _Node:
        return self._reading(text, lambda: self._head(until))

    def _reading(self, text: str, build: Any) -> _Node:
        from yaml.error import MarkedYAMLError
        from yaml.reader import ReaderError

        try:
            self._events = _events(text)
            node: _Node = build()
        except MarkedYAMLError as error:
            ended = "end of stream" in str(error.problem)  # then what was begun tells more than where the file ends
            mark = (error.context_mark if ended else None) or error.problem_mark or error.context_mark
            self._refuse_syntax(str(error.problem), mark)
        except ReaderError as error:
            before = text[: error.position]
            place = Place(self._file, before.count("\n") + 1, error.position - before.rfind("\n"))
            self._stop(place, f"contains the control character U+{error.character:04X}")
        except (ValueError, OverflowError):  # PyYAML passes any \U escape to chr()
            self._stop(Place(self._file), r"contains a \U escape that is no character")
        return node

    def _refuse_syntax(self, problem: str, mark: Any) -> NoReturn:
        place = Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file)
        hint = next((hint for start, hint in _HINTS if problem.startswith(start)), "")
        self._stop(place, f"is not YAML: {problem}", hint)

    def _stop(self, place: Place, message: str, hint: str = "") -> NoReturn:
        """Nothing behind this can be read; what was noted before it is told as well."""
        found = (*self._problems, Problem(place, "", message, hint))
        raise DocumentInvalid(f"{self._file} cannot be read", found)

    def _begin(self) -> Any:
        """The first event of the first document's content; None for a file without a document."""
        next(self._events)  # stream start
        event = next(self._events)
        if type(event).__name__ == "StreamEndEvent":
            return None
        return next(self._events)

    def _whole(self) -> _Node:
        event = self._begin()
        if event is None:
            return _Node(None, Place(self._file, 1, 1), {})
        node = self._node(event, 0)
        next(self._events)  # document end
        after = next(self._events)
        if type(after).__name__ != "StreamEndEvent":
            self._stop(self._place(after), "is a second document in the file", "remove the line ---")
        return node

    def _head(self, until: str) -> _Node:
        event = self._begin()
        if event is None or type(event).__name__ != "MappingStartEvent":
            return _Node(None, Place(self._file, 1, 1), {})
        return self._mapping(event, 0, until)

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _count(self, event: Any, size: int, depth: int) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            _fail(
                self._file,
                self._place(event),
                f"has more than {MAX_NODES:,} values",
                "aliases count as what they stand for",
            )
        if depth > MAX_DEPTH:
            self._stop(self._place(event), f"is nested deeper than {MAX_DEPTH} levels")

    def _node(self, event: Any, depth: int) -> _Node:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, depth)
        self._count(event, 1, depth)
        self._refuse_tags(event)
        if kind == "ScalarEvent":
            node = _Node(self._scalar(event), self._place(event), {})
        elif kind == "SequenceStartEvent":
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, depth: int) -> _Node:
        target = self._anchors.get(event.anchor)
        if target is None:
            message = f"alias *{event.anchor} stands for itself, or for nothing before it"
            self._stop(self._place(event), message)
        self._count(event, target.size, depth + target.height)
        return target

    def _sequence(self, event: Any, depth: int) -> _Node:
        items: list[_Node] = []
        while type(inner := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._node(inner, depth + 1))
        return _Node(items, self._place(event), {}, *_extent(items))

    def _mapping(self, event: Any, depth: int, until: str | None = None) -> _Node:
        entries: dict[str, _Node] = {}
        keys: dict[str, Place] = {}
        while type(inner := next(self._events)).__name__ != "MappingEndEvent":
            key = self._key(inner, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key in entries:
                self._note(inner, f"duplicate key {key!r}; it stands in line {keys[key].line} already")
                continue
            entries[key], keys[key] = value, self._place(inner)
            if key == until:
                break
        return _Node(entries, self._place(event), keys, *_extent(list(entries.values()), len(keys)))

    def _key(self, event: Any, depth: int) -> str:
        node = self._node(event, depth)
        if isinstance(node.value, str):
            if node.value == "<<":
                self._note(event, "merge keys (<<) are not supported", "write the keys out")
            return node.value
        if isinstance(node.value, (dict, list)):
            _fail(
                self._file,
                self._place(event),
                "a key must be text, not a list or mapping",
                "quote a text that starts with { or [",
            )
        text = str(getattr(event, "value", node.value))
        self._note(event, f"key {text or 'null'} is not text", f'quote it: "{text}"')
        return text

    def _note(self, event: Any, message: str, hint: str = "") -> None:
        self._problems.append(Problem(self._place(event), "", message, hint))
        if len(self._problems) >= MAX_PROBLEMS:
            raise DocumentInvalid(f"{self._file} cannot be read", tuple(self._problems))

    def _refuse_tags(self, event: Any) -> None:
        tag = event.tag
        if tag and tag != "!" and tag not in _TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._note(event, f"tag {shown[:80]} is not allowed", "write plain values only")

    def _scalar(self, event: Any) -> Any:
        text = _joined(event.value)
        if "\0" in text:
            self._note(event, "contains an escape for NUL or half a character")
            return ""
        if event.tag in _TAGS:
            return self._tagged(event, text)
        if not event.implicit[0] or event.tag == "!":  # quoted, or a block of text
            return text
        return self._plain_scalar(event, text)

    def _tagged(self, event: Any, text: str) -> Any:
        if event.tag.endswith(":str"):
            return text
        value = self._plain_scalar(event, text)
        wanted = event.tag.rpartition(":")[2]
        if wanted == "float" and type(value) is int:
            return float(value)
        if type(value).__name__ != {"null": "NoneType"}.get(wanted, wanted):
            self._note(event, f"{text[:40]!r} is not !!{wanted}")
        return value

    def _plain_scalar(self, event: Any, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if text in _NULLS:
            return None
        is_number = _INTEGER.match(text) or _BASED.match(text) or _FLOAT.match(text)
        if not is_number:
            return text
        if len(text) <= _LONGEST_NUMBER:
            value: int | float = (
                int(text, 0) if _BASED.match(text) else int(text) if _INTEGER.match(text) else float(text)
            )
            if value not in (float("inf"), float("-inf")):
                return value
        self._note(event, "number is too long or too large", "quote it if it is meant as text")
        return 0


def _joined(text: str) -> str:
    """JSON writes some characters as two escaped halves; a half that stands alone becomes a NUL, which is refused."""
    if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return "\0"


def _extent(children: list[_Node], keys: int = 0) -> tuple[int, int]:
    size = 1 + keys + sum(child.size for child in children)
    return size, 1 + max((child.height for child in children), default=0)
