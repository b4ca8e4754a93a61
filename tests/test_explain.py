"""`nvsx explain`: every form that a message may have, and one clear refusal for what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nvsx.main import main
from tests.test_formats import BODIES

if TYPE_CHECKING:
    from pathlib import Path

RUNBOOK = """
apiVersion: nvsx/v1
kind: Runbook
metadata: {name: %s}
trigger: {%s}
stages: [{id: detect}]
"""
STORED = {
    "_id": {"$oid": "66f0a1b2c3d4e5f601020304"},
    "createdAt": {"$date": "2026-08-21T10:00:07.412Z"},
    "healthevent": {
        "version": 1,
        "agent": "syslog-health-monitor",
        "componentclass": "GPU",
        "checkname": "SysLogsXIDError",
        "isfatal": True,
        "ishealthy": False,
        "message": "fallen off the bus",
        "recommendedaction": 24,
        "errorcode": ["79"],
        "entitiesimpacted": None,
        "generatedtimestamp": {"seconds": 1787306407, "nanos": 0},
        "nodename": "gpu-7",
        "processingstrategy": 1,
    },
}
ANNOTATED = [BODIES["nvsentinel"]["data"]["healthEvent"] | {"id": "66f0a1b2c3d4e5f601020304"}]  # type: ignore[index]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "runbooks").mkdir()
    for name, trigger in (("gpu-off-bus", "errorCodes: [79], remote: true"), ("other", "checkNames: [Other]")):
        (tmp_path / "runbooks" / f"{name}.yaml").write_text(RUNBOOK % (name, trigger))
    return tmp_path


def explain(project: Path, body: Any, *more: str) -> int:
    file = project / "event.json"
    file.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return main(["--project", str(project), "explain", str(file), *more])


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (STORED, "health event"),
        (ANNOTATED, "health event"),
        (BODIES["nvsentinel"], "nvsentinel alert"),
        (BODIES["datadog"], "datadog alert"),
        (BODIES["nvsx"], "nvsx alert"),
    ],
)
def test_every_form_leads_to_the_runbook_and_tells_why_the_other_does_not(
    body: Any, what: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(project, body, "--output", "json") == 0
    (found,) = json.loads(capsys.readouterr().out)["explained"]
    assert (found["what"], found["runbook"]) == (what, "gpu-off-bus")
    if what != "nvsx alert":
        assert found["reason"] == "code 79"
        assert found["place"].endswith("gpu-off-bus.yaml:5:10")
        assert {other["name"]: other["fits"] for other in found["considered"]} == {"gpu-off-bus": True, "other": False}


def test_it_reads_well(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = {"status": "resolved", "labels": {"node": "gpu-8"}, "startsAt": "2026-08-22T02:13:40Z"}
    known = {"status": "firing", "labels": {"node": "gpu-7", "check": "Nothing"}, "startsAt": "2026-08-22T02:13:40Z"}
    assert explain(project, {"version": "4", "groupKey": "x", "alerts": [ended, known]}) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "alertmanager alert (resolved): no check and no code on gpu-8",
        "  ○ starts nothing: it is attached to the incident it belongs to",
        "alertmanager alert (firing): Nothing on gpu-7",
        "  ✗ nothing runs: no runbook answers to Nothing",
        "    gpu-off-bus  asks for code 79, it has none",
        "    other        asks for check other, it has Nothing",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is not JSON"),
        (b"{", "event.json:1:2: is not JSON: Expecting property name"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'"x"', "event.json: "),
        ({"a": 1}, "healthevent: is missing"),
        (STORED | {"healthevent": {"nodename": 7}}, "healthevent"),
        ([7], "must be an object"),
        (b" " * ((1 << 20) + 1), "larger than"),
    ],
)
def test_what_is_none_is_refused_in_one_error(
    body: Any, told: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(project, body) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("error[") == 1
    assert "hint: " in error
