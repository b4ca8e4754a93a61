"""The deck in a real terminal: taken, painted, given back on every way out, and left for text when asked."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pexpect
import pyte
import pytest

from nvsx.clock import SimulatedClock
from nvsx.sinks.ansi import ENTER, LEAVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Terminal:
    """A demo in a terminal of its own, and the screen that it shows."""

    def __init__(self, home: Path, size: tuple[int, int], speed: int, *, shell: bool, **variables: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = [sys.executable, "-m", "nvsx", "demo", "--seed", "7", "--speed", str(speed)]
        if shell:  # with job control, as people have it
            line = f"{shlex.join(command)}\n"
            command = ["bash", "--norc", "-i"]
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            env=environment | variables,
            dimensions=(size[1], size[0]),
            timeout=60,
        )
        if shell:
            self.child.send(line)
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.data = b""

    def read_until(self, wanted: str | bytes) -> None:
        """Read until the bytes, or the screen, have what is wanted."""
        while not self.has(wanted):
            self._feed(self.child.read_nonblocking(65536, timeout=30))

    def has(self, wanted: str | bytes) -> bool:
        return wanted in self.data if isinstance(wanted, bytes) else any(wanted in line for line in self.screen.display)

    def finish(self) -> int:
        """Read to the end; the exit code."""
        try:
            while True:
                self._feed(self.child.read_nonblocking(65536, timeout=30))
        except pexpect.EOF:
            pass
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus)

    def is_restored(self) -> bool:
        """Every time the terminal was taken it was given back, and it echoes again."""
        taken, given = self.data.count(ENTER), self.data.count(LEAVE)
        return taken == given and self.data.rfind(LEAVE) > self.data.rfind(ENTER)

    def afterwards(self) -> str:
        """What stands on the terminal after the deck, without colours."""
        return re.sub("\x1b\\[[0-9;]*m", "", self.data.rpartition(LEAVE)[2].decode())

    def _feed(self, data: bytes) -> None:
        self.data += data
        self.stream.feed(data)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start(size: tuple[int, int], speed: int, *, shell: bool = False, **variables: str) -> Terminal:
        terminals.append(Terminal(tmp_path, size, speed, shell=shell, **variables))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.child.close(force=True)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_a_run_ends_with_its_verdict_and_leaves_a_summary(
    spawn: Callable[..., Terminal], size: tuple[int, int]
) -> None:
    terminal = spawn(size, 500)
    terminal.read_until("PASSED  total")
    terminal.child.send("x")  # any key ends the last frame
    assert terminal.finish() == 0
    assert terminal.is_restored()
    after = terminal.afterwards()
    assert "gpu-off-bus · PASSED" in after
    assert "postmortem" in after


def test_q_leaves_the_view_and_the_run_goes_on_as_text(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((100, 30), 60)
    terminal.read_until("recover")
    terminal.child.send("q")
    assert terminal.finish() == 0
    assert terminal.is_restored()
    after = terminal.afterwards()
    assert "▶" in after
    assert "PASSED" in after


def test_a_stopped_run_gives_the_terminal_back(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((80, 24), 5)
    terminal.read_until("◆ detect")
    terminal.child.kill(signal.SIGTERM)
    terminal.read_until("INTERRUPTED")
    terminal.child.send("x")
    assert terminal.finish() == 143
    assert terminal.is_restored()


def test_ctrl_c_stops_the_run_though_keys_are_read_one_by_one(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((80, 24), 5)
    terminal.read_until("◆ detect")
    terminal.child.sendintr()
    terminal.read_until("INTERRUPTED")
    terminal.child.send("x")
    assert terminal.finish() == 130
    assert terminal.is_restored()


def test_ctrl_z_gives_the_terminal_back_and_fg_paints_it_anew(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((80, 24), 5, shell=True)
    terminal.read_until("◆ detect")
    terminal.child.send("\x1a")
    terminal.read_until("Stopped")
    assert terminal.is_restored()
    terminal.child.send("fg\n")
    terminal.read_until("◆ ")
    terminal.child.send("\x03")
    terminal.read_until("INTERRUPTED")
    terminal.child.send("x")
    terminal.read_until("INTERRUPTED  total")
    terminal.child.send("echo exit=$?\n")
    terminal.read_until("exit=130")
    assert terminal.data.count(ENTER) == 2
    assert terminal.is_restored()


def test_a_resize_is_followed(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((80, 24), 5)
    terminal.read_until("◆ detect")
    terminal.child.setwinsize(40, 120)
    terminal.screen.resize(40, 120)
    terminal.read_until("╭────")
    assert terminal.screen.display[0].startswith("╭")
    assert terminal.screen.display[0].endswith("╮")


def test_a_terminal_that_is_too_small_gets_text(spawn: Callable[..., Terminal]) -> None:
    terminal = spawn((50, 12), 500)
    assert terminal.finish() == 0
    assert ENTER not in terminal.data


@pytest.mark.parametrize(
    ("variables", "wanted", "unwanted"),
    [
        ({"COLORTERM": "truecolor"}, b";38;2;", b";38;5;"),
        ({}, b";38;5;", b";38;2;"),
        ({"TERM": "linux"}, b";36m", b";38;"),
        ({"NO_COLOR": "1"}, b"detect", b";38;"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"detect", "◆".encode()),
    ],
)
def test_colours_and_signs_are_those_that_the_terminal_has(
    spawn: Callable[..., Terminal], variables: dict[str, str], wanted: bytes, unwanted: bytes
) -> None:
    terminal = spawn((80, 24), 5, **variables)
    terminal.read_until("detect")
    terminal.read_until(wanted)
    assert unwanted not in terminal.data


def test_a_display_sees_simulated_time_pass_while_the_loop_waits() -> None:
    clock = SimulatedClock(start=1000.0, speed=50.0)
    seen: list[float] = []

    def look() -> None:
        for _ in range(5):
            seen.append(clock.glance())
            time.sleep(0.01)

    async def wait() -> None:
        reader = threading.Thread(target=look)
        reader.start()
        await asyncio.sleep(20)
        reader.join()
        seen.append(clock.glance())

    clock.run(wait())
    assert seen == sorted(seen)
    assert 1000.0 < seen[3] < 1020.0
    assert seen[-1] >= 1020.0
