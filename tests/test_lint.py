"""What `nvsx lint` finds in runbooks that load, in their scripts, and between them."""

# ruff: noqa: E501 - a table reads best with one case a line

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nvsx.documents import read_yaml
from nvsx.hookvariables import VARIABLES
from nvsx.main import main
from nvsx.runbook.checks import CHECKS, misspelt
from nvsx.runbook.lint import lint
from nvsx.runbook.lint_scripts import interpreter, kubectl_writes, script_problems
from nvsx.runbook.lint_triggers import ties
from nvsx.runbook.parse import parse
from nvsx.runbook.requires import requirements
from tests.corpus import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.errors import Problem
    from nvsx.model import Runbook

    Run = Callable[..., tuple[int, str, str]]

HEAD = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: x}\n"


def problems(text: str) -> tuple[Problem, ...]:
    document = read_yaml(text if "metadata" in text else HEAD + text, "x.yaml")
    return lint(parse(document), document, VARIABLES)


def said(text: str) -> list[str]:
    return [f"{problem.severity}: {problem.message}" for problem in problems(text)]


def clause(text: str, stage: str = "detect") -> str:
    return f"stages: [{{id: {stage}, watch: [{text}]}}]"


NEVER_SHOWN = [
    # clause, stage, what is said, what to write instead
    ("{kind: pod-event, reason: Evicted}", "drain", "never gives an Event Evicted", "{kind: nvsentinel-state, state: drain-succeeded}"),
    ("{kind: log, selector: app=x, pattern: '(a+)+$'}", "detect", "a repeat inside a repeat", "say it with one repeat"),
    ("{kind: training-log, pod: x, pattern: '(?:x*y)*z'}", "detect", "a repeat inside a repeat", "say it with one"),
    ("{kind: taint, key: nvidia.com/gpu-error}", "quarantine", "set no taint nvidia.com/gpu-error", "{kind: nvsentinel-state, state: quarantined}"),
    ("{kind: node-condition, type: GpuThermalWatch}", "detect", "practically never fatal", "{kind: node-event, type: GpuThermalWatch}"),
    ("{kind: node-condition, type: GpuThermalMarginWatch}", "detect", "stored only by default", "healthevent.checkname"),
    ("{kind: node-condition, type: SyslogXIDError}", "detect", "no check SyslogXIDError", "did you mean SysLogsXIDError?"),
    ("{kind: node-condition, type: GpuMemWatch, status: false}", "detect", "False means healthy", "{kind: node-condition, type: GpuMemWatch}"),
    ("{kind: node-event, type: Warning, reason: GpuMemWatchIsNotHealthy}", "detect", "writes the check's name", "{kind: node-event, type: GpuMemWatch}"),
    ("{kind: crd, group: nvidia.com, resource: rebootnodes}", "remediate", "is in the API group janitor.dgxc.nvidia.com", "group: janitor.dgxc.nvidia.com"),
    ("{kind: crd, group: janitor.dgxc.nvidia.com, resource: rebootnode}", "remediate", "no resource rebootnode", "resource: rebootnodes"),
    ("{kind: crd, group: janitor.dgxc.nvidia.com, resource: gpuresets, condition: {type: Complete}}", "remediate", "Complete when it has failed", "phase: Succeeded"),
    ("{kind: mongo-event, filter: {isFatal: true, nodeName: n}}", "detect", "no field isFatal, nodeName", '{healthevent.isfatal: true, healthevent.nodename: "n"}'),
    ("{kind: pod, selector: app.kubernetes.io/name=platform-connectors}", "preflight", "carry the name nvsentinel", "app.kubernetes.io/name=nvsentinel"),
    ("{anyOf: [{kind: taint, key: x}, {kind: pod-event, reason: Evicted}]}", "drain", "never gives an Event Evicted", "drain-succeeded"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "stage", "message", "instead"), NEVER_SHOWN)
def test_a_clause_that_nvsentinel_never_shows(text: str, stage: str, message: str, instead: str) -> None:
    (found,) = problems(clause(text, stage))
    assert found.severity == "warning"
    assert message in found.message
    assert instead in found.hint
    assert found.path.startswith("stages[0].watch[0]")
    assert found.place.line == 4
    if found.hint.startswith("- "):  # what is offered is itself good, and lint is content with it
        assert not problems(clause(found.hint[2:], stage))


