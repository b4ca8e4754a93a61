"""Reading YAML written by anybody: what it means, where it stands, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nvsx.documents import load_document, piece, problems, read_head, read_yaml
from nvsx.documents.reading import MAX_BYTES
from nvsx.errors import DocumentInvalid, NotFoundHere, Place
from nvsx.source import KEY, dotted

SCALARS = [
    ("true", True),
    ("False", False),
    ("yes", "yes"),
    ("on", "on"),
    ("off", "off"),
    ("N", "N"),
    ("~", None),
    ("null", None),
    ("", None),
    ("79", 79),
    ("-5", -5),
    ("+5", 5),
    ("0", 0),
    ("007", "007"),
    ("079", "079"),
    ("0o17", 15),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    (".5", 0.5),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("1:30", "1:30"),
    ("2026-01-01", "2026-01-01"),
    ("90s", "90s"),
    ('"79"', "79"),
    ("'true'", "true"),
    ("!!str 79", "79"),
    ("!!int 79", 79),
    ("!!float 79", 79.0),
    ("! 79", "79"),
    ("|\n  one\n  two\n", "one\ntwo\n"),
    (">-\n  one\n  two", "one two"),
    ("=", "="),
    ("٣", "٣"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read_yaml(f"a: {text}", "f").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_places_of_values_and_keys() -> None:
    document = read_yaml("# c\nstages:\n  - id: detect\n    watch: [{kind: taint}]\n", "f.yaml")
    assert document.place(("stages",)) == Place("f.yaml", 3, 3)
    assert document.place(("stages", 0, "id")) == Place("f.yaml", 3, 9)
    assert document.key_place(("stages", 0, "watch")) == Place("f.yaml", 4, 5)
    assert document.place(("stages", 0, "watch", 0, "kind")) == Place("f.yaml", 4, 20)
    assert document.place(("stages", 0, "nothing", 3)) == Place("f.yaml", 3, 5)
    assert document.key_place(("stages", 0)) == Place("f.yaml", 3, 5)


def test_columns_count_characters_and_a_byte_order_mark_is_none() -> None:
    document = read_yaml("\ufeffä: {ö: 1}".encode(), "f")
    assert document.place(("ä", "ö")) == Place("f", 1, 8)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n...\n", "\n\n"])
def test_an_empty_document_is_none(text: str) -> None:
    assert read_yaml(text, "f").data is None


REFUSED = {
    "larger": ("a: " + "x" * MAX_BYTES, "is larger than 1 MiB"),
    "many values": ("- x\n" * 30_000, "more than 20,000 values"),
    "alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "more than 20,000 values",
    ),
    "deep flow": ("[" * 100_000, "nested deeper than 64"),
    "deep block": ("\n".join(" " * depth + "a:" for depth in range(1200)), "nested deeper than 64"),
    "deep keys": ("? " * 20_000, "nested deeper than 64"),
    "itself": ("a: &a [*a]", "stands for itself"),
    "undefined": ("a: *b", "stands for itself, or for nothing"),
    "twice": ("a: 1\na: 2", "duplicate key 'a'; it stands in line 1"),
    "object": ("a: !!python/object/apply:os.system [ls]", "tag !!python/object/apply:os.system is not allowed"),
    "binary": ("a: !!binary aGk=", "tag !!binary"),
    "own tag": ("a: !mine x", "tag !mine"),
    "wrong tag": ("a: !!int x", "'x' is not !!int"),
    "merge": ("a: &a {x: 1}\nb: {<<: *a}", "merge keys"),
    "number key": ("79: x", "key 79 is not text"),
    "boolean key": ("true: x", "key true is not text"),
    "null key": ("~: x", "key ~ is not text"),
    "list key": ("? [a]\n: x", "a key must be text"),
    "nul": ("a: \0", "contains a NUL"),
    "nul escape": (r'a: "\0"', "escape for NUL"),
    "surrogate": (r'a: "\ud800"', "half a character"),
    "beyond unicode": (r'a: "\U00110000"', "no character"),
    "far beyond": (r'a: "\UFFFFFFFF"', "no character"),
    "bell": ("a: \x07", "control character U+0007"),
    "documents": ("a: 1\n---\nb: 2", "second document"),
    "huge integer": ("a: " + "9" * 5000, "too long or too large"),
    "huge float": ("a: 1e999", "too long or too large"),
    "tab": ("a:\n\tb: 1", "is not YAML"),
    "colon": ("a: b: c", "is not YAML"),
    "directive": ("%YAML 9999999999.0\n---\na", "is not YAML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(DocumentInvalid) as caught:
        read_yaml(text, "f.yaml")
    assert message in "\n".join(map(str, caught.value.problems))
    assert caught.value.place
    assert caught.value.place.file == "f.yaml"


def test_aliases_add_to_the_depth() -> None:
    half = "[" * 40 + "]" * 40
    with pytest.raises(DocumentInvalid, match="cannot be read") as caught:
        read_yaml(f"a: &a {half}\nb: {'[' * 40}*a{']' * 40}\n", "f")
    assert "deeper than 64" in str(caught.value.problems[0])


def test_not_utf8_says_where() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_yaml("a: 1\nb: ö".encode("latin-1"), "f")
    assert caught.value.place == Place("f", 2, 4)


def test_several_problems_are_told_together_with_the_one_that_stops() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_yaml("a: 1\na: 2\n1: x\nb: [\n", "f")
    assert [problem.place.line for problem in caught.value.problems] == [2, 3, 5]


def test_the_head_is_read_and_nothing_behind_it() -> None:
    document = read_head("a: 1\nmetadata: {name: x}\nstages: [\n", "f", until="metadata")
    assert document.data == {"a": 1, "metadata": {"name": "x"}}
    assert read_head("- a\n- b", "f", until="metadata").data is None
    assert read_head("a: 1", "f", until="metadata").data == {"a": 1}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_ :#79", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_json_reads_as_the_same_data(data: object) -> None:
    import json

    assert read_yaml(json.dumps(data), "f").data == data


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!|>'\"%@#?,~ \n\t0", max_size=60))
def test_any_text_is_read_or_refused(data: bytes | str) -> None:
    try:
        document = read_yaml(data, "f")
    except DocumentInvalid as error:
        found = error.problems
    else:
        found = tuple(document.places.values())  # type: ignore[assignment]
    assert found


@given(st.text("ab:-[]{}&*'\"#? \n", max_size=40))
def test_what_is_read_is_what_pyyaml_reads(text: str) -> None:
    """Structure and strings as in PyYAML's own loader without types; only our refusals are allowed to differ."""
    try:
        ours = read_yaml(text, "f").data
    except DocumentInvalid:
        return
    assert _texts(ours) == _texts(yaml.load(text, Loader=yaml.BaseLoader))


