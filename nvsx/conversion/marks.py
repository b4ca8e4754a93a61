"""What one command of a page does, as far as its words tell: NVSentinel's work, ours, people's, or nobody's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nvsx.cluster.guard import READ_PAIRS, READ_VERBS, VALUE_FLAGS
from nvsx.conversion import programs
from nvsx.conversion.scan import Unreadable
from nvsx.conversion.shell import Command, Word, bare, commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OWNED, PEOPLE, NOTIFY, COLLECT, READ, NEUTRAL = "owned", "people", "notify", "collect", "read", "neutral"

_READS = frozenset(READ_VERBS.split())
_VALUED = frozenset(VALUE_FLAGS.split())
_ENDLESS = frozenset({"-w", "--watch", "--watch-only", "-f", "--follow"})
_PODS = re.compile(r"(?:pods?|po)(?:/|$)|\$\{?pods?\b", re.IGNORECASE)
_NODES = re.compile(r"(?:nodes?|no)(?:/|$)")
_REPAIRS = re.compile(r"RebootNode|GPUReset|TerminateNode|rebootnode|gpureset|terminatenode")
_SENDING = re.compile(r"--?(?:d|X|F|T|data\S*|json|form|request|upload-file|post-\S+|body-\S+|method\S*)")
_STARTERS = frozenset({"awk", "gawk", "mawk", "sed", "yq", "make", "python", "python3", "perl", "ruby"})
_WRITERS = frozenset({"echo", "printf", "cat", "date", "jq", "column", "tac", "sort", "env"})
_DEEPEST = 8
_PIPED_CODE = "runs what another program wrote, which nobody can read beforehand"
_UNKNOWN = "nvsx does not know what {} does"


class Mark(NamedTuple):
    """`detail` is the stage whose watch sees what is OWNED, or the reason why something is for PEOPLE. `writes` says
    that it would change the cluster, or may.
    """

    kind: str
    detail: str = ""
    writes: bool = False


class Names(NamedTuple):
    """What the page itself defines: aliases and variables that stand for words, and functions by their bodies."""

    aliases: Mapping[str, str] = {}
    variables: Mapping[str, str] = {}
    functions: Mapping[str, str] = {}


def marks_of(text: str, names: Names) -> tuple[Mark, ...]:
    """A mark for each simple command in a text, those inside of others too. Unreadable where it cannot be read."""
    return tuple(_marks(text, names, 0))


def _marks(text: str, names: Names, depth: int) -> Iterator[Mark]:
    if depth > _DEEPEST:
        raise Unreadable("commands are nested too deep")
    for command in commands(text):
        yield from _mark(command, names, depth)


def _mark(command: Command, names: Names, depth: int) -> Iterator[Mark]:
    words = list(command.words)
    if not words:
        yield Mark(NEUTRAL)
        return
    words = _expanded(words, names)
    name = words[0].text.rpartition("/")[2]
    if not words[0].literal:
        yield Mark(PEOPLE, "the name of the program it starts is not written down")
    elif name in names.functions and words[0].raw == name:
        inner = names._replace(functions={key: body for key, body in names.functions.items() if key != name})
        yield from _marks(names.functions[name], inner, depth + 1)
    elif name in _WRAPPERS:
        yield from _WRAPPERS[name](command, words[1:], names, depth)
    elif name in programs.PREFIXES:
        yield from _prefixed(command, name, words[1:], names, depth)
    else:
        yield _plain(command, name, words)


def _expanded(words: list[Word], names: Names) -> list[Word]:
    """The words with an alias, or a variable that holds a command, put in."""
    for _ in range(_DEEPEST):
        first = words[0]
        variable = re.fullmatch(r'"?\$\{?(\w+)\}?"?', first.raw)
        meant = names.variables.get(variable[1]) if variable else names.aliases.get(first.raw)
        if not meant or meant.split()[0] == first.raw:
            break
        words = [*(bare(word) for word in meant.split()), *words[1:]]
    return words


def _prefixed(command: Command, name: str, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    """sudo, env, timeout, xargs and their like: what counts is the program they start."""
    rest = list(words)
    valued = programs.PREFIXES[name]
    while rest and (rest[0].text.startswith("-") or (name in ("env", "sudo") and "=" in rest[0].text)):
        flag = rest.pop(0).text
        takes = flag.startswith("--") and "=" not in flag and len(flag) > 2 and name in ("xargs", "sudo")
        if rest and (takes or (len(flag) == 2 and flag[1] in valued)):
            rest.pop(0)
    rest = rest[programs.OWN_WORDS.get(name, 0) :]
    if not rest:
        yield Mark(NEUTRAL)
        return
    yield from _mark(command._replace(words=tuple(rest), piped=command.piped or name == "xargs"), names, depth + 1)


def _shell(command: Command, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    """A shell runs what `-c` says, or what it is given to read."""
    for at, word in enumerate(words):
        if re.fullmatch(r"-[a-z]*c", word.text):
            script = words[at + 1] if at + 1 < len(words) else bare("")
            yield from _marks(script.text, names, depth + 1)
            return
    scripts = [word for word in words if not word.text.startswith("-")]
    if scripts:
        yield _own_script(scripts[0].text)
    elif command.stdin:
        yield from _marks(command.stdin, names, depth + 1)
    else:
        yield Mark(PEOPLE, _PIPED_CODE if command.piped else "a shell waits for somebody to type")


def _eval(_: Command, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    if all(word.literal for word in words):
        yield from _marks(" ".join(word.text for word in words), names, depth + 1)
    else:
        yield Mark(PEOPLE, _PIPED_CODE)


def _trap(_: Command, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    yield Mark(NEUTRAL)
    if words:
        yield from _marks(words[0].text, names, depth + 1)


def _ssh(command: Command, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    rest = list(words)
    while rest and rest[0].text.startswith("-"):
        flag = rest.pop(0).text
        if rest and len(flag) == 2 and flag[1] in "BbcDEeFIiJLlmOopQRSWw":
            rest.pop(0)
    script = " ".join(word.text for word in rest[1:]) or command.stdin
    if not script:
        yield Mark(PEOPLE, "a shell on another machine waits for somebody to type")
        return
    yield from _marks(script, names, depth + 1)


def _find(command: Command, words: Sequence[Word], names: Names, depth: int) -> Iterator[Mark]:
    yield Mark(PEOPLE, "deletes files") if any(word.text == "-delete" for word in words) else Mark(NEUTRAL)
    for at, word in enumerate(words):
        if word.text in ("-exec", "-execdir", "-ok"):
            end = next((to for to in range(at, len(words)) if words[to].text in (";", "+")), len(words))
            if end > at + 1:
                yield from _mark(command._replace(words=tuple(words[at + 1 : end])), names, depth + 1)


def _source(_: Command, words: Sequence[Word], __: Names, ___: int) -> Iterator[Mark]:
    yield Mark(PEOPLE, f"reads commands from {words[0].text if words else 'a file'}, which nvsx has not seen")


_WRAPPERS = {
    **dict.fromkeys(programs.SHELLS, _shell),
    "eval": _eval,
    "trap": _trap,
    "ssh": _ssh,
    "find": _find,
    "source": _source,
    ".": _source,
}


def _plain(command: Command, name: str, words: Sequence[Word]) -> Mark:
    """A program that starts no other."""
    if name in programs.KUBECTL or name.startswith("kubectl"):
        return _kubectl(command, words[1:])
    line = " ".join([name, *(word.text for word in words[1:])])
    for pattern, kind, what in programs.PATTERNS:
        if pattern.match(line):
            return Mark(kind, what)
    if name in ("curl", "wget", "http", "https", "xh"):
        return _request(name, words, line)
    if name in programs.REBOOT:
        return Mark(OWNED, "remediate")
    if name in programs.INTERACTIVE:
        # In a loop or behind a pipe `read` takes its lines from there.
        return (
            Mark(NEUTRAL) if name == "read" and "-p" not in line.split() else Mark(PEOPLE, "wants a person to answer")
        )
    if name in programs.CLUSTER_TOOLS:
        return Mark(PEOPLE, programs.CLUSTER_TOOLS[name])
    if name in _STARTERS and re.search(r"system|\||kubectl|popen|exec", line):
        return Mark(
            PEOPLE, f"{name} starts programs in a way that nobody can read beforehand", writes="kubectl" in line
        )
    for kind, known in ((NOTIFY, programs.NOTIFY), (COLLECT, programs.COLLECT), (NEUTRAL, programs.NEUTRAL)):
        if name in known:
            # What is written to a file is a record: a line of a table of times to repair, say.
            return Mark(COLLECT if kind == NEUTRAL and command.writes_file and name in _WRITERS else kind)
    return _own_script(words[0].text)


def _own_script(path: str) -> Mark:
    name = path.rpartition("/")[2]
    if programs.OPERATIONAL_NAME.search(name):
        return Mark(NOTIFY)
    return Mark(PEOPLE, _UNKNOWN.format(name or path))


def _request(name: str, words: Sequence[Word], line: str) -> Mark:
    sends = any(_SENDING.match(word.text) for word in words[1:]) or (name in ("http", "https", "xh") and "=" in line)
    if programs.REDFISH.search(line):
        return Mark(OWNED, "remediate") if sends else Mark(COLLECT)
    if programs.NODE_API.search(line):
        return Mark(PEOPLE, "writes to the Kubernetes API", writes=True) if sends else Mark(COLLECT)
    return Mark(NOTIFY if sends else COLLECT)


def _kubectl(command: Command, words: Sequence[Word]) -> Mark:
    rest = _without_flags(words)
    if rest is None or not rest:
        return Mark(PEOPLE, "kubectl with flags before its command that nvsx does not know", writes=True)
    if not rest[0].literal:
        return Mark(PEOPLE, "what kubectl is to do is not written down", writes=True)
    verb, *others = rest
    sub = next((word.text for word in others if not word.text.startswith("-")), "")
    if verb.text == "wait" or (verb.text, sub) == ("rollout", "status"):
        return _wait([word.text for word in others])
    if verb.text in _READS or sub in READ_PAIRS.get(verb.text, ()):
        return _reading(verb.text, others)
    return _write(verb.text, [word.text for word in others], command.stdin)


def _without_flags(words: Sequence[Word]) -> list[Word] | None:
    """The words from the verb on; None where a flag before it may or may not take a value."""
    rest = list(words)
    while rest and rest[0].text.startswith("-"):
        flag = rest.pop(0).text
        name = flag.lstrip("-").partition("=")[0]
        if flag in ("-n", "-s", "-v") or (name in _VALUED and "=" not in flag):
            rest = rest[1:]
        elif not (name in _VALUED or re.match(r"-[nsv].", flag) or name in ("insecure-skip-tls-verify", "help")):
            return None
    return rest


def _reading(verb: str, words: Sequence[Word]) -> Mark:
    flags = {word.text for word in words}
    if verb == "port-forward" or (flags & _ENDLESS and (verb != "get" or flags & {"-w", "--watch", "--watch-only"})):
        return Mark(PEOPLE, "never ends by itself")
    return Mark(READ)


def _wait(words: Sequence[str]) -> Mark:
    if any(_NODES.match(word) for word in words):
        return Mark(OWNED, "recover")
    if any(_PODS.match(word) for word in words):
        return Mark(OWNED, "drain")
    return Mark(PEOPLE, "waits for something that no runbook watches by itself")


def _write(verb: str, words: Sequence[str], stdin: str) -> Mark:
    named = [word for word in words if not word.startswith("-")]
    if verb in ("cordon", "uncordon", "drain"):
        return Mark(OWNED, {"cordon": "quarantine", "uncordon": "recover", "drain": "drain"}[verb])
    if verb == "taint":
        return Mark(OWNED, "recover" if any(word.endswith("-") for word in named) else "quarantine")
    if verb.startswith("evict") or (verb == "delete" and any(_PODS.match(word) for word in named)):
        return Mark(OWNED, "drain")
    if verb == "delete" and any(_NODES.match(word) for word in named[:1]):
        return Mark(OWNED, "remediate")
    if verb == "patch" and "unschedulable" in " ".join(words):
        return Mark(OWNED, "quarantine" if "true" in " ".join(words) else "recover")
    if verb in ("apply", "create", "replace") and _REPAIRS.search(f"{' '.join(words)} {stdin}"):
        return Mark(OWNED, "remediate")
    return Mark(PEOPLE, f"`kubectl {verb}` is not allowed to hooks, and NVSentinel does not do it", writes=True)
