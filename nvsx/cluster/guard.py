"""The `kubectl` that prerequisites, hooks and actions find first on their PATH: it counts, and keeps reads to reads.

It is a fence, not a wall: a script that names the real kubectl by its path goes around it. What must hold against that
are the rights of the account that nvsx runs with.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from nvsx.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Role = Literal["read", "write"]

REFUSED = 77
"""Exit status of a refused call (EX_NOPERM)."""

READ_VERBS = (
    "api-resources api-versions cluster-info describe events explain get help logs options port-forward top version"
    " wait"
)
"""`diff` is none: it sends a dry run of a write, which runs admission webhooks and needs the right to patch."""

READ_PAIRS: dict[str, tuple[str, ...]] = {
    "auth": ("can-i", "whoami"),
    "config": ("current-context", "get-clusters", "get-contexts", "get-users", "view"),
    "rollout": ("history", "status"),
}

WRITE_VERBS = (
    "annotate apply attach autoscale certificate cordon cp create debug delete diff drain edit exec expose label patch"
    " proxy replace run scale set taint uncordon"
)
"""Known by name for the log only; whatever is not a read is a write."""

VALUE_FLAGS = (
    "as as-group as-uid as-user-extra cache-dir certificate-authority client-certificate client-key cluster context"
    " kubeconfig kuberc log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency namespace password"
    " profile profile-output request-timeout server stderrthreshold tls-server-name token user username v vmodule"
)
BARE_FLAGS = (
    "add-dir-header alsologtostderr disable-compression help insecure-skip-tls-verify log-json logtostderr"
    " match-server-version one-output skip-headers skip-log-headers warnings-as-errors"
)


class GuardCounts(NamedTuple):
    """kubectl calls of one run. A call with a write verb counts as a write even when it is a dry run or fails."""

    nvsx_writes: int  # nvsx's own: always 0, its door has no way to write
    action_writes: int
    refused: int
    calls: int


class Guard:
    """The two wrappers and their log for one run; a context manager.

    `directory` is the guard's own: made here, private, and removed at the end. Where it exists already, the log in it
    is continued: a run that is taken up after a crash keeps its counts. `real` is the kubectl to call, "" where there
    is none. `fallbacks` are directories for the wrappers should `directory` not allow programs (a noexec mount).
    `lazy`: a wrapper is made when the first process of its role is to start, not before: most runs of a daemon wait.
    """

    def __init__(self, directory: str, *, real: str, fallbacks: Sequence[str] = (), lazy: bool = False) -> None:
        self.directory = str(Path(directory).absolute())
        self.real = str(Path(real).absolute()) if real else ""
        self._log = f"{self.directory}/calls.log"
        self._fallbacks = fallbacks
        self._lazy = lazy
        self._entered = False
        self._places: dict[Role, str] = {}
        self._last = GuardCounts(0, 0, 0, 0)

    def __enter__(self) -> Guard:
        self._entered = True
        if not self._lazy:
            self._place("read")
            self._place("write")
        return self

    def __exit__(self, *_: object) -> None:
        self._last = self.counts()
        self._entered = False
        for directory in (*self._places.values(), self.directory):
            if os.path.lexists(directory):
                shutil.rmtree(directory, ignore_errors=True)
        self._places = {}

    def path(self, role: Role, base_path: str) -> str:
        """PATH on which the wrapper for `role` comes first: "write" for actions, "read" for everything else.

        EnvironmentUnusable where a lazy guard finds no place for it: nothing may start without it.
        """
        assert self._entered, "the guard is not in place"
        place = self._places.get(role) or self._place(role)
        return f"{place}:{base_path}" if base_path else place

    def counts(self) -> GuardCounts:
        """What has been called so far; after the end, the last state."""
        if not self._entered:
            return self._last
        try:
            handle = os.open(self._log, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return self._last
        with os.fdopen(handle, encoding="utf-8", errors="replace") as log:
            calls = [tuple(line.rstrip("\n").split("\t")) for line in log]
        return _count(calls)

    def _place(self, role: Role) -> str:
        """Put the wrapper for `role` where programs may run; a shell passes over one that may not, to the real one."""
        trouble = f"no program can be run from {self.directory}: its file system is mounted noexec"
        if not self._places:
            try:
                _make_private(self.directory)
            except OSError as error:  # a full disk: reads need no count, and an action is refused without one
                trouble = f"cannot make {self.directory}: {error.strerror}"
        text = wrapper(role, self.real, self._log)
        for parent in (self.directory, *self._fallbacks):
            try:
                place = tempfile.mkdtemp(prefix=f"guard-{role}-", dir=parent)
            except OSError:
                continue
            if _write_script(place, text):
                self._places[role] = place
                return place
            shutil.rmtree(place, ignore_errors=True)
        raise EnvironmentUnusable(trouble, hint="nvsx --state-dir DIR, on a disk with room and without noexec")


def _make_private(directory: str) -> None:
    """A directory that is ours alone, so that nobody else can put a kubectl of his own into it."""
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EnvironmentUnusable(f"{directory} belongs to somebody else", hint=f"ls -ld {shlex.quote(directory)}")
    Path(directory).chmod(0o700)


def _write_script(directory: str, text: str) -> bool:
    """Whether `directory`/kubectl could be written and may be run."""
    try:
        handle = os.open(f"{directory}/kubectl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError:
        return False
    return os.access(f"{directory}/kubectl", os.X_OK)


@cache
def _known_words() -> Mapping[str, str]:
    """The parts of the wrapper that are the same for all runs."""
    return {
        "value_flags": _pattern(f"--{name}" for name in VALUE_FLAGS.split()),
        "set_flags": _pattern(f"--{name}=*" for name in f"{VALUE_FLAGS} {BARE_FLAGS}".split()),
        "bare_flags": _pattern(f"--{name}" for name in BARE_FLAGS.split()),
        "read_verbs": _pattern(READ_VERBS.split()),
        "pair_verbs": _pattern(READ_PAIRS),
        "read_pairs": _pattern(f"'{verb} {sub}'" for verb, subs in READ_PAIRS.items() for sub in (*subs, "help")),
        "known_verbs": _pattern((*READ_VERBS.split(), *WRITE_VERBS.split(), *READ_PAIRS)),
    }


def wrapper(role: Role, real: str, log: str) -> str:
    """The text of the wrapper: POSIX sh, no programs but the real kubectl, a millisecond or two."""
    return _SCRIPT.format(role=role, real=shlex.quote(real), log=shlex.quote(log), refused=REFUSED, **_known_words())


# The verb is found as kubectl finds it: the first word that is neither a flag nor a flag's value. Only names from our
# own tables reach the log; any other word could be a secret.
_SCRIPT = """#!/bin/sh
# Written by nvsx for one run. It counts what the run asks of the cluster, and lets only a stage's action change it.
role='{role}'
real={real}
log={log}

