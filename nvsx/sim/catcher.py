"""The catcher: a `curl` that sends nothing and keeps what a hook would have sent, for rehearsals."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/rehearsal",
    "PAGERDUTY_ROUTING_KEY": "rehearsal-routing-key",
}
"""What hooks find set in a rehearsal, so that they go all the way to the point of sending."""

# POSIX sh, because it runs for each message of each hook. Understands the flags that hooks use to post; the rest of
# curl's is passed over, since nothing is sent anyway.
_CURL = """#!/bin/sh
# The simulator's curl: sends nothing, keeps the request. Written by nvsx.
url= body= method=GET code=
while [ $# -gt 0 ]; do
    case $1 in
    --config | -K) url=$(sed -n 's/^url *= *"\\(.*\\)"$/\\1/p' "$2"); shift ;;
    --data | --data-binary | --data-raw | --data-urlencode | --json | -d)
        method=POST
        case $2 in @*) body=$(cat -- "${2#@}") ;; *) body=$2 ;; esac
        shift ;;
    --request | -X) method=$2; shift ;;
    --write-out | -w) code=200; shift ;;
    --url) url=$2; shift ;;
    --header | -H | --output | -o | --max-time | -m | --user | -u | --user-agent | -A | --connect-timeout) shift ;;
    --retry | --retry-delay | --retry-max-time | --cacert | --cert | --key | --proxy | -x | --resolve) shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
printf '%s\\t%s\\t%s\\n' "$method" "$url" "$(printf '%s' "$body" | tr '\\n\\t' '  ')" >>CAUGHT
[ -z "$code" ] || printf '%s' "$code"
"""


class Message(NamedTuple):
    """One request that a hook would have sent."""

    method: str
    url: str
    body: str


class Catcher:
    """Puts the catching `curl` into `bin_dir`, which must come first on the hooks' PATH."""

    def __init__(self, bin_dir: Path) -> None:
        self._log = bin_dir / "caught"
        program = bin_dir / "curl"
        program.write_text(_CURL.replace("CAUGHT", shlex.quote(str(self._log))), encoding="utf-8")
        program.chmod(0o700)

    def messages(self) -> list[Message]:
        """What has been caught so far, in order."""
        if not self._log.exists():
            return []
        rows = (line.split("\t", 2) for line in self._log.read_text("utf-8", "replace").splitlines())
        return [Message(*row) for row in rows if len(row) == len(Message._fields)]
