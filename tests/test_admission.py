"""Admission: what starts a run, what belongs to one, and what does nothing; always with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from nvsx.admission import (
    ATTACH,
    DUPLICATE,
    FORGOTTEN_S,
    IGNORE,
    QUEUE,
    REFUSE,
    START,
    Incident,
    Occasion,
    by_hand,
    closes,
    decide,
)
from nvsx.alerts import OTHER, RESOLVED
from nvsx.config import Limits, Silence

NOW = 10_000.0
OPEN = Incident(1, "gpu-7", "gpu-off-bus", "run-1", opened=9_000.0, session="s1", news=9_000.0)
ENDED = OPEN._replace(run_ended=9_500.0)
CLOSED = ENDED._replace(closed=9_600.0)
KEY = "nvsx/0123456789abcdef0123"


class Remembered:
    """A memory of one incident at most, and of what a test says."""

    def __init__(self, incident: Incident | None = None, **more: Any) -> None:
        self.incident = incident
        self.more = more

    def answered(self, source: str, delivery: str) -> str | None:
        found: str | None = self.more.get("answered", {}).get((source, delivery))
        return found

    def latest(self, node: str, runbook: str) -> Incident | None:
        return self.incident if self.incident and (node, runbook) == self.incident[1:3] else None

    def on_node(self, node: str) -> Incident | None:
        return self.incident if self.incident and node == self.incident.node and not self.incident.closed else None

    def with_key(self, source: str, key: str) -> Incident | None:
        return self.incident if (source, key) in self.more.get("keys", ()) else None

    def issued(self, key: str) -> Incident | None:
        return self.incident if key == self.more.get("issued") else None

    def active(self, runbook: str) -> int:
        return int(self.more.get("active", 0))

    def waiting(self) -> int:
        return int(self.more.get("waiting", 0))


def occasion(**more: Any) -> Occasion:
    return Occasion("poll", NOW, **{"node": "gpu-7", "runbook": "gpu-off-bus", "why": "code 79", **more})


def answer(memory: Remembered, silences: tuple[Silence, ...] = (), *, stopping: bool = False, **more: Any) -> str:
    decision = decide(occasion(**more), memory, Limits(max_waiting=5), silences, stopping=stopping)
    assert decision.reason
    return decision.verdict


@pytest.mark.parametrize(
    ("memory", "more", "expected"),
    [
        (Remembered(), {}, START),
        (Remembered(), {"runbook": "", "why": "nothing answers"}, IGNORE),
        (Remembered(OPEN), {}, ATTACH),
        (Remembered(OPEN), {"node": "gpu-8"}, START),
        (Remembered(OPEN), {"runbook": "gpu-reset"}, START),
        # a second quarantine while the first one's run still goes is news for that run
        (Remembered(OPEN), {"session": "s2"}, ATTACH),
        (Remembered(ENDED), {}, ATTACH),
        (Remembered(ENDED), {"session": "s1"}, ATTACH),
        (Remembered(ENDED), {"session": "s2"}, START),
        # what a sender told without a quarantine is told again by the quarantine that it led to
        (Remembered(ENDED._replace(session="")), {"session": "s2"}, ATTACH),
        (Remembered(CLOSED), {}, START),
        # replayed history starts nothing
        (Remembered(CLOSED), {"about": 9_550.0}, ATTACH),
        (Remembered(CLOSED), {"about": 9_600.0}, ATTACH),
        (Remembered(CLOSED), {"about": 9_601.0}, START),
        (Remembered(CLOSED), {"cooldown_s": 600.0}, IGNORE),
        (Remembered(CLOSED), {"cooldown_s": 500.0}, START),
        # a clock that was put back is no cooldown where there is none
        (Remembered(CLOSED._replace(run_ended=NOW + 5)), {}, START),
        # a cooldown counts from the end of a run, and this one has none yet
        (Remembered(OPEN._replace(closed=9_600.0)), {"cooldown_s": 600.0}, START),
        # replayed or not, an incident whose quarantine ended is over when the node is quarantined anew
        (Remembered(ENDED), {"session": "s2", "about": 9_400.0}, START),
        (Remembered(CLOSED), {"cooldown_s": 400.0}, START),
        (Remembered(CLOSED), {"status": RESOLVED}, IGNORE),
        (Remembered(OPEN), {"status": RESOLVED}, ATTACH),
        (Remembered(OPEN), {"status": OTHER, "node": "", "key": "k"}, IGNORE),
        (Remembered(OPEN, keys={("poll", "k")}), {"status": RESOLVED, "node": "", "key": "k"}, ATTACH),
        (Remembered(OPEN), {"anonymous": True, "runbook": ""}, ATTACH),
        (Remembered(), {"anonymous": True, "runbook": "", "why": "it says neither check nor runbook"}, IGNORE),
        (Remembered(OPEN, issued=KEY), {"issued_key": KEY}, ATTACH),
        (Remembered(), {"issued_key": KEY}, IGNORE),
        (Remembered(), {"elsewhere": "prod-b"}, IGNORE),
        (Remembered(answered={("poll", "d1"): "run-9"}), {"delivery": "d1"}, DUPLICATE),
        (Remembered(answered={("poll", "d1"): ""}), {"delivery": "d1"}, DUPLICATE),
        (Remembered(answered={("other", "d1"): "run-9"}), {"delivery": "d1"}, START),
        (Remembered(waiting=5), {}, REFUSE),
        (Remembered(OPEN, waiting=5), {}, ATTACH),
        (Remembered(active=2), {"max_concurrent": 2}, QUEUE),
        (Remembered(active=1), {"max_concurrent": 2}, START),
    ],
)
def test_every_answer(memory: Remembered, more: dict[str, Any], expected: str) -> None:
    assert answer(memory, **more) == expected


def test_a_delivery_that_was_answered_names_its_run() -> None:
    decision = decide(occasion(delivery="d1"), Remembered(answered={("poll", "d1"): "run-9"}), Limits())
    assert decision.run_id == "run-9"
    assert decision.incident
    assert decision.incident.id == 0, "it is evidence of no incident once more"


@pytest.mark.parametrize(
    ("memory", "more", "reason"),
    [
        (Remembered(), {}, "code 79"),
        (Remembered(), {"runbook": "", "why": "nothing answers"}, "nothing answers"),
        (Remembered(), {"runbook": "", "why": ""}, "no runbook answers to it"),
        (Remembered(), {"status": RESOLVED}, "resolved, and belongs to no incident that is known"),
        (Remembered(), {"status": OTHER}, "no begin of an incident, and belongs to no incident that is known"),
        (Remembered(CLOSED), {"cooldown_s": 600.0}, "the runbook's cooldown lasts 100 s more"),
        (Remembered(active=2), {"max_concurrent": 2}, "2 runs of gpu-off-bus at a time"),
        (Remembered(waiting=5), {}, "5 runs are waiting already"),
        (Remembered(), {"elsewhere": "prod-b"}, "it is about the cluster prod-b"),
    ],
)
def test_the_reason_says_what_decided(memory: Remembered, more: dict[str, Any], reason: str) -> None:
    assert decide(occasion(**more), memory, Limits(max_waiting=5)).reason == reason


@pytest.mark.parametrize(
    ("memory", "force", "verdict", "reason"),
    [
        (Remembered(), False, START, "asked for by hand"),
        (Remembered(OPEN), False, ATTACH, "a run of this runbook is under way on this node"),
        (Remembered(OPEN), True, START, "asked for by hand, though one is under way"),
        (Remembered(ENDED), False, START, "asked for by hand"),
        (Remembered(CLOSED), False, START, "asked for by hand"),
        # closed by a newer one while its run still goes
        (Remembered(OPEN._replace(closed=9_600.0)), False, START, "asked for by hand"),
        # machines wait for room and for cooldowns, a person does not
        (Remembered(CLOSED, waiting=5, active=5), False, START, "asked for by hand"),
    ],
)
def test_a_person_is_only_told_of_a_run_that_is_under_way(
    memory: Remembered, verdict: str, reason: str, *, force: bool
) -> None:
    asked = occasion(cooldown_s=600.0, max_concurrent=1)
    decision = by_hand(asked, memory, force=force)
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision.incident == (memory.incident if verdict == ATTACH else None)


def test_a_run_without_a_node_belongs_to_no_incident() -> None:
    nowhere = OPEN._replace(node="")
    assert by_hand(occasion(node=""), Remembered(nowhere), force=False).verdict == START


def test_who_is_told_of_an_open_incident_hears_whether_its_run_goes_on() -> None:
    assert decide(occasion(), Remembered(OPEN), Limits()).reason == "its run is under way"
    assert "its run has ended" in decide(occasion(), Remembered(ENDED), Limits()).reason


def test_a_silence_stops_a_start_and_nothing_else() -> None:
    silence = Silence(NOW + 1, "driver update", node="gpu-*")
    assert answer(Remembered(), (silence,)) == IGNORE
    assert answer(Remembered(), (silence._replace(until=NOW),)) == START
    assert answer(Remembered(OPEN), (silence,), status=RESOLVED) == ATTACH


def test_what_is_stopping_starts_nothing_and_still_attaches() -> None:
    assert answer(Remembered(), stopping=True) == REFUSE
    assert answer(Remembered(OPEN), stopping=True) == ATTACH


@pytest.mark.parametrize(
    ("incident", "now", "quarantined", "expected"),
    [
        (OPEN, NOW + 10 * FORGOTTEN_S, False, False),
        (ENDED, NOW, False, True),
        (ENDED, NOW, True, False),
        (ENDED, NOW, None, False),
        (ENDED, 9_500 + FORGOTTEN_S, True, True),
        (ENDED._replace(news=9_900.0), 9_500 + FORGOTTEN_S, True, False),
        (CLOSED, NOW, False, False),
    ],
)
def test_when_an_incident_is_over(incident: Incident, now: float, quarantined: bool | None, expected: bool) -> None:
    assert closes(incident, now, quarantined=quarantined) is expected
