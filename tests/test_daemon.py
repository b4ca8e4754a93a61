"""The daemon's decisions on virtual time, with a real ledger: what starts, what belongs together, what is noted."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.admission import BY_HAND, Occasion
from nvsx.app.daemon.runs import Runs
from nvsx.config import Config, Heartbeat, Limits, Silence
from nvsx.errors import EnvironmentUnusable, Forbidden, Unreachable
from nvsx.healthevents.cursor import begin
from nvsx.journal import RunBegan
from nvsx.ledger import Ledger, NewRun
from tests.daemon_story import QUICK, SLOW, STALLED, STORM, UNHANDLED, XID, Place, runbooks
from tests.story import T0

if TYPE_CHECKING:
    from pathlib import Path


def test_two_nodes_that_fail_alike_within_one_second_are_two_incidents(tmp_path: Path) -> None:
    """The one is known from the database when the other's quarantine is seen, before its own document is."""
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1", "gpu-2")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.fault("gpu-1", at=T0 + 60.1)
            await asyncio.sleep(15)
            place.quarantine("gpu-2", "6a8821f0000000000000abcd", at=T0 + 60.9)
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-1", "page.sh gpu-2"]


def test_a_fault_starts_its_runbook_and_its_first_hook_within_five_seconds_of_being_told(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=XID))
    place.node("gpu-1", "gpu-2")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.quarantine("gpu-1", place.fault("gpu-1"))
            await asyncio.sleep(5)
            assert place.started() == ["page.sh gpu-1", "note.sh gpu-1"]
            await asyncio.sleep(60)

    place.play(story)
    assert place.verdicts() == ["PASSED"]
    env = place.env("page.sh")
    assert env["NVSX_TRIGGER_SOURCE"] == "poll"
    assert '"check": "SysLogsXIDError"' in place.processes[0].trigger
    assert env["NVSX_REPEAT_COUNT"] == "1"
    assert [row.verdict for row in place.ledger().decisions()] == ["start"]


