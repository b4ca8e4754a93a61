"""A place for real daemons: real processes, a real kubectl, and a simulated cluster behind an API server on loopback.

Hooks write one line each into `effects.log`, the truth of what was done, whoever was killed meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvsx.clock import RealClock
from nvsx.sim.apiserver import ApiServer
from tests.daemon_story import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
PATIENCE_S = 40.0

HOOK = """#!/usr/bin/env bash
set -euo pipefail
echo "begin $NVSX_RUNBOOK $NVSX_STAGE $NVSX_TARGET_NODE $NVSX_RUN_ID" >> "$NVSX_PROJECT_ROOT/effects.log"
while [ -e "$NVSX_PROJECT_ROOT/hold" ]; do sleep 0.05; done
echo "end $NVSX_RUNBOOK $NVSX_STAGE $NVSX_TARGET_NODE $NVSX_RUN_ID" >> "$NVSX_PROJECT_ROOT/effects.log"
"""
XID = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: xid, title: Xid}
trigger: {checkNames: [SysLogsXIDError]}
stages:
  - {id: detect, hook: hooks/note.sh}
  - {id: drain, timeout: 24h, watch: [{kind: nvsentinel-state, state: drain-succeeded}], hook: hooks/note.sh}
  - {id: postmortem, hook: hooks/note.sh}
"""


def wait_for(found: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """What `found` gives as soon as it gives something; fails with `what` after a while."""
    give_up = time.monotonic() + patience_s
    while not (answer := found()):
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.02)
    return answer


class Site:
    """A project, a state directory, and a cluster whose World lives in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "project"
        self.state = directory / "state"
        hooks = self.root / "runbooks/hooks"
        hooks.mkdir(parents=True)
        (hooks / "note.sh").write_text(HOOK)
        (hooks / "note.sh").chmod(0o755)
        (self.root / "runbooks/xid.yaml").write_text(XID)
        self.state.mkdir()
        self.kubeconfig = directory / "kubeconfig"
        path = f"{Path(shutil.which('kubectl') or '/usr/bin/kubectl').parent}:/usr/local/bin:/usr/bin:/bin"
        self.environment = {"PATH": path, "KUBECONFIG": str(self.kubeconfig), "HOME": str(directory)}
        self.program = [sys.executable, "-m", "nvsx"]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Site:
        self._thread.start()
        self.place = Place(self.directory / "place", {}, clock=RealClock())  # type: ignore[arg-type]
        self.server = ApiServer(self.place.world)
        self.do(self.server.__aenter__)
        self.server.write_kubeconfig(self.kubeconfig)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
        self.do(lambda: self.server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, change: Callable[[], Any]) -> Any:
        """Call something in the World's own loop, and wait for it."""

        async def call() -> Any:
            answer = change()
            return await answer if asyncio.iscoroutine(answer) else answer

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    # nvsx

    def argv(self, *words: str) -> list[str]:
        return [*self.program, "serve", "--project", str(self.root), "--state-dir", str(self.state), *words]

    def start(self, *words: str, log: str = "log") -> subprocess.Popen[bytes]:
        """`nvsx serve` in the background; what it says goes to `log`."""
        with (self.directory / log).open("ab") as out:
            process = subprocess.Popen(
                self.argv(*words), env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                cwd=self.directory if self.program[0] != sys.executable else CHECKOUT,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def poll(self, *words: str, log: str = "log") -> subprocess.Popen[bytes]:
        """A daemon that reads the nodes, ready."""
        before = self.said(log).count("ready:")
        process = self.start("--mode", "poll", "--events", "nodes", *words, log=log)
        wait_for(lambda: process.poll() is not None or self.said(log).count("ready:") > before, "ready")
        assert process.poll() is None, self.said(log)
        return process

    def run(self, *words: str, patience_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words), env=self.environment, capture_output=True, text=True, timeout=patience_s, cwd=CHECKOUT,
            check=False,
        )  # fmt: skip

    def said(self, log: str = "log") -> str:
        file = self.directory / log
        return file.read_text("utf-8", "replace") if file.exists() else ""

    # What was done

    @property
    def effects(self) -> list[str]:
        """`begin RUNBOOK STAGE NODE` and `end …`, in order."""
        file = self.root / "effects.log"
        return [line.rpartition(" ")[0] for line in file.read_text().splitlines()] if file.exists() else []

    def hold(self) -> None:
        """Hooks that begin from now on do not end by themselves."""
        (self.root / "hold").touch()

    def let_go(self) -> None:
        (self.root / "hold").unlink(missing_ok=True)

    def after(self, line: str, count: int = 1) -> None:
        wait_for(lambda: self.effects.count(line) >= count, f"{count} times {line!r} in {self.effects}\n{self.said()}")


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(PATIENCE_S)


def descendants(pid: int) -> Iterator[int]:
    """The processes below one, as /proc has it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                yield int(entry.name)
                yield from descendants(int(entry.name))


def alive(pid: int) -> bool:
    """Whether a process does anything: one that has ended may wait to be reaped, by this very process perhaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pause(process: subprocess.Popen[bytes], ledger: Path) -> None:
    """Stop a process where it stands, but not in the middle of a commit: that is another story."""

    def paused() -> bool:
        os.kill(process.pid, signal.SIGSTOP)
        connection = sqlite3.connect(ledger, timeout=0.2, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.kill(process.pid, signal.SIGCONT)
            return False
        finally:
            connection.close()
        return True

    wait_for(paused, "it is paused outside a commit")
