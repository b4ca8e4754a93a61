"""A real `nvsx serve` to measure: its own process, a real kubectl, and a simulated cluster behind an API server."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.clock import RealClock
from nvsx.sim.apiserver import ApiServer
from nvsx.sim.world import World
from tests.rehearsing import CHECKOUT
from tests.trust import senders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_S = 60.0
_HOOK = """#!/bin/sh
echo "$NVSX_TARGET_NODE $NVSX_RUN_ID" >> "$NVSX_PROJECT_ROOT/effects.log"
"""
_HEAD = f"""apiVersion: nvsx/v1
kind: Runbook
metadata: {{name: {senders.RUNBOOK}, title: GPU fell off the bus}}
trigger: {{fatal: true}}
stages:
"""
NOTING = _HEAD + "  - {id: detect, hook: hooks/note.sh}\n"
"""A runbook whose one hook notes its run in a file."""
WAITING = _HEAD + "  - {id: drain, watch: [{kind: nvsentinel-state, state: drain-succeeded}]}\n"
"""One that starts no process, and waits."""
_CONFIG = "limits: {maxWaiting: 100000}\nsources:\n"


class ServedDaemon:
    """A project whose one runbook notes each run in a file, and the daemon that serves it, killed and started again."""

    def __init__(self, folder: Path, nodes: Sequence[str], runbook: str = NOTING) -> None:
        self.port = 0
        self.root = folder / "project"
        self._log = folder / "log"
        self._kubeconfig = folder / "kubeconfig"
        self._argv = ["serve", "--project", str(self.root), "--state-dir", str(folder / "state"), "--mode", "webhook"]
        self._home = str(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._write_project(runbook)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = ApiServer(_world(nodes))
        self._do(self._server.__aenter__())
        self._server.write_kubeconfig(self._kubeconfig)

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    async def kill(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait, 10)

    async def started(self) -> Sequence[str]:
        """The node of every run, once each has also done what it is for."""
        return await asyncio.to_thread(self._started)

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self._do(self._server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def effects(self) -> list[tuple[str, str]]:
        """Node and run id of every hook that was started, in order."""
        file = self.root / "effects.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(node, run_id) for node, _, run_id in (line.partition(" ") for line in lines)]

    def _start(self) -> None:
        search = f"{Path(shutil.which('kubectl') or '/usr/bin/kubectl').parent}:/usr/local/bin:/usr/bin:/bin"
        before = self.said.count("ready:") if self._log.exists() else 0
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nvsx", *self._argv, "--port", str(self.port)],
                env={"PATH": search, "KUBECONFIG": str(self._kubeconfig), "HOME": self._home},
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        _wait(lambda: self.said.count("ready:") > before or self._ended(), "the daemon is ready")
        assert not self._ended(), self.said[-3000:]
        url = self.said.rpartition("listening at ")[2].partition("/webhook")[0]
        self.port = int(url.rpartition(":")[2])

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _started(self) -> list[str]:
        runs = self._asked("/runs?limit=9999")["runs"]
        _wait(lambda: {run["id"] for run in runs} <= {run_id for _, run_id in self.effects()}, "every run's hook ran")
        assert {run_id for _, run_id in self.effects()} == {run["id"] for run in runs}
        return [run["node"] for run in runs]

    def _asked(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _write_project(self, runbook: str) -> None:
        hooks = self.root / "runbooks/hooks"
        hooks.mkdir(parents=True)
        (hooks / "note.sh").write_text(_HOOK)
        (hooks / "note.sh").chmod(0o755)
        (self.root / f"runbooks/{senders.RUNBOOK}.yaml").write_text(runbook)
        (self.root / "secret").write_bytes(senders.SECRET)
        (self.root / "secret").chmod(0o600)
        sources = [f"  {name}: {{format: {name}, secretFiles: [secret]}}\n" for name in senders.RULES]
        (self.root / "nvsx.yaml").write_text(_CONFIG + "".join(sources))


def _world(nodes: Sequence[str]) -> World:
    world = World(RealClock())
    system = {"name": "kube-system", "uid": "cluster-1"}
    world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": system})
    for name in nodes:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}
        world.create(node | {"status": {"conditions": [ready]}})
    return world


def _wait(found: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not found():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.02)