def _texts(value: object) -> object:
    if isinstance(value, dict):
        return {key: _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    return value or None


def test_a_file_that_never_ends_does_not_hold_us(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    os.mkfifo(folder / "fifo.yaml")
    for file in (folder / "fifo.yaml", Path("/dev/zero"), folder):
        with pytest.raises(DocumentInvalid):
            load_document(file)
    with pytest.raises(NotFoundHere):
        load_document(folder / "none.yaml")
    (folder / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DocumentInvalid):
        load_document(folder / "big.yaml")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("stages", 2, "watch", 0, "key"), "stages[2].watch[0].key"),
        (("trigger", "labels", "a b"), "trigger.labels['a b']"),
        (("a", KEY), "a"),
        (("x", "\x1b[31m"), "x['\\x1b[31m']"),
    ],
)
def test_dotted(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


INNER = {
    "title": "inner",
    "type": "object",
    "additionalProperties": False,
    "properties": {"list": {"type": "array"}},
}
SCHEMA = {
    "type": "object",
    "x-show": "show {}",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 10, "errorMessage": "must be letters"},
        "mode": {"enum": ["fast", "slow"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "inner": {"$ref": "#/$defs/inner"},
    },
    "$defs": {
        "inner": {
            "title": "inner",
            "type": "object",
            "additionalProperties": False,
            "properties": {"list": {"type": "array"}},
        }
    },
}

TOLD = [
    ("name: abc", []),
    ("nam: abc", ["f:1:1: `name` is required | show", "f:1:1: unknown key 'nam'; did you mean `name`? | show"]),
    ("name: Abc", ["f:1:7: name: must be letters (found 'Abc') | show"]),
    ('name: "abc\\n"', ["f:1:7: name: must be letters (found 'abc\\n') | show"]),
    ("name:", ["f:1:6: name: is empty; it must be letters | show"]),
    ("{name: a, mode: fest}", ["f:1:17: mode: must be fast or slow, not 'fest'; did you mean `fast`? | show"]),
    ("{name: a, size: 0}", ["f:1:17: size: must be 1 or more (found 0) | show"]),
    ("{name: a, size: 99}", ["f:1:17: size: must be 9 or less (found 99) | show"]),
    ("{name: a, inner: {lst: 1}}", ["f:1:19: inner: unknown key 'lst'; did you mean `list`? | show inner"]),
    ("{name: a, inner: {list: 1}}", ["f:1:25: inner.list: must be a list (found 1) | write a list"]),
    ("[a]", ["f:1:1: must be a mapping (found a list) | show"]),
]


@pytest.mark.parametrize(("text", "expected"), TOLD)
def test_problems_in_the_words_of_the_document(text: str, expected: list[str]) -> None:
    found = [f"{problem} | {problem.hint.partition(':')[0]}" for problem in problems(read_yaml(text, "f"), SCHEMA)]
    assert found == expected


def test_a_pattern_is_not_searched_in_a_text_that_is_too_long() -> None:
    slow = {"type": "string", "pattern": "^(a+)+$", "maxLength": 50, "errorMessage": "must be a"}
    found = problems(read_yaml("a" * 1000 + "b", "f"), slow)
    assert [problem.message for problem in found] == ["is longer than 50 characters"]


def test_pieces_are_what_has_a_title() -> None:
    assert piece(SCHEMA, "inner") == INNER
    assert piece(SCHEMA, "nothing") is None
    assert piece({**SCHEMA, "title": "all"}, "") is not None


def test_yaml_is_imported_when_it_is_needed_and_jsonschema_later() -> None:
    script = (
        "import sys, nvsx.documents as d; assert not {'yaml', 'jsonschema'} & set(sys.modules);"
        "x = d.read_yaml('a: 1', 'f'); assert 'yaml' in sys.modules and 'jsonschema' not in sys.modules;"
        "d.problems(x, {}); assert 'jsonschema' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