FINE = [
    ("{kind: pod-event, reason: Killing}", "drain"),
    ("{kind: pod-event, reason: Evicted, absent: true}", "drain"),
    ("{kind: log, selector: app=x, pattern: 'step \\d+ (loss|lr)=[0-9.]+'}", "detect"),
    ("{kind: taint, key: nvidia.com/gpu-error, absent: true}", "recover"),
    ("{kind: node-condition, type: GpuPcieWatch}", "detect"),
    ("{kind: node-condition, type: node-not-ready}", "detect"),
    ("{kind: node-condition, type: Ready}", "recover"),
    ("{kind: node-condition, type: GpuMemWatch, status: false}", "recover"),
    ("{kind: crd, group: example.com, resource: repairs}", "remediate"),
]


@pytest.mark.parametrize(("text", "stage"), FINE)
def test_a_clause_that_is_fine(text: str, stage: str) -> None:
    assert not problems(clause(text, stage))


PCIE = "{kind: node-condition, type: GpuPcieWatch}"
XID = '{kind: node-condition, type: SysLogsXIDError, errorCode: "79"}'
OFF_BUS = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: x, title: GPU fell off the bus}\n"


@pytest.mark.parametrize(
    ("watch", "warned"), [(PCIE, True), (f"{{anyOf: [{PCIE}, {XID}]}}", False), (f"{PCIE}, {XID}", False), (XID, False)]
)
def test_pcie_for_an_xid_79(watch: str, warned: bool) -> None:
    found = problems(OFF_BUS + clause(watch))
    assert [problem.hint for problem in found] == ([f"- {XID}"] if warned else [])


def test_the_first_sample_is_warned_of_both_its_conditions() -> None:
    found = problems((EXAMPLES / "valid/gpu-off-bus.yaml").read_text("utf-8").replace("name: gpu-off-bus", "name: x"))
    assert [problem.path for problem in found] == ["stages[1].watch[0]", "stages[3].watch[0]"]
    assert all("GpuPcieWatch" in problem.message for problem in found)


