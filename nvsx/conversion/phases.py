"""At which moment of a run a command of a page belongs: by its headings, what it says, and what came before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILURE = "failure"
"""The moment at which the chain stops; the others are stages."""

HOOKS: Mapping[str, str] = {
    # moment: the hook of a converted runbook for it
    "preflight": "acknowledge",
    "quarantine": "on-quarantine",
    "drain": "on-drain",
    "remediate": "on-remediate",
    "recover": "on-recover",
    FAILURE: "on-failure",
    "postmortem": "postmortem",
}

BEFORE: Mapping[str, str] = {"quarantine": "preflight", "drain": "quarantine", "remediate": "drain"}
"""What is told before NVSentinel does a stage's work is told when the stage before it has passed."""

_EVIDENCE = re.compile(r"collect|evidence|artifacts?|snapshot|logs?\b|metrics|record", re.IGNORECASE)
_HEADINGS = tuple(
    (moment, re.compile(pattern, re.IGNORECASE))
    for moment, pattern in (
        ("postmortem", r"post-?mortem|post-?incident|aftermath|follow-?up|wrap|afterwards|retrospective"),
        ("recover", r"mttr|time to (?:repair|recover|restore)"),
        (FAILURE, r"escalat|\bfail|\bstill\b|n['’]t\b|\bnot\b|stuck|vendor|\brma\b|support|worst"),
        ("recover", r"verif|validat|recover|restor|return|uncordon|back in|resol|clos|all.clear|complete|finish"),
        ("remediate", r"reboot|reset|remediat|repair|power.?cycl|restart|\bfix"),
        ("drain", r"drain|evict|workload|move jobs|migrate"),
        ("quarantine", r"cordon|isolat|quarantin|taint|out of (?:service|rotation)"),
        ("preflight", r"triage|\back|detect|page|alert|declar|open|start|notif|inform|tell|announc|symptom|confirm"
                      r"|diagnos|check|assess|first|before"),
    )
)  # fmt: skip
_SAYS = tuple(
    (moment, re.compile(pattern, re.IGNORECASE))
    for moment, pattern in (
        ("recover", r"event_action\W+resolve|/close\b|resolved\b|recovered|back in service|all.clear|mttr"),
        ("preflight", r"event_action\W+(?:trigger|acknowledge)"),
    )
)


def moment_of(headings: Sequence[str], text: str, so_far: str, *, of_operator: str = "") -> str:
    """The moment for a command. `headings` are those above it, the innermost last; `so_far` is the stage that the page
    has reached; `of_operator` is what `&&` or `||` behind a command of NVSentinel's says.
    """
    if of_operator:
        return of_operator
    said = next((moment for moment, pattern in _SAYS if pattern.search(text)), "")
    if said == "recover":
        return said
    for heading in reversed(headings):
        for moment, pattern in _HEADINGS:
            if pattern.search(heading):
                return moment
        if _EVIDENCE.search(heading):
            # What a reboot would wipe out is collected before it.
            return "postmortem" if so_far in ("recover", "postmortem") else so_far or "preflight"
    return said or so_far or "preflight"
