from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvsx.envfile import parse_env
from nvsx.errors import DocumentInvalid

FILE = """\
# secrets of the on-call team

PLAIN=value
export EXPORTED=yes   # a comment
  INDENTED=1
EMPTY=
SINGLE='two words # no comment $HOME \\n'
DOUBLE="say \\"hi\\" \\$5 \\\\ \\n"
MIXED=a'b c'"d e"f
ESCAPED=a\\ b
HASH=a#b
URL=https://hooks.slack.com/services/T0/B0?x=1
LINES='one
two'
JOINED="one\\
two"
TWO=1 TOO=2
"""

VALUES = {
    "PLAIN": "value",
    "EXPORTED": "yes",
    "INDENTED": "1",
    "EMPTY": "",
    "SINGLE": "two words # no comment $HOME \\n",
    "DOUBLE": 'say "hi" $5 \\ \\n',
    "MIXED": "ab cd ef",
    "ESCAPED": "a b",
    "HASH": "a#b",
    "URL": "https://hooks.slack.com/services/T0/B0?x=1",
    "LINES": "one\ntwo",
    "JOINED": "onetwo",
    "TWO": "1",
    "TOO": "2",
}


def test_values_are_read_as_bash_would() -> None:
    assert parse_env(FILE, "nvsx.env") == VALUES


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    assert parse_env("\ufeffA=1\r\nB='x'\r\n", "f") == {"A": "1", "B": "x"}


def test_nothing_is_expanded() -> None:
    assert parse_env("A=$HOME\nB=pa$$word\nC=~", "f") == {"A": "$HOME", "B": "pa$$word", "C": "~"}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("A=1\nB = 2\n", "f:2:1", "KEY=value"),
        ("A=two words\n", "f:1:7", "KEY=value"),
        ("1A=x\n", "f:1:1", "KEY=value"),
        ("A=1\n\nB='open\n", "f:3:3", "never closed"),
        ('A="open', "f:1:3", "never closed"),
        ("A=$(id)", "f:1:4", "needs quotes"),
        ("A=`id`", "f:1:3", "needs quotes"),
        ("A=1; rm -rf /", "f:1:4", "needs quotes"),
        ("A=x\0y", "f:1:4", "NUL"),
        ("just text\n", "f:1:1", "KEY=value"),
    ],
)
def test_what_is_no_assignment_is_shown_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_env(text, "f")
    (problem,) = caught.value.problems
    assert (str(problem.place), words in problem.message) == (place, True)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_env(text, "f")
    except DocumentInvalid:
        return
    assert all(name.isidentifier() for name in found)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is absent")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab \t#=\\'\"\n/é", max_size=12), min_size=1, max_size=3))
def test_bash_reads_the_same_values(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    text = "".join(f"V{number}={value}\n" for number, value in enumerate(values))
    try:
        found = parse_env(text, "f")
    except DocumentInvalid:
        return
    file = tmp_path_factory.mktemp("env") / "f"
    file.write_text(text, "utf-8")
    wanted = "".join(f'printf "%s\\0" "$V{number}"; ' for number in range(len(values)))
    shown = subprocess.run(["bash", "-c", f". {file}; {wanted}"], capture_output=True, check=True).stdout.decode()
    assert shown.split("\0")[:-1] == [found.get(f"V{number}", "") for number in range(len(values))]
