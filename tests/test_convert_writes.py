"""Whatever a page says and however it says it: no hook that is made of it changes the cluster when it is run.

Pages are made of shell with writes hidden in it in every way that people write them; the hooks are then really run,
with programs around them that note what they are asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nvsx.cluster.guard import READ_PAIRS, READ_VERBS, WRITE_VERBS
from nvsx.conversion.hooks import write_hooks
from nvsx.conversion.markdown import read_page
from nvsx.conversion.sorting import sort_page, writes_in

if TYPE_CHECKING:
    from pathlib import Path

WRITES = [*WRITE_VERBS.split(), "rollout restart", "rollout undo", "config use-context", "auth reconcile", "evict-pod"]
READS = ["get node", "describe node", "get pods -o name", "logs", "rollout status", "top node", "version"]
SAFE = [
    "bash",
    "sh",
    "cat",
    "grep",
    "sed",
    "awk",
    "xargs",
    "env",
    "timeout",
    "mkdir",
    "true",
    "false",
    "printf",
    "echo",
    "nice",
    "nohup",
    "sort",
    "head",
    "wc",
    "tr",
    "find",
]
NOTED = ["curl", "reboot", "ipmitool", "nvidia-smi", "dcgmi", "mail", "systemctl", "sleep", "helm"]
PASSING = {
    "sudo": 'while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done\nexec "$@"',
    "ssh": 'shift; sh -c "$*"',
}

NAMES = st.sampled_from(
    [
        "kubectl",
        '"kubectl"',
        "'kubectl'",
        'ku""bectl',
        "ku''be'ct'l",
        "k\\ubectl",
        "$KUBECTL",
        '"${KUBECTL}"',
        "k",
        "kp",
        "sudo kubectl",
        "sudo -u root kubectl",
        "env A=1 kubectl",
        "timeout 5 kubectl",
        "timeout -k 1 5s kubectl",
        "kubectl.real",
        "nohup kubectl",
        "command kubectl",
        "nice -n 5 kubectl",
        "time kubectl",
        "! kubectl",
        "A=b kubectl",
        "sudo env A=1 kubectl",
    ]
)
FLAGS = st.sampled_from(
    ["", "-n training ", "--context=prod ", "--context prod ", "-v=6 ", "--warnings-as-errors ", "-nx "]
)
ARGUMENTS = st.sampled_from(
    ['node "$NODE"', "pod/train-0", "pods -l app=x", '"$NODE"', "--all", "-f file.yaml", "x -w"]
)


def quoted(verb: str) -> st.SearchStrategy[str]:
    first, _, rest = verb.partition(" ")
    forms = [first, f'"{first}"', f"'{first}'", f'{first[:2]}""{first[2:]}', f"{first[0]}\\{first[1:]}"]
    return st.sampled_from([f"{form} {rest}".strip() for form in forms])


CALLS = st.builds(
    lambda name, flags, verb, words: f"{name} {flags}{verb} {words}",
    NAMES, FLAGS, st.sampled_from([*WRITES, *READS]).flatmap(quoted), ARGUMENTS,
)  # fmt: skip
TOLD = 'curl -sS -d told "$SLACK_WEBHOOK_URL"'
FORMS = [
    "CALL",
    "CALL",
    "CALL | grep x",
    "CALL &",
    "(CALL)",
    "{ CALL; }",
    "CALL && TOLD",
    "TOLD && CALL",
    "CALL || TOLD",
    "TOLD; CALL",
    'echo "$(CALL)"',
    "echo `CALL`",
    "X=$(CALL)",
    'TOLD -d "$(CALL)"',
    'export Y="$(CALL)"',
    "for n in a b; do CALL; done",
    "for n in $(CALL); do TOLD; done",
    "while read -r n; do CALL; done < list",
    "if CALL; then TOLD; fi",
    "if true; then CALL; else TOLD; fi",
    "[[ -n $NODE ]] && CALL",
    "case $NODE in a*) CALL ;; esac",
    "until CALL; do sleep 1; done",
    "sh -c 'SIMPLE'",
    'bash -lc "SIMPLE"',
    "eval 'SIMPLE'",
    "ssh bastion 'SIMPLE'",
    "bash <<'EOF'\nSIMPLE\nEOF",
    "cat <<EOF | bash\nSIMPLE\nEOF",
    "cat <<EOF\n$(CALL)\nEOF",
    "printf '%s\\n' 'SIMPLE' | sh",
    "trap 'SIMPLE' EXIT",
    "echo VERB node x | xargs kubectl",
    "echo x | xargs -n 1 kubectl VERB node",
    "echo x | xargs -I{} sh -c 'kubectl VERB {}'",
    "find . -name x -exec kubectl VERB node {} \\;",
    "work() { CALL; }\nwork now",
    "work() {\n  TOLD\n  CALL\n}\nwork",
    "tell() { TOLD; }\ntell",
    "alias kd='kubectl VERB'\nkd node x",
    "CALL \\\n  --force",
    "CALL > out.txt 2>&1",
    "awk 'BEGIN { system(\"kubectl VERB x\") }'",
    "DO='kubectl VERB'\n$DO node x",
    "kubectl $VERB x",
    "V=VERB\nkubectl $V x",
    "diff <(CALL) <(TOLD)",
    'curl -sS -d x "$URL" | sh',
    "coproc CALL",
    "time { CALL; }",
    "kubectl get pods -o name | xargs -r kubectl VERB",
    "echo 'kubectl VERB x' > run.sh; bash run.sh",
    "source ./run.sh",
    "PATH=/x:$PATH CALL",
    'curl() { kubectl VERB "$@"; }\ncurl x',
    "cat() { CALL; }\ncat x",
    "set -e; CALL; TOLD",
]


@st.composite
def commands(draw: st.DrawFn) -> str:
    form = draw(st.sampled_from(FORMS))
    verb = draw(st.sampled_from(WRITES))
    call = draw(CALLS)
    simple = f"kubectl {draw(st.sampled_from([verb, *READS]))} x"
    return form.replace("CALL", call).replace("SIMPLE", simple).replace("VERB", verb).replace("TOLD", TOLD)


@st.composite
def pages(draw: st.DrawFn) -> str:
    parts = [
        "# A page\n```bash\nexport KUBECTL=kubectl\nalias k=kubectl\nalias kp='kubectl --context prod'\nNODE=n1\n```\n"
    ]
    for count in range(draw(st.integers(1, 4))):
        heading = draw(
            st.sampled_from(["Notify", "Drain", "Verify", "When it fails", "Collect evidence", "MTTR", "Reboot"])
        )
        language = draw(st.sampled_from(["bash", "sh", "", "console", "text"]))
        lines = draw(st.lists(commands(), min_size=1, max_size=3))
        if language == "console":
            lines = [f"$ {line}" for line in lines if "\n" not in line]
        parts.append(f"## {heading}\n```{language}\n" + "\n".join([f"# step {count}", *lines]) + "\n```\n")
        if draw(st.booleans()):
            parts.append(f"Then run `{draw(CALLS)}` and wait.\n")
    return "\n".join(parts)


def hooks_of(page: str) -> dict[str, str]:
    found = sort_page(read_page(page))
    assert all(entry.what for entry in found.entries)
    return write_hooks(found.entries, "page.md")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose `bin` is all that hooks find: a few harmless programs, others that only note their words."""
    root = tmp_path_factory.mktemp("sandbox")
    (root / "bin").mkdir()
    for name in SAFE:
        program = shutil.which(name)
        if program:
            (root / "bin" / name).symlink_to(program)
    notes = f'printf "%s\\n" "${{0##*/}} $*" >>"{root}/noted"\n'
    for name in [*NOTED, "kubectl", "oc", "k", "kp", "kubectl.real"]:
        (root / "bin" / name).write_text(f"#!/bin/sh\n{notes}echo n1\n")
    for name, body in PASSING.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    for file in (root / "bin").iterdir():
        if not file.is_symlink():
            file.chmod(0o755)
    (root / "list").write_text("n1\n")
    return root


