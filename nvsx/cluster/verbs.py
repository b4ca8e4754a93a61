"""Which kubectl commands nvsx may start: reads, and nothing else. The invariant of the product stands here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUBCOMMANDS = {
    "config": frozenset({"view", "current-context", "get-contexts"}),
    "auth": frozenset({"can-i"}),
}
_ACTING_SUBRESOURCE = re.compile(r"/(?:proxy|exec|attach|portforward|eviction|binding)(?:[/?]|$)")
_SHELL = re.compile(r"(?:/bin/|/usr/bin/)?(?:ba)?sh")
_MONGOSH = re.compile(r"(?:/\S*/)?mongosh")
# One mongosh and its words: bare, in single quotes, or in double quotes with variables. A shell has no other way to run
# or write something than with the characters that are missing here.
_VARIABLE = r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})"
_WORD = rf"""(?:[^\s;|&<>`$\\()'"#]|'[^']*'|"(?:[^"`$\\]|{_VARIABLE})*")+"""
_MONGOSH_LINE = re.compile(rf"exec (?:/[\w./-]*/)?mongosh(?: +{_WORD})*")


def read_only(arguments: Sequence[str]) -> Sequence[str]:
    """`arguments` of kubectl, if all they can do is read; Refused otherwise. The verb must come first."""
    verb = arguments[0] if arguments else ""
    allowed = _ALLOWED.get(verb)
    if allowed is None or not allowed(arguments):
        shown = " ".join(arguments[:4])
        raise Refused(
            f"nvsx does not start `kubectl {shown}`: it only reads",
            hint="writes to the cluster belong into a stage's action.script",
        )
    return arguments


def _get(arguments: Sequence[str]) -> bool:
    """`get` cannot write, but a raw path could reach into a pod or node."""
    return not any(argument.startswith("/") and _ACTING_SUBRESOURCE.search(argument) for argument in arguments)


def _any(arguments: Sequence[str]) -> bool:
    return True


def _subcommand(arguments: Sequence[str]) -> bool:
    return len(arguments) > 1 and arguments[1] in _SUBCOMMANDS[arguments[0]]


def _exec(arguments: Sequence[str]) -> bool:
    """Only mongosh, directly or as the one command of a shell that knows the container's variables."""
    if "--" not in arguments:
        return False
    command = arguments[arguments.index("--") + 1 :]
    if not command:
        return False
    if _SHELL.fullmatch(command[0]):
        return len(command) >= 3 and command[1] == "-c" and bool(_MONGOSH_LINE.fullmatch(command[2]))
    return bool(_MONGOSH.fullmatch(command[0]))


_ALLOWED: dict[str, Callable[[Sequence[str]], bool]] = {
    "get": _get,
    "logs": _any,
    "version": _any,
    "config": _subcommand,
    "auth": _subcommand,
    "exec": _exec,
}
