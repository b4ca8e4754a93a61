"""The daemon as its webhook sees it: what belongs together, what comes back, and what may be shown."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from nvsx.app.daemon.front import Front
from nvsx.config import Config, Silence
from nvsx.errors import EnvironmentUnusable
from nvsx.metrics import exposition
from nvsx.triggers.formats import FORMATS
from nvsx.triggers.formats.message import Message
from nvsx.triggers.inbox import Delivery
from tests.daemon_story import QUICK, SLOW, STORM, Place, runbooks
from tests.story import T0

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.app.daemon.core import Daemon
    from nvsx.triggers.inbox import Receipt


def alertmanager(node: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {"alertname": "GpuXid", "node": node, **labels},
        "annotations": {},
        "startsAt": "2026-08-21T10:00:00Z",
        "fingerprint": f"f-{node}",
    }
    return {"version": "4", "groupKey": "g", "status": status, "receiver": "nvsx", "alerts": [alert]}


def cloudevent(node: str) -> dict[str, Any]:
    event = {
        "version": 1, "agent": "syslog-health-monitor", "componentClass": "GPU", "checkName": "SysLogsXIDError",
        "isFatal": True, "isHealthy": False, "message": "XID 79", "recommendedAction": "RESTART_BM",
        "errorCode": ["79"], "entitiesImpacted": [], "generatedTimestamp": "2026-08-21T10:00:00Z", "nodeName": node,
        "processingStrategy": "EXECUTE_REMEDIATION",
    }  # fmt: skip
    return {
        "specversion": "1.0", "type": "com.nvidia.nvsentinel.health.v1", "source": "nvsentinel://prod/healthevents",
        "id": "b6f5", "time": "2026-08-21T10:00:00Z", "data": {"metadata": {"cluster": "prod"}, "healthEvent": event},
    }  # fmt: skip


def pagerduty(node: str) -> dict[str, Any]:
    """A page that somebody else opened: it has no field for the node, and says neither check nor runbook."""
    data = {"id": "Q0INC", "type": "incident", "incident_key": f"prod/{node}", "title": f"GPU trouble on {node} (prod)"}
    event = {"id": "01E", "event_type": "incident.triggered", "occurred_at": "2026-08-21T10:00:20Z", "data": data}
    return {"event": event}


async def post(daemon: Daemon, form: str, body: dict[str, Any], source: str = "") -> Receipt:
    alerts = FORMATS[form].parse(Message({}, body))
    delivery = Delivery(source or form, form, alerts, json.dumps(body).encode(), (), daemon.tools.clock.now())
    return (await Front(daemon, dict, T0).take(delivery))[0]


def test_one_event_by_four_ways_is_one_run_with_all_the_evidence(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW), Config(cluster="prod"))
    place.node("gpu-1")
    receipts: list[Receipt] = []

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(15)
            receipts.append(await post(daemon, "nvsentinel", cloudevent("gpu-1")))
            receipts.append(await post(daemon, "pagerduty", pagerduty("gpu-1")))
            receipts.append(await post(daemon, "alertmanager", alertmanager("gpu-1")))
            receipts.append(await post(daemon, "alertmanager", alertmanager("gpu-1", "resolved")))

    place.play(story)
    assert place.started("page.sh") == ["page.sh gpu-1"]
    assert [one.verdict for one in receipts] == ["attach"] * 4
    reader = place.ledger()
    (run,) = reader.runs()
    assert {one.run_id for one in receipts} == {run.id}
    assert receipts[0].incident == place.env("page.sh")["NVSX_INCIDENT_KEY"]
    told = {row.source for row in reader.evidence(incident=run.incident)}
    assert told == {"poll", "nvsentinel", "pagerduty", "alertmanager"}


def test_the_first_way_may_be_the_webhook_and_its_key_is_the_one_that_hooks_get(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")
    receipts: list[Receipt] = []

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            receipts.append(await post(daemon, "nvsentinel", cloudevent("gpu-1")))
            await asyncio.sleep(30)
            place.break_node("gpu-1", at=T0)
            await asyncio.sleep(60)

    place.play(story)
    assert place.started("page.sh") == ["page.sh gpu-1"]
    assert receipts[0].verdict == "start"
    assert receipts[0].incident == place.env("page.sh")["NVSX_INCIDENT_KEY"]
    assert json.loads(place.processes[0].trigger) == cloudevent("gpu-1"), "hooks get the payload as it came"


def test_a_page_that_nvsx_opened_and_that_comes_back_starts_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")
    receipts: list[Receipt] = []

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(15)
            key = place.env("page.sh")["NVSX_INCIDENT_KEY"]
            body = {
                "event": {
                    "id": "01", "event_type": "incident.triggered", "resource_type": "incident",
                    "occurred_at": "2026-08-21T10:00:20Z",
                    "data": {"id": "P1", "type": "incident", "status": "triggered", "incident_key": key,
                             "title": "xid on gpu-1", "html_url": "https://x.pagerduty.com/incidents/P1"},
                }
            }  # fmt: skip
            receipts.append(await post(daemon, "pagerduty", body))

    place.play(story)
    assert [one.verdict for one in receipts] == ["attach"]
    assert len(place.ledger().runs()) == 1


def test_alerts_of_a_storm_join_it_and_unknown_runbooks_are_said(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK, storm=STORM))
    nodes = [f"gpu-{i:02}" for i in range(15)]
    place.node(*nodes)
    verdicts: list[str] = []

    async def story() -> None:
        async with place.daemon(polls=False) as daemon:
            await asyncio.sleep(5)
            for node in nodes:
                await asyncio.sleep(1)
                verdicts.append((await post(daemon, "nvsentinel", cloudevent(node))).verdict)
            wrong = await post(daemon, "nvsx", {"runbook": "nothing-such", "target_node": "gpu-01"})
            assert wrong.verdict == "unknown"

    place.play(story)
    assert verdicts == ["start"] * 10 + ["attach"] * 5
    assert place.started("storm.sh") == ["storm.sh"]


def test_a_wrong_runbook_in_an_alert_and_an_alert_in_a_silence_are_recorded_and_run_for_later(tmp_path: Path) -> None:
    """A sender that says an alert again, because it goes on, is not put off for ever with the first answer."""
    config = Config(hooks={"onFailure": "failed.sh"})
    place = Place(tmp_path, runbooks(other=QUICK), config=config)
    place.node("gpu-1", "gpu-2")
    wrong, quiet = alertmanager("gpu-1", nvsx_runbook="xid"), alertmanager("gpu-2", check="SysLogsXIDError", xid="79")
    verdicts: list[str] = []

    async def story() -> None:
        async with place.daemon(polls=False) as daemon:
            until = daemon.tools.clock.now() + 3600
            await daemon.tools.ledger.add_silence(Silence(until, "maintenance", node="gpu-2"), daemon.tools.clock.now())
            for _ in range(2):
                verdicts.extend([(await post(daemon, "alertmanager", body)).verdict for body in (wrong, quiet)])
                await asyncio.sleep(3700)
                place.books = runbooks(xid=QUICK)
                daemon.reload(daemon.project._replace(runbooks=place.books))

    place.play(story)
    assert verdicts == ["unknown", "ignore", "start", "start"]
    assert place.started() == ["failed.sh gpu-1", "page.sh gpu-1", "page.sh gpu-2"]
    reasons = {one.reason for one in place.ledger().decisions() if one.verdict == "ignore"}
    assert "there is no runbook xid" in reasons


def test_what_it_shows(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")
    texts: list[str] = []

    async def story() -> None:
        async with place.daemon() as daemon:
            front = Front(daemon, lambda: {"xid": T0 - 5}, T0)
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(15)
            texts.append(exposition(await front.metrics()))
            (run,) = await front.runs(limit=10, unfinished=True)
            one = await front.run(str(run["id"]))
            assert one is not None
            json.dumps(one)
            assert [effect["outcome"] for effect in one["effects"]] == ["ok"]  # type: ignore[attr-defined]
            assert await front.run("nothing") is None
            assert await front.readiness() == ""
            daemon.tools.gate.stopping = True
            assert await front.readiness() == "nvsx is stopping"
            receipt = await post(daemon, "alertmanager", alertmanager("gpu-1", alertname="x"))
            assert receipt.verdict == "attach"

    place.play(story)
    for line in (
        'nvsx_runs_open{state="running"} 1',
        "nvsx_incidents_open 1",
        "nvsx_blind 0",
        'nvsx_degraded{way="database"} 0',
        'nvsx_admissions_total{source="poll",verdict="start"} 1',
        'nvsx_hooks_total{role="hook",outcome="ok"} 1',
        'nvsx_drill_last_success_timestamp_seconds{runbook="xid"}',
    ):
        assert line in texts[0], texts[0]


def test_the_answer_waits_for_one_commit_and_not_for_the_run_to_begin(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            ledger, may_claim = daemon.tools.ledger, asyncio.Event()
            claim = ledger.claim

            async def slow(run_id: str) -> bool:
                await may_claim.wait()
                return await claim(run_id)

            ledger.claim = slow  # type: ignore[method-assign]
            receipt = await post(daemon, "nvsentinel", cloudevent("gpu-1"))
            assert receipt.verdict == "start"
            assert [run.id for run in ledger.queued()] == [receipt.run_id], "durable, and nobody has begun it"
            assert place.started() == []
            again = await post(daemon, "alertmanager", alertmanager("gpu-1"))
            assert (again.verdict, again.run_id) == ("attach", receipt.run_id)
            may_claim.set()
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]


def test_a_run_that_cannot_be_claimed_now_is_taken_up_later(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            ledger = daemon.tools.ledger
            claim = ledger.claim

            async def full(run_id: str) -> bool:
                raise EnvironmentUnusable("the disk is full")

            ledger.claim = full  # type: ignore[method-assign]
            assert (await post(daemon, "nvsentinel", cloudevent("gpu-1"))).verdict == "start"
            await asyncio.sleep(30)
            assert place.started() == []
            assert not daemon.runs.active
            ledger.claim = claim  # type: ignore[method-assign]
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
