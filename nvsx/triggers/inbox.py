"""Inbox: what the webhook hands over, what it is told, and what it may show: the port between listener and daemon.

Every method is awaited in the daemon's own loop, whichever thread the request came in on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.alerts import Alert
    from nvsx.metrics import Figures

UNKNOWN = "unknown"
"""A verdict beside those of `nvsx.admission`: the alert names a runbook that does not exist."""

OWN_SOURCE = "webhook"
"""The source of what came to `/webhook`, without a name of its own in nvsx.yaml."""


class Delivery(NamedTuple):
    """One delivery whose sender has proven who it is, decoded. It may hold many alerts, or none at all."""

    source: str  # a name of `sources` in nvsx.yaml, or OWN_SOURCE
    format: str  # a key of `nvsx.triggers.formats.FORMATS`, or "map"
    alerts: Sequence[Alert]
    payload: bytes  # as it came in, for NVSX_TRIGGER_FILE
    runbooks: tuple[str, ...]  # the only ones that this source may start; () for all
    time: float  # epoch seconds, when it had come in whole


class Receipt(NamedTuple):
    """What became of one alert. Texts are empty where they do not apply."""

    verdict: str  # a verdict of `nvsx.admission`, or UNKNOWN
    reason: str = ""  # one line that may be shown to the sender
    run_id: str = ""  # of the run that was started, queued or joined
    incident: str = ""  # the incident's key, as hooks see it in NVSX_INCIDENT_KEY
    runbook: str = ""
    node: str = ""


class Inbox(Protocol):
    """The daemon, as the listener sees it."""

    async def take(self, delivery: Delivery) -> Sequence[Receipt]:
        """Decide about each alert, in order, and answer after all of it is durable.

        An alert that was refused must not be remembered as answered: the sender is asked to send the whole delivery
        again. Raises NvsxError when nothing could be written down: then nothing was accepted, and the sender is told
        to come again.
        """
        ...

    async def readiness(self) -> str:
        """Why nvsx would not accept now (starting, stopping, the ledger cannot be written), "" when it would."""
        ...

    async def runs(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        """The newest runs first, each as `nvsx runs --output json` has it."""
        ...

    async def calls(self, *, limit: int, unfinished: bool) -> Sequence[Mapping[str, object]]:
        """The newest of nvsx's own calls first, each as `nvsx runs --output json` has it."""
        ...

    async def run(self, run_id: str) -> Mapping[str, object] | None:
        """One run with its stages and hooks, None where there is none with this id."""
        ...

    async def metrics(self) -> Figures:
        """What is counted now: names of `nvsx.metrics.FAMILIES` to label values to value; the webhook's own apart."""
        ...
