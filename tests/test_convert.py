"""`nvsx convert --offline`, and the parts of it: the page, its shell, its secrets, the account of it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.conversion.draft import fault_of
from nvsx.conversion.markdown import read_page
from nvsx.conversion.marks import Names, marks_of
from nvsx.conversion.scan import Unreadable, scan
from nvsx.conversion.secrets import redact
from nvsx.conversion.shell import units
from nvsx.conversion.sorting import DEFINES, DROPPED, KEPT, PEOPLE, sort_page
from nvsx.envfile import parse_env
from nvsx.main import main
from tests.rehearsing import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = CHECKOUT / "examples/sample-runbook.md"
CONVERT = ["convert", str(SAMPLE), "--offline"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NVSX_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("NVSX_PROJECT_ROOT", raising=False)
    return root


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_sample_becomes_a_runbook_that_lints_and_drills(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(CONVERT) == 0
    capfd.readouterr()
    assert main(["lint", "--strict"]) == 0
    assert "nothing to complain about" in capfd.readouterr().out
    assert main(["drill", "sample-runbook", "--speed", "5000", "--output", "jsonl"]) == 0
    finish = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (finish["status"], finish["hooks_failed"]) == ("pass", 0)


def test_all_that_tells_people_is_in_hooks_and_nothing_that_nvsentinel_does(project: Path) -> None:
    assert main(CONVERT) == 0
    hooks = {path: text for path, text in files(project).items() if path.startswith("runbooks/hooks/")}
    assert len(hooks) >= 3
    assert all(os.access(project / path, os.X_OK) for path in hooks)
    code = "\n".join(hooks.values())
    page = SAMPLE.read_text()
    for told in (
        block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if 'slack "' in block or "curl" in block
    ):
        for line in told.splitlines():
            if re.match(r"\s*(?:&& |\|\| )?(?:slack|curl|echo)\b", line):
                assert line.strip().removeprefix("&& ").removeprefix("|| ").removesuffix(" \\") in code
    bare = re.sub(r"(?m)^\s*#.*$", "", code)
    assert not re.search(r"cordon|drain \"|taint|kubectl delete|reboot|ipmitool|dcgmi", bare)


def test_every_section_and_every_command_is_accounted_for(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*CONVERT, "--dry-run"]) == 0
    told = capfd.readouterr().out
    page = SAMPLE.read_text()
    assert all(title in told for title in re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?s)```.*?```", "", page)))
    covered = {
        number
        for first, last in re.findall(r"(?m)^  (\d+)(?:-(\d+))? +(?:kept|dropped|for people) ", told)
        for number in range(int(first), int(last or first) + 1)
    }
    inside = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
            console = line.endswith("console")
        elif inside and line.strip() and not line.startswith("#") and (not console or line.startswith("$ ")):
            assert number in covered, line
    assert "24 commands kept, 16 dropped, 2 left for people" in told
    assert files(project) == {}


def test_secrets_are_listed_by_name_and_kept_in_the_env_file(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "nvsx.env").write_text("# ours\nJIRA_TOKEN=another-token-of-ours\n")
    (project / "nvsx.env").chmod(0o640)
    (project / "runbooks").mkdir()
    assert main(["--project", str(project), *CONVERT]) == 0
    told = "".join(capfd.readouterr())
    env = parse_env((project / "nvsx.env").read_text(), "nvsx.env")
    assert (project / "nvsx.env").read_text().startswith("# ours\nJIRA_TOKEN=another-token-of-ours\n")
    assert env["JIRA_TOKEN"] == "another-token-of-ours"
    assert env["JIRA_TOKEN_2"] == "ATATT3xNotARealTokenOfAnybody0000"
    assert (project / "nvsx.env").stat().st_mode & 0o777 == 0o640
    assert all(name in told for name in env if name != "JIRA_TOKEN")
    assert all(value not in told for value in env.values())
    assert "$JIRA_TOKEN_2" in files(project)["runbooks/hooks/sample-runbook/acknowledge.sh"]


def test_converting_again_changes_nothing_or_asks(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(CONVERT) == 0
    before = files(project)
    assert main(CONVERT) == 0
    assert "nothing has changed" in capfd.readouterr().out
    assert files(project) == before
    hook = project / "runbooks/hooks/sample-runbook/on-drain.sh"
    hook.write_text(hook.read_text() + "echo mine\n")
    assert main(CONVERT) == 4
    out, err = capfd.readouterr()
    assert "\n-echo mine\n" in out
    assert "would be overwritten" in err
    assert "echo mine" in hook.read_text()
    assert main([*CONVERT, "--dry-run"]) == 0
    assert "-echo mine" in capfd.readouterr().out
    assert main([*CONVERT, "--yes"]) == 0
    assert files(project) == before


def test_a_name_can_be_given(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*CONVERT, "--name", "fell-off"]) == 0
    assert "runbooks/fell-off.yaml" in files(project)
    for name in ("../up", "A", "a b"):
        assert main([*CONVERT, "--name", name]) == 2
    strange = project / "Über die GPU (v2)!.md"
    strange.write_text(SAMPLE.read_text())
    assert main(["convert", str(strange), "--offline", "--dry-run"]) == 0
    assert "→ ber-die-gpu-v2" in capfd.readouterr().out
    (project / "äöü.md").write_text("# x\n")
    assert main(["convert", "äöü.md", "--offline"]) == 2
    assert "--name SLUG" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "there is no file"),
        (b"", 2, "is empty"),
        (b"  \n", 2, "is empty"),
        (b"\xff\xfe", 2, "is not UTF-8"),
        (b"a\0b", 2, "is no text"),
        (b"x" * (2 << 20), 2, "longer than 1 MiB"),
        (b"Just prose, nothing to run.\n", 0, "0 commands kept"),
        (b"# Title\n```bash\necho 'never closed\n```\n", 0, "never ends"),
    ],
)
def test_any_file_gets_an_answer(
    content: bytes | None, code: int, said: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (project / "page.md").write_bytes(content)
    assert main(["convert", "page.md", "--offline"]) == code
    told = "".join(capfd.readouterr())
    assert said in told
    assert "Traceback" not in told
    if code == 0:
        assert main(["lint", "--strict"]) == 0


FAULTS = {
    "# XID 79 on a node": "xid-79",
    "# GPU has fallen off the bus": "xid-79",
    "# Double-bit ECC errors": "ecc",
    "# NVLink down": "nvlink",
    "# GPU overheating": "thermal",
    "# InfoROM corrupt": "inforom",
    "# Xid 119: GSP timeout": "driver-hang",
    "# Node is on fire": "",
}


@pytest.mark.parametrize("title", FAULTS)
def test_the_fault_is_the_one_that_the_page_is_about(title: str) -> None:
    assert fault_of(read_page(title), title) == FAULTS[title]


@pytest.mark.parametrize("title", ["# GPU overheating", "# Xid 119: GSP timeout", "# Node is on fire"])
def test_a_page_for_any_fault_makes_a_runbook(title: str, project: Path) -> None:
    page = project / "page.md"
    told = '## Tell\n```sh\ncurl -d x "$HOOK_URL"\n```\n\n## Drained\n```sh\nkubectl drain x && mail -s x a@b\n```\n'
    page.write_text(f"{title}\n\n{told}")
    assert main(["convert", "page.md", "--offline"]) == 0
    assert main(["lint", "--strict"]) == 0
    assert main(["drill", "page", "--speed", "5000", "--output", "quiet"]) == 0


PAGE = """\
---
title: front matter
---
Before any heading `kubectl cordon x`.