verb='' sub='' value='' unsure=''
for word do
  if [ -n "$value" ]; then value=''; continue; fi
  case $word in
    -n|-s|-v|{value_flags}) value=1 ;;
    -n?*|-s?*|-v?*|{set_flags}) ;;
    -h|{bare_flags}) ;;
    ''|-*) unsure=1; break ;;
    *)
      if [ -n "$verb" ]; then sub=$word; break; fi
      verb=$word
      case $verb in {pair_verbs}) ;; *) break ;; esac ;;
  esac
done

kind='write' name='other'
case $verb in '') name='none' ;; {known_verbs}) name=$verb ;; esac
case $verb in
  ''|{read_verbs}) kind='read' ;;
  {pair_verbs})
    # Without a second word kubectl prints its help.
    [ -z "$sub" ] && sub='help'
    case "$verb $sub" in {read_pairs}) kind='read'; name="$verb $sub" ;; esac ;;
esac
[ -n "$unsure" ] && kind='write' name='unclear'

note() {{ printf '%s\\t%s\\t%s\\n' "$role" "$name" "$1" >>"$log"; }}

if [ "$role" = read ] && [ "$kind" = write ]; then
  note refused 2>/dev/null
  what="\\`kubectl $name\\`"
  [ "$name" = other ] && what='a kubectl command that nvsx does not know as a read'
  [ "$name" = unclear ] && what='kubectl with flags before its command that nvsx does not know'
  printf '%s\\n' "nvsx: refused $what: prerequisites and hooks may only read the cluster." \\
    "hint: a change belongs in the \\`action.script\\` of a stage, where the record shows it" >&2
  exit {refused}
fi
if [ -z "$real" ]; then
  echo 'kubectl: not found on PATH' >&2
  exit 127
fi
if ! note allowed 2>/dev/null && [ "$kind" = write ]; then
  echo "nvsx: refused: this change cannot be counted, because $log cannot be written" >&2
  exit {refused}
fi
exec "$real" "$@"
"""


def _pattern(words: Iterable[str]) -> str:
    return "|".join(words)


def _count(calls: Sequence[tuple[str, ...]]) -> GuardCounts:
    """A full disk may have cut a line, which the next one then continues: roles are told by their end."""
    whole = [call[-3:] for call in calls if len(call) >= 3]
    writes = sum(1 for role, name, _ in whole if role.endswith("write") and not _is_read(name))
    return GuardCounts(0, writes, sum(1 for call in whole if call[2] == "refused"), len(calls))


def _is_read(name: str) -> bool:
    verb, _, sub = name.partition(" ")
    return name == "none" or name in READ_VERBS.split() or (verb in READ_PAIRS and sub in (*READ_PAIRS[verb], "help"))
