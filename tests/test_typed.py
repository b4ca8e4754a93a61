"""Lines typed into the shell: words, the runbook in use, and what is offered at their end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.commands import COMMANDS
from nvsx.errors import UsageError
from nvsx.shapes import global_flags, read_shapes
from nvsx.shells import Shape
from nvsx.topics import TOPICS
from nvsx.typed import Things, offers, with_runbook, words_of

SHAPES = read_shapes(COMMANDS, TOPICS)
COMMON = global_flags()
THINGS = Things({"gpu-off-bus": "rogue-moose", "storm": "loud-heron"}, {"gpu-node-1": "brave-gazelle"})
OWN = {"use": ("<runbooks>", "put in use"), "quit": ("", "leave")}


def offered(line: str) -> set[str]:
    return {offer.word for offer in offers(line, SHAPES, COMMON, THINGS, OWN)}


def filled(line: str, runbook: str = "storm") -> list[str]:
    words = line.split()
    return with_runbook(words, SHAPES[words[0]], COMMON, runbook)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run 'a b'", ["run", "a b"]),
        ('show "#rogue-moose"', ["show", "#rogue-moose"]),
        (r"run a\ b", ["run", "a b"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize("line", ["list 'a", 'list "', "list a\\"])
def test_an_open_quote_is_an_error_with_a_next_step(line: str) -> None:
    with pytest.raises(UsageError, match="not closed") as caught:
        words_of(line)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run", "run storm"),
        ("run --target-node gpu-node-1", "run storm --target-node gpu-node-1"),  # v0.2 took the node for the runbook
        ("run --target-node=gpu-node-1 --dry-run", "run storm --target-node=gpu-node-1 --dry-run"),
        ("run --context prod -v", "run storm --context prod -v"),
        ("run gpu-off-bus --dry-run", "run gpu-off-bus --dry-run"),
        ("run --dry-run gpu-off-bus", "run --dry-run gpu-off-bus"),
        ("run -- gpu-off-bus", "run -- gpu-off-bus"),
        ("run --help", "run --help"),
        ("show", "show storm"),
        ("drill --speed 3", "drill storm --speed 3"),
        ("lint", "lint storm"),
        ("list", "list"),
        ("status --output json", "status --output json"),
    ],
)
def test_the_runbook_in_use_stands_where_none_is_named(line: str, words: str) -> None:
    assert filled(line) == words.split()


def test_without_a_runbook_in_use_a_line_stays_as_it_is() -> None:
    assert filled("run --dry-run", "") == ["run", "--dry-run"]


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("", {"run", "list", "use", "quit"}, {"gpu-off-bus", "--context"}),
        ("li", {"list", "lint"}, {"run"}),
        ("use ", {"gpu-off-bus", "rogue-moose"}, {"run"}),
        ("use rog", {"rogue-moose"}, {"gpu-off-bus"}),
        ("quit ", set(), {"gpu-off-bus"}),
        ("run ", {"gpu-off-bus", "loud-heron"}, {"--target-node"}),
        ("run --t", {"--target-node"}, {"--dry-run"}),
        ("run gpu-off-bus --target-node ", {"gpu-node-1", "brave-gazelle"}, {"gpu-off-bus"}),
        ("run gpu-off-bus --target-node bra", {"brave-gazelle"}, {"gpu-node-1"}),
        ("demo --output ", {"deck", "jsonl"}, {"gpu-off-bus"}),
        ("status --output=", set(), {"json"}),
        ("list --col", {"--color"}, set()),
        ("list --color ", {"never"}, set()),
        ("completion ", {"bash", "zsh", "fish"}, set()),
        ("help ", {"hooks", "run"}, set()),
        ("nonsense ", set(), {"run"}),
    ],
)
def test_offers(line: str, some: set[str], none: set[str]) -> None:
    words = offered(line)
    assert some <= words
    assert not none & words


def test_paths_are_offered_by_kind() -> None:
    kinds = [offer.kind for offer in offers("explain ", SHAPES, COMMON, THINGS, OWN)]
    assert "files" in kinds


PIECES = st.sampled_from([*"abr-=' \"\\un", "\t", "run ", "--output ", "list ", "show ", "storm "])


@given(st.lists(PIECES, max_size=20).map("".join))
def test_any_line_gets_offers_that_continue_it_or_one_error(line: str) -> None:
    last = line.split()[-1] if line.split() and not line[-1].isspace() else ""
    for offer in offers(line, SHAPES, COMMON, THINGS, OWN):
        assert offer.kind or offer.word.startswith(last)
    try:
        words = words_of(line)
    except UsageError:
        return
    shape = SHAPES.get(words[0]) if words else None
    if shape:
        done = with_runbook(words, shape, COMMON, "storm")
        assert with_runbook(done, shape, COMMON, "storm") == done
        assert [word for word in done if word != "storm"] == [word for word in words if word != "storm"]


def test_a_command_that_takes_something_else_gets_no_runbook() -> None:
    shape = Shape("", (), ("<files>",))
    assert with_runbook(["explain"], shape, COMMON, "storm") == ["explain"]
