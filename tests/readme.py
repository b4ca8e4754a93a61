"""The README as a newcomer reads it: its command lines in order, and a machine on which they can be typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    import signal

    from tests.servers.kube import KubeServer

README = CHECKOUT / "README.md"
PATIENCE_S = 100.0
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(r"`((?:nvsx|make|pip install)(?: [^`]*)?)`")

SSH = """#!/bin/sh
# ssh HOST COMMAND: the command runs here, in the home directory of the other machine.
shift
cd "$OTHER_HOME" && HOME=$OTHER_HOME exec sh -c "$*"
"""
SCP = """#!/bin/sh
# scp FILE HOST:
case $2 in *:) exec cp "$1" "$OTHER_HOME/${2#*:}" ;; *) exit 64 ;; esac
"""


class Line(NamedTuple):
    """One thing to type: a command, over several lines if it is written so, or a whole script."""

    number: int
    language: str
    text: str
    answer: str  # what a comment below it says is answered

    @property
    def command(self) -> str:
        """The command without the remark behind it."""
        return self.text if self.text.startswith("#!") else re.split(r"\s+# ", self.text, maxsplit=1)[0].strip()


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks in a language, each with the number of its first line."""
    return [
        (page.count("\n", 0, found.start(2)) + 1, found[2]) for found in _FENCE.finditer(page) if found[1] == language
    ]


def lines(page: str) -> list[Line]:
    """Everything that the page gives to type, in order."""
    found: list[Line] = []
    for language in ("bash", "cron"):
        for number, block in blocks(page, language):
            if block.startswith("#!"):
                found.append(Line(number, language, block, ""))
                continue
            for offset, text in enumerate(block.splitlines()):
                if text.startswith("#"):
                    found[-1] = found[-1]._replace(answer=text[1:].strip())
                elif found and found[-1].text.endswith("\\"):
                    found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{text}")
                elif text.strip():
                    found.append(Line(number + offset, language, text, ""))
    return sorted(found)


def typed(page: str) -> set[str]:
    """What stands as a command inside sentences and tables."""
    return {found.replace("\\|", "|") for found in _TYPED.findall(_FENCE.sub("", page))}


class Newcomer:
    """A person with one file in an empty directory, a cluster to reach, and another machine to copy things to."""

    def __init__(self, directory: Path, archive: Path, kube: KubeServer) -> None:
        self.kube = kube
        self.directory = directory
        self.home = directory / "home"
        self.place = self.home / "mine"
        self.other = directory / "other"
        self.bin = directory / "bin"
        for folder in (self.place, self.other, self.bin):
            folder.mkdir(parents=True)
        shutil.copy(archive, self.place / "nvsx.pyz")
        self.program("ssh", SSH)
        self.program("scp", SCP)
        path = [place for place in os.environ["PATH"].split(os.pathsep) if not Path(place, "nvsx").exists()]
        self.env = kube.env | {
            "PATH": os.pathsep.join([f"{self.home}/.local/bin", str(self.bin), *path]),
            "HOME": str(self.home), "OTHER_HOME": str(self.other), "LC_ALL": "C.UTF-8", "TERM": "xterm",
        }  # fmt: skip
        self.daemons: list[subprocess.Popen[bytes]] = []

    def program(self, name: str, text: str) -> None:
        """Install something on the PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, command: str, status: int = 0, cwd: Path | None = None) -> str:
        """Type a command with nobody at the keyboard; what it said."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=cwd or self.place, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, command: str, until: str) -> subprocess.Popen[bytes]:
        """Type a command that does not end, and wait until it has said something."""
        log = self.directory / f"daemon-{len(self.daemons)}.log"
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.place, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out,
            )  # fmt: skip
        self.daemons.append(daemon)
        give_up = time.monotonic() + PATIENCE_S
        while until not in log.read_text():
            assert daemon.poll() is None, f"{command}\nended with {daemon.returncode}\n{log.read_text()}"
            assert time.monotonic() < give_up, f"{command}\nnever said {until!r}\n{log.read_text()}"
            time.sleep(0.02)
        return daemon

    def end(self, daemon: subprocess.Popen[bytes], number: signal.Signals) -> None:
        daemon.send_signal(number)
        assert daemon.wait(PATIENCE_S) == 0

    def leave(self) -> None:
        """Nothing that was started here outlives it."""
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait(10)

    def install_sdk(self) -> None:
        """What `pip install anthropic` does: the first Python that nvsx.pyz looks for has the SDK from now on."""
        self.program("python3.14", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