WORDS = [
    ("narration: {detect: 'on {{targetNode}}'}\nstages: [{id: detect}]", []),
    ("narration: {detect: 'on {{targetnode}}'}\nstages: [{id: detect}]", ["error: unknown token {{targetnode}}"]),
    ("narration: {detect: 'on {{ elapsed }}'}\nstages: [{id: detect}]", ["error: unknown token {{ elapsed }}"]),
    ("narration: {drain: gone}\nstages: [{id: detect}]", ["warning: is never said: there is no stage drain"]),
    ("stages: [{id: drain, action: {script: a, args: [$NVSX_TARGET_NODE, '${NVSX_STAGE}x', $NVSX_OUT_A_B]}}]", []),
    ("stages: [{id: drain, action: {script: a, args: [$NVSX_TARGETNODE]}}]", ["error: unknown variable $NVSX_TARGETNODE"]),
    ("stages: [{id: drain, action: {script: a, args: ['${NVSX_STAGE_DIR}']}}]", ["error: unknown variable $NVSX_STAGE_DIR"]),
    ("stages: [{id: drain, action: {script: a, args: [$HOME]}}]", ["warning: $HOME stays as it is: only $NVSX_… is expanded"]),
    ("stages: [{id: drain, timeout: 5m}]", []),
    ("stages: [{id: drain, timeout: 5m, watch: [{kind: nvsentinel-state, state: draining}]}]", ["warning: 5m is short: by default NVSentinel waits until workloads end by themselves"]),
    ("stages: [{id: recover, timeout: 24m, watch: [{kind: taint, key: x, absent: true}]}]", ["warning: 24m is short: a reboot may take 25 minutes before the janitor gives up"]),
    ("stages: [{id: detect, expect: [x]}]", ["warning: expects output of an action, and there is none"]),
    ("trigger: {fatal: true}\nstages: [{id: inject, action: {script: a}}]", ["warning: inject runs in drills only: an event that triggers this runbook skips it"]),
    ("stages: [{id: inject, action: {script: a}}]", []),
    ("trigger: {labels: {a: b}}\nstages: [{id: remediate, action: {script: a}}]", ["warning: asks for an alert's labels, but no webhook may start it: it has an action in remediate"]),
    ("trigger: {labels: {a: b}, remote: true}\nstages: [{id: remediate, action: {script: a}}]", []),
    ("trigger: {labels: {a: b}}\nstages: [{id: postmortem, action: {script: a}}]", []),
    ("trigger: {checkNames: [SysLogXIDError]}\nstages: [{id: detect}]", ["warning: NVSentinel has no check SysLogXIDError"]),
    ("trigger: {recommendedActions: [RESTART_BN, REBOOT]}\nstages: [{id: detect}]", ["warning: NVSentinel has no action RESTART_BN", "warning: NVSentinel has no action REBOOT"]),
    ("trigger: {checkNames: [GpuMemWatch], errorCodes: [79]}\nstages: [{id: detect}]", ["warning: no event of GpuMemWatch carries the code 79"]),
    ("trigger: {checkNames: [SysLogsXIDError], errorCodes: [79]}\nstages: [{id: detect}]", []),
    ("trigger: {checkNames: [my-own-check], errorCodes: [79]}\nstages: [{id: detect}]", []),
    ("trigger: {fatal: true, recommendedActions: [NONE]}\nstages: [{id: detect}]", ["warning: an event with the action NONE is never fatal: this matches nothing"]),
    ("prerequisites: [{name: a, check: kubectl delete pod x}]\nstages: [{id: detect}]", ["error: kubectl delete is refused here: a prerequisite only reads"]),
    ("prerequisites: [{name: a, check: kubectl get ds gpu-health-monitor}]\nstages: [{id: detect}]", ["warning: there is no DaemonSet gpu-health-monitor, only gpu-health-monitor-dcgm-3.x and -4.x"]),
    ("prerequisites: [{name: a, check: kubectl get ds/gpu-health-monitor-dcgm-4.x}]\nstages: [{id: detect}]", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words_times_and_parts(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_a_tag_that_is_there_twice() -> None:
    text = "apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {name: x, tags: [xid, XID]}\nstages: [{id: detect}]"
    assert said(text) == ["warning: tag XID is there twice"]


WRITES = [
    ("kubectl get pods", []),
    ("kubectl delete pod x", ["delete"]),
    ("kubectl -n gpu delete pod x", ["delete"]),
    ("kubectl --context=a --namespace gpu cordon n", ["cordon"]),
    ("if ! kubectl cordon n; then", ["cordon"]),
    ("x=$(kubectl get a | xargs kubectl delete)", ["delete"]),
    ("/usr/bin/kubectl apply -f - && kubectl patch x", ["apply", "patch"]),
    ("kubectl create job x --dry-run=client", ["create"]),
    ("kubectl rollout status d/x; kubectl rollout restart d/x", ["rollout restart"]),
    ("kubectl config view; kubectl config set-context x", ["config set-context"]),
    ("kubectl wait --for=delete pod/x", []),
    ("kubectl logs -l app=delete x", []),
    ('echo "then run kubectl delete pod x by hand"', []),
    ("timeout 5 kubectl label node n a=b", ["label"]),
    ("sudo kubectl drain n", ["drain"]),
    ("my-kubectl delete x", []),
]


@pytest.mark.parametrize(("line", "verbs"), WRITES)
def test_kubectl_writes(line: str, verbs: list[str]) -> None:
    assert list(kubectl_writes(line)) == verbs


SCRIPTS = [
    ("#!/usr/bin/env bash\necho ok\n", []),
    ("echo ok\n", ["1: error: has no shebang, so it cannot be started"]),
    ("#!/bin/bash\r\necho\r\n", ["1: error: has Windows line ends, so it cannot be started"]),
    ("#!/bin/bash\n# kubectl delete pod x\ncat <<EOF\nkubectl delete pod x\nhttps://example.com\nEOF\necho\n", []),
    ("#!/bin/bash\nkubectl \\\n  -n x \\\n  delete pod y\necho\nkubectl cordon n\n", ["2: error: kubectl delete is", "6: error: kubectl cordon is"]),
    ("#!/bin/bash\ncurl https://hooks.example.com/T0/B0/secret\n", ["2: warning: holds the literal address https://hooks.example.com/T0/B0/secret"]),
    ('#!/bin/bash\ncurl "${URL:-https://events.example.com/v2}" http://localhost:8080 http://127.0.0.1 "https://$HOST/x"\n', []),
    ("#!/bin/bash\nkubectl get daemonset gpu-health-monitor\n", ["2: warning: there is no DaemonSet"]),
    ("#!/usr/bin/env python3\nimport os  # https://example.com kubectl delete\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SCRIPTS)
def test_the_text_of_a_script(text: str, expected: list[str]) -> None:
    found = [
        f"{one.place.line}: {one.severity}: {one.message}" for one in script_problems(text, "a.sh", may_write=False)
    ]
    assert len(found) == len(expected)
    for message, start in zip(found, expected, strict=True):
        assert message.startswith(start)


def test_an_action_may_write() -> None:
    assert not list(script_problems("#!/bin/bash\nkubectl delete pod x\n", "a.sh", may_write=True))


@pytest.mark.parametrize(
    ("first", "name"),
    [("#!/bin/bash", "bash"), ("#!/usr/bin/env bash", "bash"), ("#! /usr/bin/env -S bash -e", "bash"), ("#!/bin/sh -e\r", "sh"), ("#!", ""), ("echo", "")],
)  # fmt: skip
def test_interpreter(first: str, name: str) -> None:
    assert interpreter(f"{first}\necho\n") == name


def test_requirements_are_declared_in_the_head() -> None:
    text = (
        "#!/bin/bash\n# What it does.\n# nvsx: requires A_B C1\n#nvsx: requires D A_B 9 x-y\n"
        + "\n" * 50
        + "# nvsx: requires LATE\n"
    )
    assert requirements(text) == ("A_B", "C1", "D")


def test_misspelt_is_a_letter_or_two() -> None:
    assert misspelt("SysLogsXIDErorr", CHECKS) == "SysLogsXIDError"
    assert misspelt("syslogsxiderror", CHECKS) == "SysLogsXIDError"
    assert misspelt("GpuMemWatch", CHECKS) == ""
    assert misspelt("GpuFanWatch", CHECKS) == ""
    assert misspelt("node-not-ready", CHECKS) == ""


def runbook(name: str, more: str, metadata: str = "") -> Runbook:
    text = f"apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {{name: {name}{metadata}}}\n{more}\n"
    return parse(read_yaml(text if "stages" in more else text + "stages: [{id: detect}]\n", f"{name}.yaml"))


TIES = [
    ("trigger: {checkNames: [A]}", "trigger: {checkNames: [a, B]}", "a"),
    ("trigger: {checkNames: [A]}", "trigger: {checkNames: [B]}", ""),
    ("trigger: {checkNames: [A]}", "trigger: {checkNames: [A], priority: 1}", ""),
    ("trigger: {checkNames: [A]}", "trigger: {checkNames: [A], fatal: true}", ""),
    ("trigger: {checkNames: [A]}", "trigger: {errorCodes: [79]}", ""),
    ("trigger: {checkNames: [A]}", "trigger: {recommendedActions: [X]}", "the same events"),
    ("trigger: {checkNames: [A], fatal: false}", "trigger: {checkNames: [A], fatal: true}", ""),
    ("trigger: {checkNames: [A], nodes: pool=a}", "trigger: {checkNames: [A], nodes: pool=b}", ""),
    ("trigger: {checkNames: [A], nodes: pool=a}", "trigger: {checkNames: [A], nodes: zone=b}", "a"),
    ("trigger: {checkNames: [A], nodes: gke-*}", "trigger: {checkNames: [A], nodes: gke-a-*}", "a"),
    ("trigger: {labels: {a: b}}", "trigger: {labels: {a: c}}", ""),
    ("trigger: {labels: {a: b}}", "trigger: {labels: {c: d}}", "the same events"),
    ("trigger: {storm: true}", "trigger: {unhandled: true}", ""),
    ("trigger: {storm: true}", "trigger: {storm: true}", "storm events"),
    ("trigger: {stalled: 10m}", "trigger: {stalled: 20m}", "stalled events"),
    ("trigger: {checkNames: [A]}", clause("{kind: node-condition, type: A}"), ""),
    (clause("{kind: node-condition, type: A}"), clause("{anyOf: [{kind: node-condition, type: A}]}"), "a"),
    (clause("{kind: node-condition, type: A}"), clause("{kind: node-condition, type: B}"), ""),
]


@pytest.mark.parametrize(("one", "other", "about"), TIES)
def test_ties(one: str, other: str, about: str) -> None:
    found = list(ties([runbook("zebra", one), runbook("ant", other)]))
    assert [(tie.winner, tie.loser, tie.about) for tie in found] == ([("ant", "zebra", about)] if about else [])


def test_equal_tags_tie() -> None:
    (tie,) = ties([runbook("a", "", ", tags: [xid-79, infra]"), runbook("b", "", ", tags: [XID-79]")])
    assert "79" in tie.about


@pytest.fixture
def nvsx(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "runbooks/hooks").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["lint", *words, "--project", str(tmp_path), "--color", "never"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def put(path: str, text: str, mode: int = 0o644) -> None:
    Path(path).write_text(textwrap.dedent(text), "utf-8")
    Path(path).chmod(mode)


def put_runbook(name: str, body: str) -> None:
    put(f"runbooks/{name}.yaml", f"apiVersion: nvsx/v1\nkind: Runbook\nmetadata: {{name: {name}}}\n{body}\n")


def test_a_good_project(nvsx: Run) -> None:
    put_runbook("good", "stages: [{id: detect, hook: hooks/a.sh, action: {script: scripts/b.sh}}]")
    put("runbooks/hooks/a.sh", "#!/usr/bin/env bash\nset -e\necho ok\n", 0o755)
    put("scripts/b.sh", "#!/usr/bin/env bash\nkubectl delete pod x\n", 0o755)
    code, out, err = nvsx("--strict")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("1 runbook in ")
    assert "error" not in out
    assert "warning" not in out


def test_files_of_scripts(nvsx: Run, tmp_path: Path) -> None:
    hooks = {name: f"hooks/{name}.sh" for name in ("onSuccess", "onFailure", "onTimeout", "finally")}
    put_runbook("r", f"stages: [{{id: detect, hooks: {json.dumps(hooks)}, action: {{script: scripts/away.sh}}}}]")
    put("runbooks/hooks/onSuccess.sh", "#!/usr/bin/env bash\nif true; then\n", 0o755)
    put(
        "runbooks/hooks/onFailure.sh",
        "#!/usr/bin/env bash\n# nvsx: requires SLACK_WEBHOOK_URL\nkubectl cordon x\n",
        0o644,
    )
    put("runbooks/hooks/onTimeout.sh", "#!/usr/bin/env bash\necho\n", 0o757)
    Path("scripts/away.sh").symlink_to("/bin/sh")
    code, out, _ = nvsx("r")
    assert code == 2
    assert "runbooks/hooks/onSuccess.sh:3: error: syntax error" in out
    assert "runbooks/hooks/onFailure.sh: error: is not executable" in out
    assert "runbooks/hooks/onFailure.sh:3: error: kubectl cordon is refused here" in out
    assert "note: requires SLACK_WEBHOOK_URL, which is not set here" in out
    assert "stages[0].hooks.onTimeout: everybody may write to" in out
    assert "stages[0].hooks.finally: there is no file" in out
    assert "stages[0].action.script:" in out
    assert "leads out of the project" in out


def test_a_hook_that_is_an_action_elsewhere_still_may_not_write(nvsx: Run) -> None:
    put_runbook("r", "stages: [{id: detect, hook: hooks/a.sh, action: {script: runbooks/hooks/a.sh}}]")
    put("runbooks/hooks/a.sh", "#!/bin/bash\nkubectl delete pod x\n", 0o755)
    assert "kubectl delete is refused" in nvsx()[1]


def test_shellcheck_where_it_is_installed(nvsx: Run) -> None:
    put_runbook("r", "stages: [{id: detect, hook: hooks/a.sh}]")
    put("runbooks/hooks/a.sh", '#!/usr/bin/env bash\ncd "$1"\n', 0o755)
    code, out, _ = nvsx()
    assert code == 0
    if shutil.which("shellcheck"):
        assert "runbooks/hooks/a.sh:2:" in out
        assert "(SC2164)" in out
        assert nvsx("--strict")[0] == 2
    else:
        assert "note: shellcheck is not installed here" in out


def test_a_missing_tool_is_a_note(nvsx: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_runbook("r", "stages: [{id: detect, hook: hooks/a.sh}]")
    put("runbooks/hooks/a.sh", "#!/usr/bin/env bash\necho\n", 0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, _ = nvsx("--strict")
    assert code == 0
    assert "note: bash is not installed here" in out
    assert "note: shellcheck is not installed here" in out


def test_broken_runbooks_and_files_that_are_none(nvsx: Run) -> None:
    put_runbook("good", "stages: [{id: detect}]")
    put("runbooks/bad.yaml", "kind: Runbook\nstages: [{id: detct}]\n")
    put("runbooks/old.yml", "kind: Runbook\n")
    put("runbooks/Upper.yaml", "metadata: {name: Upper}\n")
    code, out, _ = nvsx()
    assert code == 2
    assert "runbooks/bad.yaml:2:15: error: stages[0].id: must be" in out
    assert "runbooks/old.yml: error: " in out
    assert "runbooks/Upper.yaml: error: cannot be a runbook's file" in out
    assert nvsx("good")[0] == 0


def test_ties_are_told_of_the_one_that_loses(nvsx: Run) -> None:
    for name in ("alpha", "beta"):
        put_runbook(name, "trigger: {checkNames: [GpuMemWatch]}\nstages: [{id: detect}]")
    code, out, _ = nvsx()
    assert code == 0
    assert "runbooks/beta.yaml:4:1: warning: trigger: answers to gpumemwatch as alpha does" in out
    assert nvsx("--strict")[0] == 2


CONFIG = [
    ("namespace: nvsentinel\n", ""),
    ("# nothing\n", ""),
    ("namespaze: x\n", "nvsx.yaml:1:1: error: unknown key 'namespaze'; did you mean `namespace`?"),
    ("hooks: {onBlind: hooks/none.sh}\n", "nvsx.yaml:1:18: error: hooks.onBlind: there is no file"),
    ("heartbeat: {hook: hooks/none.sh}\n", "nvsx.yaml:1:19: error: heartbeat.hook: there is no file"),
    ("heartbeat: {every: 1m}\n", "nvsx.yaml:1:12: error: heartbeat: needs `hook` or `url`, one of the two"),
    ("sources: {pd: {format: pagerdooty}}\n", "must be nvsx, pagerduty"),
    ("sources: {pd: {format: pagerduty, runbooks: [god]}}\n", "sources.pd.runbooks[0]: there is no runbook god"),
    ("sources: {'../x': {format: nvsx}}\n", "a source's name must be"),
    ("silences: [{node: x, until: tomorrow, why: y}]\n", "must be a time with its zone"),
]


@pytest.mark.parametrize(("text", "expected"), CONFIG)
def test_nvsx_yaml(nvsx: Run, text: str, expected: str) -> None:
    put_runbook("good", "stages: [{id: detect}]")
    put("nvsx.yaml", text)
    code, out, _ = nvsx()
    assert expected in out
    assert code == (2 if expected else 0)


def test_json(nvsx: Run) -> None:
    put_runbook(
        "r", "stages: [{id: drain, timeout: 5m, watch: [{kind: pod-event, reason: Evicted}], hook: hooks/a.sh}]"
    )
    code, out, _ = nvsx("--output", "json")
    answer = json.loads(out)
    assert code == 2
    assert (answer["ok"], answer["errors"], answer["warnings"], answer["runbooks"]) == (False, 1, 2, ["r"])
    evicted = next(problem for problem in answer["problems"] if "Evicted" in problem["message"])
    assert (evicted["file"], evicted["line"], evicted["severity"]) == ("runbooks/r.yaml", 4, "warning")
    assert evicted["path"] == "stages[0].watch[0]"


def test_an_unknown_runbook(nvsx: Run) -> None:
    put_runbook("good", "stages: [{id: detect}]")
    code, out, err = nvsx("nope")
    assert (code, out) == (2, "")
    assert "there is no runbook nope" in err


def test_the_shipped_project_has_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parent.parent
    code = main(["lint", "--project", str(root), "--color", "never"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert "error:" not in out
