"""The kubectl in front of scripts: what it lets through, what it counts, and that no write passes `read`."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nvsx.cluster import guard
from nvsx.cluster.guard import READ_PAIRS, READ_VERBS, REFUSED, WRITE_VERBS, Guard, GuardCounts, wrapper
from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL = """#!/bin/sh
printf 'REACHED'
for word do printf ' <%s>' "$word"; done
exit 5
"""


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "bin with blank", "kubectl")
        path.parent.mkdir()
        path.write_text(REAL)
        path.chmod(0o755)
        yield str(path)


@pytest.fixture(scope="module")
def fence(real: str) -> Iterator[Guard]:
    with tempfile.TemporaryDirectory() as directory, Guard(f"{directory}/it's a guard", real=real) as made:
        yield made


def call(fence: Guard, role: Any, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": fence.path(role, "/usr/bin:/bin")}
    return subprocess.run(["kubectl", *argv], env=env, capture_output=True, text=True, check=False)


def reached(answer: subprocess.CompletedProcess[str]) -> bool:
    assert answer.returncode in (5, REFUSED), answer
    assert (answer.returncode == 5) == answer.stdout.startswith("REACHED")
    return answer.returncode == 5


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "get pods",
        "get pods delete",
        "-n kube-system get pods -o json",
        "-nkube-system get pods",
        "-n=kube-system get pods",
        "--namespace kube-system --context=prod --request-timeout 5s get nodes",
        "--kubeconfig=/delete get pods",
        "-v 6 -s https://x get pods",
        "-v6 --insecure-skip-tls-verify get pods",
        "--insecure-skip-tls-verify=true version --client",
        "-n delete get pods",
        "--user apply logs -f pod",
        "config view",
        "config --kubeconfig x current-context",
        "config",
        "auth can-i delete pods",
        "auth whoami",
        "rollout status deployment/x",
        "rollout -n x history deployment/x",
        "wait --for=delete pod/x",
        "port-forward svc/x 8080:80",
        "help delete",
        "cluster-info dump",
    ],
)
def test_reads_pass_in_both_roles(fence: Guard, line: str) -> None:
    before = fence.counts()
    for role in ("read", "write"):
        answer = call(fence, role, *line.split())
        assert answer.stdout == "REACHED" + "".join(f" <{word}>" for word in line.split())
        assert answer.returncode == 5
    after = fence.counts()
    assert after == before._replace(calls=before.calls + 2)


@pytest.mark.parametrize(
    "line",
    [
        "delete pod x",
        "-n get delete pod x",
        "-nget delete pod x",
        "--context get delete pod x",
        "--context=get delete pod x",
        "-v get delete pod x",
        "exec pod -- ls",
        "cp a b",
        "run x --image y",
        "debug node/x",
        "attach x",
        "proxy",
        "edit node x",
        "diff -f x",
        "apply --dry-run=client -f x",
        "config set-context x",
        "config use-context view",
        "config -n view use-context x",
        "auth reconcile -f x",
        "rollout restart deployment/x",
        "rollout undo deployment/x",
        "node-shell x",
        "unknown",
        "--unknown get delete pod x",
        "--unknown=1 get pods",
        "-x get delete",
        "-hn get delete pod x",
        "-- get",
        "config --unknown view set-context",
    ],
)
def test_the_rest_is_refused_to_read_and_counted_in_write(fence: Guard, line: str) -> None:
    before = fence.counts()
    answer = call(fence, "read", *line.split())
    assert answer.returncode == REFUSED
    assert answer.stdout == ""
    assert "nvsx: refused" in answer.stderr
    assert "`action.script`" in answer.stderr
    assert reached(call(fence, "write", *line.split()))
    after = fence.counts()
    assert after == GuardCounts(0, before.action_writes + 1, before.refused + 1, before.calls + 2)


def test_every_known_write_is_refused_by_name(fence: Guard) -> None:
    for verb in WRITE_VERBS.split():
        answer = call(fence, "read", verb)
        assert answer.returncode == REFUSED
        assert f"refused `kubectl {verb}`" in answer.stderr


def test_arguments_arrive_as_they_were(fence: Guard) -> None:
    words = ["get", "-o", "jsonpath={.a}\n", "it's", "", '$HOME `x` "y"', "*", "é\t"]
    assert call(fence, "read", *words).stdout == "REACHED" + "".join(f" <{word}>" for word in words)


def test_stdin_reaches_the_real_kubectl(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\ncat\n")
    kubectl.chmod(0o755)
    with Guard(str(tmp_path / "g"), real=str(kubectl)) as fence:
        env = {"PATH": fence.path("write", "/usr/bin:/bin")}
        answer = subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=b"kind: X", env=env, capture_output=True, check=True
        )
    assert answer.stdout == b"kind: X"


def test_no_word_of_the_caller_reaches_the_log(tmp_path: Path, real: str) -> None:
    with Guard(str(tmp_path / "g"), real=real) as fence:
        for role in ("read", "write"):
            call(fence, role, "--token", "hunter22", "get", "secret", "hunter22")
            call(fence, role, "--password=hunter22", "hunter22", "hunter22")
            call(fence, role, "--oops", "hunter22", "get")
            call(fence, role, "get\tread\tallowed\nhunter22")
            call(fence, role, "delete hunter22", "x")
            call(fence, role, "config", "hunter22")
            call(fence, role, "rollout status", "hunter22")
        log = Path(fence.directory, "calls.log").read_text()
        assert fence.counts().calls == len(log.splitlines()) == 14
    assert "hunter22" not in log
    assert {tuple(line.split("\t"))[1] for line in log.splitlines()} == {"get", "other", "unclear", "config"}


def test_parallel_calls_are_all_counted(tmp_path: Path, real: str) -> None:
    with Guard(str(tmp_path / "g"), real=real) as fence:
        env = {"PATH": fence.path("write", "/usr/bin:/bin")}
        script = "for i in $(seq 50); do kubectl delete x >/dev/null & kubectl get x >/dev/null & done; wait"
        subprocess.run(["bash", "-c", script], env=env, check=True)
        assert fence.counts() == GuardCounts(0, 50, 0, 100)


# the directory


def test_the_guard_is_private_and_goes(tmp_path: Path, real: str) -> None:
    fence = Guard(str(tmp_path / "deep" / "g"), real=real)
    with fence:
        assert stat.S_IMODE(Path(fence.directory).stat().st_mode) == 0o700
        call(fence, "read", "delete", "x")
        assert fence.counts() == GuardCounts(0, 0, 1, 1)
    assert not Path(fence.directory).exists()
    assert fence.counts() == GuardCounts(0, 0, 1, 1)


def test_a_run_that_is_taken_up_again_keeps_its_counts(tmp_path: Path, real: str) -> None:
    first = Guard(str(tmp_path / "g"), real=real)
    first.__enter__()  # and then nvsx is killed
    call(first, "write", "delete", "x")
    with Path(first.directory, "calls.log").open("a") as log:
        log.write("write\tdel")  # a full disk
    with Guard(str(tmp_path / "g"), real=real) as second:
        assert second.counts() == GuardCounts(0, 1, 0, 2)
        call(second, "write", "delete", "x")
        assert second.counts() == GuardCounts(0, 2, 0, 2)


def test_a_guard_in_a_strangers_place_is_refused(tmp_path: Path, real: str) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(EnvironmentUnusable), Guard(str(tmp_path / name), real=real):
            pass


def test_where_programs_may_not_run_the_next_place_is_taken(
    tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def access(path: str, mode: int) -> bool:
        return not path.startswith(str(tmp_path / "noexec"))

    monkeypatch.setattr(guard.os, "access", access)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Guard(str(tmp_path / "noexec"), real=real, fallbacks=["/no/such", str(elsewhere)]) as fence:
        assert reached(call(fence, "read", "get", "x"))
        assert fence.path("read", "").startswith(str(elsewhere))
        assert fence.counts().calls == 1
    assert list(elsewhere.iterdir()) == []
    with pytest.raises(EnvironmentUnusable, match="noexec"), Guard(str(tmp_path / "noexec"), real=real):
        pass


def test_a_lazy_guard_makes_what_a_process_needs_when_it_starts_and_counts_the_same(
    tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guard(str(tmp_path / "g"), real=real, lazy=True) as fence:
        assert list(tmp_path.iterdir()) == [], "most runs of a daemon wait, and start no process for hours"
        assert fence.counts() == GuardCounts(0, 0, 0, 0)
        assert call(fence, "read", "delete", "x").returncode == REFUSED
        assert len(list(Path(fence.path("read", "")).parent.iterdir())) == 2, "the log, and the one wrapper"
        assert reached(call(fence, "write", "delete", "x"))
        assert fence.counts() == GuardCounts(0, 1, 1, 2)
    assert fence.counts() == GuardCounts(0, 1, 1, 2)
    assert list(tmp_path.iterdir()) == []
    killed = Guard(str(tmp_path / "g"), real=real, lazy=True).__enter__()
    call(killed, "write", "delete", "x")
    with Guard(str(tmp_path / "g"), real=real, lazy=True) as resumed:
        assert resumed.counts().action_writes == 1, "before it has started anything"
    assert resumed.counts().action_writes == 1
    monkeypatch.setattr(guard.os, "access", lambda *_: False)
    nowhere = Guard(str(tmp_path / "g"), real=real, lazy=True)
    with nowhere, pytest.raises(EnvironmentUnusable, match="noexec"):
        nowhere.path("read", "/usr/bin")


def test_without_a_kubectl_it_says_so_as_a_shell_would(tmp_path: Path) -> None:
    with Guard(str(tmp_path / "g"), real="") as fence:
        answer = call(fence, "read", "get", "pods")
        assert (answer.returncode, answer.stderr) == (127, "kubectl: not found on PATH\n")
        assert call(fence, "read", "delete", "x").returncode == REFUSED


def test_a_write_that_cannot_be_counted_does_not_happen(tmp_path: Path, real: str) -> None:
    with Guard(str(tmp_path / "g"), real=real) as fence:
        Path(fence.directory, "calls.log").mkdir()
        answer = call(fence, "write", "delete", "x")
        assert answer.returncode == REFUSED
        assert "cannot be counted" in answer.stderr
        assert reached(call(fence, "read", "get", "x"))
        Path(fence.directory, "calls.log").rmdir()


def test_path_puts_the_guard_first_and_never_the_working_directory(fence: Guard) -> None:
    assert fence.path("read", "/a:/b") == f"{fence.path('read', '')}:/a:/b"
    assert {fence.path("read", ""), fence.path("write", "")} == {
        str(file.parent) for file in Path(fence.directory).glob("*/kubectl")
    }


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("role", ["read", "write"])
def test_shellcheck(role: Any) -> None:
    text = wrapper(role, "/opt/it's/kubectl", "/var/lib/nvsx/calls.log")
    answer = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True, check=False)
    assert answer.stdout == ""


@pytest.mark.parametrize("shell", ["bash", "dash", "busybox"])
def test_any_posix_shell_will_do(shell: str, tmp_path: Path, real: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    command = [shell, "sh"] if shell == "busybox" else [shell, "--posix"] if shell == "bash" else [shell]
    script = tmp_path / "w"
    script.write_text(wrapper("read", real, str(tmp_path / "log")))
    for line, status in (("-n x get pods", 5), ("-n get delete x", REFUSED), ("config view", 5), ("x", REFUSED)):
        answer = subprocess.run([*command, script, *line.split()], capture_output=True, check=False)
        assert answer.returncode == status, answer


# the property: kubectl's own way to find its command (cobra's Find and stripFlags), written down again

BARE = {"help", "insecure-skip-tls-verify", "match-server-version", "warnings-as-errors", "disable-compression"}


def command_of(argv: list[str], *, bare: set[str] = BARE) -> list[str]:
    """The words in which kubectl looks for its command and subcommand."""
    words = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        long = word.startswith("--") and "=" not in word and word[2:] not in bare
        short = word.startswith("-") and "=" not in word and len(word) == 2 and word != "-h"
        if long or short:
            if len(rest) <= 1:
                break
            rest.pop(0)
        elif word and not word.startswith("-"):
            words.append(word)
    return words


def is_read(words: list[str]) -> bool:
    if not words or words[0] in READ_VERBS.split():
        return True
    pair = READ_PAIRS.get(words[0])
    return pair is not None and (len(words) == 1 or words[1] in (*pair, "help"))


FLAGS = ["-n", "-nx", "-n=x", "-s", "-v", "-v6", "-h", "-hn", "-x", "-", "--", "--context", "--context=x", "--help"]
FLAGS += ["--token", "--unknown", "--unknown=x", "--insecure-skip-tls-verify", "--kubeconfig", "--warnings-as-errors"]
FLAGS += ["--help=true", "--match-server-version=false", "", "-nget", "--v", "--vmodule", "-l", "--all", "-A"]
WORDS = ["get", "delete", "config", "view", "set-context", "rollout", "status", "undo", "auth", "can-i", "apply"]
WORDS += ["x y", "get ", " get", "GET", "get\n", "exec", "plugin", "*", "x=y"]
ARGV = st.lists(
    st.one_of(st.sampled_from(FLAGS), st.sampled_from(WORDS), st.sampled_from(WRITE_VERBS.split())), max_size=7
)


@settings(deadline=None, max_examples=400)
@given(argv=ARGV)
@example(argv=["-n", "get", "delete", "x"])
@example(argv=["", "delete", "x"])
@example(argv=["--unknown", "get", "delete"])
@example(argv=["-hn", "get", "delete"])
@example(argv=["config", "-n", "view", "set-context"])
def test_what_kubectl_would_take_for_a_write_never_reaches_it(fence: Guard, argv: list[str]) -> None:
    if not is_read(command_of(argv)):
        assert not reached(call(fence, "read", *argv))


@settings(deadline=None, max_examples=100)
@given(flags=st.lists(st.sampled_from([["-n", "x"], ["--context=x"], ["-nx"], ["--help"], ["-v", "9"]]), max_size=3))
@pytest.mark.parametrize("command", ["get x", "delete x", "config view", "config set x", "rollout undo x", "top node"])
def test_flags_in_front_change_nothing(fence: Guard, command: str, flags: list[list[str]]) -> None:
    front = [word for flag in flags for word in flag]
    answer = call(fence, "read", *front, *command.split())
    assert reached(answer) == is_read(command.split())
    before = fence.counts().action_writes
    assert reached(call(fence, "write", *front, *command.split()))
    assert fence.counts().action_writes - before == (not is_read(command.split()))


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_the_real_kubectl_knows_every_verb_that_passes() -> None:
    answer = subprocess.run(["kubectl", "--help"], capture_output=True, text=True, check=False)
    known = {line.split()[0] for line in answer.stdout.splitlines() if line.startswith("  ") and line.split()}
    missing = set(READ_VERBS.split()) - known - {"help", "options"}
    assert missing <= {"events"}, "an old kubectl lacks `events`; any other name is a mistake of ours"


def test_the_wrapper_needs_nothing_but_sh_and_kubectl(fence: Guard, tmp_path: Path) -> None:
    env = {"PATH": fence.path("read", str(tmp_path))}
    kubectl = shutil.which("kubectl", path=env["PATH"])
    assert kubectl
    answer = subprocess.run([kubectl, "get"], env={"PATH": os.fspath(tmp_path)}, capture_output=True, check=False)
    assert answer.stdout == b"REACHED <get>"


def test_where_its_directory_cannot_be_made_the_wrapper_stands_elsewhere_and_counts_no_write(tmp_path: Path) -> None:
    """As on a full disk: a hook that pages must run, an action that nobody could count must not write."""
    (tmp_path / "file").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Guard(str(tmp_path / "file/guard"), real="/bin/echo", fallbacks=[str(elsewhere)], lazy=True) as fence:
        told = {}
        for role in ("read", "write"):
            path = fence.path(role, "/usr/bin:/bin")  # type: ignore[arg-type]
            told[role] = subprocess.run(
                ["bash", "-c", "kubectl get nodes; kubectl delete pod x"], env={"PATH": path}, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
    assert [one.stdout for one in told.values()] == ["get nodes\n"] * 2
    assert "cannot be counted" in told["write"].stderr