Title
=====

1. A list

   ```bash
   $ kubectl get nodes
   NAME  STATUS
   $ curl -d x \\
   >   "$URL"
   ok
   ```

## Second `code` ##

~~~
curl -d '```' "$URL"
~~~

    mail -s x a@b

{code:bash}
mail -s y a@b
{code}

```yaml
kind: Pod
```
"""


def test_pages_are_read_as_people_write_them() -> None:
    page = read_page(PAGE)
    assert page.title == "Title"
    assert [(section.title, section.level) for section in page.sections] == [("", 0), ("Title", 1), ("Second code", 2)]
    entries = sort_page(page).entries
    assert [(entry.kind, entry.first, entry.last, entry.text) for entry in entries if entry.first != 32] == [
        (DROPPED, 4, 4, "kubectl cordon x"),
        (KEPT, 12, 12, "kubectl get nodes"),
        (KEPT, 14, 15, 'curl -d x \\\n  "$URL"'),
        (KEPT, 22, 22, "curl -d '```' \"$URL\""),
        (KEPT, 25, 25, "mail -s x a@b"),
        (KEPT, 28, 28, "mail -s y a@b"),
    ]
    assert entries[-1].what == "this block is yaml, not shell"


def fates(shell: str) -> list[tuple[str, str]]:
    return [(entry.kind, entry.what) for entry in sort_page(read_page(f"# Tell\n```bash\n{shell}\n```")).entries]


@pytest.mark.parametrize(
    ("shell", "kind", "what"),
    [
        ("curl -d x u", KEPT, "preflight"),
        ("curl -d '{\"event_action\": \"resolve\"}' u", KEPT, "recover"),
        ("dmesg > /tmp/x", KEPT, "preflight"),
        ("./page-oncall.sh now", KEPT, "preflight"),
        ("./repair.sh", PEOPLE, "nvsx does not know what repair.sh does"),
        ("nvidia-smi --gpu-reset -i 0", DROPPED, "NVSentinel does it; nvsx watches it in remediate"),
        ("gcloud compute instances reset x", DROPPED, "NVSentinel does it; nvsx watches it in remediate"),
        ("curl -X POST https://bmc/redfish/v1/Systems/1/Actions/ComputerSystem.Reset -d '{}'", DROPPED,
         "NVSentinel does it; nvsx watches it in remediate"),
        ("helm upgrade x y", PEOPLE, "changes what is installed in the cluster"),
        ("kubectl apply -f x.yaml", PEOPLE, "`kubectl apply` is not allowed to hooks, and NVSentinel does not do it"),
        ("vim x", PEOPLE, "wants a person to answer"),
        ("ssh node", PEOPLE, "a shell on another machine waits for somebody to type"),
        ("mail -s <TICKET> a@b", PEOPLE, "<TICKET> has to be filled in"),
        ("curl -d \"$1\" u", PEOPLE, "uses arguments that a hook does not have"),
        ("X=1", DEFINES, "X"),
        ("echo \"$NODE,60\" >> ~/mttr.csv", KEPT, "recover"),
        ("export GPU_NODE=x", DROPPED, "nvsx knows the node"),
        ("sleep 60", DROPPED, "does nothing by itself"),
        ("set -euo pipefail", DROPPED, "a hook has its own"),
        ("for n in 1; do kubectl cordon $n; curl -d x u; done", PEOPLE,
         "has NVSentinel's work and other work in one command: take it apart"),
    ],
)  # fmt: skip
def test_the_fate_of_a_command(shell: str, kind: str, what: str) -> None:
    assert fates(shell) == [(kind, what)]


def test_what_is_joined_stays_joined_and_nvsentinels_part_is_taken_out() -> None:
    assert fates("test -n x && curl -d x u || curl -d y u") == [(KEPT, "preflight")]
    assert fates("kubectl drain x && curl -d x u || curl -d y u") == [
        (DROPPED, "NVSentinel does it; nvsx watches it in drain"), (KEPT, "drain"), (KEPT, "failure"),
    ]  # fmt: skip


def test_the_nodes_gap_is_filled_from_the_run() -> None:
    shell = "curl -d 'XID on <NODE>' u\ncurl -d \"on <node-name>\" u\nmail -s x {{ node }}"
    texts = [entry.text for entry in sort_page(read_page(f"# Tell\n```bash\n{shell}\n```")).entries]
    assert texts == [
        "curl -d 'XID on '\"$NVSX_TARGET_NODE\"'' u",
        'curl -d "on ${NVSX_TARGET_NODE}" u',
        'mail -s x "$NVSX_TARGET_NODE"',
    ]


SECRETS = {
    # what stands on a page: the variable that stands for its secret, and what then stands there
    "https://hooks.slack.com/services/T0/B0/abcdef": ("SLACK_WEBHOOK_URL", "$SLACK_WEBHOOK_URL"),
    "password: hunter22": ("PASSWORD", "password: $PASSWORD"),
    "The password is `hunter22`.": ("PASSWORD", "The password is `$PASSWORD`."),
    '"routing_key": "R0123456789"': ("PAGERDUTY_ROUTING_KEY", '"routing_key": "$PAGERDUTY_ROUTING_KEY"'),
    "Authorization: Bearer abcdef.123": ("API_TOKEN", "Authorization: Bearer $API_TOKEN"),
    "Authorization: GenieKey 1234-5678-9": ("OPSGENIE_API_KEY", "Authorization: GenieKey $OPSGENIE_API_KEY"),
    "X-Auth-Token: abcdef": ("X_AUTH_TOKEN", "X-Auth-Token: $X_AUTH_TOKEN"),
    "mongodb://root:pw12@db/x": ("URL_PASSWORD", "mongodb://root:$URL_PASSWORD@db/x"),
    "curl -u ops:pw12 u": ("API_PASSWORD", "curl -u ops:$API_PASSWORD u"),
    "Grafana login: admin / Passw0rd2024": ("PASSWORD", "Grafana login: admin / $PASSWORD"),
    "use Tr0ub4dor!3xyz there": ("PASSWORD", "use $PASSWORD there"),
    "AKIAIOSFODNN7EXAMPLE": ("AWS_ACCESS_KEY_ID", "$AWS_ACCESS_KEY_ID"),
    "ghp_0123456789abcdefghijklmnop": ("GITHUB_TOKEN", "$GITHUB_TOKEN"),
    "x?api_key=abcd1234&y=1": ("API_KEY", "x?api_key=$API_KEY&y=1"),
    "--token abcd1234": ("TOKEN", "--token $TOKEN"),
    "JIRA_API_TOKEN=abcd1234": ("JIRA_API_TOKEN", "JIRA_API_TOKEN=$JIRA_API_TOKEN"),
    "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----": ("PRIVATE_KEY", "$PRIVATE_KEY"),
    "a8F3kQ9zLm2Xw7Rt5Yb1Nc6Vd4Hj": ("SECRET", "$SECRET"),
}
PUBLIC = [
    "password: see the vault", "token: $JIRA_TOKEN", "password=<your password>", "API key: ********", "secret: none",
    "GPU-8f3c21d4-0000-0000-0000-000000000000", "https://jira.example.com/browse/GPU-1", "dedup_key: xid79",
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "kubectl get secret x",
    "passwords rotate",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_become_variables(text: str) -> None:
    name, after = SECRETS[text]
    redacted = redact(text, {})
    assert redacted.text == after
    assert list(redacted.values) == [name]


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text, {}).text == text


def test_a_secret_is_taken_wherever_it_stands_and_in_whatever_quotes() -> None:
    page = "token: KEY\n```bash\nA='KEY'\nB=\"x KEY\"\nC='x KEY y'\nD=KEY\n```\n".replace("KEY", "abcd1234efgh")
    assert redact(page, {}).text == (
        'token: $TOKEN\n```bash\nA="$TOKEN"\nB="x $TOKEN"\nC=\'x \'"$TOKEN"\' y\'\nD="$TOKEN"\n```\n'
    )
    assert redact(page, {"MINE": "abcd1234efgh"}).values == {"MINE": "abcd1234efgh"}
    assert redact(page, {"TOKEN": "another"}).values == {"TOKEN_2": "abcd1234efgh"}


@given(st.lists(st.sampled_from([*SECRETS, *PUBLIC, "\n```bash\n", "\n```\n", "'", '"', " ", "# x\n"]), max_size=12))
def test_no_secret_survives_and_redacting_twice_changes_nothing(parts: list[str]) -> None:
    redacted = redact(" ".join(parts), {})
    assert all(value not in redacted.text for value in redacted.values.values())
    assert redact(redacted.text, {}).text == redacted.text


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    scanned = scan(text)
    assert len(scanned.states) == len(text)
    assert all(text[token.start : token.end] == token.raw for token in scanned.tokens)
    sort_page(read_page(text))
    try:
        found = units(text)
        marks_of(text, Names())
    except Unreadable:
        return
    assert all(text[unit.start : unit.end] == unit.text for unit in found)


def test_a_terminal_is_asked_before_anything_is_overwritten(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nvsx.app import asking

    assert main(CONVERT) == 0
    hook = project / "runbooks/hooks/sample-runbook/on-drain.sh"
    hook.write_text("#!/bin/sh\n")
    questions: list[str] = []
    for answer, code in ((False, 4), (True, 0)):
        monkeypatch.setattr(
            asking, "asker", lambda *, default=True, answer=answer: lambda q: questions.append(q) or answer
        )
        assert main(CONVERT) == code
        assert (hook.read_text() == "#!/bin/sh\n") == (code == 4)
    assert questions == ["overwrite runbooks/hooks/sample-runbook/on-drain.sh?"] * 2
