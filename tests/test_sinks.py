"""Sinks: what people and programs read of a run, and that no reader can hold it up."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from nvsx.errors import UsageError
from nvsx.events import Finish, Hook, Note, Output, RunEvent, StageBegin, StageEnd, Start, Watch, to_wire
from nvsx.sinks.choose import MODES, Look, Stream, choose
from nvsx.sinks.fanout import Fanout
from nvsx.sinks.jsonl import json_line
from nvsx.sinks.text import TextLines
from nvsx.sinks.writer import Writer

T = 1_787_306_400.0


def finish(**facts: Any) -> Finish:
    known = {
        "ok": True, "status": "pass", "exit_code": 0, "total_s": 400.0, "hooks_failed": 0, "mttr_s": 395.0,
        "incident_key": "nvsx/1", "artifact_dir": "/a", "artifact_count": 3, "nvsx_cluster_writes": 0,
        "action_cluster_writes": 1, "refused_cluster_writes": 0, "verdict": "PASSED",
    }  # fmt: skip
    return Finish(**(known | facts))


START = Start("gpu-off-bus", "rogue-moose", "GPU fell off bus", "n-1", "brave-wombat", ("detect", "recover"), "1", "/a")
BODIES = [
    START,
    StageBegin("detect", "See it", 120.0, ("condition A=True",)),
    Watch("detect", "0", "node-condition", "condition A=True", "blind", "connection refused"),
    Watch("detect", "0", "node-condition", "condition A=True", "met", "A=True"),
    StageEnd("detect", "pass", 2.0, "A=True"),
    Hook("detect", "onSuccess", "hooks/x.sh", 1, "begin"),
    Output("detect", "onSuccess", "hello"),
    Hook("detect", "onSuccess", "hooks/x.sh", 1, "end", "not_configured", 78, 0.1, "exit status 78"),
    Note("reminder", "recover has waited 1m00s", "recover", "warning"),
    StageEnd("recover", "timeout", 2400.0, "not within 40m00s"),
    finish(ok=False, status="timeout", exit_code=1, mttr_s=None, verdict="TIMED OUT at recover"),
]


def events(bodies: Any = BODIES) -> list[RunEvent]:
    return [RunEvent("20260821-100000-00a1", "uid-1", seq, T + seq, body) for seq, body in enumerate(bodies)]


def drawn(bodies: Any = BODIES) -> str:
    lines = TextLines()
    return "\n".join(line for event in events(bodies) for line in lines.draw(event))


def test_text_says_who_when_and_what() -> None:
    text = drawn()
    assert text.startswith("2026-08-21T10:00:00Z 00a1 brave-wombat")
    for wanted in (
        "▶ GPU fell off bus",
        "? cannot look",
        "✓ condition A=True",
        "● PASS",
        "TIMED OUT at recover",
        "│ hello",
    ):
        assert wanted in text
    assert "\x1b" not in text


def test_the_summary_does_not_call_a_hook_that_is_not_configured_failed() -> None:
    text = drawn()
    assert "0 ok, 0 failed, 1 not configured" in text
    assert "○ onSuccess not configured" in text


def watched(clause: str, state: Any, detail: str) -> Watch:
    return Watch("recover", clause, "node-condition", f"clause {clause}", state, detail)


def told(bodies: list[Any], *, verbose: bool = False) -> list[str]:
    """What follows the prefix of each line that is about looking."""
    lines = TextLines(verbose=verbose)
    found = [line for event in events([START, StageBegin("recover", "", 60.0), *bodies]) for line in lines.draw(event)]
    return [line.partition("  ")[2].strip() for line in found if "look" in line or "clause" in line]


def test_one_reason_is_told_once_however_many_clauses_it_blinds() -> None:
    blinded = [watched(str(index), "blind", "connection refused") for index in range(5)]
    back = [watched(str(index), "unmet", "A=True") for index in range(4)]
    assert told([*blinded, *back, watched("4", "met", "B")]) == [
        "? cannot look: connection refused",
        "✓ looking again",
        "✓ clause 4: B",
    ]


def test_another_reason_is_another_line() -> None:
    bodies = [watched("0", "blind", "refused"), watched("0", "blind", "forbidden"), watched("0", "unmet", "")]
    assert told(bodies) == ["? cannot look: refused", "? cannot look: forbidden", "✓ looking again"]


def test_what_comes_and_goes_is_told_a_few_times_and_anew_in_the_next_stage() -> None:
    turn = [watched("0", "blind", "forbidden"), watched("0", "unmet", "A=True")]
    assert told(turn * 50) == [
        "? cannot look: forbidden",
        "✓ looking again",
        "? cannot look: forbidden",
        "✓ looking again",
        "? cannot look: forbidden; it comes and goes, and is told no more in this stage",
    ]
    assert told([*turn * 50, StageBegin("postmortem", "", 60.0), *turn])[-2:] == [
        "? cannot look: forbidden",
        "✓ looking again",
    ]
    assert len(told(turn * 50, verbose=True)) == 100


def test_a_clause_that_no_longer_holds_is_told() -> None:
    assert told([watched("0", "met", "A"), watched("0", "unmet", "B")])[-1] == "○ not now: clause 0: B"


def test_hostile_output_cannot_reach_the_terminal() -> None:
    assert "\x1b" not in drawn([START, Output("detect", "onSuccess", "a\x1b[2Jb\x07")])


def test_json_lines_are_one_object_each_with_its_stamp() -> None:
    for event in events():
        line = json_line(event)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        found = json.loads(line)
        assert found == to_wire(event)
        assert (found["v"], found["run_id"], found["cluster"]) == (1, "20260821-100000-00a1", "uid-1")


def test_a_full_pipe_never_stops_the_one_who_writes_and_output_goes_first() -> None:
    reader, descriptor = os.pipe()
    writer = Writer(descriptor)
    for _ in range(200_000):
        writer.put(b"x" * 999 + b"\n", droppable=True)
    writer.put(b"the end\n")
    chunks: list[bytes] = []

    def read() -> None:
        while chunk := os.read(reader, 1 << 16):
            chunks.append(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    writer.close(30.0)
    os.close(descriptor)
    thread.join()
    os.close(reader)
    said = b"".join(chunks)
    assert said.endswith(b"the end\n")
    assert len(said) < 200_000_000


def test_a_closed_pipe_is_survived() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = Writer(descriptor)
    writer.put(b"into the void\n")
    writer.close()
    os.close(descriptor)


def test_one_broken_sink_does_not_silence_the_others() -> None:
    class Broken:
        def emit(self, event: RunEvent) -> None:
            raise ValueError("no")

        close = emit  # type: ignore[assignment]

    kept: list[RunEvent] = []

    class Good:
        def emit(self, event: RunEvent) -> None:
            kept.append(event)

        def close(self) -> None: ...

    fanout = Fanout([Broken(), Good()])  # type: ignore[list-item]
    for event in events():
        fanout.emit(event)
    assert len(kept) == len(BODIES)


@pytest.mark.parametrize(
    ("mode", "same_file", "stdout", "stderr"),
    [
        ("auto", False, "json", "text"),
        ("plain", False, "json", "text"),
        ("auto", True, "text", ""),
        ("text", False, "text", ""),
        ("jsonl", False, "json", ""),
        ("quiet", False, "", "verdict"),
    ],
)
def test_who_gets_which_lines(tmp_path: Any, mode: str, same_file: bool, stdout: str, stderr: str) -> None:
    out = os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    err = out if same_file else os.open(tmp_path / "err", os.O_CREAT | os.O_RDWR)
    sink = choose(mode, Look(), stdout=Stream(out, "utf-8", True), stderr=Stream(err, "utf-8", True))
    for event in events():
        sink.emit(event)
    sink.close()

    def kind(name: str) -> str:
        text = (tmp_path / name).read_text() if (tmp_path / name).exists() else ""
        if not text:
            return ""
        if text.startswith("{"):
            return "json"
        return "text" if "→ detect" in text else "verdict"

    assert kind("out") == stdout
    assert (kind("err") if not same_file else "") == stderr
    for descriptor in {out, err}:
        os.close(descriptor)


def test_an_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as refused:
        choose("pretty")
    assert all(mode in refused.value.message for mode in MODES)
