"""T2: senders with their true rules against a receiver that is killed again and again: one run for each incident."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nvsx.config import Source
from nvsx.triggers.nodes import KnownNodes
from tests.inboxes import MemoryInbox, Reception
from tests.trust import senders
from tests.trust.daemons import ServedDaemon

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine, Sequence

CONNECTIONS = 50
LARGEST_GROUP = 5
LONGEST_MS = 500.0
"""Within this, 99 of 100 answers come."""


class Receiver(Protocol):
    """What the senders send to. Its port stays the same over all its lives."""

    port: int

    async def start(self) -> None:
        """Answer, with the memory of the lives before."""
        ...

    async def kill(self) -> None:
        """End at once: what was under way gets no answer."""
        ...

    async def started(self) -> Sequence[str]:
        """The node of every run that was ever started."""
        ...


class ListenerInFrontOfMemory:
    """The real listener; its inbox is in memory and survives it as a ledger on a disk would."""

    def __init__(self, folder: Path, nodes: Sequence[str]) -> None:
        self.inbox = MemoryInbox([senders.RUNBOOK], commit_s=0.002)
        self.inbox.nodes = KnownNodes([{"metadata": {"name": name}} for name in nodes])
        self.port = 0
        self._sources = sources(folder)
        self._reception = Reception(self.inbox, folder)

    async def start(self) -> None:
        await asyncio.to_thread(self._reception.listen, self._sources, (), "127.0.0.1", self.port, None, None)
        self.port = self._reception.port

    async def kill(self) -> None:
        await asyncio.to_thread(self._reception.stop, 0.0)

    async def started(self) -> Sequence[str]:
        return [incident.node for incident in self.inbox.incidents]

    def end(self) -> None:
        self._reception.end()


def sources(folder: Path) -> dict[str, Source]:
    """Every sender as a source with the one secret of all, in a file below `folder`."""
    secret = folder / "secret"
    secret.write_bytes(senders.SECRET)
    secret.chmod(0o600)
    return {name: Source(name, name, ("secret",)) for name in senders.RULES}


async def attack(
    receiver: Receiver, nodes: Sequence[str], *, kills: int, connections: int, rng: random.Random
) -> dict[str, object]:
    """Send an incident for each node by one to four senders, and kill the receiver meanwhile. What came of it."""
    await receiver.start()
    tally = senders.Tally()
    wire = senders.Wire(receiver.port, connections, rng, tally)
    sending = [asyncio.ensure_future(work) for work in _sendings(wire, nodes, rng)]
    await _killed(receiver, tally, len(sending), kills, rng)
    await asyncio.gather(*sending)
    started = await receiver.started()
    cuts = statistics.quantiles(tally.seconds, n=100)
    return {
        "incidents": len(nodes),
        "deliveries": len(sending),
        "attempts": tally.attempts,
        "unanswered": tally.unanswered,
        "answers": {str(status): count for status, count in sorted(tally.answers.items())},
        "given_up": tally.given_up,
        "kills": kills,
        "runs": len(started),
        "lost": len(set(nodes) - set(started)),
        "accepted_but_not_run": len(tally.accepted.keys() - set(started)),
        "never_accepted": len(set(nodes) - tally.accepted.keys()),
        "doubled": len(started) - len(set(started)),
        "foreign": len(set(started) - set(nodes)),
        "pagerduty_most_drops_in_a_row": tally.most_drops_in_a_row,
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
    }


def measure(count: int, args: argparse.Namespace) -> dict[str, object]:
    """`python -m tests.trust deliveries`."""

    async def measured(folder: Path) -> dict[str, object]:
        nodes = [f"gpu-node-{number:05d}" for number in range(count)]
        receiver = ServedDaemon(folder, nodes)
        try:
            return await attack(
                receiver, nodes, kills=args.kills, connections=CONNECTIONS, rng=random.Random(args.seed)
            )
        finally:
            receiver.end()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measured(Path(folder)))


def passed(figures: dict[str, object]) -> bool:
    """Whether nothing was lost, doubled or made up, and PagerDuty would not have disabled the subscription."""
    drops = figures["pagerduty_most_drops_in_a_row"]
    assert isinstance(drops, int)
    return (
        not (figures["lost"] or figures["accepted_but_not_run"] or figures["doubled"] or figures["foreign"])
        and drops < 3
    )


def good(figures: dict[str, object]) -> bool:
    """The same, and whether nearly everybody was answered in time: for a machine that does nothing else meanwhile."""
    late = figures["p99_ms"]
    assert isinstance(late, float)
    return passed(figures) and late < LONGEST_MS


def _sendings(wire: senders.Wire, nodes: Sequence[str], rng: random.Random) -> list[Coroutine[None, None, None]]:
    """One to four senders for each node. Datadog gives up after five tries, so it is never alone."""
    grouped: dict[str, list[str]] = {name: [] for name in senders.GROUPED}
    lasting = [name for name in senders.RULES if name != "datadog"]
    work: list[Coroutine[None, None, None]] = []
    for node in nodes:
        chosen = rng.sample(lasting, rng.randint(1, 3))
        if rng.random() < 0.3:
            chosen.append("datadog")
        for name in chosen:
            if name in grouped:
                grouped[name].append(node)
            else:
                work.append(senders.SINGLE[name](wire, node))
    for name, members in grouped.items():
        while members:
            group = [members.pop() for _ in range(min(len(members), rng.randint(1, LARGEST_GROUP)))]
            work.append(senders.GROUPED[name](wire, *group))
    rng.shuffle(work)
    return work


async def _killed(receiver: Receiver, tally: senders.Tally, sendings: int, kills: int, rng: random.Random) -> None:
    """Kill and start again so often, spread over what the senders are answered (each at least once)."""
    for number in range(kills):
        while len(tally.seconds) < sendings * number // kills:
            await asyncio.sleep(0.005)
        await asyncio.sleep(rng.uniform(0.0, 0.05))
        await receiver.kill()
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        await receiver.start()
