"""Runbooks broken at random: each loads or is refused with its faults, by both readers alike, and never slowly."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvsx.catalog import explain, read_runbook
from nvsx.documents import read_yaml
from nvsx.errors import DocumentInvalid
from nvsx.runbook import words
from nvsx.runbook.emit import block
from nvsx.runbook.kinds import KINDS
from nvsx.runbook.parse import parse
from tests.corpus import VALID

if TYPE_CHECKING:
    from nvsx.model import Runbook

TEXTS = {file.name: file.read_bytes() for file in VALID}
DATA = {name: read_yaml(text, name).data for name, text in TEXTS.items()}
LEAVES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        79,
        1.0,
        1.5,
        "",
        " ",
        "x",
        "True",
        "90s",
        "0s",
        "90s\n",
        "1h30m",
        "detect",
        "drain",
    ),
    *("taint", "a b", "../x", "hooks/x.sh", "x\ny", "\x9b", "é", "(", "a" * 600, "phase=Running", "{}"),
    *(
        '{"a": 1}',
        "36500d",
        [],
        {},
        [None],
        {"a": None},
        {"kind": "node"},
        {"type": "x"},
        "$where",
        {"$where": 1},
        "٣s",
        "a" * 64,
    ),
    *("spec.x", ["x"]),
]
KEYS = "kind anyOf absent for watch hook hooks timeout id name onSuccess x action status count filter".split()  # noqa: SIM905


def nodes(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for step, child in children for found in nodes(child, (*path, step)))]


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def mutate(data: Any, rng: random.Random) -> Any:
    """The data with one node dropped, renamed, replaced, doubled, swapped or put elsewhere."""
    *above, step = rng.choice(nodes(data)[1:])
    parent = at(data, tuple(above))
    other = at(data, rng.choice(nodes(data)))
    kind = rng.randrange(5)
    if kind == 0:
        del parent[step]
    elif kind == 1:
        parent[step] = rng.choice(LEAVES)
    elif kind == 2:
        parent[step] = copied(other)
    elif isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copied(parent[step]))
    else:
        value = parent.pop(step) if kind == 3 else copied(parent[step])
        parent[rng.choice([*KEYS, *KINDS["node-condition"], *KINDS["crd"]])] = value
    return data


def copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: copied(value) for key, value in data.items()}
    return [copied(value) for value in data] if isinstance(data, list) else data


@given(st.sampled_from(sorted(DATA)), st.integers(0, 2**32), st.integers(1, 3))
def test_both_readers_agree_on_what_is_a_runbook(name: str, seed: int, times: int) -> None:
    rng = random.Random(seed)
    data = copied(DATA[name])
    for _ in range(times):
        if len(nodes(data)) > 1:
            data = mutate(data, rng)
    agree(block(data), name)


def agree(text: bytes | str, name: str) -> None:
    try:
        document = read_yaml(text, name)
    except DocumentInvalid:
        return
    found = explain(document)
    try:
        runbook = parse(document)
    except DocumentInvalid as error:
        alone = error.problems
    else:
        assert found == (), "parse takes what the schema or the rules refuse"
        described(runbook)
        return
    assert found, f"parse alone refuses: {alone}"
    assert all(problem.place.line for problem in found)


def described(runbook: Runbook) -> None:
    for stage in runbook.stages:
        assert all(line.text or line.label for line in words.stage(stage))
    assert list(words.headline(runbook))
    assert list(words.trigger(runbook.trigger))


@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_any_bytes_load_or_are_refused(name: str, data: st.DataObject) -> None:
    text = bytearray(TEXTS[name])
    signs = st.binary(max_size=4) | st.sampled_from([b"\n", b": ", b"- ", b"*a", b"&a ", b'"'])
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text) - 1))
        text[start : start + data.draw(st.integers(0, 5))] = data.draw(signs)
    try:
        read_runbook(bytes(text), name)
    except DocumentInvalid as error:
        told = len(error.problems)
    else:
        told = 1
    assert told


@pytest.mark.parametrize("leaf", range(len(LEAVES)))
def test_each_leaf_anywhere(leaf: int) -> None:
    """A walk over every node of the richest runbooks, so that agreement does not depend on chance."""
    name = "everything.yaml"
    rng = random.Random(leaf)
    paths = nodes(DATA[name])[1:]
    for path in rng.sample(paths, 8):
        data = copied(DATA[name])
        at(data, path[:-1])[path[-1]] = copied(LEAVES[leaf])
        agree(block(data), name)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
@example({"a": "yes", "b": ["- x", {"c: d": "#"}], "": "~", "<": "0755"})
@example("a\u2028b\ufeff\x85")
def test_what_is_written_reads_back(data: object) -> None:
    assert read_yaml(block(data), "f").data == data