def test_what_does_not_cordon_is_found_by_polling(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon(poll_s=10):
            await asyncio.sleep(61)
            place.fault("gpu-1")
            await asyncio.sleep(15)

    assert place.play(story).started() == ["page.sh gpu-1"]
    env = place.env("page.sh")  # no condition and no annotation says any of it: only the event that started the run
    assert (env["NVSX_EVENT_CHECK"], env["NVSX_EVENT_CODES"]) == ("SysLogsXIDError", "79")
    assert env["NVSX_EVENT_MESSAGE"]
    assert env["NVSX_EVENT_TIME"] == "2026-08-21T10:01:01.000+00:00"


def test_many_documents_about_one_fault_are_one_run(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            for _ in range(1500):  # more than a page
                place.fault("gpu-1")
            for _ in range(20):
                await asyncio.sleep(30)
                place.fault("gpu-1")

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    reader = place.ledger()
    assert len(reader.runs()) == 1
    assert len(reader.decisions(limit=10_000)) < 15, "repeats share a decision a minute"


def test_a_new_quarantine_is_a_new_incident(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(600)
            place.release("gpu-1")
            await asyncio.sleep(30)
            place.break_node("gpu-1")
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"] * 2
    keys = {one.env["NVSX_INCIDENT_KEY"] for one in place.processes}
    assert len(keys) == 2
    assert place.processes[1].env["NVSX_REPEAT_COUNT"] == "2"


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("early_s", [0, 15])
def test_a_node_that_was_released_before_a_restart_may_fail_anew(tmp_path: Path, killed: bool, early_s: int) -> None:
    """The run goes on under another daemon than the one that saw the release; the event is read before the cordon."""
    place = Place(tmp_path, runbooks(xid=QUICK + "  - {id: postmortem, hook: collect.sh, hookTimeout: 10m}\n"))
    place.node("gpu-1")
    place.takes["collect.sh"] = 300

    async def fail() -> None:
        doc_id = place.fault("gpu-1")
        await asyncio.sleep(early_s)
        place.quarantine("gpu-1", doc_id)
        await asyncio.sleep(60)

    async def story() -> None:
        async with place.daemon(killed=killed, grace_s=1):
            await asyncio.sleep(5)
            await fail()
            place.release("gpu-1")
            await asyncio.sleep(30)
        async with place.daemon():
            await asyncio.sleep(900)
            await fail()

    assert place.play(story).started("page.sh") == ["page.sh gpu-1"] * 2


def test_a_fault_that_never_cordons_stays_one_incident_while_it_is_heard_of(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon(poll_s=300):
            for _ in range(8):
                await asyncio.sleep(3600)
                place.fault("gpu-1")
            assert place.started() == ["page.sh gpu-1"]
            await asyncio.sleep(7 * 3600)
            place.fault("gpu-1")
            await asyncio.sleep(400)

    assert place.play(story).started() == ["page.sh gpu-1"] * 2, "after six hours without news it is a new one"


def test_first_start_begins_now_and_lists_what_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1", "gpu-2")
    place.break_node("gpu-1", at=T0 - 7200)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            assert place.started() == []
            assert any("gpu-1 is quarantined already" in text for text in place.said("trigger"))
        async with place.daemon():  # the second start has seen it and still does not run
            await asyncio.sleep(60)
            place.break_node("gpu-2")
            await asyncio.sleep(30)

        async with place.daemon(adopt=True):
            await asyncio.sleep(60)

    assert place.play(story).started() == ["page.sh gpu-2", "page.sh gpu-1"], "a later start may still adopt it"


def test_adopt_runs_for_what_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")
    place.break_node("gpu-1", at=T0 - 7200)

    async def story() -> None:
        async with place.daemon(adopt=True):
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    assert int(place.env("page.sh")["NVSX_INCIDENT_MS"]) >= 7_200_000


@pytest.mark.parametrize("with_database", [True, False])
def test_after_a_gap_what_goes_on_runs_and_what_is_over_is_only_recorded(tmp_path: Path, with_database: bool) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), with_database=with_database)
    place.node("gpu-1", "gpu-2")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
        await asyncio.sleep(3600)
        place.break_node("gpu-1")
        place.break_node("gpu-2")
        await asyncio.sleep(3600)
        place.release("gpu-2")
        await asyncio.sleep(4 * 3600)
        async with place.daemon():
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    if with_database:
        over = place.ledger().decisions(node="gpu-2")
        assert [row.verdict for row in over] == ["ignore"]
        assert "the node is well now" in over[0].reason


def test_a_restart_and_a_replay_of_everything_start_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node(*(f"gpu-{i}" for i in range(5)))

    async def story() -> None:
        async with place.daemon():
            for i in range(5):
                await asyncio.sleep(600)
                place.break_node(f"gpu-{i}")
            await asyncio.sleep(600)
            place.release("gpu-0")
            await asyncio.sleep(60)
        assert len(place.started()) == 5
        async with place.daemon() as daemon:
            # The worst that an upstream defect does: all of history comes again as if it were new.
            daemon.source.cursor = begin(0.0)
            daemon.intake.looking_since = 0.0
            await asyncio.sleep(600)

    assert len(place.play(story).started()) == 5


def test_a_clock_set_back_ten_minutes_loses_and_repeats_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1", "gpu-2", "gpu-3")

    class Jumping:
        offset = 0.0

        def now(self) -> float:
            return place.clock.now() + self.offset

        def __getattr__(self, name: str) -> object:
            return getattr(place.clock, name)

    clock = Jumping()

    async def story() -> None:
        async with place.daemon(clock=clock):
            await asyncio.sleep(60)
            place.break_node("gpu-1")
            await asyncio.sleep(60)
            clock.offset = -600.0
            await asyncio.sleep(60)
            place.fault("gpu-1")
            place.break_node("gpu-2")
            await asyncio.sleep(60)
        async with place.daemon(clock=clock):
            await asyncio.sleep(60)
            place.break_node("gpu-3")
            await asyncio.sleep(120)

    assert sorted(place.play(story).started()) == [f"page.sh gpu-{i}" for i in (1, 2, 3)]


def test_nobody_is_left_alone(tmp_path: Path) -> None:
    """A fatal event for which there is no runbook, and one on a node that NVSentinel does not manage."""
    place = Place(tmp_path, runbooks(xid=QUICK, unhandled=UNHANDLED))
    place.node("gpu-1")
    place.node("gpu-2", **{"nvsentinel.dgxc.nvidia.com/managed": "false"})

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.fault("gpu-1", code="48", check="GpuMemWatch")
            place.fault("gpu-1", code="31", check="SysLogsXIDError", fatal=False)
            place.fault("gpu-2")
            await asyncio.sleep(30)

    place.play(story)
    assert sorted(place.started()) == ["unhandled.sh gpu-1", "unhandled.sh gpu-2"]


def test_without_a_runbook_of_last_resort_the_hook_of_nvsx_yaml_is_called_once(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), Config(hooks={"onFailure": "last.sh"}))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            for _ in range(5):
                await asyncio.sleep(61)
                place.fault("gpu-1", code="48", check="GpuMemWatch")
            await asyncio.sleep(30)
        async with place.daemon():
            await asyncio.sleep(61)
            place.fault("gpu-1", code="48", check="GpuMemWatch")
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["last.sh gpu-1"]
    assert "no runbook answers to GpuMemWatch code 48" in place.env("last.sh")["NVSX_WAITING_FOR"]


def test_silences_hold_back(tmp_path: Path) -> None:
    silence = Silence(until=T0 + 600, until_text="10:10", why="driver update", node="gpu-1")
    place = Place(tmp_path, runbooks(xid=QUICK), Config(silences=(silence,)))
    place.node("gpu-1", "gpu-2")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.fault("gpu-1")
            place.fault("gpu-2")
            await asyncio.sleep(900)
            place.fault("gpu-1")
            await asyncio.sleep(90)

    place.play(story)
    assert place.started() == ["page.sh gpu-2", "page.sh gpu-1"]


def test_max_concurrent_lets_runs_wait_their_turn(tmp_path: Path) -> None:
    book = "trigger: {checkNames: [SysLogsXIDError], maxConcurrent: 2}\nstages: [{id: detect, hook: page.sh}]\n"
    place = Place(tmp_path, runbooks(xid=book), takes={"page.sh": 20.0})
    place.node(*(f"gpu-{i}" for i in range(6)))

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            for i in range(6):
                place.break_node(f"gpu-{i}")
            await asyncio.sleep(120)

    place.play(story)
    assert len(place.started()) == 6
    times = sorted(one.at for one in place.processes)
    assert times[2] - times[0] >= 20
    assert times[4] - times[2] >= 20


def test_so_many_hooks_at_once_and_no_more(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), Config(limits=Limits(max_hooks=3)), takes={"page.sh": 10.0})
    place.node(*(f"gpu-{i}" for i in range(9)))

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            for i in range(9):
                place.break_node(f"gpu-{i}")
            await asyncio.sleep(4)
            assert len(place.processes) == 3
            assert daemon.tools.gate.running == 3
            daemon.tools.gate.resize(5)
            await asyncio.sleep(1)
            assert daemon.tools.gate.running == 5
            daemon.tools.gate.resize(1)
            await asyncio.sleep(7)
            assert daemon.tools.gate.running == 2, "those that began later"
            await asyncio.sleep(5)
            assert daemon.tools.gate.running == 1
            await asyncio.sleep(60)

    place.play(story)
    assert len(place.started()) == 9


