"""What `nvsx help TOPIC` says, next to the tables it is made from."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_RUNBOOKS = """\
A runbook is a YAML file in runbooks/ that says what to observe while NVSentinel repairs a node, and which of
your scripts to start at which moment. nvsx never changes the cluster, except through a declared action.script.

  apiVersion: nvsx/v1
  kind: Runbook
  metadata: {name: gpu-off-bus, nickname: rogue-moose, title: "GPU fell off the bus", tags: [xid-79]}
  stages:
    - id: detect
      watch:
        - {kind: node-condition, type: SysLogsXIDError}
    - id: recover
      watch:
        - {kind: node-condition, type: SysLogsXIDError, status: "False"}
      hook: hooks/incident/recovered.sh

stages:  STAGES
  They run in this order. baseline and inject run with --drill only; postmortem runs always.

  nvsx list                    the runbooks at hand
  nvsx show RUNBOOK            one of them in full (by name or nickname)
  nvsx show --schema watch     what a watch clause can say
  nvsx lint                    what is wrong with them
  nvsx init SLUG               a new one; nvsx convert PAGE.md makes one of a team's page"""

_HOOKS = """\
A hook is any executable under runbooks/. It is started when its moment comes, with its input closed and the
environment below, in the project root, and is ended after hookTimeout (30s).

  stages[].hook                the stage passed (the same as hooks.onSuccess)
  stages[].hooks               onSuccess, onFailure, onTimeout, finally
  hooks (of the runbook)       onFailure, onBlind, onReminder, finally
  hooks (of nvsx.yaml)         the same for every run and for nvsx's own troubles; onResolved when these are over

Exit status 0 is success and 78 says "not configured"; anything else is a failure of the hook: the run goes on
and ends with exit code 1. A hook says in its head what it needs (# nvsx: requires SLACK_WEBHOOK_URL); lint and
doctor report what is missing. Lines of key=value in $NVSX_OUTPUT reach later hooks as $NVSX_OUT_<STAGE>_<KEY>.
A kubectl that only reads comes first on a hook's PATH.

  nvsx help environment        the variables that a hook sees
  nvsx init SLUG               a runbook with hooks to fill in
  nvsx drill RUNBOOK           what they would send, without sending it"""

_CRON = """\
cron has no environment. Put what nvsx and the hooks need (KUBECONFIG, tokens) into nvsx.env in the project root, one
KEY=value a line, readable by its owner and group only (chmod 640). Then one line does, and needs no flock:

  nvsx manifest cron           the line for this project; so do systemd and kubernetes

A sweep says nothing while there is nothing to do. Its exit status is 3 when nvsx could not see the cluster."""

_WEBHOOK = """\
nvsx serve listens at http://127.0.0.1:8080/webhook (--host, --port, --tls-cert and --tls-key). By hand:

  curl -X POST http://localhost:8080/webhook -H 'Content-Type: application/json' \\
       -d '{"runbook": "gpu-off-bus", "target_node": "NODE"}'

Forms that it understands, by name:

  nvsentinel    CloudEvents of NVSentinel's event exporter
  pagerduty     webhook V3; it has no field for the node: put the node's name into title or incident key
  alertmanager  version 4; the node is the label node, nodename or Hostname, else an address in instance
  grafana       alerting webhook, as Alertmanager's
  opsgenie      outgoing webhook, and that of JSM Operations; the node is details.node or entity
  datadog       a payload of your own making: the template below
  nvsx          what a script posts, as above; or "check" and "error_codes" in place of the runbook
  map           any other JSON: nvsx.yaml says which field holds what

A node is taken from its field, or found as a whole word in the text; it is never guessed. xid-79, XID_79 and 79 are one
error code. What a message would start, and why:  nvsx explain message.json

Each sender gets a path of its own, /webhook/NAME, and proves who it is:

  sources:                                       # in nvsx.yaml; nvsx show --schema config.source
    pd:     {format: pagerduty, secretFiles: [secrets/pd, secrets/pd-next]}        # any of them fits: rotation
    alerts: {format: alertmanager, secretFiles: [secrets/alerts], runbooks: [gpu-off-bus]}

Signatures (pagerduty, grafana, auth: hmac) cover the raw body. alertmanager and nvsentinel send a bearer token, datadog
and opsgenie the header X-Nvsx-Token. Secret files are read again when they change (chmod 640). `observe: true` reports
what does not fit and accepts it. --token-file holds the bearer token for /webhook itself, /metrics and /runs. Without a
secret only this machine is answered.

  200 202       taken, and on the disk: fired, queued, duplicate, ignored (with the reason)
  400 404 415   the message is wrong (with the field), the runbook unknown, the body no JSON
  401 403       no proof, or a wrong one
  503           not taken: nvsx is starting or stopping, too much waits, the disk is full. Send it again

/healthz and /readyz are open; /metrics is for Prometheus (nvsx help metrics); /runs (runs, and nvsx's own calls) and
/runs/ID are JSON.

The payload for Datadog:

DATADOG"""

