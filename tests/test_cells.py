from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.cells import clip, pad, printable, width, wrap


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("gpu-off-bus", 11),
        ("→ ● ✗ ○ ▶ │", 11),
        ("節点", 4),
        ("e\u0301te\u0301", 3),
        ("한국어", 6),
        ("🔥", 2),
        ("👩\u200d🔧", 2),  # woman mechanic: two emoji joined
        ("👍🏽", 2),  # skin tone
        ("❤\ufe0f", 2),  # drawn as an emoji
        ("❤", 1),
        ("ﾊﾝｶｸ", 4),
        ("Ａ", 2),
        ("\x1b[31m", 4),
        ("a\u200bb", 2),
        ("\ufb01", 1),
    ],
)
def test_width(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "cells", "clipped"),
    [
        ("quarantine", 10, "quarantine"),
        ("quarantine", 9, "quaranti…"),
        ("quarantine", 1, "…"),
        ("quarantine", 0, ""),
        ("節点節点", 5, "節点…"),
        ("節点節点", 4, "節…"),
        ("e\u0301te\u0301s", 3, "e\u0301t…"),
    ],
)
def test_clip(text: str, cells: int, clipped: str) -> None:
    assert clip(text, cells) == clipped


@pytest.mark.parametrize(("align", "padded"), [("left", "節点  "), ("right", "  節点"), ("center", " 節点 ")])
def test_pad(align: str, padded: str) -> None:
    assert pad("節点", 6, align) == padded


@given(st.text(max_size=60), st.integers(0, 40))
def test_clipped_text_fits_and_padded_text_fills(text: str, cells: int) -> None:
    assert width(clip(text, cells)) <= cells
    assert width(pad(text, cells)) == cells


@given(st.text(max_size=60))
def test_text_that_fits_is_left_alone(text: str) -> None:
    assert clip(text, width(text)) == text


@given(
    st.text(alphabet=st.characters(exclude_categories=["Mn", "Me", "Mc", "Cf", "Lo", "Sk", "Cc"]), max_size=30),
    st.text(alphabet="ab節🔥", max_size=30),
)
def test_width_adds_up(one: str, other: str) -> None:
    assert width(one + other) == width(one) + width(other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\there", "tab\\x09here"),
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("line\nbreak", "line\\x0abreak"),
        ("left\u202eright", "left\\u202eright"),
        ("no\ufffesuch", "no\\ufffesuch"),
        ("no\U000d0430such", "no\\U000d0430such"),
        ("\udcff", "\\udcff"),
        ("naïve 節点 🔥", "naïve 節点 🔥"),
        ("[rank0]: Traceback", "[rank0]: Traceback"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(max_size=80))
def test_nothing_that_moves_the_cursor_survives(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in shown)
    shown.encode()


@given(st.text(max_size=80))
def test_only_what_is_kept_stays(text: str) -> None:
    assert printable(text, keep="\n").count("\n") == text.count("\n")


@given(st.text(), st.integers(1, 40))
def test_wrapping_keeps_every_word_and_the_width(text: str, cells: int) -> None:
    lines = wrap(text, cells)
    assert " ".join(lines).split() == text.split()
    assert all(width(line) <= cells or " " not in line for line in lines)


def test_wrapping_counts_cells_and_fills_lines() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("界界 界界", 8) == ["界界", "界界"]
