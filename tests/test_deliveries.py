"""T2, small: `python -m tests.trust deliveries --count 1000` is the same, large."""

from __future__ import annotations

import asyncio
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.trust import senders
from tests.trust.daemons import ServedDaemon
from tests.trust.deliveries import ListenerInFrontOfMemory, attack, passed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def attacked(folder: Path, nodes: Sequence[str], seed: int, kills: int) -> dict[str, Any]:
    receiver = ListenerInFrontOfMemory(folder, nodes)
    try:
        return asyncio.run(attack(receiver, nodes, kills=kills, connections=50, rng=random.Random(seed)))
    finally:
        receiver.end()


@pytest.mark.parametrize("seed", range(2))
def test_one_run_for_each_incident_whoever_tells_of_it_and_however_often(tmp_path: Path, seed: int) -> None:
    nodes = [f"gpu-node-{number:05d}" for number in range(60)]
    figures = attacked(tmp_path, nodes, seed, kills=6)
    assert passed(figures), figures
    assert figures["unanswered"] > 0, figures
    assert set(figures["answers"]) == {"200", "202"}, figures


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_a_daemon_that_is_killed_starts_each_run_once(tmp_path: Path) -> None:
    """SIGKILL, a real ledger, real hooks: each run's hook is seen in a file, whoever was killed meanwhile."""
    nodes = [f"gpu-node-{number:05d}" for number in range(15)]
    daemon = ServedDaemon(tmp_path, nodes)
    try:
        figures = asyncio.run(attack(daemon, nodes, kills=2, connections=50, rng=random.Random(3)))
    finally:
        daemon.end()
    assert passed(figures), figures
    assert figures["unanswered"] > 0, figures


def test_a_receiver_that_forgets_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement can fail: without a memory of incidents, the second of two senders starts a second run."""
    monkeypatch.setattr("tests.inboxes.MemoryInbox.latest", lambda *_: None)
    figures = attacked(tmp_path, [f"gpu-node-{number:05d}" for number in range(20)], seed=1, kills=0)
    assert figures["doubled"]
    assert not passed(figures)


RULES = {
    # sender and what it is answered: how often it sends, and whether it is given up ("flushes" for ever otherwise)
    ("pagerduty", 503, 202): (2, True),
    ("pagerduty", 429, 202): (2, True),
    ("pagerduty", 400, 202): (1, False),
    ("pagerduty", 409, 202): (1, False),
    ("alertmanager", 503, 202): (2, True),
    ("alertmanager", 400, 202): (2, True),  # not recorded as sent: the next flush
    ("grafana", 503, 202): (2, True),  # likewise; it does not retry
    ("datadog", 503, 202): (2, True),
    ("datadog", 429, 202): (1, False),
    ("nvsentinel", 400, 202): (2, True),
}


@pytest.mark.parametrize(("sender", "first", "then"), RULES)
def test_the_senders_follow_their_rules(sender: str, first: int, then: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [first, then]

    async def posted(*_: object) -> int:
        return answers.pop(0)

    async def delivered() -> tuple[int, bool]:
        tally = senders.Tally()
        wire = senders.Wire(0, 1, random.Random(0), tally)
        accepted = await wire.deliver(sender, {}, {})
        return tally.attempts, accepted

    monkeypatch.setattr(senders, "_posted", posted)
    monkeypatch.setattr(senders, "FLUSH_S", 0.0)
    assert asyncio.run(delivered()) == RULES[sender, first, then]