def asked(sandbox: Path, script: str) -> list[str]:
    """What the script asks of the programs that note it."""
    noted = sandbox / "noted"
    noted.unlink(missing_ok=True)
    for file in ("run.sh", "out.txt"):
        (sandbox / file).unlink(missing_ok=True)
    environment = {"PATH": f"{sandbox}/bin", "NVSX_TARGET_NODE": "n1", "SLACK_WEBHOOK_URL": "u", "HOME": str(sandbox)}
    bash = os.path.realpath(sandbox / "bin/bash")
    subprocess.run([bash, "-c", script], env=environment, cwd=sandbox, capture_output=True, timeout=30, check=False,
                   stdin=subprocess.DEVNULL)  # fmt: skip
    return noted.read_text().splitlines() if noted.exists() else []


def is_write(line: str) -> bool:
    """Whether a noted line is a kubectl call that is no read, or does a repair."""
    name, *words = line.split()
    if name in ("reboot", "ipmitool", "systemctl", "helm"):
        return True
    if name not in ("kubectl", "oc", "k", "kp", "kubectl.real"):
        return False
    text = re.sub(r"^(?:-n \S+|--context \S+|-\S+)\s*", "", " ".join(words))
    verb, _, rest = text.partition(" ")
    pair = READ_PAIRS.get(verb)
    return verb not in READ_VERBS.split() and not (pair and rest.split()[:1] and rest.split()[0] in pair) and bool(verb)


