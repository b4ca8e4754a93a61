"""Alarms as rows: what is news, what is called for it and by whom, and what is forgotten; and nothing of another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nvsx.admission import FORGOTTEN_S, IGNORE, START, Occasion
from nvsx.config import Limits
from nvsx.journal import EffectIntended
from nvsx.ledger import Alarm, Evidence, Ledger, NewRun, Ring, admitting, entries, keeping, ringing
from nvsx.ledger.rows import Rung

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000_000.0


def alarm(name: str = "nvsx-1", **facts: Any) -> Alarm:
    return Alarm(**{"id": name, "cluster": "c", "at": NOW, "hook": "onFailure", "script": "a.sh", "why": "because",
                    "key": "k", **facts})  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three topics: `t` of two scopes, and another one."""
    opened = Ledger.open(tmp_path)
    for scope, topic, name in (("s", "t", "nvsx-1"), ("s", "other", "nvsx-2"), ("else", "t", "nvsx-3")):
        ring(opened, scope, topic, alarm(name))
    yield opened
    opened.close()


def ring(ledger: Ledger, scope: str, topic: str, news: Alarm | None, now: float = NOW) -> Rung:
    found: Rung = ledger.write(lambda connection: ringing.ring(connection, Ring(scope, topic, news), now))
    return found


def resolve(ledger: Ledger, scope: str, topic: str, news: Alarm | None) -> Rung:
    found: Rung = ledger.write(lambda connection: ringing.resolve(connection, Ring(scope, topic, news)))
    return found


def claim(ledger: Ledger, name: str, owner: str, *dead: str) -> bool:
    return bool(ledger.write(lambda connection: ringing.claim(connection, name, owner, lambda one: one in dead)))


def end(ledger: Ledger, name: str, outcome: str = "ok", now: float = NOW + 5) -> None:
    ledger.write(lambda connection: ringing.end(connection, name, outcome, now))


def topics(ledger: Ledger) -> dict[tuple[str, str], tuple[float, str]]:
    rows = ledger.ask("SELECT scope, topic, heard, alarm FROM rung")
    return {(scope, topic): (heard, called) for scope, topic, heard, called in rows}


def alarms(ledger: Ledger) -> dict[str, tuple[str, float, str]]:
    rows = ledger.ask("SELECT id, owner, ended, outcome FROM alarms")
    return {name: (owner, ended, outcome) for name, owner, ended, outcome in rows}


THREE = {("s", "t"): (NOW, "nvsx-1"), ("s", "other"): (NOW, "nvsx-2"), ("else", "t"): (NOW, "nvsx-3")}


def test_what_was_heard_of_lately_is_no_news_and_was_heard_of_now(ledger: Ledger) -> None:
    assert topics(ledger) == THREE
    assert ring(ledger, "s", "t", alarm("nvsx-9"), NOW + FORGOTTEN_S) == Rung(), "exactly as long ago"
    assert topics(ledger) == {**THREE, ("s", "t"): (NOW + FORGOTTEN_S, "nvsx-1")}
    assert set(alarms(ledger)) == {"nvsx-1", "nvsx-2", "nvsx-3"}


def test_what_nobody_heard_of_for_long_is_news_again(ledger: Ledger) -> None:
    late = NOW + FORGOTTEN_S + 1
    assert ring(ledger, "s", "t", alarm("nvsx-9"), late) == Rung(new=True, alarm="nvsx-9")
    assert topics(ledger) == {**THREE, ("s", "t"): (late, "nvsx-9")}


def test_news_without_a_hook_is_only_remembered(ledger: Ledger) -> None:
    assert ring(ledger, "s", "new", None) == Rung(new=True)
    assert topics(ledger) == {**THREE, ("s", "new"): (NOW, "")}
    assert resolve(ledger, "s", "new", alarm("nvsx-9")) == Rung(new=True), "nobody was called, so nobody is told"
    assert topics(ledger) == THREE
    assert "nvsx-9" not in alarms(ledger)


def test_an_alarm_is_kept_as_it_is_under_an_id_that_is_free(ledger: Ledger) -> None:
    long = b"x" * (ringing.LONGEST_PAYLOAD + 1)
    named = [ring(ledger, "s", f"new {number}", alarm("nvsx-1", payload=long)).alarm for number in range(3)]
    assert named == ["nvsx-1.1", "nvsx-1.2", "nvsx-1.3"]
    kept = {one.id: one for one in ledger.alarms()}
    assert kept["nvsx-1.1"] == alarm("nvsx-1.1", payload=long[:-1])


def test_what_is_over_is_forgotten_and_told_to_those_who_were_called(ledger: Ledger) -> None:
    assert resolve(ledger, "s", "t", alarm("nvsx-9")) == Rung(), "its page is still tried"
    end(ledger, "nvsx-1")
    assert resolve(ledger, "s", "t", alarm("nvsx-9")) == Rung(new=True, alarm="nvsx-9")
    assert topics(ledger) == {topic: known for topic, known in THREE.items() if topic != ("s", "t")}
    assert resolve(ledger, "s", "t", alarm("nvsx-10")) == Rung(), "once"
    assert set(alarms(ledger)) == {"nvsx-1", "nvsx-2", "nvsx-3", "nvsx-9"}


