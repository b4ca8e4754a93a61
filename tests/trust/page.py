"""`python -m tests.trust.page FIGURES.json…`: the figures of `python -m tests.trust` as TRUST.md, on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = """\
# What nvsx has survived

Made by `make TRUST.md` from what `python -m tests.trust` measured; nothing here is typed by hand. Seed {seed}: the same
seed draws the same kills and deliveries again (`make trust SEED={seed}`).
"""
TITLES = {
    "kills": (
        "SIGKILL at every moment of a run",
        "A process that runs incidents is killed at each named point of its journal and at random moments, and started "
        "again. What the hooks really did stands in a log of their own, with which the record is compared.",
    ),
    "deliveries": (
        "Every sender, told once, run once",
        "Senders that keep the real rules of retries deliver to a daemon that is killed meanwhile.",
    ),
    "hardships": (
        "What lies, fails and misbehaves",
        "A cluster and a database that answer nonsense, disks that are full or damaged, hooks that will not end, rude "
        "and hostile clients, cron and clocks that jump: how many tests hold nvsx to what it promises then.",
    ),
    "stories": (
        "What starts a run, against a model",
        "Random stories of reports, runs, silences and restarts; the ledger's answers and those of a model that shares "
        "no code with it.",
    ),
    "soak": (
        "Hours of service",
        "The built file serves, with a real kubectl and mongosh. Incidents come by the cluster and by webhooks, the "
        "cluster goes away now and then, and the daemon is killed or stopped and started again. What its hooks did "
        "stands in a log of their own. It must hold as much at the end as at the beginning.",
    ),
    "mutants": (
        "Tests that notice",
        "One operator, constant, statement or SQL condition of the modules that decide about runs is changed at a "
        "time, and a test must fail. Those that are the same program are left out, each with its reason in "
        "`tests/trust/equivalents.py`.",
    ),
}

_LEFT_OUT = ("passed", "by_life")
"""The verdict stands in the title; what each life held is for who looks into a figure."""


def page(figures: dict[str, Any]) -> str:
    """The page; a measurement without a title is shown under its own name, so that none can be left out."""
    parts = [HEAD.format(seed=figures["seed"])]
    for name, found in figures.items():
        if not isinstance(found, dict):
            continue
        title, text = TITLES.get(name, (name, ""))
        verdict = "passed" if found.get("passed") else "**FAILED**"
        parts.append(f"## {title}: {verdict}\n\n{text}\n\n{_table(found)}")
    return "\n".join(parts)


def _table(found: dict[str, Any], prefix: str = "") -> str:
    rows = "".join(_rows(found, prefix))
    return f"| Figure | Value |\n|---|---|\n{rows}"


def _rows(found: dict[str, Any], prefix: str) -> list[str]:
    rows: list[str] = []
    for name, value in found.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _rows(value, f"{words}: ")
        elif name not in _LEFT_OUT:
            rows.append(f"| {words} | {_shown(value)} |\n")
    return rows


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    text = "<br>".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return text.replace("|", "\\|")


if __name__ == "__main__":
    measured: dict[str, Any] = {}
    for name in sys.argv[1:]:  # measured one by one, say: ten thousand kills take most of an hour
        measured |= json.loads(Path(name).read_text())
    sys.stdout.write(page(measured))
