"""What the programs on such pages do: tables, because every team has its own habits and none is surprising."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KUBECTL = frozenset({"kubectl", "k", "oc", "kubecolor", "kubectl.exe"})
SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash"})

NEUTRAL = _words("""
    : true false test [ echo printf cat tac grep egrep fgrep rg awk gawk sed cut tr head tail wc sort uniq jq yq date
    sleep mkdir touch basename dirname tee xargs base64 md5sum sha256sum column paste rev seq expr bc let cd pushd popd
    return exit set shopt unset wait shift local declare typeset readonly export hostname uname id whoami which
    type command alias unalias break continue mktemp realpath readlink ls stat du df numfmt fold envsubst iconv getent
""")
"""Programs that do nothing to anybody by themselves: they are as good as what stands beside them."""

NOTIFY = _words("""
    mail mailx mutt sendmail slack slackcat slack-notify pd pagerduty pagerduty-cli opsgenie lamp jira acli jira-cli
    gh glab snow servicenow logger promtool telegram-send msteams notify-send zenduty victorops statuspage pushover
    ntfy xmpp sentry-cli
""")
"""Programs that tell people or systems something."""

COLLECT = _words("""
    nvidia-smi dcgmi nvidia-bug-report.sh dmesg journalctl lspci lsmod numactl ipmitool tar gzip zip xz cp scp rsync
    sosreport sos must-gather ibstat ibstatus ethtool top ps free uptime sensors lsblk mcelog rasdaemon ras-mc-ctl
""")
"""Programs that collect evidence, as long as they are asked nothing else."""

INTERACTIVE = _words("vi vim nvim nano emacs less more k9s htop btop nvtop watch tmux screen read select dialog psql")
"""Programs that want a person in front of them; a hook has nobody."""

OPERATIONAL_NAME = re.compile(
    r"page|notif|slack|teams|jira|ticket|alert|mttr|metric|on-?call|incident|announce|tell|report|escalat|ack|resolve"
    r"|collect|evidence|snapshot|status",
    re.IGNORECASE,
)
"""A team's own script with such a word in its name is taken for operational work."""

REBOOT = frozenset({"reboot", "shutdown", "poweroff", "halt", "rmmod", "modprobe", "init", "telinit", "kexec"})

CLUSTER_TOOLS: Mapping[str, str] = {
    "helm": "changes what is installed in the cluster",
    "kustomize": "changes what is installed in the cluster",
    "argocd": "changes what is installed in the cluster",
    "flux": "changes what is installed in the cluster",
    "terraform": "changes the infrastructure",
    "ansible": "changes machines",
    "ansible-playbook": "changes machines",
    "kubeadm": "changes the cluster",
    "crictl": "changes containers behind the cluster's back",
    "docker": "changes containers behind the cluster's back",
    "etcdctl": "changes the cluster's database",
    "calicoctl": "changes the cluster's network",
    "mongosh": "reaches NVSentinel's database; use a mongo-event watch",
    "mongo": "reaches NVSentinel's database; use a mongo-event watch",
}
"""Programs whose work no hook may do; why."""

PATTERNS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), kind, what)
    for pattern, kind, what in (
        # the words of a command without quotes, joined by blanks: what it is, and the stage or the reason
        (r"systemctl( --\S+)* (reboot|poweroff|kexec|halt|restart nvidia\S*|stop nvidia\S*)", "owned", "remediate"),
        (r"(systemctl|service) ", "people", "changes services of a machine"),
        (r"nvidia-smi .*(--gpu-reset|-r\b)", "owned", "remediate"),
        (r"nvidia-smi .*(-pm|-pl|-e|-mig|-c|--ecc|-lgc|-ac)\b", "people", "changes how a GPU is set up"),
        (r"dcgmi diag", "people", "a diagnostic that takes GPUs away from whoever uses them, for minutes"),
        (r"dcgmi (config|policy|group|fieldgroup) ", "people", "changes DCGM"),
        (r"ipmitool .*(power|bootdev)", "owned", "remediate"),
        (r"ipmitool .*(raw|user|lan set|mc reset)", "people", "changes a machine's controller"),
        (r"gcloud .*compute instances (describe|list|get-serial-port-output)", "collect", ""),
        (r"gcloud .*compute instances ", "owned", "remediate"),
        (r"gcloud .*(logging|pubsub topics publish|monitoring)", "notify", ""),
        (r"aws .*ec2 (describe|get)-\S+", "collect", ""),
        (r"aws .*ec2 ", "owned", "remediate"),
        (r"aws .*(sns publish|sqs send|cloudwatch put|logs put|ssm-incidents|s3 cp|ses )", "notify", ""),
        (r"az .*vm (show|list|get-\S+)", "collect", ""),
        (r"az .*vm ", "owned", "remediate"),
        (r"oci .*instance action", "owned", "remediate"),
        (r"(gsutil|rclone) .*(cp|rsync|copy)", "collect", ""),
    )
)
"""Tried in this order, before the tables of names."""

NODE_API = re.compile(r"/api/v1/(?:nodes|namespaces|pods)|/apis/[a-z0-9.-]+/v\d|kubernetes\.default|:6443\b")
REDFISH = re.compile(r"/redfish/", re.IGNORECASE)
PREFIXES: Mapping[str, str] = {
    # program that starts another one: its flags that take a value
    "sudo": "ugphCDRTr", "doas": "uC", "env": "uCS", "nohup": "", "time": "fo", "timeout": "ks", "nice": "n",
    "ionice": "cnp", "stdbuf": "ioe", "command": "", "builtin": "", "exec": "a", "setsid": "", "chronic": "",
    "xargs": "nIPLdaEs", "parallel": "jSN", "flock": "wE", "unbuffer": "", "strace": "eop", "caffeinate": "t",
}  # fmt: skip
OWN_WORDS: Mapping[str, int] = {"timeout": 1, "flock": 1}
"""How many words of its own such a program takes before the other's name."""
