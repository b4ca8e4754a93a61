"""A trickle of incidents in a simulated cluster, told by the cluster, by webhooks or by both, and what came of each."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nvsx.ledger import Ledger

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from tests.daemon_site import Site
    from tests.servers.mongo import MongoServer

NODES = tuple(f"gpu-{number:02}" for number in range(40))
CLUSTER, WEBHOOK_FIRST, CLUSTER_FIRST = TELLERS = ("the cluster", "a webhook first", "the cluster first")
DATABASE, COLLECTION = "HealthEventsDatabase", "HealthEvents"
PATIENCE_S = 120.0
HOOK = """#!/bin/sh
echo "begin $NVSX_TARGET_NODE $NVSX_RUN_ID $NVSX_STAGE" >>"$NVSX_PROJECT_ROOT/effects.log"
sleep 0.2
echo "end $NVSX_TARGET_NODE $NVSX_RUN_ID $NVSX_STAGE" >>"$NVSX_PROJECT_ROOT/effects.log"
"""
RUNBOOK = """apiVersion: nvsx/v1
kind: Runbook
metadata: {name: xid, title: Xid}
trigger: {checkNames: [SysLogsXIDError]}
stages:
  - {id: detect, hook: hooks/note.sh}
  - {id: quarantine, timeout: 1h, watch: [{kind: nvsentinel-state, state: quarantined}]}
  - {id: drain, timeout: 24h, watch: [{kind: nvsentinel-state, state: drain-succeeded}], hook: hooks/note.sh}
  - {id: recover, timeout: 1h, watch: [{kind: node, field: spec.unschedulable, absent: true, expect: "true"}]}
  - {id: postmortem, hook: hooks/note.sh}
"""
CONFIG = "limits: {stormNodes: 1000}\n"


class Effects:
    """What the hooks say they did, read as it is written, from any thread."""

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0
        self._lock = threading.Lock()
        self._lines: Counter[tuple[str, str, str]] = Counter()  # (begin or end, run, stage)
        self._runs: dict[str, list[str]] = defaultdict(list)  # by node, in order

    def runs(self, node: str) -> list[str]:
        """Every run that ever did something for a node."""
        self._read()
        return list(self._runs[node])

    def count(self, what: str, run: str, stage: str) -> int:
        self._read()
        return self._lines[what, run, stage]

    def begun(self) -> dict[tuple[str, str], int]:
        """How often the hook of each stage of each run was begun."""
        self._read()
        return {(run, stage): count for (what, run, stage), count in self._lines.items() if what == "begin"}

    def _read(self) -> None:
        with self._lock, suppress(FileNotFoundError), self._file.open("rb") as file:
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._at += len(whole) + len(newline)
            for line in whole.decode().splitlines():
                what, node, run, stage = line.split()
                self._lines[what, run, stage] += 1
                if run not in self._runs[node]:
                    self._runs[node].append(run)


class Incident(NamedTuple):
    """`pause_s` is what happens between two steps of it, more or less."""

    node: str
    teller: str
    pauses_s: tuple[float, ...]
    known: int  # runs of that node before


class Trickle:
    """Each incident goes its way in a thread of its own, whatever becomes of the daemon meanwhile.

    `lost`: nothing ran for it. `stuck`: a run did not end. `doubled`: more than one run was for it.
    """

    def __init__(self, site: Site, mongo: MongoServer | None, url: Callable[[], str]) -> None:
        self.site, self.mongo, self._url = site, mongo, url
        self.effects = Effects(site.root / "effects.log")
        self.told: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self.stuck: list[str] = []
        self.doubled: list[str] = []
        self.ended = 0
        self._threads: dict[str, threading.Thread] = {}  # by node

    def begin(self, rng: random.Random, pause_s: float) -> None:
        """Another incident, on a node that has none."""
        busy = {*self.under_way(), *self._open()}
        free = [node for node in NODES if node not in busy]
        if not free:
            return
        node = rng.choice(free)
        pauses = tuple(pause_s * rng.uniform(0.1, 2.0) for _ in range(5))
        incident = Incident(node, rng.choice(TELLERS), pauses, len(self.effects.runs(node)))
        self.told[incident.teller] += 1
        self._threads[node] = threading.Thread(target=self._pass, args=(incident,), daemon=True)
        self._threads[node].start()

    def under_way(self) -> list[str]:
        """Nodes whose incidents have not ended."""
        self._threads = {node: thread for node, thread in self._threads.items() if thread.is_alive()}
        return list(self._threads)

    def _open(self) -> set[str]:
        """Nodes with an incident that nvsx has not closed yet: what comes now would belong to that."""
        reader = Ledger.reader(self.site.state)
        if reader is None:
            return set()
        with closing(reader):
            return {row.node for row in reader.incidents()}

    def _pass(self, incident: Incident) -> None:
        """An incident from its fault to the node's release. Steps wait for what nvsx is to do by then."""
        node, pauses = incident.node, iter(incident.pauses_s)
        if incident.teller == WEBHOOK_FIRST:
            self._post(node)
            time.sleep(next(pauses))
        self._break(node)
        if incident.teller == CLUSTER_FIRST:
            time.sleep(next(pauses))
            self._post(node)
        if not self._comes(lambda: len(self.effects.runs(node)) > incident.known):
            self.lost.append(f"{node}: told by {incident.teller}")
        else:
            self._recover(incident, self.effects.runs(node)[incident.known])
        self.site.do(partial(self.site.place.release, node))
        self.ended += 1

    def _recover(self, incident: Incident, run: str) -> None:
        node, place = incident.node, self.site.place
        for state, pause in zip(("draining", "drain-succeeded"), incident.pauses_s[1:], strict=False):
            time.sleep(pause)
            self.site.do(partial(place.state, node, state))
        done = self._comes(lambda: self.effects.count("end", run, "drain"))
        self.site.do(partial(place.state, node, "remediation-succeeded"))
        time.sleep(incident.pauses_s[-1])
        self.site.do(partial(place.release, node))
        if not (done and self._comes(lambda: self.effects.count("end", run, "postmortem"))):
            self.stuck.append(f"{run} on {node}")
        if others := self.effects.runs(node)[incident.known + 1 :]:
            self.doubled.append(f"{node}: {run} {' '.join(others)}")

    def _break(self, node: str) -> None:
        def change() -> object:
            self.site.place.break_node(node)
            return self.site.place.world.documents["HealthEvents"][-1]

        document = self.site.do(change)
        if self.mongo:
            self.mongo.insert(DATABASE, COLLECTION, document)

    def _post(self, node: str) -> None:
        """As every sender that is worth its name: again until it is accepted."""
        body = json.dumps({"runbook": "xid", "target_node": node}).encode()
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            request = urllib.request.Request(self._url(), body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.answers[json.load(answer)["status"]] += 1
                    return
            except urllib.error.HTTPError as error:
                with error:
                    self.answers[str(error.code)] += 1
            except OSError:
                self.answers["none"] += 1
            time.sleep(0.3)

    def _comes(self, found: Callable[[], object]) -> bool:
        give_up = time.monotonic() + PATIENCE_S
        while not found():
            if time.monotonic() > give_up:
                return False
            time.sleep(0.1)
        return True
