"""What a hook declares in its head: `# nvsx: requires SLACK_WEBHOOK_URL PAGERDUTY_ROUTING_KEY`."""

from __future__ import annotations

import re

HEAD_LINES = 40
"""How many lines of a script are its head."""

_DECLARED = re.compile(r"#\s*nvsx:\s*requires\s+(.+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def requirements(script: str) -> tuple[str, ...]:
    """The variables that a script says it needs, in its order; words that are no variable names are passed over."""
    declared = (_DECLARED.match(line.strip()) for line in script.splitlines()[:HEAD_LINES])
    words = (word for match in declared if match for word in match[1].split())
    return tuple(dict.fromkeys(word for word in words if _VARIABLE.match(word)))
