"""The flagship, from the fault to the recovery, on a cluster in which a scenario's steps are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.test_real_run import check_calls, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.kube import KubeServer


def test_the_flagship(clusters: Callable[[str, Path, float], KubeServer], pyz: Path, tmp_path: Path) -> None:
    with clusters("xid-79", tmp_path, 20.0) as kube:
        kube.play()
        ran = run(pyz, tmp_path, kube, "gpu-off-bus", "--target-node", kube.director.node, "--no-dwell")
    assert ran.code == 0, ran.text
    assert {event["status"] for event in ran.events if event["event"] == "stage_end"} == {"pass"}
    assert ran.events[-1]["nvsx_cluster_writes"] == 0
    check_calls(ran.calls)
