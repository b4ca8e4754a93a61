"""The machine's time zone: nvsx reckons in epoch seconds and writes UTC, so that no change of clocks moves anything."""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.app.records.silencing import silence_from
from nvsx.clock import SimulatedClock
from nvsx.cluster.kubectl import _epoch
from nvsx.config import Config, Silence, read_config
from nvsx.errors import UsageError
from nvsx.healthevents.ejson import moment
from nvsx.main import main
from nvsx.sinks.text import TextLines
from nvsx.watches.nvsentinel import parse_time
from tests.daemon_story import Place, runbooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BERLIN = "Europe/Berlin"
SPRING = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()  # 02:00 becomes 03:00 there
AUTUMN = datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp()  # 03:00 becomes 02:00
CHANGES = {
    "spring in Berlin": (BERLIN, SPRING),
    "autumn in Berlin": (BERLIN, AUTUMN),
    "half an hour on Lord Howe": ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 0, tzinfo=UTC).timestamp()),
    "the day that Apia left out": ("Pacific/Apia", datetime(2011, 12, 30, 10, 0, tzinfo=UTC).timestamp()),
}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def use(zone: pytest.MonkeyPatch, name: str) -> None:
    zone.setenv("TZ", name)
    time.tzset()


@pytest.mark.parametrize(("name", "at"), CHANGES.values(), ids=CHANGES)
def test_the_clocks_do_change_there(zone: pytest.MonkeyPatch, name: str, at: float) -> None:
    """What follows would show nothing in a zone whose clocks stand still, or that this machine does not know."""
    use(zone, name)
    before, after = time.localtime(at - 1).tm_gmtoff, time.localtime(at).tm_gmtoff
    assert before != after
    assert datetime.fromtimestamp(at, ZoneInfo(name)).utcoffset() == timedelta(seconds=after)


# A daemon through the change


BOOK = """
trigger: {checkNames: [SysLogsXIDError], errorCodes: ["79"], cooldown: 20m}
stages:
  - {id: detect, hook: page.sh}
  - {id: drain, timeout: 30m, watch: [{kind: nvsentinel-state, state: drain-succeeded}], hook: drained.sh}
hooks: {onReminder: still.sh, onFailure: failed.sh}
"""


