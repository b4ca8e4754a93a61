"""Cases: whatever a source reports, routed and ready to be decided about. Pure functions of what is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.admission import POLL, Occasion
from nvsx.alerts import FIRING
from nvsx.ledger.rows import Evidence
from nvsx.oracle.stalling import FOREVER
from nvsx.routing.route import Report, Route, report_of, report_of_alert, route
from nvsx.routing.wants import EVENT, STALLED, STORM
from nvsx.triggers import stalls
from nvsx.triggers.storm import listed
from nvsx.watches.nvsentinel import OPT_OUT_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvsx.alerts import Alert
    from nvsx.app.daemon.project import Project
    from nvsx.health import HealthEvent
    from nvsx.oracle.stalling import Stall
    from nvsx.ports import Object
    from nvsx.triggers.inbox import Delivery
    from nvsx.triggers.stalls import Standing
    from nvsx.triggers.storm import Storm

BREAKER = "circuit-breaker"


class Case(NamedTuple):
    """One report with the runbook that answers to it. `trigger` is what a run is told of what started it."""

    occasion: Occasion
    route: Route
    evidence: Evidence
    trigger: Mapping[str, Any]
    report: Report
    late: bool = False  # it had happened before nvsx looked

    @property
    def moment(self) -> float:
        """When it happened, epoch seconds: by nvsx's own clock where it was seen as it did."""
        return (self.late and self.occasion.about) or self.occasion.time


class Sight(NamedTuple):
    """What is known of a node when something is reported of it."""

    labels: Mapping[str, str] = {}
    session: str = ""

    @property
    def opted_out(self) -> bool:
        return any(self.labels.get(key) == "false" for key in OPT_OUT_LABELS)


def of_event(event: HealthEvent, project: Project, sight: Sight, now: float) -> Case:
    """A health event that nvsx read itself."""
    report = report_of(event, node_labels=sight.labels, opted_out=sight.opted_out)
    about = event.generated_time or event.created_time
    fault = f"{event.check}@{int(about)}"
    summary = f"{_what(report)} on {event.node}, {event.action}" + (f": {event.message}" if event.message else "")
    occasion = Occasion(
        POLL, now, node=event.node, about=about, session=sight.session, labels=sight.labels,
        delivery=event.id or f"{event.node}/{'+'.join(event.error_codes)}/{fault}",
    )  # fmt: skip
    payload = json.dumps({**event._asdict(), "entities": [f"{e.kind}:{e.value}" for e in event.entities]})
    trigger = {"source": POLL, "since": about or now, "incident_key": fault, "facts": event.facts()}
    return _routed(occasion, report, project, Evidence(summary, payload.encode()), trigger)


def of_alert(alert: Alert, node: str, delivery: Delivery, project: Project, sight: Sight) -> Case:
    """An alert of a webhook's sender, about the node that was found for it."""
    report = report_of_alert(
        alert, node=node, node_labels=sight.labels, allowed=delivery.runbooks, opted_out=sight.opted_out
    )
    ours = project.config.cluster
    occasion = Occasion(
        delivery.source, delivery.time, node=node, status=alert.status, delivery=alert.delivery, key=alert.key,
        issued_key=alert.issued_key, about=alert.started_time, session=sight.session, labels=sight.labels,
        anonymous=report.says_nothing, elsewhere=alert.cluster if ours and alert.cluster not in ("", ours) else "",
    )  # fmt: skip
    title = alert.title or _what(report)
    summary = f"{alert.format} {alert.status}: {title}" + (f" on {node}" if node and node not in title else "")
    since = alert.started_time or delivery.time
    key = alert.key
    if report.check and alert.health and alert.health.generated_time:
        key = f"{report.check}@{int(alert.health.generated_time)}"
    facts = {**(alert.health.facts() if alert.health else {}), "url": alert.url}
    trigger = {"source": delivery.source, "since": since, "incident_key": key, "facts": facts}
    case = _routed(occasion, report, project, Evidence(summary, delivery.payload), trigger)
    if alert.drill:
        return passed_over(case, "it is a drill of its sender")
    return case


def of_stall(node: Object, stood: Standing, stall: Stall, project: Project, sight: Sight, now: float) -> Case:
    """A node on which nobody acts."""
    report = stalls.report_of(node, stall, opted_out=sight.opted_out)
    since = now if stall.idle_s == FOREVER else now - stall.idle_s
    summary = f"nobody acts on {report.node}: {stall.reason}"
    occasion = Occasion(POLL, now, node=report.node, about=since, session=sight.session, labels=sight.labels)
    trigger = {"source": STALLED, "since": since, "incident_key": f"stalled@{stood.mark}", "facts": {}}
    return _routed(occasion, report, project, Evidence(summary, summary.encode()), trigger)


def of_breaker(project: Project, now: float) -> Case:
    """NVSentinel's circuit breaker has tripped: nobody acts on any node until people reset it."""
    report = Report(STALLED, check=BREAKER, action="CONTACT_SUPPORT", stalled_s=FOREVER)
    summary = "NVSentinel's circuit breaker is TRIPPED: it quarantines and releases nothing until people reset it"
    trigger = {"source": BREAKER, "since": now, "incident_key": BREAKER, "facts": {}}
    return _routed(Occasion(POLL, now), report, project, Evidence(summary, summary.encode()), trigger)


def of_storm(storm: Storm, project: Project, now: float, summary: str = "") -> Case:
    """Many nodes at once, or one more of them where `summary` says so."""
    text = summary or f"{len(storm.nodes)} nodes failed within minutes: {', '.join(storm.nodes[:20])}"
    # Named by its first node and moment, so that a second host that sees the same storm has the same key.
    key = f"storm@{storm.nodes[0]}@{int(storm.began)}" if storm.nodes else "storm"
    trigger = {"source": STORM, "since": storm.began, "incident_key": key, "facts": {"nodes": list(storm.nodes)}}
    occasion = Occasion(POLL, now, about=now if summary else storm.began)
    return _routed(occasion, Report(STORM), project, Evidence(text, listed(storm).encode()), trigger)


def passed_over(case: Case, why: str) -> Case:
    """The same, but nothing is to come of it; it is only recorded."""
    occasion = case.occasion._replace(runbook="", why=why)
    return case._replace(occasion=occasion, route=case.route._replace(runbook="", reason=why))


def starts_single_run(case: Case) -> bool:
    """Whether the case is a fault of one node that a runbook would take: what storms are made of."""
    occasion = case.occasion
    fires = occasion.status == FIRING and not occasion.anonymous and not occasion.issued_key
    return bool(fires and occasion.runbook and occasion.node and case.report.occasion == EVENT and case.report.fatal)


def _routed(
    occasion: Occasion, report: Report, project: Project, evidence: Evidence, trigger: Mapping[str, Any]
) -> Case:
    answer = route(report, list(project.runbooks.values()))
    runbook = project.runbooks.get(answer.runbook)
    rule = runbook.trigger if runbook else None
    occasion = occasion._replace(
        runbook=answer.runbook,
        why=answer.reason,
        cooldown_s=rule.cooldown_s if rule else 0.0,
        max_concurrent=rule.max_concurrent if rule else 0,
    )
    return Case(occasion, answer, evidence, trigger, report)


def _what(report: Report) -> str:
    codes = " ".join(report.error_codes)
    return f"{report.check} {codes}".strip() or (f"runbook {report.runbook}" if report.runbook else "an alert")
