"""Decoding piece by piece gives what decoding at once gives, or says that it is garbled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nvsx.cluster.decoding import Page, Shared, lines, page
from nvsx.errors import ClusterError

NAMES = st.text(max_size=4)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=4)


def decode(raw: bytes) -> Page:
    return asyncio.run(page(raw, "things", Shared(), "c"))


@given(ITEMS, VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_a_page_is_what_was_sent(items: Any, extra: Any, indent: Any, items_first: bool) -> None:
    body = {"items": items, "extra": extra}
    head = {"kind": "ThingList", "metadata": {"resourceVersion": "7", "continue": "m"}}
    document = body | head if items_first else head | body
    assert decode(json.dumps(document, indent=indent).encode()) == (items, "7", "m")


@given(ITEMS, st.data())
def test_a_page_that_was_cut_off_is_an_error(items: Any, data: Any) -> None:
    raw = json.dumps({"kind": "ThingList", "metadata": {"resourceVersion": "7"}, "items": items}).encode()
    cut = data.draw(st.integers(0, len(raw) - 1))
    try:
        decode(raw[:cut])
    except ClusterError:
        return
    raise AssertionError(f"{raw[:cut]!r} was taken for a page")


@given(st.binary(max_size=200))
def test_anything_is_a_page_or_an_error(raw: bytes) -> None:
    try:
        decode(raw)
    except ClusterError:
        return
    raise AssertionError(f"{raw!r} was taken for a page")


@given(st.lists(st.binary().map(lambda raw: raw.replace(b"\n", b" "))), st.lists(st.integers(1, 9), min_size=1))
def test_lines_are_framed_wherever_the_chunks_end(texts: list[bytes], sizes: list[int]) -> None:
    raw = b"\n".join(texts)
    chunks: list[bytes] = []
    at = 0
    while at < len(raw):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(raw[at : at + size])
        at += size

    async def read() -> bytes:
        return chunks.pop(0) if chunks else b""

    async def collect() -> list[tuple[bytes, bool]]:
        return [line async for line in lines(read, "c")]

    expected = [(text, True) for text in texts[:-1]] + [(text, False) for text in texts[-1:] if text]
    assert asyncio.run(collect()) == expected


def test_equal_strings_are_one_object_and_long_ones_are_left_alone() -> None:
    shared = Shared()
    first, second = (shared.of(json.loads('{"a": ["same text", 1, null], "b": {"c": true}}')) for _ in range(2))
    assert first == {"a": ["same text", 1, None], "b": {"c": True}}
    assert first["a"][0] is second["a"][0]
