"""What a script's text alone tells: how it starts, whether it writes to the cluster, what it should not hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.errors import Place
from nvsx.runbook.finding import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvsx.errors import Problem

_WRITE_VERBS = (
    "annotate apply attach autoscale certificate cordon cp create debug delete diff drain edit expose label patch proxy"
    " replace run scale set taint uncordon"
)
WRITE_VERBS = frozenset(_WRITE_VERBS.split())
"""kubectl verbs that nvsx refuses to prerequisites and hooks while they run."""

_SHEBANG = re.compile(r"#!\s*(\S+)(?:\s+(.*))?")
_SHELLS = ("sh", "bash", "dash", "ksh")
# kubectl where a command can begin: at the start, behind an operator, or behind a word that starts commands.
_BEGIN = r"then|do|else|if|while|until|xargs|sudo|exec|time|timeout\s+\S+"
_KUBECTL = re.compile(rf"(?:^|[|;&({{`!]|\b(?:{_BEGIN})\s)\s*(?:\S*/)?kubectl\s+([^|;&)`]*)")
_VALUED = re.compile(
    r"-[nsvl]|--(?:namespace|context|cluster|user|kubeconfig|server|token|as|as-group|request-timeout)"
)
_URL = re.compile(r"(?<![-=]-)https?://(?!localhost|127\.|\[?::1|\$)[^\s\"'`<>)}]+")
_DEFAULT_URL = re.compile(r":[-=]\s*[\"']?\Z")
_HEREDOC = re.compile(r"<<-?\s*[\"']?([A-Za-z_]\w*)")
_OLD_DAEMONSET = re.compile(r"\b(?:daemonsets?|ds)(?:\.apps)?[/\s]+gpu-health-monitor\b(?!-dcgm)")

_DAEMONSET = (
    "there is no DaemonSet gpu-health-monitor, only gpu-health-monitor-dcgm-3.x and -4.x",
    "kubectl get pods -l app.kubernetes.io/name=gpu-health-monitor",
)


def interpreter(text: str) -> str:
    """The program that the shebang names, without its directory; "" without a shebang."""
    found = _SHEBANG.match(text.partition("\n")[0].rstrip("\r"))
    if not found:
        return ""
    words = [found[1], *(found[2] or "").split()]
    if words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-")]
    return words[0].rpartition("/")[2] if words else ""


def is_shell(text: str) -> bool:
    return interpreter(text) in _SHELLS


def script_problems(text: str, file: str, *, may_write: bool) -> Iterator[Problem]:
    """What is wrong with a hook's or an action's text; `may_write` is true for actions."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        message = "has no shebang, so it cannot be started"
        yield error(Place(file, 1, 1), "", message, "first line: #!/usr/bin/env bash")
    elif first.endswith("\r"):
        message = "has Windows line ends, so it cannot be started"
        yield error(Place(file, 1, len(first)), "", message, f"sed -i 's/\\r$//' {file}")
    if not is_shell(text) and first.startswith("#!"):
        return
    for number, line in _commands(text):
        if not may_write:
            yield from (
                error(Place(file, number), "", f"kubectl {verb} is refused here: only an action may write", _WRITES)
                for verb in kubectl_writes(line)
            )
        yield from _literals(line, Place(file, number))


_WRITES = "move it to a stage's action.script, or leave it to NVSentinel"


def check_problems(check: str, place: Place, path: str) -> Iterator[Problem]:
    """What is wrong with the command of a prerequisite."""
    for _, line in _commands(check):
        for verb in kubectl_writes(line):
            message = f"kubectl {verb} is refused here: a prerequisite only reads"
            yield error(place, path, message, "ask with get, describe or wait")
        if _OLD_DAEMONSET.search(line):
            yield warning(place, path, *_DAEMONSET)


def kubectl_writes(line: str) -> Iterator[str]:
    """The verbs of kubectl commands in a line of shell that would write to the cluster."""
    for call in _KUBECTL.finditer(line):
        verb, *rest = [*_bare(call[1].split()), ""]
        if verb in WRITE_VERBS:
            yield verb
        elif verb in _READ_PAIRS and rest[0] not in _READ_PAIRS[verb]:
            yield f"{verb} {rest[0]}".strip()


_READ_PAIRS = {
    "rollout": ("history", "status"),
    "config": ("current-context", "get-clusters", "get-contexts", "get-users", "view"),
}


def _bare(words: list[str]) -> Iterator[str]:
    """The words of a kubectl command that are no options."""
    pending = iter(words)
    for word in pending:
        if not word.startswith("-"):
            yield word
        elif _VALUED.fullmatch(word):
            next(pending, "")


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a script that are code, continued ones joined, each with the number of its first line."""
    waiting_for, start, joined = "", 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if waiting_for:
            waiting_for = "" if line.strip() == waiting_for else waiting_for
            continue
        joined = joined or ""
        start = start if joined else number
        joined += line.rstrip("\\") if line.endswith("\\") else line
        if line.endswith("\\"):
            continue
        heredoc = _HEREDOC.search(joined)
        waiting_for = heredoc[1] if heredoc and "<<<" not in joined else ""
        if not joined.lstrip().startswith("#"):
            yield start, joined
        joined = ""


def _literals(line: str, place: Place) -> Iterator[Problem]:
    for found in _URL.finditer(line):
        if _DEFAULT_URL.search(line[: found.start()]):
            continue
        message = f"holds the literal address {found[0][:60]}"
        yield warning(place, "", message, "put it into nvsx.env and use the variable: a project is shared")
    if _OLD_DAEMONSET.search(line):
        yield warning(place, "", *_DAEMONSET)