def played(directory: Path, change: float, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a daemon does and says around a moment, and what is on record afterwards: three runs, two of which time out
    after 30 minutes, a silence that ends with the change, a restart, and reports as people read them.

    Whatever happens, happens in the middle of a minute; what a busy machine adds to it is left out.
    """
    directory.mkdir()
    silence = Silence(until=change, until_text="the change", why="driver update", node="gpu-3")
    config = Config(silences=(silence,), hooks={"onFailure": "last.sh"})
    place = Place(directory, runbooks(xid=BOOK), config, clock=SimulatedClock(start=change - 630))
    place.node("gpu-1", "gpu-2", "gpu-3")

    async def story() -> None:
        async with place.daemon(killed=True, poll_s=60):
            await asyncio.sleep(60)
            place.break_node("gpu-1")
            place.break_node("gpu-2")
            await asyncio.sleep(480)
            place.break_node("gpu-3")  # silenced still
            place.fault("gpu-3", code="48", check="GpuMemWatch")
            await asyncio.sleep(75)
        async with place.daemon(poll_s=60):
            await asyncio.sleep(60)  # the clocks have changed
            place.fault("gpu-3")
            place.state("gpu-1", "drain-succeeded")
            await asyncio.sleep(2400)

    place.play(story)
    lines = TextLines(table=False)
    told = [line for event in place.events for line in lines.draw(event)]
    for one in place.processes:
        times = (one.env["NVSX_EVENT_TIME"], int(one.env["NVSX_INCIDENT_MS"]) // 60_000, int(one.at + 30) // 60)
        told.append(f"{one.script} {one.env['NVSX_TARGET_NODE']} {times}")
    reader = place.ledger()
    for run in reader.runs():
        for words in (["report", run.id, "--format", "markdown"], ["report", run.id], ["explain", run.id]):
            assert main(["--state-dir", str(directory / "state"), *words]) == 0
    reader.close()
    assert len(place.started("page.sh")) == 3
    assert len(place.started("failed.sh")) == 2
    return sorted(map(_to_the_minute, [*told, *capsys.readouterr().out.splitlines()]))


def _to_the_minute(line: str) -> str:
    line = re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN", line)
    line = re.sub(r"(T\d\d:\d\d):\d\d(\.\d+)?(\+00:00|Z)( [0-9a-f]{4} )?", r"\1 ", line)
    line = re.sub(r"(\d\d:\d\d):\d\d", r"\1", line)
    line = re.sub(r"(\d+m)\d\ds\b", r"\1", line)  # a slow disk takes simulated time, too
    return re.sub(r"[ |▓-]+", " ", re.sub(r"\b[0-9.]+m?s\b", "", line))


@pytest.mark.parametrize(("name", "at"), CHANGES.values(), ids=CHANGES)
def test_a_daemon_does_and_says_the_same_as_in_utc(
    zone: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, at: float
) -> None:
    use(zone, "UTC")
    expected = played(tmp_path / "utc", at, capsys)
    use(zone, name)
    assert played(tmp_path / "zone", at, capsys) == expected


# Times without a zone


def until(text: str, now: float) -> Silence:
    words = argparse.Namespace(
        number=[], why="x", all=True, node="", selector="", runbook="", lasting="", until=text
    )  # fmt: skip
    return silence_from(words, now)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("2026-10-25T02:30", "comes twice", "2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"),
        ("2026-03-29T02:30", "never comes", "2026-03-29T00:30:00Z or 2026-03-29T01:30:00Z"),
    ],
)
def test_a_silence_until_an_hour_that_is_not_one_is_refused(
    zone: pytest.MonkeyPatch, text: str, says: str, hint: str
) -> None:
    use(zone, BERLIN)
    with pytest.raises(UsageError, match=says) as refused:
        until(text, SPRING - 86400)
    assert hint in refused.value.hint
    assert until(f"{text}Z", SPRING - 86400).until_text == f"{text}:00Z"
    use(zone, "UTC")
    assert until(text, SPRING - 86400).until_text == f"{text}:00Z"


@given(minutes=st.integers(-3 * 1440, 3 * 1440), change=st.sampled_from([SPRING, AUTUMN]))
def test_a_silence_until_a_local_time_is_right_or_refused(minutes: int, change: float) -> None:
    at = datetime.fromtimestamp(change + 60 * minutes, UTC)
    local = at.astimezone(ZoneInfo(BERLIN)).replace(tzinfo=None)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, BERLIN)
        try:
            found = until(local.isoformat(timespec="minutes"), change - 7 * 86400)
        except UsageError:
            assert change == AUTUMN
            assert abs(minutes) <= 60
        else:
            assert found.until == at.timestamp()
            assert found.until_text == f"{at:%Y-%m-%dT%H:%M:%SZ}"
    time.tzset()


@given(at=st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1)))
def test_times_of_the_cluster_without_a_zone_are_utc(at: datetime) -> None:
    """In the second form, NVSentinel's label, and in the log's form with nanoseconds, too."""
    at = at.replace(microsecond=0)
    expected = at.replace(tzinfo=UTC).timestamp()
    with pytest.MonkeyPatch.context() as patch:
        use(patch, BERLIN)
        texts = (at.isoformat(), f"{at.isoformat()}Z", f"{at.isoformat()}.000000001+00:00")
        assert {read(text) for read in (parse_time, moment, _epoch) for text in texts} == {expected}
        assert parse_time(f"{at:%Y-%m-%dT%H-%M-%SZ}") == expected
    time.tzset()


def test_silences_of_nvsx_yaml_name_their_zone(zone: pytest.MonkeyPatch) -> None:
    use(zone, BERLIN)
    silences = [{"until": "2026-10-25T02:30+02:00", "why": "x"}, {"until": "2026-10-25T02:30+01:00", "why": "x"}]
    assert [one.until - AUTUMN for one in read_config({"silences": silences}).silences] == [-1800.0, 1800.0]
