"""Output into lines: what is kept, what is left out and counted, and that nothing in it can do harm."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.engine.masks import Masker
from nvsx.engine.output import LIMIT, LINE_LIMIT, OutputLines

PLAIN = Masker([])


def lines_of(*chunks: bytes, masker: Masker = PLAIN, limit: int = LIMIT) -> list[str]:
    output = OutputLines(masker, limit=limit)
    return [*(line for chunk in chunks for line in output.feed(chunk)), *output.end()]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n\nx\n", ["", "", "x"]),
        (b"dos\r\nunix\n", ["dos", "unix"]),
        (b"1%\r50%\r100%\n", ["100%"]),
        (b"1%\r50%\r", ["50%"]),
        (b"gone\rstays\r\r\n", ["stays"]),
        (b"\r\n", [""]),
        (b"tab\there", ["tab\there"]),
        (b"\x1b[31mred\x1b[0m \x07\x00\x7f\n", ["\\x1b[31mred\\x1b[0m \\x07\\x00\\x7f"]),
        ("c1 \x9b31m\n".encode(), ["c1 \\x9b31m"]),
        ("a\u202eb\u2066c\u200bd\ufeff\u2028e\n".encode(), ["a\\u202eb\\u2066c\\u200bd\\ufeff\\u2028e"]),
        ("é 日本 🎉\n".encode(), ["é 日本 🎉"]),
        (b"\xff\xfe\xc3(\n", ["\ufffd\ufffd\ufffd("]),
        (b"[/path] [rank0]: {x} %s\n", ["[/path] [rank0]: {x} %s"]),
    ],
)
def test_lines(printed: bytes, lines: list[str]) -> None:
    assert lines_of(printed) == lines
    assert lines_of(*(bytes([byte]) for byte in printed)) == lines


def test_lines_come_as_soon_as_they_are_complete() -> None:
    output = OutputLines(PLAIN)
    assert [output.feed(b"a\nb"), output.feed(b"c\n"), output.end()] == [["a"], ["bc"], []]


@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(1, 200))
def test_chunks_make_no_difference(chunks: list[bytes], limit: int) -> None:
    assert lines_of(*chunks, limit=1 << 20) == lines_of(b"".join(chunks), limit=1 << 20)
    for line in lines_of(*chunks, limit=limit):
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", line)


# what is left out


def test_up_to_the_limit_nothing_is_left_out() -> None:
    printed = b"a line of some thirty characters\n" * 30_000
    assert len(printed) < LIMIT
    output = OutputLines(PLAIN)
    lines = output.feed(printed)
    lines += output.end()
    assert len(lines) == 30_000
    assert (output.omitted_bytes, output.omitted_lines) == (0, 0)


def test_head_and_tail_are_kept_and_the_gap_is_counted() -> None:
    count = 100_000
    numbered = [f"line number {number} of very many" for number in range(count)]
    printed = "".join(f"{line}\n" for line in numbered).encode()
    output = OutputLines(PLAIN)
    live = [line for at in range(0, len(printed), 5000) for line in output.feed(printed[at : at + 5000])]
    note, *tail = output.end()
    assert live == numbered[: len(live)]
    assert tail == numbered[-len(tail) :]
    assert output.omitted_lines == count - len(live) - len(tail)
    assert output.omitted_bytes == sum(len(line) + 1 for line in numbered[len(live) : -len(tail)])
    assert note == f"… {output.omitted_bytes / 1048576:.1f} MiB in {output.omitted_lines:,} lines left out here …"
    for kept in (live, tail):
        assert LIMIT // 2 <= sum(len(line) + 1 for line in kept) < LIMIT // 2 + 100


@given(st.integers(0, 3000), st.integers(1, 300), st.booleans())
def test_every_line_is_shown_or_counted(count: int, piece: int, ended: bool) -> None:
    printed = b"\n".join(b"line %d" % number for number in range(count)) + (b"\n" if ended and count else b"")
    output = OutputLines(PLAIN, limit=4000)
    lines = [line for at in range(0, len(printed), piece) for line in output.feed(printed[at : at + piece])]
    lines += output.end()
    shown = [line for line in lines if line.startswith("line ")]
    assert len(shown) + output.omitted_lines == count
    assert len(lines) - len(shown) == (1 if output.omitted_lines else 0)
    if count:
        assert (shown[0], shown[-1]) == ("line 0", f"line {count - 1}")


def test_a_long_line_is_cut_and_says_by_how_much() -> None:
    output = OutputLines(PLAIN)
    for _ in range(100):
        assert output.feed(b"x" * 100_000) == []
    assert output.feed(b"\nnext\n") == ["x" * LINE_LIMIT + f"… (+{10_000_000 - LINE_LIMIT:,} bytes)", "next"]
    assert output.end() == []
    assert output.omitted_bytes == 10_000_000 - LINE_LIMIT
    assert lines_of(b"y" * LINE_LIMIT) == ["y" * LINE_LIMIT]


def test_a_long_line_that_is_drawn_over_is_not_long() -> None:
    assert lines_of(b"x" * 100_000, b"\rshort\n") == ["short"]


def test_of_one_line_larger_than_the_tail_the_end_is_shown() -> None:
    lines = lines_of(b"head\n" * 500, *[b"x" * 5_000] * 1000, b" the end", limit=2000)
    assert lines[0] == "head"
    assert lines[-1].endswith("x the end")
    assert 1000 <= len(lines[-1]) <= LINE_LIMIT
    assert re.fullmatch(r"… 4\.8 MiB in \d+ lines left out here …", lines[-2])


def test_many_tiny_writes_cost_no_memory_each() -> None:
    output = OutputLines(PLAIN, limit=100_000)
    for _ in range(200_000):
        output.feed(b"y\n")
    assert len(output._tail._chunks) < 5


def test_empty_lines_are_not_free() -> None:
    assert len(lines_of(b"\n" * 3_000_000)) < 70_000


# expect


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
def test_expect_is_found_across_chunks(size: int) -> None:
    printed = b"a lot of text, then pod/x condit\xc3\xaaon met\n and more"
    output = OutputLines(PLAIN, ["condit\u00eaon met", "met\n and", "not there", ""])
    for at in range(0, len(printed), size):
        output.feed(printed[at : at + size])
    assert output.found == {"condit\u00eaon met", "met\n and", ""}


def test_expect_is_found_in_what_is_left_out_and_in_secrets() -> None:
    output = OutputLines(Masker(["hidden-secret"]), ["needle", "hidden-secret"], limit=1000)
    lines = output.feed(b"hay\n" * 1000) + output.feed(b"x" * 99_999 + b"need")
    lines += output.feed(b"le hidden-secret\n") + output.feed(b"hay\n" * 1_000) + output.end()
    assert output.found == {"needle", "hidden-secret"}
    assert not any("needle" in line or "secret" in line for line in lines)


@given(st.lists(st.binary(max_size=30), max_size=10), st.text(min_size=1, max_size=5))
def test_found_means_printed(chunks: list[bytes], wanted: str) -> None:
    output = OutputLines(PLAIN, [wanted], limit=50)
    for chunk in chunks:
        output.feed(chunk)
    assert (wanted in output.found) == (wanted.encode() in b"".join(chunks))


# secrets

SECRET = "a-very-secret-value"


def test_secrets_are_masked_across_chunks() -> None:
    assert lines_of(b"token=a-very-sec", b"ret-value;\n", masker=Masker([SECRET])) == ["token=***;"]


@pytest.mark.parametrize("offset", range(-25, 25))
def test_no_part_of_a_secret_shows_at_the_cut_of_a_long_line(offset: int) -> None:
    masker = Masker([SECRET])
    printed = b"x" * (LINE_LIMIT + offset) + SECRET.encode() + b"y" * 100
    line, *_ = lines_of(printed, masker=masker)
    assert "a-v" not in line
    assert "value" not in line
    many = lines_of(SECRET.encode() * 500 + b"x" * (offset + 30) + SECRET.encode() * 500, masker=masker)[0]
    assert "a-v" not in many


@pytest.mark.parametrize(
    ("limit", "count"), [(100_000, 10_000), *((2_000, count) for count in range(11_120, 11_190, 9))]
)
def test_no_part_of_a_secret_shows_at_the_beginning_of_the_tail(limit: int, count: int) -> None:
    for shift in range(25):
        printed = b"head\n" * 10_000 + b"x" * shift + SECRET.encode() * count
        pieces = [printed[at : at + 1000] for at in range(0, len(printed), 1000)]
        last = lines_of(*pieces, masker=Masker([SECRET]), limit=limit)[-1]
        assert set(last) == {"*"}