# Storms

CROWD = Config(limits=Limits(storm_nodes=10, storm_window_s=120.0))


def test_many_nodes_are_one_storm_with_a_growing_list(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW, storm=STORM), CROWD)
    place.node(*(f"gpu-{i:02}" for i in range(40)))

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            for i in range(40):
                place.break_node(f"gpu-{i:02}")
                await asyncio.sleep(2)
            await asyncio.sleep(30)
            assert daemon.desk.storm.rages
            run_id = place.env("storm.sh")["NVSX_RUN_ID"]
            listed = (tmp_path / "state" / "runs" / run_id / "trigger").read_text()
            assert listed.startswith("40 nodes:")
            assert place.started("storm-news.sh") == []
            place.state("gpu-03", "drain-failed")
            await asyncio.sleep(10)
            assert place.started("storm-news.sh") == ["storm-news.sh"]
            await asyncio.sleep(1200)
            assert not daemon.desk.storm.rages, "it leaves after a quiet period"

    place.play(story)
    assert place.started("storm.sh") == ["storm.sh"]
    assert len(place.started("page.sh")) == 10, "those that came before it was one"
    news, storm = place.env("storm-news.sh"), place.env("storm.sh")
    assert "gpu-03" in news["NVSX_WAITING_FOR"]
    assert news["NVSX_INCIDENT_KEY"] == storm["NVSX_INCIDENT_KEY"]


def test_what_comes_at_once_is_a_storm_before_a_single_page(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK, storm=STORM), CROWD)
    place.node(*(f"gpu-{i:02}" for i in range(40)))

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            for i in range(40):
                place.break_node(f"gpu-{i:02}")
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["storm.sh"]
    assert place.processes[0].trigger.startswith("40 nodes:\n")


