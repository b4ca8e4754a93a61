"""The hooks that a new runbook begins with: they run as they are, and say what they would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = """\
#!/usr/bin/env bash
# {when}
# Until you fill it in, it only says what it would do. What it is told: nvsx help environment
set -euo pipefail

node="${{NVSX_TARGET_ALIAS:-no node}}${{NVSX_TARGET_NODE:+ ($NVSX_TARGET_NODE)}}"
"""

_SLACK = """\
# For example, with SLACK_WEBHOOK_URL in nvsx.env and a line "# nvsx: requires SLACK_WEBHOOK_URL" at the top:
#   curl -sS --fail --max-time 10 "$SLACK_WEBHOOK_URL" -H 'Content-Type: application/json' \\
#       -d "{\\"text\\": \\"$node: ...\\"}"
"""

_KEY = """\
# Page with "$NVSX_INCIDENT_KEY" as the key: it is the same for all of this incident, so what one hook opens
# another one closes, and saying it twice opens nothing twice.
"""

_TEXTS: Mapping[str, tuple[str, str]] = {
    # hook: (when it fires, what it does)
    "acknowledge": (
        "Fires when the run has begun and its prerequisites have passed: say that somebody is on it.",
        f"""\
echo "would say that ${{NVSX_RUNBOOK:-this runbook}} watches $node"

{_SLACK}""",
    ),
    "page": (
        "Fires when NVSentinel has done what it will do by itself, and when the chain stops or cannot be seen.",
        f"""\
if [[ ${{NVSX_STAGE_STATUS:-}} == pass ]]; then
    what="NVSentinel is at ${{NVSX_STAGE:-work}} (${{NVSX_EVENT_ACTION:-no action recommended}})"
else
    what="stopped in ${{NVSX_STAGE:-the run}}: ${{NVSX_WAITING_FOR:-see the record}}"
fi
echo "would page whoever is on call: $node: $what"

{_KEY}""",
    ),
    "resolve": (
        "Fires only when the node is back in service: close the page and the ticket, write down the time to repair.",
        f"""\
seconds=$((${{NVSX_INCIDENT_MS:-0}} / 1000))
echo "would close the page: $node is back, $seconds s after the fault"

{_KEY}""",
    ),
    "drained": (
        "Fires when a node that people must repair is empty: whoever goes there need not wait any more.",
        f"""\
echo "would say that $node is empty and can be taken out of service"

{_SLACK}""",
    ),
    "note": (
        "Fires for what is worth knowing and nobody has to get up for.",
        f"""\
echo "would note: ${{NVSX_EVENT_CHECK:-a fault}} on $node${{NVSX_EVENT_MESSAGE:+: $NVSX_EVENT_MESSAGE}}"

{_SLACK}""",
    ),
    "report": (
        "Fires at the end, when the evidence has been collected.",
        f"""\
echo "would attach what is in ${{NVSX_ARTIFACT_DIR:-the artifact directory}} to a ticket about $node"

{_SLACK}""",
    ),
}


def hook_stub(name: str) -> str:
    """The text of one of the hooks that `nvsx.runbook.faults.HOOKS` names, or of `report`."""
    when, what = _TEXTS[name]
    return f"{_HEAD.format(when=when)}{what}"
