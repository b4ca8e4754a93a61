"""What `nvsx list` and `nvsx show` print, and what they must not import for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nvsx.main import main
from nvsx.runbook.words import as_written
from tests.corpus import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

EVERYTHING = (EXAMPLES / "valid/everything.yaml").read_text("utf-8")


@pytest.fixture
def nvsx(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "runbooks").mkdir()
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--project", str(tmp_path), "--state-dir", str(tmp_path / "state"), "--color", "never"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def put(name: str, text: str) -> None:
    Path(f"runbooks/{name}.yaml").write_text(text, "utf-8")


def test_the_table(nvsx: Run) -> None:
    put("everything", EVERYTHING)
    put("broken", "metadata: [\n")
    code, out, err = nvsx("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "NICKNAME", "TITLE", "TAGS"]
    assert lines[1].split() == ["broken"]
    assert lines[2].startswith("everything  #quiet-otter  Every field there is  xid-79")
    assert "✗ runbooks/broken.yaml:2:1: is not YAML" in out
    assert lines[-1].startswith("2 runbooks in ")
    assert lines[-1].endswith("1 broken: nvsx lint")


def test_an_empty_project_says_how_to_begin(nvsx: Run) -> None:
    code, out, _ = nvsx("list")
    assert code == 0
    assert "nvsx help runbooks" in out


def test_list_as_json(nvsx: Run) -> None:
    put("everything", EVERYTHING)
    put("broken", "metadata: [\n")
    answer = json.loads(nvsx("list", "--output", "json")[1])
    broken, everything = answer["runbooks"]
    assert broken["problem"]
    assert everything["tags"] == ["xid-79", "SysLogsXIDError", "on", "naïve-日本"]
    assert everything["nickname"] == "quiet-otter"


SHOWN = [
    "Every field there is  (everything)  #quiet-otter",
    "1h30m",
    "SysLogsXIDError, SysLogsGPUFallenOff",
    "79, GPU_FALLEN_OFF_BUS, 079",
    "RESTART_BM, CONTACT_SUPPORT",
    "pool=h100,zone in (a, b)",
    "severity=critical, 79=1",
    "nobody acts for 10m",
    "-5",
    "3 at most",
    'expects ">=1"',
    "kubectl get nodes -l nvidia.com/gpu.present=true --no-headers | wc -l",
    "onReminder  hooks/remind.sh",
    "onSuccess     hooks/ack.sh",
    "500ms",
    "3 attempts, first pause 250ms",
    "when cut off  skip",
    "any of 2, for 5s",
    'errorCode: "79", reason: SysLogsXIDErrorIsNotHealthy',
    "for: 1s",
    '{kind: pod, selector: "app=trainer", absent: true, for: 10s}',
    'condition: {type: NodeReady, status: "True"}',
    "phase: Succeeded",
    "after: 20m",
    "healthevent.nodename: {$exists: true}",
    "count: 2",
    "within 24h",
    "within 40m",
    "onTimeout",
    "output with collected",
    "dwell  3s",
    "{{targetNode}} {{targetAlias}}",
]


def test_show_hides_nothing(nvsx: Run) -> None:
    put("everything", EVERYTHING)
    code, out, _ = nvsx("show", "everything")
    assert code == 0
    for text in SHOWN:
        assert text in out, text
    assert nvsx("show", "#quiet-otter")[1] == out


def test_show_says_what_runs_in_a_drill_only(nvsx: Run) -> None:
    put("old-kinds", (EXAMPLES / "valid/old-kinds.yaml").read_text("utf-8"))
    out = nvsx("show", "old-kinds")[1]
    assert next(line for line in out.splitlines() if "--drill only" in line).split()[1] == "baseline"
    assert "scripts/inject.sh --node $NVSX_TARGET_NODE" in out
    assert "none: tags and the conditions of the detect stage decide" in out


def test_show_as_json(nvsx: Run) -> None:
    put("everything", EVERYTHING)
    answer = json.loads(nvsx("show", "everything", "--output", "json")[1])
    drain = next(stage for stage in answer["stages"] if stage["id"] == "drain")
    assert drain["timeout_s"] == 86400
    assert drain["watch"][0] == {"kind": "pod", "selector": "app=trainer", "absent": True, "for": "10s"}
    assert drain["place"].startswith("runbooks/everything.yaml:")
    assert answer["trigger"]["error_codes"] == ["79", "GPU_FALLEN_OFF_BUS", "079"]


def test_control_characters_are_never_printed(nvsx: Run) -> None:
    put(
        "evil",
        EVERYTHING.replace("name: everything", "name: evil")
        .replace("two lines", "two\u202elines")
        .replace("Every field", '"Every\u202e')
        .replace(" there is\n", ' there"\n'),
    )
    for words in (("list",), ("show", "evil")):
        out = nvsx(*words)[1]
        assert "\u202e" not in out


def test_what_goes_wrong(nvsx: Run) -> None:
    put("bad", "kind: Runbook\n")
    assert nvsx("show")[0] == 2
    code, _, err = nvsx("show", "nope")
    assert code == 2
    assert "there are bad" in err
    code, _, err = nvsx("show", "bad")
    assert code == 2
    assert "runbooks/bad.yaml:1:1: `metadata` is required" in err
    assert nvsx("show", "--schema", "nothing")[0] == 2


@pytest.mark.parametrize("piece", ["", "watch.taint", "stage", "config.source"])
def test_the_schema_can_be_shown(nvsx: Run, piece: str) -> None:
    code, out, _ = nvsx("show", "--schema", *([piece] if piece else []))
    assert code == 0
    assert "example:" in out or piece == "stage"
    assert json.loads(nvsx("show", *([f"--schema={piece}"] if piece else ["--schema"]), "--output", "json")[1])["title"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1.5, "1500ms"),
        (60, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (86400, "24h"),
        (5400, "1h30m"),
        (259200, "3d"),
    ],
)
def test_durations_are_shown_as_they_are_written(seconds: float, text: str) -> None:
    assert as_written(seconds) == text


@pytest.mark.parametrize("command", [["list"], ["show", "everything"], ["show", "everything", "--output", "json"]])
def test_a_good_runbook_costs_no_schema(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks/everything.yaml").write_text(EVERYTHING, "utf-8")
    script = (
        "import sys; from nvsx.main import main; code = main(sys.argv[1:]);"
        "heavy = {'jsonschema', 'asyncio', 'ssl', 'http', 'prompt_toolkit'} & set(sys.modules);"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    words = [*command, "--project", str(tmp_path)]
    ended = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