_METRICS = """\
Prometheus scrapes them at /metrics (nvsx serve --mode webhook or both); nvsx serve --metrics-file FILE.prom writes them
for node_exporter's textfile collector, from cron too. Counters begin at nought with each process. With --once that is
each sweep: build rules on moments (..._timestamp_seconds) and gauges there.

METRICS

Rules to begin with:

  groups:
    - name: nvsx
      rules:
        - {alert: NvsxGone, expr: absent(nvsx_ready) or nvsx_ready == 0, for: 5m}
        - {alert: NvsxBlind, expr: nvsx_blind == 1, for: 5m}
        - {alert: NvsxLedgerDamaged, expr: nvsx_ledger_damaged == 1}
        - {alert: NvsxCallReachedNobody, expr: time() - nvsx_call_last_failure_timestamp_seconds < 3600}
        - {alert: NvsxHookFailed, expr: 'increase(nvsx_hooks_total{outcome!~"ok|not_configured"}[15m]) > 0'}"""

_EXIT_MEANINGS = {
    "DONE": "done",
    "FAILED": "the run failed, a hook failed, or a check failed",
    "USAGE": "the command line or a runbook is not valid",
    "BLIND": "blind: the cluster could not be looked at; or this machine lacks kubectl, a right, Python 3.11 …",
    "REFUSED": "refused: a duplicate, or too much waits already",
    "BUG": "a defect of nvsx; a report file was written",
    "INTERRUPTED": "interrupted (Ctrl-C); a run did its postmortem first",
    "TERMINATED": "terminated (SIGTERM); a run did its postmortem first",
}
_OF_THE_PIPE = {141: "whoever read the output stopped reading (`nvsx list | head`)"}


def _runbooks() -> str:
    from nvsx.model import STAGE_IDS

    return _RUNBOOKS.replace("STAGES", " ".join(STAGE_IDS))


def _environment() -> str:
    from nvsx.hookvariables import VARIABLES as GIVEN
    from nvsx.settings import VARIABLES

    settings = [f"  {name:<22} {meaning} (like {flag})" for name, (flag, meaning) in VARIABLES.items()]
    given = [f"  {name:<22} {meaning}" for name, meaning in GIVEN.items()]
    return "\n".join(
        [
            "Variables that are settings; a flag comes before them:\n",
            *settings,
            "\nA hook or action sees what nvsx itself was started with, the env file, and:\n",
            *given,
            "  NVSX_OUT_<STAGE>_<KEY> what earlier hooks wrote to $NVSX_OUTPUT",
        ]
    )


def _webhook() -> str:
    import json

    from nvsx.triggers.formats.datadog import TEMPLATE

    return _WEBHOOK.replace("DATADOG", json.dumps(TEMPLATE, indent=2))


def _metrics() -> str:
    from nvsx.metrics import FAMILIES

    lines: list[str] = []
    for name, family in FAMILIES.items():
        labels = f"{{{', '.join(family.labels)}}}" if family.labels else ""
        lines += (f"  {name}{labels}  ({family.kind})", f"      {family.help}")
    return _METRICS.replace("METRICS", "\n".join(lines))


def exit_codes() -> dict[int, str]:
    """Every exit code with its meaning, in order. The README lists the same; a test compares."""
    from nvsx.errors import Exit

    return {getattr(Exit, name): meaning for name, meaning in _EXIT_MEANINGS.items()} | _OF_THE_PIPE


def _exit_codes() -> str:
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exit_codes().items())


TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    # topic: (summary, text)
    "runbooks": ("what a runbook says", _runbooks),
    "hooks": ("how your scripts are started", lambda: _HOOKS),
    "environment": ("variables that nvsx reads and gives", _environment),
    "webhook": ("the messages of other systems that nvsx understands", _webhook),
    "cron": ("running from cron", lambda: _CRON),
    "metrics": ("the figures for Prometheus, and rules for them", _metrics),
    "exit-codes": ("what exit codes mean", _exit_codes),
}
