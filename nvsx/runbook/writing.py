"""A runbook as the text of its file, laid out as people lay out the ones that they write by hand."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from nvsx.runbook.emit import block, inline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Data = Mapping[str, Any]

REMARKS: Mapping[str, str] = {
    # stage: what is said above its timeout, which people would otherwise make shorter
    "drain": "By default NVSentinel waits for jobs to end by themselves: a training run may take a day.",
    "recover": "A bare-metal reboot takes 5 to 15 minutes; the janitor itself gives up after 25.",
}
_HEAD = ("apiVersion", "kind", "metadata")
_WIDTH = 110
_FOLDABLE = re.compile(r"[!-~]+(?: [!-~]+)*")
_FLOW = ("retry", "tags", "expect")


def runbook_text(data: Data, remarks: Mapping[str, Sequence[str]] = {}) -> str:
    """The file's text; reads back as the same data. `remarks` are lines of comment above the top-level keys that they
    are filed under; one under a key that is not there stands at the end.
    """
    parts = []
    for key, value in data.items():
        above = "".join(_comment(line) for line in remarks.get(key, ()))
        gap = "" if key in _HEAD and not above else "\n"
        parts.append(f"{gap}{above}{_top(key, value)}")
    below = ["".join(_comment(line) for line in lines) for key, lines in remarks.items() if key not in data]
    return "".join([*parts, *(f"\n{lines}" for lines in below)]).lstrip("\n")


def _comment(line: str) -> str:
    return f"# {line}\n" if line else "#\n"


def _top(key: str, value: Any) -> str:
    if key == "stages" and value:
        return "stages:\n" + "\n".join(_stage(stage) for stage in value)
    if isinstance(value, dict) and value:
        return f"{inline(key)}:\n" + "".join(_field(name, entry, 2) for name, entry in value.items())
    return block({key: value})


def _field(key: str, value: Any, indent: int) -> str:
    margin = " " * indent
    if isinstance(value, str) and len(value) > _WIDTH - indent - len(key) and _FOLDABLE.fullmatch(value):
        lines = wrap(value, _WIDTH - indent, break_long_words=False, break_on_hyphens=False)
        return f"{margin}{key}: >-\n" + "".join(f"{margin}  {line}\n" for line in lines)
    if isinstance(value, (dict, list)) and (key in _FLOW or _is_short_list(value)):
        return f"{margin}{inline(key)}: {inline(value)}\n"
    return block({key: value}, indent)


def _is_short_list(value: Any) -> bool:
    plain = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return plain and len(inline(value)) <= _WIDTH + 20


def _stage(stage: Data) -> str:
    lines = "".join(_stage_lines(stage))
    return f"  - {lines[4:]}"


def _stage_lines(stage: Data) -> Iterator[str]:
    for key, value in stage.items():
        if key == "timeout" and stage.get("id") in REMARKS:
            yield f"    # {REMARKS[stage['id']]}\n"
        if key == "watch" and value:
            yield "    watch:\n" + "".join(_clause(clause, 6) for clause in value)
        else:
            yield _field(key, value, 4)


def _clause(clause: Data, indent: int) -> str:
    """A clause on a line of its own, as are the alternatives of an `anyOf`."""
    margin = " " * indent
    if set(clause) == {"anyOf"} and clause["anyOf"]:
        return f"{margin}- anyOf:\n" + "".join(_clause(one, indent + 4) for one in clause["anyOf"])
    return f"{margin}- {inline(clause)}\n"
