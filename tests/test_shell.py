"""The shell of the built archive on a terminal emulator: every command of the table, keys and completion."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pexpect
import pyte
import pytest

from nvsx.app.glance import Glance, Glances
from nvsx.app.status import HeldNode, Status
from nvsx.commands import COMMANDS
from nvsx.commands.shell import toolbar
from nvsx.errors import Forbidden
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINES = {
    # every command of the table, as one types it with a runbook in use: what it answers
    "setup": ("setup --answers none.yaml", "none.yaml"),
    "doctor": ("doctor", "no current context"),
    "shell": ("shell", "this is the shell already"),
    "run": ("run --target-node no-such-node", "no current context"),
    "status": ("status", "no current context"),
    "runs": ("runs", "no run is recorded"),
    "attach": ("attach", "nothing is recorded"),
    "cancel": ("cancel last", "nothing is recorded"),
    "serve": ("serve --mode webhook", "--bundled"),
    "silence": ("silence list", "no silence"),
    "manifest": ("manifest cron", "--once"),
    "report": ("report", "nothing is recorded"),
    "explain": (f"explain {CHECKOUT}/tests/examples/events/alertmanager.json", "gpu-off-bus runs"),
    "demo": ("demo --speed 5000 --output text", "PASSED"),
    "drill": ("drill thermal-throttle --speed 5000 --output text", "would have been sent"),
    "test": ("test --case nothing-has-this-name", "no test's name contains"),
    "list": ("list", "10 runbooks in"),
    "show": ("show", "GPU fell off bus"),
    "lint": ("lint", "gpu-off-bus"),
    "init": ("init Not-A-Slug", "cannot be"),
    "convert": (f"convert --offline --dry-run {CHECKOUT}/examples/sample-runbook.md", "dropped"),
    "completion": ("completion bash", "complete -F _nvsx"),
    "help": ("help hooks", "hookTimeout"),
    "version": ("nvsx version", "nvsx 1.0.0"),
}
COLUMNS, ROWS = 160, 400
CLEAR = "\x0c"  # Ctrl-L


class Operator:
    """Somebody at the prompt of a large terminal: types, and reads what its screen shows."""

    def __init__(self, archive: Path, home: Path) -> None:
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.child = pexpect.spawn(
            sys.executable, [str(archive)], cwd=str(home), env=environment, timeout=90, dimensions=(ROWS, COLUMNS)
        )
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)

    def wait(self, seen: Callable[[], bool]) -> str:
        """Read until the screen is as wanted, and return it."""
        deadline = time.monotonic() + 90
        while not seen():
            assert time.monotonic() < deadline, self.text()
            with suppress(pexpect.TIMEOUT):
                self._stream.feed(self.child.read_nonblocking(65536, timeout=1))
        return self.text()

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def sees(self, text: str) -> str:
        return self.wait(lambda: text in self.text())

    def at_prompt(self, used: str = "", typed: str = "") -> bool:
        prompt = f"nvsx ({used})>" if used else "nvsx>"
        return self.screen.display[self.screen.cursor.y].rstrip() == f"{prompt} {typed}".rstrip()

    def prompt(self, used: str = "", typed: str = "") -> str:
        return self.wait(lambda: self.at_prompt(used, typed))

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def line(self, text: str, used: str = "") -> str:
        """Type a line on a clear screen, and return all that is shown until the next prompt."""
        self.type(CLEAR)
        self.wait(lambda: self.screen.cursor.y == 0)
        self.type(text + "\r")
        return self.wait(lambda: self.screen.cursor.y > 0 and self.at_prompt(used))

    def leave(self, keys: str) -> int:
        self.type(keys)
        self.child.expect(pexpect.EOF)
        self.child.wait()
        return int(self.child.exitstatus)


@pytest.fixture
def operator(pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    someone = Operator(pyz, tmp_path)
    try:
        yield someone
    finally:
        someone.child.close(force=True)


@pytest.mark.timeout(400)  # a demo, a drill and all the others, one after another
def test_every_command_of_the_table(operator: Operator) -> None:
    assert list(LINES) == list(COMMANDS), "the shell takes every command: say here what it answers"
    assert "10 runbooks" in operator.prompt()
    operator.line("use rogue-moose", "gpu-off-bus")
    for line, answer in LINES.values():
        told = operator.line(line, "gpu-off-bus")
        assert answer in told, (line, told)
    assert operator.leave("quit\r") == 0


def test_mistakes_do_not_end_it(operator: Operator) -> None:
    operator.prompt()
    for line, answer in {
        "list 'a": "a quote or a backslash is not closed",
        "lst": "did you mean `nvsx list`?",
        "use nonsense": "nonsense",
        "use a b": "use takes one runbook",
        "run": "RUNBOOK",
        "show --nope": "has no flag --nope",
        "!exit 7": "exit code 7",
        "!": "after ! comes a command",
        "!echo $((40 + 2))": "42",
    }.items():
        told = operator.line(line)
        assert answer in told, (line, told)
        assert "Traceback" not in told


def test_completion_and_history(operator: Operator, tmp_path: Path) -> None:
    operator.prompt()
    operator.type("us\t")
    operator.prompt(typed="use")
    operator.type(" rog\t")
    operator.prompt(typed="use rogue-moose")
    operator.type("\r")
    operator.prompt("gpu-off-bus")
    operator.type("show --sch\t")
    operator.prompt("gpu-off-bus", "show --schema")
    operator.type("\r")
    operator.prompt("gpu-off-bus")
    operator.line(" !echo not kept", "gpu-off-bus")
    assert operator.leave("\x04") == 0
    file = tmp_path / ".local/state/nvsx/history"
    assert "+use rogue-moose" in file.read_text()
    assert "not kept" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_ctrl_c_clears_a_line_and_stops_a_run(operator: Operator) -> None:
    operator.prompt()
    operator.type("nonsense")
    operator.prompt(typed="nonsense")
    operator.type("\x03")
    operator.prompt()
    operator.type(CLEAR + "demo --speed 1 --output text\r")
    operator.sees("→ detect")
    operator.type("\x03")
    operator.sees("exit code 130")
    operator.prompt()
    operator.type(CLEAR + "!echo begun; sleep 60; echo went on\r")
    operator.sees("\nbegun")
    operator.type("\x03")
    assert "\nwent on" not in operator.sees("exit code 130")
    assert "10 runbooks in" in operator.line("list")


@pytest.mark.parametrize("argv", [[], ["shell"]])
def test_without_a_terminal_it_is_the_help_text(pyz: Path, argv: list[str]) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, str(pyz), *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("nvsx: runbooks around NVIDIA NVSentinel")


HELD = HeldNode(
    name="gpu-node-1",
    alias="brave-gazelle",
    state="draining",
    held=True,
    since=1.0,
    reason="user pods are being evicted",
    waits_for="user pods to end",
    needs_people=False,
    contradictions=(),
    faults=(),
    cordoned=True,
    opted_out=False,
)
CALM = Status(
    nodes=(), names={"gpu-node-1": "brave-gazelle"}, gpu_nodes=1, breaker="CLOSED", pods=3, unready=(), blind={}
)


def words(glance: Glance) -> str:
    return " ".join(text for _, text in toolbar(glance))


def test_the_toolbar_says_what_was_seen() -> None:
    assert "looking" in words(Glance())
    assert words(Glance(problem="no route")) == "cannot look: no route"
    assert words(Glance("prod", CALM)) == "prod 1 GPU node none quarantined"
    held = CALM._replace(nodes=(HELD,), breaker="TRIPPED")
    assert words(Glance("prod", held)) == "prod 1 GPU node 1 quarantined: brave-gazelle breaker TRIPPED"


def test_blindness_is_never_none_quarantined() -> None:
    blind = CALM._replace(blind={"nodes": Forbidden("nodes is forbidden")})
    assert words(Glance("prod", blind)) == "prod cannot look at nodes: nodes is forbidden"


def test_glances_are_taken_only_while_somebody_looks() -> None:
    import threading

    looked, count = threading.Semaphore(0), 0

    def look() -> Glance:
        nonlocal count
        count += 1
        return Glance(f"look {count}")

    glances = Glances(look, looked.release, fresh_s=0.0001)
    assert not looked.acquire(timeout=0.05), "nobody asked yet"
    glances.look_out(on=True)
    for _ in range(3):
        assert looked.acquire(timeout=30)
    assert glances.latest.context.startswith("look ")
    glances.end()
