"""kubectl's bytes as objects: documents, pages of a list and lines of a watch; what is not JSON is Garbled.

Pages are decoded object by object and projected at once, so that a fleet neither stalls the loop nor fills memory.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.cluster.kube_errors import from_status, is_warning
from nvsx.cluster.projection import project
from nvsx.errors import Garbled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from nvsx.ports import Object

LONGEST_LINE = 64 << 20
_SLICE_CHARS = 1 << 17
_SHOWN = 80
_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_MEMO_LIMIT = 50_000
_LONGEST_SHARED = 120


class Page(NamedTuple):
    """One page of a list; `more` is the token of the next, "" on the last. `version` is the list's."""

    objects: list[Object]
    version: str
    more: str


class Shared:
    """Equal strings as one object: a thousand nodes have the same keys, labels and messages (half of all memory)."""

    def __init__(self) -> None:
        self._memo: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """`value` built anew from shared strings."""
        kind = type(value)
        if kind is dict:
            return {sys.intern(key): self.of(inner) for key, inner in value.items()}
        if kind is list:
            return [self.of(inner) for inner in value]
        if kind is str and len(value) <= _LONGEST_SHARED:
            return self._memo.setdefault(value, value)
        return value

    def trim(self) -> None:
        """Forget what made the memo long: names and times that never come again."""
        if len(self._memo) > _MEMO_LIMIT:
            self._memo.clear()


def document(raw: bytes, command: str) -> Object:
    """The one JSON object in `raw`, after warnings that wrappers print. Garbled if it is anything else."""
    text = _text(raw, command)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise garbled(raw, command) from error
    if not isinstance(found, dict):
        raise garbled(raw, command)
    return found


async def page(raw: bytes, resource: str, shared: Shared, command: str) -> Page:
    """A list document as projected objects. Garbled if it is not a list that a watch can continue."""
    text = _text(raw, command)
    head: Object = {}
    objects: list[Object] = []
    done = 0
    try:
        for key, value, at in _members(text):
            if key is not None:
                head[key] = value
                continue
            if not isinstance(value, dict):
                raise garbled(raw, command)
            objects.append(shared.of(project(resource, value)))
            if at - done > _SLICE_CHARS:
                done = at
                shared.trim()
                await asyncio.sleep(0)
    except (ValueError, IndexError) as error:
        raise garbled(raw, command) from error
    if head.get("kind") == "Status":
        raise from_status(head, command=command)
    metadata = head.get("metadata")
    is_list = "items" in head and str(head.get("kind", "")).endswith("List")
    if not is_list or not isinstance(metadata, dict) or not metadata.get("resourceVersion"):
        raise garbled(raw, command)
    return Page(objects, str(metadata["resourceVersion"]), str(metadata.get("continue") or ""))


def line_object(raw: bytes, command: str) -> Object | None:
    """The object on one line of a watch; None for a blank line or a warning."""
    if not raw.startswith(b"{"):
        text = raw[:200].decode("utf-8", "replace").strip()
        if not text or is_warning(text):
            return None
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise garbled(raw, command) from error
    if not isinstance(found, dict):
        raise garbled(raw, command)
    return found


async def lines(read: Callable[[], Awaitable[bytes]], command: str) -> AsyncGenerator[tuple[bytes, bool], None]:
    """Lines without their ends, and whether each had one: the last may be cut off. Megabytes are fine, 64 are not."""
    parts: list[bytes] = []
    size = 0
    while chunk := await read():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if others:
            yield b"".join(parts), True
            for line in others[:-1]:
                yield line, True
            parts, size = [others[-1]], len(others[-1])
        if size > LONGEST_LINE:
            raise Garbled(f"a line of more than {LONGEST_LINE >> 20} MiB", command=command)
    if size:
        yield b"".join(parts), False


def garbled(raw: bytes, command: str) -> Garbled:
    """An error that shows how the answer begins."""
    if not raw.strip():
        return Garbled("kubectl answered nothing", hint=command, command=command)
    start = raw[:_SHOWN].decode("utf-8", "replace")
    return Garbled(f"kubectl answered what is not the API's JSON: {start!r}", hint=command, command=command)


def _text(raw: bytes, command: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise garbled(raw, command) from error
    while is_warning(text):
        _, _, text = text.partition("\n")
    return text


def _members(text: str) -> Iterator[tuple[str | None, Any, int]]:
    """The members of a JSON object as (key, value, end), those of its `items` one by one with None for a key."""
    at = _expect(text, 0, "{")
    while text[at := _skip(text, at)] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _expect(text, at, ":"))
        if key == "items" and text[at] == "[":
            at = _skip(text, at + 1)
            while text[at] != "]":
                value, at = _DECODER.raw_decode(text, at)
                yield None, value, at
                at = _next(text, at, "]")
            at += 1
            yield key, None, at
        else:
            value, at = _DECODER.raw_decode(text, at)
            yield key, value, at
        at = _next(text, at, "}")
    if _skip(text, at + 1) != len(text):
        raise ValueError("more than one document")


def _next(text: str, at: int, end: str) -> int:
    """Where the next member begins: after a comma, or at `end`."""
    at = _skip(text, at)
    if text[at] == ",":
        return _skip(text, at + 1)
    if text[at] != end:
        raise ValueError(f"no comma at {at}")
    return at


def _expect(text: str, at: int, char: str) -> int:
    at = _skip(text, at)
    if text[at] != char:
        raise ValueError(f"no {char} at {at}")
    return at + 1


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at
