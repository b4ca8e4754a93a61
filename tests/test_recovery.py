"""A run that goes on after a crash: what was done stays done, what was cut off is owned up to, time is not lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nvsx.app.records.recovery import history_of
from nvsx.engine.history import History
from nvsx.events import StageEnd, Start
from nvsx.journal import EffectEnded, EffectIntended, EffectStarted, StageBegan
from nvsx.ledger import Ledger
from tests.story import T0, Story, node_patch, quarantine, release

if TYPE_CHECKING:
    from pathlib import Path

    from nvsx.journal import Entry

BODY = """
hooks: {onFailure: page.sh, finally: close.sh}
stages:
  - id: detect
    watch: [{kind: node, field: spec.unschedulable, expect: "true"}]
    hooks: {onSuccess: told.sh, finally: after.sh}
    timeout: 2m
  - id: remediate
    action: {script: fix.sh}
    expect: [fixed]
    hooks: {onSuccess: ticket.sh}
  - id: recover
    watch: [{kind: node, field: metadata.labels.repaired, expect: "yes"}]
    hooks: {onSuccess: resolve.sh}
    timeout: 10m
  - id: postmortem
    action: {script: collect.sh}
"""


def whole(body: str = BODY) -> Story:
    return (
        Story(body)
        .process("fix.sh", output="fixed\n")
        .process("told.sh", writes="page=P1\n")
        .at("1s", quarantine())
        .at("60s", node_patch(metadata={"labels": {"repaired": "yes"}}), release())
    )


def cut(entries: list[Entry], count: int, directory: Path) -> History:
    """The history of a run of which only the first `count` journal entries were written."""
    directory.mkdir(exist_ok=True)
    ledger = Ledger.open(directory)
    try:
        from nvsx.ledger import entries as tables

        ledger.write(lambda connection: [tables.write(connection, entry, "") for entry in entries[:count]])
        run_id = entries[0].run_id
        return history_of(ledger.run(run_id), next_seq=0, told=0.0, now=entries[count - 1].at)
    finally:
        ledger.close()


def once(story: Story) -> list[str]:
    return [one.script for one in story.started]


def test_whatever_the_journal_reached_every_effect_runs_once_or_is_unknown(tmp_path: Path) -> None:
    first = whole().run()
    assert once(first) == ["told.sh", "after.sh", "fix.sh", "ticket.sh", "resolve.sh", "collect.sh", "close.sh"]
    entries = first.journal.entries
    for count in range(2, len(entries) + 1):
        history = cut(entries, count, tmp_path / str(count))
        ended = {one.key for one in entries[:count] if isinstance(one, EffectEnded)}
        begun = {one.key: one.script for one in entries[:count] if isinstance(one, EffectIntended)}
        unknown = {key for key in begun if key not in ended}
        again = whole().at("0s", quarantine(at=T0), node_patch(metadata={"labels": {"repaired": "yes"}}))
        again.history = history
        again.run()
        done_before = [script for key, script in begun.items() if key in ended]
        actions = {"fix.sh", "collect.sh"}
        repeated = set(once(again)) & set(done_before)
        assert not repeated, f"after {count} entries: {repeated} ran twice"
        told = [hook for hook in again.of(type_of_hook()) if hook.outcome == "unknown"]
        assert {hook.script for hook in told} == {begun[key] for key in unknown}
        for key in unknown:
            assert (begun[key] in once(again)) == (begun[key] not in actions), f"after {count} entries: {begun[key]}"
        if "fix.sh" in {begun[key] for key in unknown}:
            assert again.finish.status == "fail"
            assert "page.sh" in once(again)
        elif not unknown & set(begun) or not any(begun[key] in actions for key in unknown):
            assert again.finish.verdict == "PASSED", f"after {count} entries: {again.finish}"
            assert sorted({*once(again), *done_before}) == sorted(once(first))


def type_of_hook() -> type:
    from nvsx.events import Hook

    return Hook


def test_deadline_goes_on_where_it_stood_without_the_downtime() -> None:
    story = Story(BODY)
    past = {"detect": done(), "remediate": done()}
    story.history = History(began=T0 - 7200, downtime_s=3600, stages=past, stage="recover", spent_s=540.0)
    story.at("0s", quarantine(at=T0)).run()
    assert story.stage("recover").status == "timeout"
    assert story.stage("recover").elapsed_s == pytest.approx(600, abs=1)
    begun_after = next(e.t for e in story.events if isinstance(e.body, StageEnd) and e.body.stage == "recover") - T0
    assert begun_after == pytest.approx(60, abs=1)


def done(status: str = "pass") -> object:
    from nvsx.engine.history import PastStage

    return PastStage(status, 1.0, "", False, T0 - 7000)  # type: ignore[arg-type]


def test_incident_key_and_facts_stay_though_the_node_has_forgotten(tmp_path: Path) -> None:
    first = whole().run()
    keys = {one.incident_key for one in first.journal.entries if isinstance(one, EffectIntended)}
    at = next(i for i, e in enumerate(first.journal.entries) if isinstance(e, StageBegan) and e.stage == "recover")
    again = whole()
    again.history = cut(first.journal.entries, at + 1, tmp_path)
    again.at("0s", node_patch(metadata={"labels": {"repaired": "yes"}}))
    again._changes = [change for change in again._changes if change[0] != 1.0]  # the node is healthy again
    again.run()
    env = again.env("resolve.sh")
    assert {env["NVSX_INCIDENT_KEY"]} == keys
    assert env["NVSX_EVENT_CHECK"] == "SysLogsXIDError"
    assert env["NVSX_OUT_DETECT_PAGE"] == "P1"
    assert again.finish.mttr_s is not None


def test_what_was_said_before_is_said_again_for_those_who_only_see_the_rest(tmp_path: Path) -> None:
    first = whole().run()
    at = next(i for i, e in enumerate(first.journal.entries) if isinstance(e, StageBegan) and e.stage == "recover")
    again = whole()
    again.history = cut(first.journal.entries, at + 1, tmp_path)
    again.run()
    assert isinstance(again.events[0].body, Start)
    assert [line.rpartition(" ")[0] for line in again.stages] == [
        "detect pass",
        "remediate pass",
        "recover pass",
        "postmortem pass",
    ]


@pytest.mark.parametrize(
    ("policy", "runs", "hooks_failed"), [("", True, 0), ("retry", True, 0), ("skip", False, 0), ("fail", False, 1)]
)
def test_hook_that_was_cut_off_follows_on_unknown(
    tmp_path: Path, policy: str, *, runs: bool, hooks_failed: int
) -> None:
    body = BODY.replace("timeout: 2m", f"timeout: 2m\n    onUnknown: {policy}") if policy else BODY
    first = whole(body).run()
    at = next(i for i, e in enumerate(first.journal.entries) if isinstance(e, EffectStarted))
    again = whole(body)
    again.history = cut(first.journal.entries, at + 1, tmp_path)
    again.run()
    assert ("told.sh" in once(again)) == runs
    assert again.finish.hooks_failed == hooks_failed
    if runs:
        env = again.env("told.sh")
        assert env["NVSX_ATTEMPT"] == "2"
        assert env["NVSX_IDEMPOTENCY_KEY"] == first.env("told.sh")["NVSX_IDEMPOTENCY_KEY"]


def test_action_may_be_retried_where_the_runbook_says_so(tmp_path: Path) -> None:
    body = BODY.replace("expect: [fixed]", "expect: [fixed]\n    onUnknown: retry")
    first = whole(body).run()
    at = next(i for i, e in enumerate(first.journal.entries) if isinstance(e, EffectIntended) and e.script == "fix.sh")
    again = whole(body)
    again.history = cut(first.journal.entries, at + 1, tmp_path)
    again.run()
    assert again.finish.verdict == "PASSED"
    assert once(again)[0] == "fix.sh"


def test_hook_that_kills_nvsx_every_time_is_given_up(tmp_path: Path) -> None:
    first = whole().run()
    entries = list(first.journal.entries)
    at = next(i for i, e in enumerate(entries) if isinstance(e, EffectIntended))
    entries = entries[: at + 1]
    intended = entries[at]
    assert isinstance(intended, EffectIntended)
    from dataclasses import replace

    for attempt in range(2, 7):
        entries.append(EffectEnded(intended.run_id, T0, intended.key, attempt - 1, "unknown", None))
        entries.append(replace(intended, attempt=attempt))
    again = whole()
    again.history = cut(entries, len(entries), tmp_path)
    again.run()
    assert "told.sh" not in once(again)
    assert again.finish.hooks_failed == 1


def test_run_that_was_stopped_only_ends(tmp_path: Path) -> None:
    first = whole().interrupt_at("5s").run()
    assert first.finish.status == "interrupted"
    at = next(i for i, e in enumerate(first.journal.entries) if getattr(e, "status", "") == "interrupted")
    again = whole()
    again.history = cut(first.journal.entries, at + 1, tmp_path)
    again.run()
    assert again.finish.status == "interrupted"
    assert once(again) == ["collect.sh", "close.sh"]


def test_run_level_hook_has_a_key_of_its_own() -> None:
    """A stage's `onFailure` and the run's are two hooks: as one, the second would look as if it had run."""
    body = """
hooks: {onFailure: run.sh}
stages:
  - id: detect
    action: {script: no.sh}
    hooks: {onFailure: stage.sh}
"""
    story = Story(body).process("no.sh", exit_codes=(1,)).run()
    keys = {story.env(script)["NVSX_IDEMPOTENCY_KEY"] for script in ("run.sh", "stage.sh")}
    assert len(keys) == 2


def test_each_reminder_has_a_key_of_its_own() -> None:
    body = """
hooks: {onReminder: nudge.sh}
stages:
  - id: detect
    watch: [{kind: node, field: spec.unschedulable, expect: "true"}]
    timeout: 10m
"""
    story = Story(body).run()
    keys = [one.env["NVSX_IDEMPOTENCY_KEY"] for one in story.started if one.script == "nudge.sh"]
    assert len(keys) == len(set(keys)) == 2


def test_history_survives_json(tmp_path: Path) -> None:
    first = whole().run()
    history = cut(first.journal.entries, len(first.journal.entries), tmp_path)
    assert json.loads(json.dumps(dict(history.incident)))["first_check"] == "SysLogsXIDError"
