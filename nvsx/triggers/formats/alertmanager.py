"""Alertmanager's webhook (version 4) and Grafana alerting's, which has the same alerts in another envelope.

A delivery carries many alerts, firing and resolved mixed. A highly available pair sends each delivery twice. Sources:
Alertmanager `docs/configuration.md` and `notify/webhook`; Grafana `grafana/alerting/receivers/webhook/v1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.alerts import FIRING, OTHER, RESOLVED, Alert
from nvsx.triggers.fields import Fields, first
from nvsx.triggers.formats.message import MOST_ALERTS, codes, digest, issued_key
from nvsx.watches.nvsentinel import parse_time

if TYPE_CHECKING:
    from nvsx.triggers.formats.message import Message

NODE_LABELS = ("node", "nodename", "node_name", "kubernetes_node", "Hostname", "hostname")
"""Labels that mean the node, by exporter: kube-state-metrics, node-exporter, service discovery, dcgm-exporter."""
MENTION_LABELS = ("instance", "exported_instance", "host", "pod_node")
"""Labels that may hold the node, or an address of it, or something else."""
CHECK_LABELS = ("check_name", "checkName", "check")
CODE_LABELS = ("xid", "error_code", "errorCode", "err_code")
STATUSES = {"firing": FIRING, "resolved": RESOLVED}


def recognises(message: Message) -> bool:
    body = message.body
    return isinstance(body, dict) and body.get("version") == "4" and "alerts" in body and "orgId" not in body


def recognises_grafana(message: Message) -> bool:
    body = message.body
    return isinstance(body, dict) and "orgId" in body and "alerts" in body


def parse(message: Message) -> list[Alert]:
    return _parse(message, "alertmanager")


def parse_grafana(message: Message) -> list[Alert]:
    return _parse(message, "grafana")


def _parse(message: Message, name: str) -> list[Alert]:
    envelope = Fields(message.body)
    alerts = [_alert(fields, name) for fields in envelope.each("alerts", MOST_ALERTS)]
    delivery = digest(name, envelope.text("groupKey"), *(f"{alert.key}={alert.status}" for alert in alerts))
    return [alert._replace(delivery=f"{delivery}/{index}") for index, alert in enumerate(alerts)]


def _alert(fields: Fields, name: str) -> Alert:
    labels, notes = fields.table("labels"), fields.table("annotations")
    started = fields.text("startsAt")
    title = first(notes, "summary", "message", "description") or labels.get("alertname", "")
    fingerprint = fields.text("fingerprint") or digest(*(f"{key}={labels[key]}" for key in sorted(labels)))
    return Alert(
        format=name,
        status=STATUSES.get(fields.text("status"), OTHER),
        key=f"{fingerprint}@{started}",
        runbook=first(labels, "nvsx_runbook") or first(notes, "nvsx_runbook"),
        node=first(labels, *NODE_LABELS) or first(notes, "node"),
        mentions=(*(labels[label].partition(":")[0] for label in MENTION_LABELS if labels.get(label)), title),
        check=first(labels, *CHECK_LABELS),
        error_codes=codes(*(labels[label] for label in CODE_LABELS if labels.get(label))),
        cluster=first(labels, "cluster", "kube_cluster_name"),
        title=title,
        labels=labels,
        url=fields.text("generatorURL"),
        started_time=parse_time(started),
        issued_key=issued_key([*labels.values(), *notes.values()]),
    )