def test_without_a_storm_runbook_single_runs_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), CROWD)
    place.node(*(f"gpu-{i:02}" for i in range(30)))

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            for i in range(30):
                place.break_node(f"gpu-{i:02}")
            await asyncio.sleep(60)

    assert len(place.play(story).started()) == 30


def test_a_storm_outlasts_a_restart(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK, storm=STORM), CROWD)
    place.node(*(f"gpu-{i:02}" for i in range(30)))

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            for i in range(20):
                place.break_node(f"gpu-{i:02}")
            await asyncio.sleep(60)
        async with place.daemon():
            await asyncio.sleep(20)
            for i in range(20, 30):
                place.break_node(f"gpu-{i:02}")
            await asyncio.sleep(60)

    assert place.play(story).started() == ["storm.sh"]


# Standstills and the breaker


def test_a_tripped_breaker_is_one_page_for_the_cluster(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW, stalled=STALLED))
    place.node(*(f"gpu-{i}" for i in range(3)))

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            for i in range(3):
                place.break_node(f"gpu-{i}")
            place.breaker("TRIPPED")
            await asyncio.sleep(3600)
            assert place.started("stalled.sh") == ["stalled.sh"]
            place.breaker("CLOSED")
            for i in range(3):
                place.state(f"gpu-{i}", "draining")
            await asyncio.sleep(120)
            place.breaker("TRIPPED")
            await asyncio.sleep(60)

    place.play(story)
    assert place.started("stalled.sh") == ["stalled.sh"] * 2


@pytest.mark.parametrize("state", ["drain-failed", "remediation-failed"])
def test_what_nobody_will_repair_is_told_at_once_and_once(tmp_path: Path, state: str) -> None:
    place = Place(tmp_path, runbooks(stalled=STALLED))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.break_node("gpu-1")
            await asyncio.sleep(30)
            place.state("gpu-1", state)
            await asyncio.sleep(5)
            assert place.started() == ["stalled.sh gpu-1"]
            await asyncio.sleep(7200)
        async with place.daemon():
            await asyncio.sleep(7200)

    assert place.play(story).started() == ["stalled.sh gpu-1"]


def test_contact_support_is_told_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(stalled=STALLED))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.break_node("gpu-1", action=5)
            await asyncio.sleep(5)

    assert place.play(story).started() == ["stalled.sh gpu-1"]


def test_cordoned_without_progress_is_told_after_its_time(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(stalled=STALLED))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(60)
            place.break_node("gpu-1")
            await asyncio.sleep(590)
            assert place.started() == []
            await asyncio.sleep(30)
            assert place.started() == ["stalled.sh gpu-1"]
            await asyncio.sleep(3600)

    assert place.play(story).started() == ["stalled.sh gpu-1"]


# Sight, life and the disk


def test_blindness_is_an_alarm_once_and_ends_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), Config(hooks={"onBlind": "blind.sh"}))
    place.node("gpu-1", "gpu-2")
    gate = {"open": True}

    async def react(_: object) -> None:
        if not gate["open"]:
            raise Unreachable("no route to host")

    place.world.react(react)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            gate["open"] = False
            place.world.cut(lambda _: True, lambda _: Unreachable("no route to host"))
            await asyncio.sleep(120)
            assert daemon.watch.blind
            assert place.started() == ["blind.sh"]
            place.break_node("gpu-1")
            place.break_node("gpu-2")
            await asyncio.sleep(600)
            place.release("gpu-2")
            await asyncio.sleep(3600)
            gate["open"] = True
            await asyncio.sleep(120)
            assert not daemon.watch.blind

    place.play(story)
    assert place.started() == ["blind.sh", "page.sh gpu-1"], "one call for an hour's blindness; what goes on is run for"
    assert "no route to host" in place.env("blind.sh")["NVSX_WAITING_FOR"]
    assert place.env("blind.sh")["NVSX_STAGE_STATUS"] == "blind"
    assert any(text.startswith("nvsx sees the cluster again") for text in place.said("recovered"))


def test_losing_the_database_is_degraded_and_said(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), Config(hooks={"onBlind": "blind.sh"}))
    place.node("gpu-1")

    async def react(request: object) -> None:
        if getattr(request, "verb", "") == "exec":
            raise Forbidden("pods/exec is forbidden")

    place.world.react(react)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            assert daemon.watch.state.degraded
            place.break_node("gpu-1")
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    assert any("one way of seeing faults is lost" in text for text in place.said("blind"))


