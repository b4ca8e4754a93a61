"""A machine is replaced under way: its node vanishes, and a sound one joins under another name or under the same one.

Through the real kubectl. A run must never take the new machine for the old one that has recovered.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.ledger import Ledger
from tests.daemon_site import CHECKOUT, Site, stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")

RUNBOOK = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: xid, title: Xid}
trigger: {checkNames: [SysLogsXIDError]}
stages:
  - {id: detect, hook: hooks/note.sh}
  - {id: drain, timeout: 24h, watch: [{kind: nvsentinel-state, state: drain-succeeded}]}
  - {id: recover, timeout: 1h, watch: [{kind: node-condition, type: Ready}], hook: hooks/note.sh}
  - {id: postmortem, hook: hooks/note.sh}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as made:
        (made.root / "runbooks/xid.yaml").write_text(RUNBOOK)
        made.do(lambda: made.place.node("gpu-1", "gpu-2"))
        yield made


def replace(site: Site, name: str, by: str) -> None:
    """One node goes and another comes before anybody can look."""

    def change() -> None:
        world = site.place.world
        world.delete(world.resources.named("nodes"), name)
        site.place.node(by)

    site.do(change)


def drained(site: Site, name: str) -> None:
    site.do(lambda: site.place.state(name, "drain-succeeded"))
    wait_for(lambda: "waiting for node released" in site.said("run") + site.said(), "it waits for the recovery")


def verdicts(site: Site) -> list[tuple[Any, ...]]:
    reader = Ledger.reader(site.state)
    assert reader is not None
    found = reader.ask("SELECT node, status FROM runs ORDER BY created")
    reader.close()
    return found


@pytest.mark.parametrize("by", ["gpu-9", "gpu-1"])
def test_a_run_by_hand_fails_when_its_node_is_replaced(site: Site, by: str) -> None:
    site.do(lambda: site.place.break_node("gpu-1"))
    words = ["--project", str(site.root), "--state-dir", str(site.state), "--target-node", "gpu-1", "--output", "text"]
    with (site.directory / "run").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "nvsx", "run", "xid", *words], env=site.environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, cwd=CHECKOUT,
        )  # fmt: skip
    try:
        drained(site, "gpu-1")
        replace(site, "gpu-1", by)
        assert process.wait(30) == 1
    finally:
        process.kill()
        process.wait(10)
    said = site.said("run")
    assert "node gpu-1 was deleted" in said
    # With the same name the end is told with the new one's coming, unless it was heard of that much earlier.
    assert by == "gpu-1" or "a new one" not in said
    assert "FAILED at recover" in said
    assert site.effects.count("begin xid recover gpu-1") == 0, "hooks of success are for success"
    assert site.effects[-1] == "end xid postmortem gpu-1"


@pytest.mark.parametrize("by", ["gpu-9", "gpu-1"])
def test_a_node_that_is_replaced_while_nobody_looks_has_not_recovered(site: Site, by: str) -> None:
    """The daemon is killed, and finds another machine when it goes on; that one's own fault is another incident."""
    daemon = site.poll()
    site.do(lambda: site.place.break_node("gpu-1"))
    site.after("end xid detect gpu-1")
    drained(site, "gpu-1")
    assert stop(daemon, signal.SIGKILL) == -signal.SIGKILL
    replace(site, "gpu-1", by)
    daemon = site.poll()
    site.after("end xid postmortem gpu-1")
    wait_for(lambda: verdicts(site) == [("gpu-1", "fail")], "it has failed")
    site.do(lambda: site.place.break_node(by))
    site.after(f"begin xid detect {by}", 2 if by == "gpu-1" else 1)
    site.do(lambda: site.place.state(by, "drain-succeeded"))
    site.do(lambda: site.place.release(by))
    site.after(f"end xid recover {by}")
    wait_for(lambda: verdicts(site) == [("gpu-1", "fail"), (by, "pass")], "the new machine's own run")
    assert stop(daemon) == 0
