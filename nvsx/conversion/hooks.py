"""Writes hooks from the commands of a page that are kept: each as it stands there, with what it needs before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nvsx.conversion.phases import HOOKS
from nvsx.conversion.placeholders import NODE, names_node
from nvsx.conversion.sorting import DEFINES, KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.conversion.sorting import Entry

_USED = re.compile(r"(?<![\\$])\$(?:\{#?([A-Za-z_]\w*)(:?[-=+?])?|([A-Za-z_]\w*))")
_SET = re.compile(
    r"(?:^|[\s;&|(])(?:(?:local|export|declare|readonly|typeset)\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)\+?="
    r"|\bfor\s+([A-Za-z_]\w*)\b|\bread\s+(?:-\w+\s+)*([A-Za-z_][\w\s]*)|\bprintf\s+-v\s+(\w+)|\bmapfile\s+(?:-\w+\s+)*(\w+)",
    re.MULTILINE,
)
_OF_THE_SHELL = re.compile(
    r"NVSX_\w+|BASH\w*|HOME|USER|PATH|PWD|OLDPWD|HOSTNAME|RANDOM|SECONDS|LINENO|IFS|PPID|UID|EUID|SHELL|TERM|LANG"
    r"|LC_\w+|TMPDIR|OPTARG|OPTIND|REPLY|FUNCNAME|PIPESTATUS|EPOCHSECONDS|KUBECONFIG"
)
_HEAD = """\
#!/usr/bin/env bash
# Converted by nvsx from {page}: its commands stand as they were, each below where it stood.
{requires}set -o pipefail
failed=0
trap 'failed=1' ERR
"""
_NEED = """\
need() { [[ -n ${!1:-} ]] || { echo "$1 is not set: it belongs into nvsx.env" >&2; failed=1; }; }
"""


def write_hooks(entries: Sequence[Entry], page: str) -> dict[str, str]:
    """The hooks of a converted runbook, without `.sh`: moment to text, for every moment for which something is kept."""
    return {
        moment: hook_text([entry for entry in entries if entry.kind == KEPT and entry.what == moment], entries, page)
        for moment in HOOKS
        if any(entry.kind == KEPT and entry.what == moment for entry in entries)
    }


def hook_text(kept: Sequence[Entry], entries: Sequence[Entry], page: str) -> str:
    """A hook that runs the kept commands in the page's order; one that fails does not keep the others from running."""
    needed = definitions_for(kept, entries)
    text = "\n".join(entry.text for entry in (*needed, *kept))
    nodes = [name for name in used(text) if names_node(name) and name not in assigned(text)]
    required = [
        name for name in used(text) if name not in {*assigned(text), *nodes} and not _OF_THE_SHELL.fullmatch(name)
    ]
    requires = f"# nvsx: requires {' '.join(required)}\n" if required else ""
    parts = [_HEAD.format(page=page, requires=requires)]
    parts += [_NEED + "".join(f"need {name}\n" for name in required)] if required else []
    parts += ["".join(f'{name}="${NODE}"\n' for name in nodes)] if nodes else []
    if any(entry.text.lstrip().startswith("alias ") for entry in needed):
        parts.append("shopt -s expand_aliases\n")
    parts += [f"{_where(entry)}{_overridable(entry.text)}\n" for entry in needed]
    parts += [f"{_where(entry)}{entry.text}\n" for entry in kept]
    return "\n".join([*parts, 'exit "$failed"\n'])


def definitions_for(kept: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
    """The variables, functions and aliases that the kept commands use, and what these use, in the page's order."""
    defined = [entry for entry in entries if entry.kind == DEFINES]
    needed: list[Entry] = []
    texts = [entry.text for entry in kept]
    while texts:
        text = texts.pop()
        for entry in defined:
            if entry not in needed and any(_mentions(text, name) for name in entry.what.split()):
                needed.append(entry)
                texts.append(entry.text)
    return sorted(needed, key=lambda entry: entry.first)


def used(text: str) -> tuple[str, ...]:
    """The variables that a text expands, but for those for which it has a default of its own."""
    found = (match[1] or match[3] for match in _USED.finditer(text) if not match[2])
    return tuple(dict.fromkeys(found))


def assigned(text: str) -> frozenset[str]:
    """The variables that a text sets, by assignment, loop or `read`."""
    return frozenset(
        name for match in _SET.finditer(text) for group in match.groups() if group for name in group.split()
    )


def _mentions(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text))


def _where(entry: Entry) -> str:
    return f"# line {entry.first}{f': {entry.heading}' if entry.heading else ''}\n"


def _overridable(text: str) -> str:
    """A variable that the page sets to an address can be set otherwise in nvsx.env."""
    found = re.fullmatch(r"((?:export\s+)?)([A-Za-z_]\w*)=([\"']?)(https?://[^\s\"'$`\\{}]+)\3", text)
    return f'{found[1]}{found[2]}="${{{found[2]}:-{found[4]}}}"' if found else text
