"""What a test of a runbook can say, how it is read, and how each expectation is held against what was seen."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.catalog import read_runbook, schema_of_tests
from nvsx.documents import problems, read_yaml
from nvsx.errors import DocumentInvalid
from nvsx.events import Finish, Hook, Output, RunEvent, StageEnd
from nvsx.expectations.junit import CaseReport, junit
from nvsx.expectations.kinds import judge
from nvsx.expectations.ranges import count_range, time_range
from nvsx.expectations.reading import misplaced, read_cases
from nvsx.expectations.seen import Seen, fold
from nvsx.messages import Message, is_for

HEAD = "apiVersion: nvsx/v1\nkind: RunbookTest\nrunbook: mine\ntests:\n"
KEY = "nvsx/0123456789abcdef0123"
LABEL = KEY.replace("/", "-")
QUOTED = KEY.replace("/", "%2F")
ENDED = "TIMED OUT at recover: recover: late"


def case(expect: str, more: str = "") -> str:
    return f"{HEAD}  - name: one\n    scenario: xid-79\n{more}    expect: {{{expect}}}\n"


def read(text: str):
    document = read_yaml(text, "mine.yaml")
    found = problems(document, schema_of_tests())
    if found:
        raise DocumentInvalid("invalid", found)
    return read_cases(document)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (2, [2], [1, 3]),
        ("2", [2], [1, 3]),
        ("2..", [2, 99], [1]),
        ("..2", [0, 2], [3]),
        ("1..3", [1, 2, 3], [0, 4]),
        (" 2.. ", [2], [1]),
    ],
)
def test_counts(text: str | int, inside: list[int], outside: list[int]) -> None:
    found = count_range(text)
    assert [one in found for one in inside] == [True] * len(inside)
    assert [one in found for one in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("25m..", [1500, 9e9], [1499]),
        ("..30s", [-8, 0, 30], [30.1]),
        ("4m..6m", [240, 360], [239, 361]),
        ("0.5s..1.5s", [0.5, 1.5], [0.4, 1.6]),
        ("1h30m..2h", [5400], [5399]),
    ],
)
def test_spans(text: str, inside: list[float], outside: list[float]) -> None:
    found = time_range(text)
    assert [one in found for one in inside] == [True] * len(inside)
    assert [one in found for one in outside] == [False] * len(outside)


@pytest.mark.parametrize("text", ["3..1", "twice", "", "..", ">=1", "-1", "1.5", "1...2"])
def test_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="no number of times; write 2, "):
        count_range(text)


@pytest.mark.parametrize("text", ["25m", "6m..4m", "5..", "soon", "", "..", "4m...6m"])
def test_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="no span of time; write "):
        time_range(text)


@given(st.integers(0, 999), st.integers(0, 999))
def test_a_range_holds_what_lies_between(low: int, high: int) -> None:
    if low <= high:
        found = count_range(f"{low}..{high}")
        assert low in found
        assert high in found
        assert low - 1 not in found
        assert high + 1 not in found
    else:
        with pytest.raises(ValueError):
            count_range(f"{low}..{high}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (case("exitCode: 0, exitcode: 1"), 7, "unknown key 'exitcode'"),
        (case("stages: passed"), 7, "must be pass, fail"),
        (case("stages: {recovery: pass}"), 7, "unknown key 'recovery'"),
        (case("hooks: [{times: 3..1}]"), 7, "says no number of times"),
        (case("total: 5m"), 7, "must be a span of time"),
        (case("mttr: 6m..4m"), 7, "says no span of time"),
        (case("messages: [{sameKeyAs: opened}]"), 7, "no message here has the id opened"),
        (case("messages: [{id: a}, {id: a}]"), 7, "two messages are called a"),
        (case("exitCode: 0") + "  - {name: one, scenario: quiet, expect: {exitCode: 0}}\n", 8, "is the name of tests"),
        (case(""), 7, "needs one entry at least"),
        (f"{HEAD}  - {{name: one, expect: {{exitCode: 0}}}}\n", 5, "scenario"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read(text)
    assert any(said in problem.message and problem.place.line == line for problem in caught.value.problems), [
        str(problem) for problem in caught.value.problems
    ]


def test_what_the_runbook_does_not_have_is_told() -> None:
    text = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: mine}\nstages: [{id: detect, hook: hooks/a.sh}]\n"
    runbook = read_runbook(text, "mine.yaml")
    cases = read(case("stages: {recover: pass}, hooks: [{script: hooks/b.sh}, {script: hooks/a.sh, stage: detect}]"))
    assert [problem.message for problem in misplaced(cases, runbook)] == [
        "mine has no stage recover",
        "mine names no script hooks/b.sh",
    ]


def seen(*, messages: tuple[Message, ...] = (), **facts: object) -> Seen:
    """A run that timed out at recover, having fired a reminder and, at the second attempt, a hook."""
    bodies = [
        StageEnd("detect", "pass", 8.0),
        Hook("detect", "onSuccess", "hooks/told.sh", 1, "begin"),
        Hook("detect", "onSuccess", "hooks/told.sh", 1, "end", "failed", 1, final=False),
        Hook("recover", "onReminder", "hooks/wait.sh", 1, "begin"),
        Hook("detect", "onSuccess", "hooks/told.sh", 2, "begin"),
        Hook("detect", "onSuccess", "hooks/told.sh", 2, "end", "ok", 0),
        Output("detect", "onSuccess", "told everybody"),
        Hook("recover", "onReminder", "hooks/wait.sh", 1, "end", "timeout"),
        StageEnd("recover", "timeout", 2400.0, "not within 40m00s"),
        Finish(False, "timeout", 1, 2500.0, 0, None, KEY, "/a", 1, 0, 2, 1, "TIMED OUT at recover", "recover: late"),
    ]
    events = [RunEvent("r", "c", number, 1000.0 + number, body) for number, body in enumerate(bodies)]
    found = fold(events, messages=messages, fault_time=1000.0, artifacts=["node.json"])
    assert found
    return found


def mismatches(expect: str, **facts: object) -> list[tuple[str, str, str]]:
    (one,) = read(case(expect))
    return [(found.path, found.expected, found.seen) for found in judge(one.expectations, seen(**facts))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expect",
    [
        "exitCode: 1",
        "verdict: TIMED OUT at recover",
        "stages: {detect: pass, recover: {status: timeout, lasts: 40m..41m, reason: not within, inferred: false}}",
        "hooks: [{script: hooks/told.sh}, {hook: onReminder, outcome: timeout}, {hook: onFailure, times: 0}]",
        "hooks: [{script: hooks/told.sh, outcome: ok, sinceFault: ..2s}]",
        "hooks: [{times: 2}]",
        "output: [told every], artifacts: [node.json], total: 41m..42m, writes: 2, refusedWrites: 1..",
        "messages: [{times: 0}]",
    ],
)
def test_what_holds(expect: str) -> None:
    assert mismatches(expect) == []


@pytest.mark.parametrize(
    ("expect", "path", "expected", "found"),
    [
        ("exitCode: 0", "exitCode", "0", f"1 ({ENDED})"),
        ("verdict: PASSED", "verdict", "PASSED", ENDED),
        ("stages: pass", "stages", "every stage pass", "recover timeout: not within 40m00s"),
        ("stages: {recover: pass}", "stages.recover", "pass", "timeout: not within 40m00s"),
        ("stages: {drain: pass}", "stages.drain", "pass", f"no stage drain in this run ({ENDED})"),
        ("stages: {detect: {lasts: ..5s}}", "stages.detect", "to last ..5s", "8.0s (pass)"),
        ("stages: {recover: {reason: blind}}", "stages.recover", "a reason with 'blind'", "not within 40m00s"),
        ("stages: {detect: {inferred: true}}", "stages.detect", "inferred", "seen"),
        (
            "hooks: [{script: hooks/told.sh, times: 0}]",
            "hooks[0]",
            "hooks/told.sh never",
            "once\ndetect onSuccess hooks/told.sh: ok after 2 attempts",
        ),
        (
            "hooks: [{hook: onReminder, outcome: ok}]",
            "hooks[0]",
            "onReminder (ok) once",
            "never of once in all\nrecover onReminder hooks/wait.sh: timeout",
        ),
        (
            "hooks: [{script: hooks/told.sh, sinceFault: ..500ms}]",
            "hooks[0]",
            "hooks/told.sh ..500ms after the fault",
            "1.0s after the fault",
        ),
        (
            "output: [nobody]",
            "output[0]",
            "'nobody' in the output",
            "1 lines without it, the last of them 'told everybody'",
        ),
        ("artifacts: [a, node.json]", "artifacts[0]", "an artifact a", "node.json"),
        ("total: ..1m", "total", "..1m", "41m40s"),
        ("mttr: ..1m", "mttr", "..1m", "unknown"),
        ("writes: 0", "writes", "0", "2"),
        ("refusedWrites: 0", "refusedWrites", "0", "1"),
    ],
)
def test_what_does_not_hold_is_told_with_what_was_seen(expect: str, path: str, expected: str, found: str) -> None:
    assert mismatches(expect) == [(path, expected, found)]


PAGE = "https://events.pagerduty.com/v2/enqueue"
OPEN = Message(
    "POST", PAGE, f'{{"event_action": "trigger", "dedup_key": "{KEY}", "payload": {{"severity": "critical"}}}}'
)
CLOSE = Message("POST", PAGE, f'{{"event_action": "resolve", "dedup_key": "{KEY}"}}')
OTHER = Message("POST", PAGE, '{"event_action": "resolve", "dedup_key": "nvsx/other"}')
LOST = Message("POST", PAGE, '{"event_action": "resolve"}')
OPENED = "{id: opened, fields: {event_action: trigger}, key: incident}"
BOTH = f"messages: [{OPENED}, {{fields: {{event_action: resolve}}, sameKeyAs: opened}}]"
APART = f"messages: [{OPENED}, {{fields: {{event_action: resolve}}, otherKeyThan: opened}}]"


@pytest.mark.parametrize(
    ("expect", "sent", "told"),
    [
        (BOTH, (OPEN, CLOSE), ""),
        (BOTH, (OPEN, OTHER), f"the key of opened, {KEY}"),
        (BOTH, (OPEN, LOST), f"the key of opened, {KEY}"),
        (BOTH, (OPEN, OPEN, CLOSE), "any message event_action=trigger once"),
        (BOTH, (OPEN,), "any message event_action=resolve once"),
        ("messages: [{to: pagerduty, fields: {payload.severity: critical}}]", (OPEN, CLOSE), ""),
        (APART, (OPEN, OTHER), ""),
        (APART, (OPEN, CLOSE), "another key than opened's"),
        ("messages: [{key: incident}]", (LOST,), f"key {KEY} (the incident)"),
        ("messages: [{method: POST, to: '*.pagerduty.com', contains: [trigger, critical]}]", (OPEN, CLOSE), ""),
        ("messages: [{to: slack}]", (OPEN,), "message to slack once"),
    ],
)
def test_messages_and_their_keys(expect: str, sent: tuple[Message, ...], told: str) -> None:
    found = [expected for _, expected, _ in mismatches(expect, messages=sent)]
    assert found == ([told] if told else [])


@pytest.mark.parametrize(
    ("message", "channel", "key", "where"),
    [
        (OPEN, "pagerduty", KEY, "events.pagerduty.com/v2/enqueue"),
        (
            Message("POST", "https://api.eu.opsgenie.com/v2/alerts", f'{{"alias": "{KEY}"}}'),
            "opsgenie",
            KEY,
            "api.eu.opsgenie.com/v2/alerts",
        ),
        (
            Message("POST", f"https://api.opsgenie.com/v2/alerts/{QUOTED}/close?identifierType=alias", "{}"),
            "opsgenie",
            KEY,
            f"api.opsgenie.com/v2/alerts/{QUOTED}/close",
        ),
        (
            Message("POST", "https://me:secret@a.atlassian.net/rest", f'{{"fields": {{"labels": ["x", "{LABEL}"]}}}}'),
            "jira",
            LABEL,
            "a.atlassian.net/rest",
        ),
        (Message("MAIL", "-s subject on@call ", "text"), "mail", "", "-s subject on@call"),
        (Message("CONNECT", "a.example:443", "(held)"), "a.example", "", "a.example:443"),
        (Message("GET", "http://[::1", "not json"), "", "", "http://[::1"),
    ],
)
def test_where_a_message_goes_and_what_it_is_told_by(message: Message, channel: str, key: str, where: str) -> None:
    assert (message.key, message.where) == (key, where)
    assert not channel or is_for(message, channel)
    assert not is_for(message, "slack")


def test_a_run_that_did_not_end_is_nothing_to_judge() -> None:
    assert fold([], messages=(), fault_time=0.0, artifacts=()) is None


@given(st.text(max_size=40), st.text(max_size=200))
def test_junit_is_xml_whatever_hooks_print(name: str, printed: str) -> None:
    text = junit([CaseReport("mine", name, "a.yaml", 3, 0.5, [printed or "x"], "", [printed])])
    root = ElementTree.fromstring(text)
    assert root.attrib["failures"] == "1"
    assert root.find("testsuite/testcase/failure") is not None


def test_junit_counts_and_places() -> None:
    reports = [
        CaseReport("a", "good", "a.yaml", 3, 0.5),
        CaseReport("a", "bad", "a.yaml", 9, 0.5, ["a.yaml:9:1: exitCode: expected 0, seen 1", "more"], "", ["log"]),
        CaseReport("b", "broken", "b.yaml", 1, 0.25, (), "its process ended"),
    ]
    root = ElementTree.fromstring(junit(reports))
    assert root.attrib == {"name": "nvsx test", "tests": "3", "failures": "1", "errors": "1", "time": "1.250"}
    assert [suite.attrib["name"] for suite in root] == ["a", "b"]
    bad = root[0][1]
    assert (bad.attrib["file"], bad.attrib["line"], bad.attrib["classname"]) == ("a.yaml", "9", "a")
    assert bad[0].attrib["message"] == "a.yaml:9:1: exitCode: expected 0, seen 1 (and 1 more)"
    assert bad.findtext("system-out") == "log"
