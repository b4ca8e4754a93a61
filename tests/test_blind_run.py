"""Sight of the cluster is lost in the middle of a run: the whole program, a real kubectl, and a server that refuses.

What happened meanwhile must not be guessed, and what is there when sight comes back must be found.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.sim.faults import fault
from tests.daemon_site import CHECKOUT, Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvsx.sim.faults import Fault

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")

RUNBOOK = """apiVersion: nvsx/v1
kind: Runbook
metadata: {{name: xid, title: Xid}}
trigger: {{checkNames: [SysLogsXIDError]}}
hooks: {{onBlind: hooks/note.sh}}
stages:
  - {{id: detect, hook: hooks/note.sh}}
  - {{id: drain, timeout: {timeout}, watch: [{{kind: nvsentinel-state, state: drain-succeeded}}], hook: hooks/note.sh}}
"""


@contextmanager
def running(site: Site, timeout: str) -> Iterator[subprocess.Popen[bytes]]:
    """`nvsx run` that has come to its drain."""
    (site.root / "runbooks/xid.yaml").write_text(RUNBOOK.format(timeout=timeout))
    words = ["--project", str(site.root), "--state-dir", str(site.state), "--target-node", "gpu-1", "--output", "jsonl"]
    with (site.directory / "run").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "nvsx", "run", "xid", *words], env=site.environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, cwd=CHECKOUT,
        )  # fmt: skip
    try:
        wait_for(lambda: watched(site), "it watches the drain")
        yield process
    finally:
        process.kill()
        process.wait(10)


def events(site: Site, *kinds: str) -> list[dict[str, Any]]:
    lines = site.said("run").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [event for event in found if event["event"] in kinds]


def watched(site: Site) -> list[str]:
    """The states of the drain's clause so far."""
    return [event["state"] for event in events(site, "watch") if event["stage"] == "drain"]


def lose_sight(site: Site, kind: str) -> Fault:
    def begin() -> Fault:
        begun = fault(site.place.world, {"kind": kind}, 0.0)
        begun.begin()
        site.place.world.cut(lambda _: True, lambda _: None)
        return begun

    found: Fault = site.do(begin)
    return found


@pytest.mark.parametrize("kind", ["unreachable", "forbidden", "garbled"])
def test_what_happens_unseen_is_found_when_sight_comes_back(tmp_path: Path, kind: str) -> None:
    with Site(tmp_path) as site:
        site.do(lambda: site.place.node("gpu-1"))
        site.do(lambda: site.place.break_node("gpu-1"))
        with running(site, "24h") as process:
            lost = lose_sight(site, kind)
            wait_for(lambda: watched(site)[-1] == "blind", f"it says that it is blind\n{site.said('run')}")
            site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))
            assert watched(site)[-1] == "blind"
            assert process.poll() is None
            site.do(lost.end)
            assert process.wait(40) == 0, site.said("run")
        assert watched(site)[-1] == "met"
        assert [end["status"] for end in events(site, "stage_end")][-1] == "pass"
        assert "begin xid drain gpu-1" in "\n".join(site.effects)


def test_a_stage_whose_time_is_up_while_nobody_can_look_is_blind_and_not_failed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.do(lambda: site.place.node("gpu-1"))
        site.do(lambda: site.place.break_node("gpu-1"))
        with running(site, "4s") as process:
            lose_sight(site, "unauthorized")
            site.do(lambda: site.place.state("gpu-1", "drain-succeeded"))  # nobody sees it
            assert process.wait(40) == 3, site.said("run")
        (end,) = [end for end in events(site, "stage_end") if end["stage"] == "drain"]
        assert end["status"] == "blind"
        assert "must be logged in" in end["reason"]
        (finish,) = events(site, "finish")
        assert finish["status"] == "blind"
        assert finish["verdict"].startswith("BLIND at drain")
        assert [line for line in site.effects if " drain " in line and line.startswith("begin")], "people are called"