def test_a_heartbeat_stops_while_nothing_is_seen(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK), Config(heartbeat=Heartbeat(hook="beat.sh", every_s=60)))
    place.node("gpu-1")
    gate = {"open": True}

    async def react(_: object) -> None:
        if not gate["open"]:
            raise Unreachable("no route to host")

    place.world.react(react)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(290)
            assert len(place.started("beat.sh")) == 5
            gate["open"] = False
            place.world.cut(lambda _: True, lambda _: Unreachable("no route to host"))
            await asyncio.sleep(600)
            assert len(place.started("beat.sh")) <= 6
            gate["open"] = True
            await asyncio.sleep(120)

    place.play(story)
    assert len(place.started("beat.sh")) >= 7
    assert not [event for event in place.events if event.run_id == "nvsx-heartbeat"], "it does not fill the log"


def test_a_run_and_a_call_whose_directory_cannot_be_made_now_begin_as_soon_as_it_can(tmp_path: Path) -> None:
    """A disk that takes a commit may have no room, or no inode, for a directory."""
    place = Place(tmp_path, runbooks(xid=QUICK), config=Config(hooks={"onFailure": "failed.sh"}))
    place.node("gpu-1", "gpu-2")
    runs = tmp_path / "state/runs"

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            runs.write_text("in the way")
            place.break_node("gpu-1")
            place.fault("gpu-2", check="NobodyKnows", code="1")
            await asyncio.sleep(60)
            assert place.started() == []
            assert "cannot make the run's directory" in daemon.trouble
            runs.unlink()
            await asyncio.sleep(30)
            assert daemon.trouble == ""

    place.play(story)
    assert sorted(place.started()) == ["failed.sh gpu-2", "page.sh gpu-1"]
    assert place.verdicts() == ["PASSED"]
    assert sum("cannot make" in text for text in place.said("record")) == 1


def test_a_hook_waits_for_a_ledger_that_cannot_be_written_and_is_run_once(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")
    ledger, elsewhere = tmp_path / "state/ledger.db", tmp_path / "state/moved.db"

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(60)
            ledger.rename(elsewhere)
            place.state("gpu-1", "drain-succeeded")
            await asyncio.sleep(60)
            assert place.started("drained.sh") == []
            elsewhere.rename(ledger)
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["page.sh gpu-1", "drained.sh gpu-1"]
    assert place.verdicts() == ["PASSED"]


def test_a_hook_that_can_leave_no_outputs_is_run_all_the_same(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(60)
            [run_dir] = (tmp_path / "state/runs").iterdir()
            run_dir.rename(tmp_path / "elsewhere")
            place.state("gpu-1", "drain-succeeded")
            await asyncio.sleep(60)

    assert place.play(story).started() == ["page.sh gpu-1", "drained.sh gpu-1"]
    assert place.env("drained.sh")["NVSX_OUTPUT"] == os.devnull
    assert place.verdicts() == ["PASSED"]


def test_a_storm_grows_though_its_list_cannot_be_written(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK, storm=STORM), config=Config(limits=Limits(storm_nodes=2)))
    nodes = [f"gpu-{number}" for number in range(5)]
    place.node(*nodes)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            for name in nodes[:3]:
                place.break_node(name)
            await asyncio.sleep(30)
            [trigger] = (tmp_path / "state/runs").glob("*/trigger")
            trigger.with_suffix(".new").mkdir()
            place.break_node(nodes[3])
            await asyncio.sleep(30)
            trigger.with_suffix(".new").rmdir()
            place.break_node(nodes[4])
            await asyncio.sleep(30)
            assert trigger.read_text().startswith("5 nodes:")

    assert place.play(story).started() == ["storm.sh"]


def test_a_full_disk_for_a_minute_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1")
    full = {"now": False}
    admit = Ledger.admit

    async def admit_or_not(self: Ledger, *args: Any, **options: Any) -> Any:
        if full["now"]:
            raise EnvironmentUnusable("the disk is full")
        return await admit(self, *args, **options)

    monkeypatch.setattr(Ledger, "admit", admit_or_not)

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(60)
            full["now"] = True
            place.break_node("gpu-1")
            await asyncio.sleep(60)
            assert daemon.intake.trouble == "the disk is full"
            assert place.started() == []
            full["now"] = False
            await asyncio.sleep(30)
            assert daemon.intake.trouble == ""

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    assert len([text for text in place.said("record") if "disk is full" in text]) == 1


@pytest.mark.parametrize("killed", [True, False])
def test_a_run_goes_on_after_a_restart_and_no_hook_is_run_again(tmp_path: Path, killed: bool) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon(killed=killed):
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(60)
        await asyncio.sleep(3600)
        async with place.daemon():
            await asyncio.sleep(60)
            place.state("gpu-1", "drain-succeeded")
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == ["page.sh gpu-1", "drained.sh gpu-1"]
    assert place.verdicts() == ["PASSED"]


def test_a_hook_within_its_grace_ends_and_its_run_goes_on_later(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW), takes={"page.sh": 20.0})
    place.node("gpu-1")
    stopped: list[float] = []

    async def story() -> None:
        async with place.daemon(grace_s=30):
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(5)
            stopped.append(place.clock.monotonic())
        stopped.append(place.clock.monotonic())
        async with place.daemon():
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-1"]
    assert 10 <= stopped[1] - stopped[0] < 20
    (effect,) = place.ledger().effects(place.ledger().runs()[0].id)
    assert effect.outcome == "ok"


