"""The catcher: programs that would send something, and send nothing: for rehearsals.

It takes the place of curl, wget, mail and ssh on a hook's PATH. What finds its way by itself (a program started by its
full path, Python's urllib) is led to a proxy that refuses everything and notes where it was to go. What ignores both,
such as bash's /dev/tcp or `curl --noproxy`, is held by a network of the rehearsal's own, where there is one (see
`hold`).
"""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from nvsx.messages import Message

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/rehearsal",
    "PAGERDUTY_ROUTING_KEY": "rehearsal-routing-key",
    "no_proxy": "",
    "NO_PROXY": "",
}
"""What hooks find set in a rehearsal, so that they go all the way to the point of sending."""

LOG = "caught"
"""The file of what was caught: method, url and body of one message a line, tabs between."""

_PROXIES = tuple(name for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper()))
_ANSWER = b"HTTP/1.1 502 held back by a rehearsal\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONGEST_WAIT_S = 5.0

# POSIX sh, because it runs for each message of each hook. Understands the flags that hooks use to post; the rest of
# curl's is passed over, since nothing is sent anyway.
_CURL = """#!/bin/sh
# The simulator's curl: sends nothing, keeps the request. Written by nvsx.
url= body= method=GET given= code=
while [ $# -gt 0 ]; do
    case $1 in
    --config | -K) url=$(sed -n 's/^url *= *"\\(.*\\)"$/\\1/p' "$2"); shift ;;
    --data | --data-binary | --data-raw | --data-urlencode | --json | -d)
        method=POST
        case $2 in @*) body=$(cat -- "${2#@}") ;; *) body=$2 ;; esac
        shift ;;
    --request | -X) given=$2; shift ;;
    --write-out | -w) code=200; shift ;;
    --url) url=$2; shift ;;
    --header | -H | --output | -o | --max-time | -m | --user | -u | --user-agent | -A | --connect-timeout) shift ;;
    --retry | --retry-delay | --retry-max-time | --cacert | --cert | --key | --proxy | -x | --resolve) shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
printf '%s\\t%s\\t%s\\n' "${given:-$method}" "$url" "$(printf '%s' "$body" | tr '\\n\\t' '  ')" >>CAUGHT
[ -z "$code" ] || printf '%s' "$code"
"""


_WGET = """#!/bin/sh
# The simulator's wget: sends nothing, keeps the request. Written by nvsx.
url= body= method=GET
while [ $# -gt 0 ]; do
    case $1 in
    --post-data=* | --body-data=*) method=POST body=${1#*=} ;;
    --post-file=* | --body-file=*) method=POST body=$(cat -- "${1#*=}") ;;
    --method=*) method=${1#*=} ;;
    -O | -o | -T | -t | --header | --timeout | --tries | --output-document) shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
printf '%s\\t%s\\t%s\\n' "$method" "$url" "$(printf '%s' "$body" | tr '\\n\\t' '  ')" >>CAUGHT
"""

_MAIL = """#!/bin/sh
# The simulator's mail: sends nothing, keeps the letter. Written by nvsx.
printf 'MAIL\\t%s\\t%s\\n' "$(printf '%s ' "$@" | tr '\\n\\t' '  ')" "$(tr '\\n\\t' '  ')" >>CAUGHT
"""

_SSH = """#!/bin/sh
# The simulator's ssh, scp and rsync: reaches no other machine, keeps what was asked of it. Written by nvsx.
printf 'SSH\\t%s\\t%s\\n' "$(printf '%s ' "$@" | tr '\\n\\t' '  ')" "${0##*/}" >>CAUGHT
"""

_SENDERS = {"curl": _CURL, "wget": _WGET, "mail": _MAIL, "mailx": _MAIL, "sendmail": _MAIL}
PROGRAMS = _SENDERS | dict.fromkeys(("ssh", "scp", "rsync"), _SSH)
"""What is caught, by the name of the program."""


class Catcher:
    """Puts the catching programs into `bin_dir`, which must come first on the hooks' PATH, and opens the proxy, unless
    there is one at `port` that notes into the same file.
    """

    def __init__(self, bin_dir: Path, port: int = 0) -> None:
        self._log = bin_dir / LOG
        self._port = port
        self._proxy: asyncio.Server | None = None
        for name, text in PROGRAMS.items():
            program = bin_dir / name
            program.write_text(text.replace("CAUGHT", shlex.quote(str(self._log))), encoding="utf-8")
            program.chmod(0o700)

    async def __aenter__(self) -> Catcher:
        if not self._port:
            self._proxy = await asyncio.start_server(self._refuse, "127.0.0.1", 0)
            self._port = self._proxy.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._proxy:
            self._proxy.close()
            await self._proxy.wait_closed()

    @property
    def variables(self) -> dict[str, str]:
        """What hooks find set: the channels, and the proxy for everything."""
        url = f"http://127.0.0.1:{self._port}"
        return {**VARIABLES, **dict.fromkeys(_PROXIES, url)}

    def messages(self) -> list[Message]:
        """What has been caught so far, in order."""
        if not self._log.exists():
            return []
        rows = (line.split("\t", 2) for line in self._log.read_text("utf-8", "replace").splitlines())
        return [Message(*row) for row in rows if len(row) == len(Message._fields)]

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note where a request was to go, and send it nowhere."""
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT_S):
                line = (await reader.readline()).decode("latin-1")
            method, target, *_ = [*line.replace("\t", " ").split(), "", ""]
            if method:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(f"{method}\t{target}\t(held back by the proxy)\n")
            writer.write(_ANSWER)
            await writer.drain()
        writer.close()
