"""Which node a manual run is about: named, evident, picked, or refused with the list."""

from __future__ import annotations

import asyncio

import pytest

from nvsx.app.target import Target, settle_target
from nvsx.clock import RealClock
from nvsx.errors import NvsxError, UsageError
from nvsx.names import alias
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.world import World

FAULT = {
    "type": "GpuAllWatch",
    "status": "True",
    "reason": "GpuAllWatchIsNotHealthy",
    "lastTransitionTime": "2026-08-21T10:00:07Z",
}


def settle(
    wanted: str = "", *, quarantined: tuple[str, ...] = (), faulty: tuple[str, ...] = (), ask: object = None
) -> Target:
    world = World(RealClock())
    for name in ("gpu-1", "gpu-2", "gpu-3", "cpu-1"):
        labels = {"nvidia.com/gpu.present": "true"} if name.startswith("gpu") else {}
        if name in quarantined:
            labels["dgxc.nvidia.com/nvsentinel-state"] = "draining"
        status = {"conditions": [FAULT] if name in faulty else []}
        world.create(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}
        )
    return asyncio.run(settle_target(SimulatedCluster(world), wanted, ask=ask))  # type: ignore[arg-type]


def test_the_one_node_in_trouble_is_meant() -> None:
    assert settle(quarantined=("gpu-2",)).name == "gpu-2"
    found = settle(faulty=("gpu-3",))
    assert (found.name, found.alias, found.fault_time) == ("gpu-3", alias("gpu-3"), 1_787_306_407.0)
    assert "GpuAllWatch=True" in found.why


@pytest.mark.parametrize("wanted", ["gpu-1", alias("gpu-1")])
def test_a_node_is_named_by_name_or_alias(wanted: str) -> None:
    assert settle(wanted, quarantined=("gpu-2",)).name == "gpu-1"


def test_a_typo_is_refused_with_a_suggestion() -> None:
    with pytest.raises(NvsxError) as refused:
        settle("gpu-11")
    assert "gpu-1" in refused.value.hint


@pytest.mark.parametrize(
    ("facts", "said", "listed"),
    [
        ({}, "no node is in quarantine", ("gpu-1", "gpu-2", "gpu-3")),
        ({"quarantined": ("gpu-1",), "faulty": ("gpu-3",)}, "2 nodes are in trouble", ("gpu-1", "gpu-3")),
    ],
)
def test_without_an_answer_the_run_is_refused_with_the_list(facts: dict, said: str, listed: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        settle(**facts)
    assert said in refused.value.message
    assert all(f"{alias(name)}  {name}" in refused.value.message for name in listed)
    assert "cpu-1" not in refused.value.message
    assert "--target-node" in refused.value.hint


def test_on_a_terminal_the_user_picks() -> None:
    shown: list[str] = []

    def ask(lines: list[str]) -> str:
        shown.extend(lines)
        return alias("gpu-3")

    assert settle(quarantined=("gpu-1", "gpu-3"), ask=ask).name == "gpu-3"
    assert len(shown) == 2
