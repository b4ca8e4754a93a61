"""What the kill sweep kills: a process that accepts incidents and runs a runbook for each, as the daemon does.

Its cluster is in its own memory and shows everything at once; its hooks and actions are real processes that write to
a log of their own. A `Trap` kills it at a named moment of its journal.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.admission import START, Occasion
from nvsx.app.records.recovery import take_up
from nvsx.clock import RealClock
from nvsx.cluster.view import View
from nvsx.engine.plan import Plan, TriggerFacts
from nvsx.engine.run import Run
from nvsx.ledger import Ledger, NewRun, admitting, entries, keeping
from nvsx.ledger.writer import Writer
from nvsx.sim.cluster import SimulatedCluster
from nvsx.sim.world import World
from nvsx.sinks.record import Record
from tests.story import runbook

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from nvsx.journal import Entry
    from nvsx.model import Runbook

STAGES = ("detect", "quarantine", "remediate", "recover", "postmortem")
BODY = """
hooks: {finally: effect.sh}
stages:
  - id: detect
    watch: [{kind: node, field: spec.unschedulable, absent: true, expect: "true"}]
    hooks: {onSuccess: effect.sh}
  - id: quarantine
    hooks: {onSuccess: effect.sh, finally: effect.sh}
  - id: remediate
    action: {script: effect.sh}
    onUnknown: ON_UNKNOWN
    hooks: {onSuccess: effect.sh}
  - id: recover
    watch: [{kind: node, field: metadata.labels.ready, expect: "yes"}]
    hooks: {onSuccess: effect.sh}
  - id: postmortem
    action: {script: effect.sh}
    hooks: {onSuccess: effect.sh}
"""
EFFECT = """#!/bin/sh
echo "begin $NVSX_IDEMPOTENCY_KEY $NVSX_ATTEMPT" >>"$TRUST_LOG"
[ ! -e "$TRUST_LOG.slow" ] || [ "$NVSX_ATTEMPT" != 1 ] || sleep 0.4
echo "done $NVSX_IDEMPOTENCY_KEY $NVSX_ATTEMPT" >>"$TRUST_LOG"
"""
NODE = "gpu-node-1"


class Trap(NamedTuple):
    """Where to die: at the `number`th journal entry of this life (from 1; 0: nowhere), before or after its COMMIT."""

    number: int = 0
    moment: str = "before"


class Places(NamedTuple):
    """Files of one sweep: the state directory, the log of the effects, and what was accepted."""

    state: Path
    log: Path
    accepted: Path
    script: Path

    @classmethod
    def make(cls, directory: Path) -> Places:
        state = directory / "state"
        state.mkdir(parents=True)
        script = directory / "effect.sh"
        script.write_text(EFFECT)
        script.chmod(0o755)
        return cls(state, directory / "effects.log", directory / "accepted", script)


class Scripts:
    """Every hook and action is the same script."""

    def __init__(self, script: Path) -> None:
        self._script = str(script)

    def hook(self, script: str) -> list[str]:
        return [self._script]

    action = hook


class NoGuard:
    action_writes = refused = 0

    def path(self, role: str, base_path: str) -> str:
        return base_path

    def counts(self) -> Any:
        return self


@cache
def prepared(text: str) -> Runbook:
    """The runbook of a stored text, parsed once for all lives."""
    return runbook(text)._replace(text=text)


def live(places: Places, trap: Trap, incidents: int, on_unknown: str = "fail", told: int = -1) -> None:
    """One life: take up what the last one left, then accept and run `incidents` new ones.

    `told` is a descriptor to which go the labels of the journal's entries, an empty line, and what was imported.
    """
    seen = set_trap(trap)
    asyncio.run(_live(places, incidents, on_unknown))
    if told >= 0:
        os.write(told, "\n".join([*seen, "", *sys.modules]).encode())


def set_trap(trap: Trap) -> list[str]:
    """Die at the trap's moment; returns the list in which entries are named as they are written."""
    seen: list[str] = []
    doomed = [False]
    write, settle = entries.write, Writer.settle

    def watched(connection: sqlite3.Connection, entry: Entry, owner: str) -> None:
        write(connection, entry, owner)
        seen.append(label(entry))
        doomed[0] = doomed[0] or len(seen) == trap.number

    def settling(self: Writer) -> None:
        if doomed[0] and trap.moment == "before":
            die()
        settle(self)
        if doomed[0]:
            die()

    def counted(name: str, work: Any) -> Any:
        def done(*arguments: Any, **named: Any) -> Any:
            result = work(*arguments, **named)
            seen.append(name)
            doomed[0] = doomed[0] or len(seen) == trap.number
            return result

        return done

    entries.write = watched
    admitting.admit = counted("admission", admitting.admit)
    keeping.claim = counted("claim", keeping.claim)
    Writer.settle = settling  # type: ignore[method-assign]
    return seen


def label(entry: Entry) -> str:
    """An entry's kill point in words: `EffectEnded hook onSuccess of detect`."""
    words = [type(entry).__name__, getattr(entry, "role", ""), getattr(entry, "name", "")]
    stage = getattr(entry, "stage", "") or getattr(entry, "key", "").partition("/")[2]
    return " ".join(word for word in [*words, f"of {stage}" if stage else ""] if word)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _live(places: Places, incidents: int, on_unknown: str) -> None:
    clock = RealClock()
    ledger = Ledger.open(places.state, clock=clock)
    for row in ledger.unfinished():
        if await ledger.claim(row.id):
            await _run(ledger, places, row.id, clock)
    number = len(places.accepted.read_bytes().splitlines()) if places.accepted.exists() else 0
    for each in range(incidents):
        run_id = f"20260101-{number + each:06d}-0000"
        text = BODY.replace("ON_UNKNOWN", on_unknown)
        new = NewRun(run_id, "story", text, NODE, trigger={"source": "trust"})
        occasion = Occasion("trust", clock.now(), node=f"{NODE}-{number + each}", runbook="story", delivery=run_id)
        admitted = await ledger.admit(occasion, run=new)
        assert admitted.decision.verdict == START or admitted.run_id, admitted
        with places.accepted.open("a") as accepted:
            accepted.write(f"{admitted.run_id}\n")
        if await ledger.claim(admitted.run_id):
            await _run(ledger, places, admitted.run_id, clock)
    ledger.close()


async def _run(ledger: Ledger, places: Places, run_id: str, clock: RealClock) -> None:
    record, history = await take_up(ledger, run_id)
    run_dir = places.state / "runs" / run_id
    run_dir.mkdir(parents=True, exist_ok=True)
    world = World(clock)
    world.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": {"ready": "yes"}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
        }
    )
    plan = Plan(
        runbook=prepared(record.runbook_text),
        run_id=run_id, cluster="cluster-1", context="trust", namespace="nvsentinel", target_node=NODE,
        target_alias="", since=record.run.created, root=str(run_dir), run_dir=str(run_dir), artifact_dir=str(run_dir),
        environment={"PATH": "/usr/bin:/bin", "TRUST_LOG": str(places.log)}, nvsx_version="0",
        trigger=TriggerFacts("trust", incident_key=run_id),
    )  # fmt: skip
    view = View(SimulatedCluster(world), clock, rng=random.Random(1))
    run = Run(
        plan, view=view, clock=clock, journal=ledger, sink=Record(ledger), scripts=Scripts(places.script),
        guard=NoGuard(), history=history,
    )  # fmt: skip
    try:
        await run.execute()
    finally:
        await view.close()
