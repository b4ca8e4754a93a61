"""Where a run's scripts come from: the project's own files, or the bundled ones unpacked for this run alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nvsx import assets
from nvsx.catalog.library import FOLDER, ProjectLibrary
from nvsx.errors import EnvironmentUnusable, NotFoundHere, NvsxError

if TYPE_CHECKING:
    from pathlib import Path

_SHEBANG_LIMIT = 256


class ProjectScripts:
    """The scripts below a project root. A script outside it, after links are resolved, is refused."""

    def __init__(self, root: Path) -> None:
        self._library = ProjectLibrary(root)

    def hook(self, script: str) -> list[str]:
        return self._command(f"{FOLDER}/{script}", f"hook {script}")

    def action(self, script: str) -> list[str]:
        return self._command(script, f"action {script}")

    def text_of(self, script: str) -> str:
        """A hook's text, "" where there is none to be read."""
        try:
            return self._library.read(f"{FOLDER}/{script}").decode("utf-8", "replace")
        except NvsxError:
            return ""

    def _command(self, path: str, what: str) -> list[str]:
        real = self._library.resolve(path)
        if not real.is_file():
            raise NotFoundHere(f"{what} is not a file: {real}", hint="nvsx lint")
        if not os.access(real, os.X_OK):
            if _mounted_noexec(real):
                return [*_interpreter(real), str(real)]
            raise EnvironmentUnusable(f"{what} is not executable", hint=f"chmod +x {real}")
        if _mounted_noexec(real):
            return [*_interpreter(real), str(real)]
        return [str(real)]


def unpack_bundled(directory: Path) -> Path:
    """The bundled runbooks, hooks and scripts as files in a private directory; returns their project root."""
    root = directory / "bundled"
    assets.unpack("runbooks", root)
    assets.unpack("scripts", root)
    return root


def _mounted_noexec(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return False


def _interpreter(path: Path) -> list[str]:
    """The words of a script's shebang: on a noexec mount the interpreter may still read what the kernel may not run."""
    with path.open("rb") as file:
        first = file.read(_SHEBANG_LIMIT).split(b"\n", 1)[0]
    if not first.startswith(b"#!"):
        raise EnvironmentUnusable(f"{path} has no shebang and lies on a noexec mount", hint="#!/usr/bin/env bash")
    return first[2:].decode("utf-8", "replace").split()
