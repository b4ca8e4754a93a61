"""What the tests of the archive share: build.py as a module, the Pythons of this machine, and ways to run the file."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
OLD = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")


@cache
def build() -> ModuleType:
    """build.py; not imported by name, because a package on the index has the same one."""
    spec = importlib.util.spec_from_file_location("nvsx_build", ROOT / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def pythons() -> dict[str, str]:
    """The supported Pythons of this machine: "3.12" -> executable."""
    return {f"3.{minor}": python.executable for minor, python in sorted(build().interpreters().items())}


@cache
def old_pythons() -> dict[str, str]:
    """The Pythons of this machine that are too old for nvsx: "3.9" -> executable."""
    found = {}
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    for version in OLD:
        candidates = [
            str(path) for path in sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        ]
        candidates += [f"{place}/python{version}" for place in places if place]
        for candidate in candidates:
            if Path(candidate).exists() and run([candidate, "-c", "pass"]).returncode == 0:
                found[version] = candidate
                break
    return found


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **options)


def inside(python: str, archive: Path, code: str, *arguments: str, **options: Any) -> Any:
    """Run code that imports from the archive as its own start does; what it prints as JSON."""
    start = (
        "import sys\narchive = sys.argv[1]\n"
        "sys.path.insert(0, archive + '/cp%d%d' % sys.version_info[:2])\nimport nvsx._vendor\n"
    )
    done = run([python, "-c", start + code, str(archive), *arguments], **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
