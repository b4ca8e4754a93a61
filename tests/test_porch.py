"""Deliveries that come while nvsx starts: they wait a moment for the cluster, and are told to come again after it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from nvsx.admission import START
from nvsx.app.daemon.front import Front
from nvsx.app.daemon.porch import STARTING_S, Porch
from nvsx.errors import EnvironmentUnusable
from nvsx.triggers.formats import FORMATS
from nvsx.triggers.formats.message import Message
from nvsx.triggers.inbox import Delivery
from tests.daemon_story import QUICK, Place, runbooks
from tests.story import T0
from tests.test_daemon_front import cloudevent

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.app.daemon.core import Daemon


def delivery(node: str) -> Delivery:
    body = cloudevent(node)
    alerts = FORMATS["nvsentinel"].parse(Message({}, body))
    return Delivery("nvsentinel", "nvsentinel", alerts, json.dumps(body).encode(), (), T0)


def porch_of(daemon: Daemon) -> Porch:
    return Porch(daemon.tools.ledger, daemon.tools.gate, T0)


def test_a_delivery_waits_for_the_cluster_and_is_taken(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon() as daemon:
            porch = porch_of(daemon)
            asking = asyncio.create_task(porch.take(delivery("gpu-1")))
            await asyncio.sleep(STARTING_S - 0.1)
            assert not asking.done()
            porch.lead_to(Front(daemon, dict, T0))
            assert (await asking)[0].verdict == START

    place.play(story)


def test_one_that_waits_too_long_is_told_to_come_again_and_nothing_came_of_it(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon() as daemon:
            porch = porch_of(daemon)
            began = place.clock.monotonic()
            with pytest.raises(EnvironmentUnusable, match="just started"):
                await porch.take(delivery("gpu-1"))
            assert place.clock.monotonic() - began == pytest.approx(STARTING_S, abs=0.05)
            assert not daemon.tools.ledger.incidents()

    place.play(story)


def test_where_the_cluster_cannot_be_reached_nobody_waits(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))

    async def story() -> None:
        async with place.daemon() as daemon:
            porch = porch_of(daemon)
            porch.reason = "nvsx cannot tell yet which cluster this is: connection refused"
            began = place.clock.monotonic()
            with pytest.raises(EnvironmentUnusable, match="connection refused"):
                await porch.take(delivery("gpu-1"))
            assert place.clock.monotonic() == began

    place.play(story)


def test_who_cannot_tell_which_cluster_it_is_to_watch_is_blind_in_its_metrics(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))

    async def story() -> None:
        async with place.daemon() as daemon:
            watching, listening = (
                Porch(daemon.tools.ledger, daemon.tools.gate, T0, polls=polls) for polls in (True, False)
            )
            assert (await watching.metrics())["nvsx_blind"] == {(): 0.0}, "it has only just asked"
            for porch in (watching, listening):
                porch.reason = "nvsx cannot tell yet which cluster this is: connection refused"
            assert (await watching.metrics())["nvsx_blind"] == {(): 1.0}
            assert "nvsx_blind" not in await listening.metrics()

    place.play(story)
