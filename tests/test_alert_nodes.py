"""Which node an alert means: what it names, what its text mentions, and never a guess."""

from __future__ import annotations

from typing import Any

import pytest

from nvsx.alerts import Alert
from nvsx.names import alias
from nvsx.triggers.nodes import KnownNodes, resolve


def node(name: str, address: str = "", provider: str = "") -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": address}] if address else []
    return {"metadata": {"name": name}, "spec": {"providerID": provider}, "status": {"addresses": addresses}}


KNOWN = KnownNodes(
    [
        node("gpu-7", "10.0.0.7", "aws:///us-east-1a/i-07"),
        node("gpu-70", "10.0.0.70"),
        node("gpu-8.pool.example", "10.0.0.8"),
        node("twin-a", "10.0.0.9"),
        node("twin-b", "10.0.0.9"),
    ]
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("gpu-7", "gpu-7"),
        ("GPU-7", "gpu-7"),
        ("10.0.0.70", "gpu-70"),
        ("i-07", "gpu-7"),
        ("aws:///us-east-1a/i-07", "gpu-7"),
        (alias("gpu-7"), "gpu-7"),
        ("gone-node", "gone-node"),
        ("-x", ""),
        ("a b", ""),
        ("", ""),
    ],
)
def test_a_node_that_is_named(said: str, expected: str) -> None:
    assert resolve(Alert("nvsx", node=said), KNOWN).node == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("XID 79 on gpu-7 (prod-a)", "gpu-7"),
        ("XID 79 on gpu-70.", "gpu-70"),
        ("prod-a/gpu-7", "gpu-7"),
        ("gpu-8.pool.example: down", "gpu-8.pool.example"),
        ("node=10.0.0.7:9400", "gpu-7"),
        ("gpu-71 is bad", ""),
        ("xgpu-7", ""),
        ("gpu-7 and gpu-70 are bad", ""),
        ("10.0.0.9", ""),
    ],
)
def test_a_node_that_is_mentioned_as_a_whole_word(text: str, expected: str) -> None:
    assert resolve(Alert("pagerduty", mentions=(text,)), KNOWN).node == expected


def test_the_reason_is_said() -> None:
    assert "2 nodes: gpu-7, gpu-70" in resolve(Alert("x", mentions=("gpu-7", "gpu-70")), KNOWN).how
    assert "no such node" in resolve(Alert("x", node="gone-node"), KNOWN).how
    assert "cannot be a node's name" in resolve(Alert("x", node="$(reboot)"), KNOWN).how
    assert "names no node" in resolve(Alert("x"), KNOWN).how


def test_a_field_that_this_cluster_does_not_know_yields_to_a_mention_that_it_does() -> None:
    assert resolve(Alert("x", node="dcgm-exporter-abc", mentions=("10.0.0.7",)), KNOWN).node == "gpu-7"


def test_while_the_cluster_cannot_be_asked_a_field_counts_and_a_text_does_not() -> None:
    assert resolve(Alert("x", node="gpu-7"), None).node == "gpu-7"
    assert resolve(Alert("x", mentions=("gpu-7",)), None).node == ""