def test_the_sandbox_sees_writes(sandbox: Path) -> None:
    noted = asked(sandbox, "kubectl get x; sudo -u a kubectl -n b drain x; ssh h reboot")
    assert [is_write(line) for line in noted] == [False, True, True]
    assert asked(sandbox, "echo x | xargs -n 1 kubectl cordon") == ["kubectl cordon x"]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages())
def test_no_hook_writes_when_it_is_run(sandbox: Path, page: str) -> None:
    for moment, text in hooks_of(page).items():
        assert [line for line in asked(sandbox, text) if is_write(line)] == [], (moment, text)


WRITTEN = re.compile(rf"kubectl(?:\s+-\S+(?:\s+prod|\s+training)?)*\s+(?:{'|'.join(WRITE_VERBS.split())}|evict-pod)\b")


@settings(deadline=None, max_examples=60)
@given(pages())
def test_no_hook_has_a_write_in_its_text(page: str) -> None:
    for text in hooks_of(page).values():
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        assert not WRITTEN.search(re.sub(r"['\"\\]", "", code)), text
        assert list(writes_in(text)) == []


@settings(deadline=None, max_examples=60)
@given(pages(), st.text("abcdefghij ", min_size=1, max_size=20).filter(str.strip))
def test_what_tells_people_is_never_lost(page: str, said: str) -> None:
    assume("curl()" not in page)  # then it is no longer curl that is called
    line = f'curl -sS --max-time 5 -d "{said}" "$SLACK_WEBHOOK_URL"'
    hooks = hooks_of(f"{page}\n## Tell people\n\n```bash\n{line}\n```\n")
    assert any(line in text.splitlines() for text in hooks.values())


@settings(deadline=None, max_examples=100)
@given(
    st.lists(commands() | st.sampled_from(["'", '"', "$(", "${", "<<EOF", "if", "done", ")", "\\", "`", "case x in"]))
)
def test_nothing_is_too_broken_to_be_sorted(lines: list[str]) -> None:
    found = sort_page(read_page("```bash\n" + "\n".join(lines) + "\n```"))
    assert all(entry.kind in ("kept", "dropped", "people", "defines") for entry in found.entries)
