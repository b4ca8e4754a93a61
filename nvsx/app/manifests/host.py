"""Files for a host: a line for cron and a unit for systemd."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from nvsx.errors import UsageError

FALLBACK_PROJECT = "/srv/nvsx"
FALLBACK_PROGRAM = "/usr/local/bin/nvsx.pyz"
SERVICE_STATE = "/var/lib/nvsx"


class Host(NamedTuple):
    """Where things are on the host: absolute paths. `tools` is the directory of kubectl, "" if it is not known."""

    program: str
    project: str
    state_dir: str
    tools: str = ""


_CRON = """\
# nvsx every minute: look for faults, start what is due, go on with what was cut off, and end.
# Put the line into `crontab -e`. In a file below /etc/cron.d, write the user's name before the command.
#
# - No flock is needed: sweeps take turns by themselves, and a run that takes hours keeps no sweep waiting.
# - cron has no environment: KUBECONFIG and the hooks' tokens belong into PROJECT/nvsx.env (chmod 640).
# - It prints nothing while there is nothing to do, so whatever cron mails is news. Exit status 3: nvsx is blind.
# - For node_exporter: --metrics-file /var/lib/node_exporter/textfile_collector/nvsx.prom
PATH=SEARCH
* * * * * PROGRAM serve --mode poll --once --project PROJECT --state-dir STATE --output text
"""

_SYSTEMD = """\
# /etc/systemd/system/nvsx.service
#
#   useradd --system --user-group --home-dir /var/lib/nvsx --shell /usr/sbin/nologin nvsx
#   systemctl daemon-reload && systemctl enable --now nvsx && journalctl -fu nvsx
#
# Who is on call joins the group nvsx (usermod -aG nvsx NAME), to see the daemon's runs.
[Unit]
Description=nvsx: runbooks around NVSentinel
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User=nvsx
Group=nvsx
ExecStart=PROGRAM serve --mode both --project PROJECT --state-dir /var/lib/nvsx --output text
ExecReload=/bin/kill -HUP $MAINPID
Environment=PATH=SEARCH
# KUBECONFIG and the hooks' tokens belong into PROJECT/nvsx.env (root:nvsx, chmod 640), which nvsx reads itself.
# EnvironmentFile= would do too, but then `nvsx run` by hand would not see the same values.
StateDirectory=nvsx
StateDirectoryMode=0770
UMask=0007

# SIGTERM goes to nvsx alone, which lets hooks end; what is left after that is killed.
KillMode=mixed
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
# 2: the command line or a runbook is not valid; 4: refused. Trying again cannot help.
RestartPreventExitStatus=2 4

# What nvsx and well-behaved hooks can do without. A hook that needs more says so: take that line away.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def cron(host: Host) -> str:
    """The crontab's lines."""
    words = {"PROGRAM": host.program, "PROJECT": host.project, "STATE": host.state_dir}
    return _filled(_CRON, {key: _cron_word(word) for key, word in words.items()} | {"SEARCH": _search(host)})


def systemd(host: Host) -> str:
    """The unit. Its state is /var/lib/nvsx, which systemd makes."""
    words = {"PROGRAM": host.program, "PROJECT": host.project}
    return _filled(_SYSTEMD, {key: _unit_word(word) for key, word in words.items()} | {"SEARCH": _search(host)})


def _filled(template: str, words: dict[str, str]) -> str:
    """The template with its words in place, each put in once: what stands in a word is not looked at again."""
    return re.sub(rf"\b(?:{'|'.join(words)})\b", lambda found: words[found[0]], template)


def _search(host: Host) -> str:
    usual = ["/usr/local/bin", "/usr/bin", "/bin"]
    return ":".join(dict.fromkeys([host.tools, *usual] if host.tools else usual))


def _cron_word(word: str) -> str:
    return shlex.quote(_printable(word)).replace("%", r"\%")  # cron ends the command at a bare one


def _unit_word(word: str) -> str:
    plain = _printable(word).replace("%", "%%").replace("$", "$$")
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"' if quoted != plain or " " in plain or "'" in plain else plain


def _printable(word: str) -> str:
    if not word.isprintable():
        raise UsageError(f"{word!r} cannot stand in such a file", hint="give it a path without control characters")
    return word
