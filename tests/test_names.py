from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.errors import NotFoundHere, UsageError
from nvsx.names import (
    alias,
    alias_among,
    aliases,
    check_context,
    check_namespace,
    check_node_name,
    check_slug,
    is_node_name,
    is_slug,
    resolve_node,
)
from nvsx.words import ADJECTIVES, ANIMALS

NODES = [f"gpu-node-{number:03}" for number in range(200)]


def twins() -> tuple[str, str]:
    seen: dict[str, str] = {}
    for number in range(10_000):
        node = f"n{number}"
        other = seen.setdefault(alias(node), node)
        if other != node:
            return other, node
    raise AssertionError("no two of 10,000 nodes share one of 4,096 aliases")


def test_there_are_4096_aliases_of_plain_words() -> None:
    assert len(ADJECTIVES) == len(set(ADJECTIVES)) == len(ANIMALS) == len(set(ANIMALS)) == 64
    assert not set(ADJECTIVES) & set(ANIMALS)
    assert all(re.fullmatch("[a-z]{3,9}", word) for word in ADJECTIVES + ANIMALS)
    assert {"brave", "rogue", "sleepy", "nimble"} <= set(ADJECTIVES)
    assert {"gazelle", "moose", "panda", "orca"} <= set(ANIMALS)


def test_no_two_words_of_a_kind_sound_alike() -> None:
    for words in (ADJECTIVES, ANIMALS):
        starts = Counter(word[:4] for word in words if len(word) > 4)
        assert [start for start, count in starts.items() if count > 1] == []


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("gke-nav-gpu-cluster-t4-pool-8ksx", "brave-gazelle"),
        ("gpu-node-014", "clever-fox"),
        ("", ""),
    ],
)
def test_an_alias_never_changes(node: str, name: str) -> None:
    assert alias(node) == name


def test_every_alias_is_used_about_equally() -> None:
    counts = Counter(alias(f"node-{number}") for number in range(40_960))
    assert len(counts) > 4_000
    assert max(counts.values()) < 40


def test_nodes_that_share_an_alias_get_more_of_the_hash() -> None:
    one, other = twins()
    nodes = [one, other, "alone"]
    assert alias_among("alone", nodes) == alias("alone")
    first, second = alias_among(one, nodes), alias_among(other, nodes)
    assert first != second
    assert re.fullmatch(rf"{alias(one)}-[0-9a-f]{{2}}", first)


def test_a_whole_fleet_has_distinct_aliases() -> None:
    nodes = [f"n{number}" for number in range(800)]
    assert len(set(aliases(nodes).values())) == len(nodes)
    assert {node: alias_among(node, nodes) for node in nodes[:9]} == {node: aliases(nodes)[node] for node in nodes[:9]}


def test_raw_names_and_aliases_lead_to_the_node() -> None:
    for node in NODES[:20]:
        assert resolve_node(node, NODES) == node
        assert resolve_node(alias_among(node, NODES).upper(), NODES) == node


def test_a_bare_alias_of_two_nodes_is_refused_with_both() -> None:
    one, other = twins()
    with pytest.raises(NotFoundHere) as caught:
        resolve_node(alias(one), [one, other])
    assert f"{alias_among(one, [one, other])} ({one})" in caught.value.message
    assert f"({other})" in caught.value.message


def test_a_typo_is_answered_with_what_was_meant() -> None:
    with pytest.raises(NotFoundHere) as caught:
        resolve_node("gpu-nodes-104", NODES)
    assert "gpu-node-104" in caught.value.hint


def test_a_node_named_like_an_alias_wins_over_the_alias() -> None:
    node = "somewhere"
    assert resolve_node(alias(node), [node, alias(node)]) == alias(node)


@pytest.mark.parametrize(
    ("text", "node", "slug"),
    [
        ("gpu-off-bus", True, True),
        ("ip-10-0-0-1.ec2.internal", True, False),
        ("a", True, True),
        ("", False, False),
        ("-a", False, False),
        ("--server=http://127.0.0.1:9", False, False),
        ("a-", False, False),
        ("A", False, False),
        ("../../evil/x", False, False),
        ("a/b", False, False),
        ("..", False, False),
        ("a b", False, False),
        ("a\n", False, False),
        ("ä", False, False),
        ("x" * 63, True, True),
        ("x" * 64, False, False),
        (".".join(["x" * 50] * 6), False, False),
    ],
)
def test_grammars(text: str, node: bool, slug: bool) -> None:
    assert (is_node_name(text), is_slug(text)) == (node, slug)


@pytest.mark.parametrize("check", [check_node_name, check_slug, check_namespace, check_context])
@pytest.mark.parametrize("text", ["", "-x", "--server=evil", "a b", "a\nb", "$(id)", "x" * 300])
def test_what_could_become_an_option_or_a_command_is_refused(check: object, text: str) -> None:
    with pytest.raises(UsageError):
        check(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    "context", ["gke_nav_us-west1_nav", "arn:aws:eks:eu-west-1:123:cluster/x", "admin@prod", "kind-kind"]
)
def test_contexts_of_all_providers_are_taken(context: str) -> None:
    assert check_context(context) == context


@given(st.text(max_size=300))
def test_a_checked_node_name_is_never_an_option_nor_a_path(text: str) -> None:
    if is_node_name(text):
        assert not text.startswith("-")
        assert "/" not in text
        assert ".." not in text
        assert text.isascii()


@given(st.text(max_size=40))
def test_any_text_has_an_alias_or_is_nobody(node: str) -> None:
    assert bool(node) == bool(re.fullmatch(r"[a-z]+-[a-z]+", alias(node)))