def test_what_an_older_nvsx_heard_of_changes_nothing_that_is_known(ledger: Ledger) -> None:
    ledger.write(lambda connection: ringing.remember(connection, "s", {"t": 1.0, "older": NOW - 1}))
    assert topics(ledger) == {**THREE, ("s", "older"): (NOW - 1, "")}
    assert ring(ledger, "s", "older", alarm("nvsx-9")) == Rung()


def test_one_owner_calls_and_death_frees(ledger: Ledger) -> None:
    assert claim(ledger, "nvsx-1", "me")
    assert alarms(ledger) == {"nvsx-1": ("me", 0.0, ""), "nvsx-2": ("", 0.0, ""), "nvsx-3": ("", 0.0, "")}
    assert not claim(ledger, "nvsx-1", "you")
    assert claim(ledger, "nvsx-1", "you", "me")
    assert alarms(ledger)["nvsx-1"][0] == "you"
    assert not claim(ledger, "no such alarm", "me")
    end(ledger, "nvsx-1")
    assert not claim(ledger, "nvsx-1", "me", "you"), "it has ended"


def test_an_alarm_ends_once_and_nobody_owns_it(ledger: Ledger) -> None:
    claim(ledger, "nvsx-1", "me")
    claim(ledger, "nvsx-2", "me")
    end(ledger, "nvsx-1", "ok", NOW + 5)
    end(ledger, "nvsx-1", "failed", NOW + 6)
    assert alarms(ledger) == {"nvsx-1": ("", NOW + 5, "ok"), "nvsx-2": ("me", 0.0, ""), "nvsx-3": ("", 0.0, "")}


def test_who_leaves_gives_up_what_has_not_ended(ledger: Ledger) -> None:
    claim(ledger, "nvsx-1", "me")
    claim(ledger, "nvsx-2", "you")
    claim(ledger, "nvsx-3", "me")
    ledger.write(lambda connection: connection.execute("UPDATE alarms SET ended = 1 WHERE id = 'nvsx-3'"))
    ledger.write(lambda connection: ringing.give_up(connection, "me"))
    assert {name: owner for name, (owner, *_) in alarms(ledger).items()} == {
        "nvsx-1": "", "nvsx-2": "you", "nvsx-3": "me"
    }  # fmt: skip


def test_what_is_old_goes_with_what_was_done_for_it(ledger: Ledger) -> None:
    for name, ended in (("nvsx-1", NOW - 1), ("nvsx-2", NOW)):
        intended = EffectIntended(name, NOW, "", "hook", "onFailure", "a.sh", 1, "key")
        ledger.write(lambda connection, intended=intended: entries.write(connection, intended, ""))
        end(ledger, name, now=ended)
    ledger.write(lambda connection: connection.execute("UPDATE rung SET heard = heard - 1 WHERE scope = 's'"))
    ledger.write(lambda connection: ringing.prune(connection, NOW))
    assert topics(ledger) == {("else", "t"): THREE["else", "t"]}
    assert set(alarms(ledger)) == {"nvsx-2", "nvsx-3"}, "one ended at that time, one has not ended"
    assert {run for (run,) in ledger.ask("SELECT run_id FROM effects")} == {"nvsx-2"}
    ledger.write(lambda connection: ringing.prune(connection, NOW + 1))
    assert topics(ledger) == {}
    assert set(alarms(ledger)) == {"nvsx-3"}


def test_whoever_prunes_the_ledger_prunes_alarms(ledger: Ledger) -> None:
    end(ledger, "nvsx-1")
    ledger.write(lambda connection: keeping.prune(connection, NOW + 9, set()))
    assert topics(ledger) == {}
    assert set(alarms(ledger)) == {"nvsx-2", "nvsx-3"}, "people are still to be called for these"


def test_what_a_topic_still_stands_for_is_kept_however_old(ledger: Ledger) -> None:
    end(ledger, "nvsx-1", now=NOW - 9)
    ledger.write(lambda connection: ringing.prune(connection, NOW))
    assert "nvsx-1" in alarms(ledger), "its end is still to be told, with its key"


@pytest.mark.parametrize(("runbook", "verdict"), [("", IGNORE), ("off-bus", START)])
def test_people_are_called_only_for_what_is_ignored(ledger: Ledger, runbook: str, verdict: str) -> None:
    """What starts a run has hooks of its own; and where there is nothing to ring, nothing is rung."""

    def admitted(news: Ring | None) -> admitting.Admitted:
        occasion = Occasion("poll", NOW, "gpu-1", runbook)
        case = admitting.Case(occasion, "c", Evidence(), NewRun("run-1", runbook, "text", "gpu-1"), "", ())
        found: admitting.Admitted = ledger.write(
            lambda connection: admitting.admit(connection, case, Limits(), (), stopping=False, ring=news)
        )
        return found

    without = admitted(None)
    assert without.rung == Rung()
    assert topics(ledger) == THREE
    ledger.write(lambda connection: connection.execute("DELETE FROM incidents"))
    found = admitted(Ring("s", "new", alarm("nvsx-9")))
    assert found.decision.verdict == without.decision.verdict == verdict
    assert found.rung == (Rung(new=True, alarm="nvsx-9") if verdict == IGNORE else Rung())
    assert (("s", "new") in topics(ledger)) == (verdict == IGNORE)
