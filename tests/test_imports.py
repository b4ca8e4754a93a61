"""What each command of the built archive imports. What is not imported costs no time when somebody types it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WRAPPER = """
import sys
kept = set(sys.modules)
archive, *sys.argv[1:] = sys.argv[1:]
import runpy
sys.argv[0] = archive
try:
    runpy.run_path(archive, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
finally:
    imported = sorted(set(sys.modules) - kept)
    import json
    print(json.dumps(imported), file=sys.stderr)
"""

HEAVY = {"asyncio", "subprocess", "dataclasses", "inspect", "jsonschema", "sqlite3", "http", "ssl", "socket", "logging"}
FRONT = {"nvsx", "_vendor", "main", "arguments", "commands", "terminal", "errors"}
NVSX = {
    # command: the parts of nvsx that it may import, and what it may not have of the standard library
    ("--help",): (FRONT | {"cells", "topics"}, HEAVY | {"argparse", "pathlib", "json"}),
    ("version",): (FRONT | {"assets"}, HEAVY | {"argparse", "pathlib"}),
    ("list",): (
        FRONT | {"settings", "catalog", "names", "words", "documents", "source", "assets", "cells", "nearest", "app"},
        HEAVY | {"datetime", "textwrap", "tempfile"},
    ),
    ("show", "gpu-off-bus"): (
        FRONT
        | {"settings", "catalog", "names", "words", "documents", "source", "assets", "cells"}
        | {"runbook", "model", "watches", "durations", "ports", "nearest", "app"},
        HEAVY | {"datetime", "textwrap", "tempfile"},
    ),
    ("lint", "gpu-off-bus"): (
        FRONT
        | {"settings", "catalog", "names", "words", "documents", "source", "assets", "cells"}
        | {"runbook", "model", "watches", "durations", "ports", "nearest"}
        | {"app", "tools", "config", "selectors", "hookvariables", "routing"},
        (HEAVY - {"subprocess"}) | {"textwrap", "tempfile"},
    ),
}


@pytest.mark.parametrize("command", NVSX, ids=" ".join)
def test_a_command_imports_what_it_needs_and_no_more(pyz: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WRAPPER, str(pyz), *command],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "NVSX_STATE_DIR": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    imported = json.loads(done.stderr.strip().splitlines()[-1])
    parts = {name.split(".")[1] if "." in name else name for name in imported if name.split(".")[0] == "nvsx"}
    allowed, forbidden = NVSX[command]
    assert parts - allowed == set()
    assert forbidden & {name.split(".")[0] for name in imported} == set()
    bundled = {name.split(".")[2] for name in imported if name.startswith("nvsx._vendor.") and name.count(".") >= 2}
    assert bundled <= {"yaml"}
    assert not {"nvsx._vendor.yaml.constructor", "nvsx._vendor.yaml.dumper"} & set(imported)
