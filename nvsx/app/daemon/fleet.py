"""The fleet: all nodes as the cluster shows them now, which of them NVSentinel holds, and NVSentinel's breaker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import NotFound
from nvsx.names import alias
from nvsx.oracle.chain import position
from nvsx.oracle.position import UNSEEN
from nvsx.ports import ApiPath
from nvsx.triggers.nodes import KnownNodes
from nvsx.watches import nvsentinel
from nvsx.watches.progress import REPAIRS, breaker_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nvsx.clock import Clock
    from nvsx.cluster.feed import Subscription
    from nvsx.cluster.view import View
    from nvsx.errors import ClusterError
    from nvsx.oracle.position import Position, Unseen
    from nvsx.ports import Object, Seen

NODES = ApiPath("v1", "nodes")
KNOWN_S = 60.0
"""What nodes are called is read anew after this time, or when one came or went."""


class Trouble(NamedTuple):
    """Why a node is not as it should be: the quarantine that holds it ("" where it has a fault only)."""

    session: str  # names this quarantine for as long as it lasts
    marks: frozenset[str]  # what it can be recognised by after a restart


class Fleet:
    """Follows nodes and breaker. `on_node` is called for every version of a node, `on_left` when one has left
    quarantine (or lost its fault, where it was never quarantined), `on_breaker` when the breaker's state is news.

    `remembered` is what `to_data` gave before a restart: a node that has left since then is told of, too. `left` are
    those that had left before it.
    """

    def __init__(
        self, view: View, clock: Clock, namespace: str, remembered: Mapping[str, Any], left: Mapping[str, float], *,
        on_node: Callable[[Object], None], on_left: Callable[[str], None], on_breaker: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._view = view
        self._clock = clock
        self._breaker_path = breaker_path(namespace)
        self._breaker: Object | Unseen | None = UNSEEN
        self._repairs: dict[ApiPath, Seen] = {}
        self.surroundings = 0  # grows with every change of repairs and breaker
        self.surveyed = asyncio.Event()  # set once it is known what these are, or that this cannot be known
        self._unanswered = {self._breaker_path, *REPAIRS}
        self._on_node, self._on_left, self._on_breaker = on_node, on_left, on_breaker
        self.nodes: Mapping[str, Object] = {}
        self.listed = False
        self.looked = asyncio.Event()  # set once it is known what nodes there are, or that this cannot be known
        self.blind: ClusterError | None = None
        self.breaker = ""  # CLOSED, TRIPPED, "" where there is none or it may not be read
        self.troubled = {node: Trouble(str(s), frozenset(marks)) for node, (s, marks) in remembered.items()}
        self.left = dict(left)  # node -> when it last left, epoch seconds
        self._subscriptions: list[Subscription] = []
        self._told = False
        self._known: KnownNodes | None = None
        self._known_at = 0.0

    def start(self, *, closely: bool) -> None:
        """Follow the nodes, and `closely` what NVSentinel does about them as well."""
        self._subscriptions = [self._view.subscribe(NODES, self._seen, name="fleet")]
        if closely:
            self._subscriptions.append(self._view.subscribe(self._breaker_path, self._breaker_seen, name="breaker"))
            self._subscriptions += [self._follow(path) for path in REPAIRS]

    def _follow(self, path: ApiPath) -> Subscription:
        def seen(seen: Seen) -> None:
            self._repairs[path] = seen
            self._has_changed(path, seen)

        return self._view.subscribe(path, seen, name=path.resource)

    def position(self, node: Object) -> Position:
        """Where NVSentinel's chain stands with a node."""
        return position(node, requests=self._requests(), breaker=self._breaker)

    def _requests(self) -> list[Object] | Unseen:
        """All maintenance objects; a cluster that does not know them has none."""
        found: list[Object] = []
        for path in REPAIRS:
            seen = self._repairs.get(path)
            if seen is None or (seen.blind is not None and not isinstance(seen.blind, NotFound)):
                return UNSEEN
            if not seen.listed and seen.blind is None:
                return UNSEEN
            found += seen.objects.values()
        return found

    def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()

    def known(self) -> KnownNodes | None:
        """What the nodes are called; None while the cluster cannot be asked."""
        if not self.listed:
            return None
        now = self._clock.monotonic()
        if self._known is None or now - self._known_at > KNOWN_S or len(self._known.names) != len(self.nodes):
            self._known, self._known_at = KnownNodes(self.nodes.values()), now
        return self._known

    def labels(self, node: str) -> Mapping[str, str]:
        found = self.nodes.get(node)
        return nvsentinel.labels_of(found) if found else {}

    def alias(self, node: str) -> str:
        """What people call the node. Names alone decide that, so that what was read a while ago serves as well."""
        known = self._known
        if node and (known is None or len(known.names) != len(self.nodes)):
            known = self.known()
        return (known.alias(node) if known else "") or alias(node)

    def session(self, node: str) -> str:
        """The quarantine that holds the node, "" where none does."""
        trouble = self.troubled.get(node)
        return trouble.session if trouble else ""

    def is_troubled(self, node: str) -> bool | None:
        """Whether the node is quarantined or has a fault; None where that cannot be told now."""
        return None if self.blind is not None or not self.listed else node in self.troubled

    def has_left(self, node: str, since: float) -> bool:
        """Whether the node has left quarantine after `since` and is not in trouble again."""
        return self.left.get(node, 0.0) >= since and node not in self.troubled

    def to_data(self) -> dict[str, Any]:
        """The nodes in trouble as JSON data."""
        return {node: [trouble.session, sorted(trouble.marks)] for node, trouble in self.troubled.items()}

    def _seen(self, seen: Seen) -> None:
        self.nodes, self.blind = seen.objects, seen.blind
        if seen.blind is not None:
            self.looked.set()
        if seen.gone is not None:
            self._leave(seen.changed)
        elif seen.changed:
            self._told = True
            node = seen.objects[seen.changed]
            self._judge(seen.changed, node)
            self._on_node(node)
        elif seen.listed and seen.blind is None:
            if not self.listed and not self._told:
                for name, node in seen.objects.items():  # the list was there before us
                    self._judge(name, node)
                    self._on_node(node)
            self.listed = True
            self.looked.set()
            for name in [name for name in self.troubled if name not in seen.objects]:
                self._leave(name)

    def _judge(self, name: str, node: Object) -> None:
        before = self.troubled.get(name)
        now = _trouble(node, before)
        if now is None:
            self._leave(name)
            return
        self.troubled[name] = now
        if before is not None and before.session and not now.session:
            self._has_left(name)

    def _leave(self, name: str) -> None:
        if self.troubled.pop(name, None) is not None:
            self._has_left(name)

    def _has_left(self, name: str) -> None:
        self.left[name] = self._clock.now()
        self._on_left(name)

    def _has_changed(self, path: ApiPath, seen: Seen) -> None:
        self.surroundings += 1
        if seen.listed or seen.blind is not None:
            self._unanswered.discard(path)
            if not self._unanswered:
                self.surveyed.set()

    def _breaker_seen(self, seen: Seen) -> None:
        self._has_changed(self._breaker_path, seen)
        if seen.blind is not None or not seen.listed:
            self._breaker = UNSEEN
            return
        found = self._breaker = next(iter(seen.objects.values()), None)
        state = str(((found or {}).get("data") or {}).get("status", ""))
        if state != self.breaker:
            self.breaker = state
            self._on_breaker(state)


def _trouble(node: Object, before: Trouble | None) -> Trouble | None:
    """What is wrong with a node, given what was: one quarantine keeps its name, whatever is added to it or healed."""
    events = nvsentinel.quarantine_events(node)
    if not events:
        return Trouble("", frozenset()) if nvsentinel.faults(node) else None
    cordoned = nvsentinel.label_time(node, nvsentinel.CORDON_TIME_SUFFIX)
    marks = frozenset(
        [event.id or f"{event.check}@{event.time:.0f}" for event in events] + ([f"{cordoned:.0f}"] if cordoned else [])
    )
    same = before is not None and before.session and not before.marks.isdisjoint(marks)
    return Trouble(before.session if same and before else min(marks), marks)
