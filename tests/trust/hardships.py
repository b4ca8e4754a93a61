"""What lies, fails and misbehaves around nvsx: its tests of that, counted by what they are about."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

CHECKOUT = Path(__file__).resolve().parents[2]
HARDSHIPS = {
    "sources_that_lie": "kubectl kube_errors real_kubectl mongo stream blind blind_run replaced_nodes",
    "disks_that_fail": "disk ledger ledger_writer trust_power",
    "hooks_that_misbehave": "hostile_processes processes output",
    "strangers_at_the_port": "signatures webhook framing httpd formats",
    "cron_and_clocks": "cron serve_process time_zones retention",
}
"""A hardship, and the test files that are about it."""

OUTPUT_MB = 1000
"""What a hook prints that will not stop: ten times what it does in the suite."""


def measure(_: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust hardships`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = [f"tests/test_{name}.py" for names in HARDSHIPS.values() for name in names.split()]
        options = ["-n0", "-p", "no:cacheprovider", f"--hypothesis-seed={args.seed}", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", "-q", *options, *files]
        environment = {**os.environ, "NVSX_TRUST_OUTPUT_MB": str(OUTPUT_MB)}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=sys.stderr, stderr=sys.stderr, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"pytest ended with {done.returncode}")
        found = counted(report.read_text("utf-8"))
    return {**found, "hooks_print_mb": OUTPUT_MB, "seconds": round(time.monotonic() - began)}


def counted(report: str) -> dict[str, object]:
    """Tests by hardship and outcome, of a JUnit report."""
    of_file = {f"tests.test_{name}": hardship for hardship, names in HARDSHIPS.items() for name in names.split()}
    outcomes: dict[str, Counter[str]] = {hardship: Counter() for hardship in HARDSHIPS}
    failed: list[str] = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        place, name = case.get("classname", ""), case.get("name", "")
        hardship = next(of_file[file] for file in of_file if place == file or place.startswith(f"{file}."))
        outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        outcomes[hardship][outcome] += 1
        if outcome in ("failure", "error"):
            failed.append(f"{place}::{name}")
    return {
        **{
            hardship: {"passed_tests": found["passed"], "skipped": found["skipped"]}
            for hardship, found in outcomes.items()
        },
        "failed": failed,
    }


def passed(figures: dict[str, object]) -> bool:
    """Whether every hardship has tests that ran, and none of them failed."""
    parts = [figures[hardship] for hardship in HARDSHIPS]
    return not figures["failed"] and all(isinstance(part, dict) and part["passed_tests"] for part in parts)