def test_somebody_may_cancel_a_run(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW + "  - {id: postmortem, hook: collect.sh}\n"))
    place.node("gpu-1")

    async def story() -> None:
        async with place.daemon() as daemon:
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(30)
            (run,) = daemon.tools.ledger.unfinished()
            await daemon.tools.ledger.cancel(run.id, by="mara", now=place.clock.now())
            await asyncio.sleep(5)

    place.play(story)
    assert place.started() == ["page.sh gpu-1", "collect.sh gpu-1"]
    assert place.verdicts() == ["CANCELLED"]


def test_a_run_that_cannot_be_carried_out_is_over_and_hurts_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK))
    place.node("gpu-1", "gpu-2")
    plan = Runs._plan

    def broken(self: Runs, record: Any, places: Any) -> Any:
        if record.run.node == "gpu-1":
            raise EnvironmentUnusable("its record cannot be understood")
        return plan(self, record, places)

    monkeypatch.setattr(Runs, "_plan", broken)

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            place.break_node("gpu-2")
            await asyncio.sleep(30)

    place.play(story)
    assert place.started() == ["page.sh gpu-2"]
    assert any("was given up: its record cannot be understood" in text for text in place.said())
    assert place.ledger().runs(unfinished=True) == []


def test_a_run_that_a_person_began_is_that_persons_to_resume(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=SLOW))
    place.node("gpu-1")

    async def story() -> None:
        ledger = Ledger.open(tmp_path / "state", clock=place.clock)
        new = NewRun("20260821-100000-0001", "xid", place.books["xid"].text, "gpu-1")
        occasion = Occasion(BY_HAND, T0, node="gpu-1", runbook="xid")
        await ledger.begin_by_hand(occasion, new, cluster="cluster-1")
        await ledger.append(RunBegan(new.run_id, T0, "xid", new.runbook_text, "gpu-1", "cluster-1"))
        ledger.close()
        async with place.daemon():
            await asyncio.sleep(60)

    place.play(story)
    assert place.started() == []
    assert len(place.ledger().runs(unfinished=True)) == 1


def test_what_is_old_is_forgotten_and_what_is_unfinished_is_not(tmp_path: Path) -> None:
    place = Place(tmp_path, runbooks(xid=QUICK, slow=SLOW.replace('"79"', '"48"')))
    place.node("gpu-1", "gpu-2")
    runs = tmp_path / "state" / "runs"

    async def story() -> None:
        async with place.daemon():
            await asyncio.sleep(5)
            place.break_node("gpu-1")
            await asyncio.sleep(30)
            place.release("gpu-1")
            place.quarantine("gpu-2", place.fault("gpu-2", code="48"), code="48")
            await asyncio.sleep(30)
        for entry in runs.iterdir():  # their clock is the machine's
            os.utime(entry, (T0, T0))
        await asyncio.sleep(100 * 86400)
        async with place.daemon():
            await asyncio.sleep(60)

    place.play(story)
    (left,) = place.ledger().runs()
    assert left.node == "gpu-2"
    assert [entry.name for entry in runs.iterdir()] == [left.id]
