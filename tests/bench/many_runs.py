"""A thousand runs in one daemon: a real process and a real kubectl, on a simulated cluster behind its API server."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nvsx.ledger import Ledger
from tests.bench.processes import memory_mb, processor_s
from tests.daemon_site import Site, descendants, stop, wait_for

if TYPE_CHECKING:
    from nvsx.ledger import Reader

RUNS = 1000
IDLE_S = 10.0
PATIENCE_S = 600.0
WAITING = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: xid, title: Xid}
trigger: {checkNames: [SysLogsXIDError]}
stages:
  - {id: detect, hook: hooks/quick.sh}
  - {id: drain, timeout: 24h, watch: [{kind: nvsentinel-state, state: drain-succeeded}]}
"""


def measure(count: int = RUNS) -> dict[str, object]:
    """Memory and processor time of nvsx alone (its kubectl processes apart), and how late the last watch was met."""
    if not shutil.which("kubectl"):
        return {"skipped": "kubectl is not installed"}
    with tempfile.TemporaryDirectory() as directory, Site(Path(directory)) as site:
        (site.root / "runbooks/hooks/quick.sh").write_text("#!/bin/sh\nexit 0\n")
        (site.root / "runbooks/hooks/quick.sh").chmod(0o755)
        (site.root / "runbooks/xid.yaml").write_text(WAITING)
        nodes = [f"gpu-{number:04}" for number in range(count)]
        site.do(lambda: site.place.node(*nodes))
        daemon = site.poll()
        began = time.monotonic()
        site.do(lambda: [site.place.break_node(node) for node in nodes])
        reader = Ledger.reader(site.state)
        assert reader is not None
        wait_for(lambda: _count(reader, "began") == count, f"{count} runs wait\n{site.said()[-2000:]}", PATIENCE_S)
        started_s = time.monotonic() - began
        time.sleep(2)
        spent, at = processor_s(daemon.pid), time.monotonic()
        kubectls = len([pid for pid in descendants(daemon.pid) if _name(pid) == "kubectl"])
        time.sleep(IDLE_S)
        cores = (processor_s(daemon.pid) - spent) / (time.monotonic() - at)
        site.do(lambda: [site.place.state(node, "drain-succeeded") for node in nodes])
        changed = time.time()
        wait_for(lambda: _count(reader, "ended") == count, "all watches are met", PATIENCE_S)
        last = reader.ask("SELECT max(decided) FROM stages WHERE stage = 'drain'")[0][0]
        wait_for(lambda: not reader.ask("SELECT 1 FROM runs WHERE ended = 0 LIMIT 1"), "all runs end", PATIENCE_S)
        peak = memory_mb(daemon.pid)
        assert stop(daemon) == 0
        return {
            "runs": count,
            "started_s": round(started_s, 1),
            "peak_memory_mb": round(peak, 1),
            "cores_while_waiting": round(cores, 3),
            "kubectl_processes": kubectls,
            "last_watch_met_s": round(last - changed, 2),
        }


def _count(reader: Reader, column: str) -> int:
    return int(reader.ask(f"SELECT count(*) FROM stages WHERE stage = 'drain' AND {column} != 0")[0][0])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
