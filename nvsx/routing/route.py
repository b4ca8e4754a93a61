"""Which runbook answers to a report: a pure function, in which the order of the runbooks changes nothing."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from nvsx.health import EXECUTE
from nvsx.routing.wants import EVENT, STALLED, UNHANDLED, Wants, wants_of
from nvsx.selectors import parse_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nvsx.alerts import Alert
    from nvsx.health import HealthEvent
    from nvsx.model import Runbook


class Report(NamedTuple):
    """What a source reported, as routing sees it. Empty texts are what it did not say."""

    occasion: str = EVENT
    runbook: str = ""  # named by the source
    node: str = ""
    check: str = ""
    error_codes: tuple[str, ...] = ()
    action: str = ""
    component_class: str = ""
    fatal: bool = True
    healthy: bool = False
    strategy: str = EXECUTE
    labels: Mapping[str, str] = {}  # of the alert
    node_labels: Mapping[str, str] = {}
    opted_out: bool = False  # NVSentinel does not manage the node
    stalled_s: float = 0.0  # how long nobody has acted; infinite where nobody will
    remote: bool = False  # it came over the network, from whoever has the source's secret
    allowed: tuple[str, ...] = ()  # the only runbooks that its source may start; () for all

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing in it that could choose a runbook."""
        return self.occasion == EVENT and not (self.runbook or self.check or self.error_codes or self.action)


class Considered(NamedTuple):
    """A runbook that was looked at: whether it fits, why or why not, and the rule's `file:line`."""

    name: str
    fits: bool
    reason: str
    place: str


class Route(NamedTuple):
    """The answer: a runbook's name, or "" with the reason why none runs."""

    runbook: str
    reason: str
    place: str = ""
    considered: tuple[Considered, ...] = ()


def report_of(event: HealthEvent, *, node_labels: Mapping[str, str], opted_out: bool = False) -> Report:
    """A health event as a report."""
    return Report(
        node=event.node,
        check=event.check,
        error_codes=event.error_codes,
        action=event.action,
        component_class=event.component_class,
        fatal=event.fatal,
        healthy=event.healthy,
        strategy=event.strategy,
        node_labels=node_labels,
        opted_out=opted_out,
    )


def report_of_alert(
    alert: Alert, *, node: str, node_labels: Mapping[str, str], allowed: tuple[str, ...] = (), opted_out: bool = False
) -> Report:
    """An alert as a report, about the node that was found for it. Somebody is alarmed, so it counts as fatal."""
    health = alert.health
    base = report_of(health, node_labels=node_labels) if health else Report()
    return base._replace(
        runbook=alert.runbook,
        node=node,
        check=base.check or alert.check,
        error_codes=base.error_codes or alert.error_codes,
        labels=alert.labels,
        node_labels=node_labels,
        opted_out=opted_out,
        remote=True,
        allowed=allowed,
    )


def route(report: Report, runbooks: Sequence[Runbook]) -> Route:
    """The one runbook that answers to a report, with what was found of every other one."""
    if report.healthy:
        return Route("", "it says that the node is healthy")
    if report.strategy != EXECUTE:
        return Route("", f"its processing strategy is {report.strategy}: NVSentinel only stores it")
    ordered = sorted(runbooks, key=lambda runbook: runbook.name)
    if report.runbook:
        return _named(report, ordered)
    if report.occasion == EVENT and report.opted_out:
        return _unhandled(report, ordered, f"the node {report.node} is opted out of NVSentinel")
    found = _best(report, ordered)
    if found.runbook or report.occasion != EVENT or not report.fatal or report.says_nothing:
        return found
    return _unhandled(report, ordered, found.reason)._replace(considered=found.considered)


def _best(report: Report, runbooks: Sequence[Runbook]) -> Route:
    fitting: list[tuple[Wants, Runbook, str]] = []
    considered: list[Considered] = []
    for runbook in runbooks:
        judged = [(wants, *_judge(report, wants, runbook)) for wants in wants_of(runbook)]
        good = [(wants, why) for wants, fits, why in judged if fits]
        if good:
            wants, why = max(good, key=lambda pair: pair[0].rank)
            fitting.append((wants, runbook, why))
        reason = max(good, key=lambda pair: pair[0].rank)[1] if good else _why_not(report, judged)
        considered.append(
            Considered(runbook.name, bool(good), reason, _place(judged[0][0] if judged else None, runbook))
        )
    if not fitting:
        return Route("", f"no runbook answers to {_described(report)}", "", tuple(considered))
    fitting.sort(key=lambda entry: entry[1].name)
    wants, winner, why = max(fitting, key=lambda entry: entry[0].rank)
    shown = tuple(
        one._replace(reason=f"{one.reason}, but {winner.name} comes first")
        if one.fits and one.name != winner.name
        else one
        for one in considered
    )
    return Route(winner.name, why, _place(wants, winner), shown)


def _judge(report: Report, wants: Wants, runbook: Runbook) -> tuple[bool, str]:
    """Whether a report fits, and in words why or why not."""
    if wants.occasion != report.occasion:
        return False, f"answers to {_OCCASIONS[wants.occasion]}, not to {_OCCASIONS[report.occasion]}"
    met: list[str] = []
    for what, wanted, told in (
        ("code", wants.codes, report.error_codes),
        ("check", wants.checks, (report.check,) if report.check else ()),
        ("action", wants.actions, (report.action,) if report.action else ()),
        ("component", wants.classes, (report.component_class,) if report.component_class else ()),
    ):
        common = [word for word in told if word.lower() in wanted]
        if wanted and not common:
            return False, f"asks for {what} {_any(sorted(wanted))}, it has {' '.join(told) or 'none'}"
        met += [f"{what} {common[0]}"] if common else []
    refusal = _narrow(report, wants, runbook)
    if refusal:
        return False, refusal
    if not met and not wants.explicit:
        return False, "neither its tags nor its detect stage name this check or code"
    return True, ", ".join(met) or "it asks for nothing in particular"


def _narrow(report: Report, wants: Wants, runbook: Runbook) -> str:
    """Why a report that names the right fault does not fit all the same; "" if it does."""
    if wants.fatal is None and not report.fatal and report.occasion == EVENT:
        return "it is not fatal, and the trigger does not ask for `fatal: false`"
    if wants.fatal is not None and wants.fatal != report.fatal:
        return f"asks for fatal: {str(wants.fatal).lower()}"
    if wants.nodes and not node_fits(wants.nodes, report.node, report.node_labels):
        return f"asks for nodes {wants.nodes}"
    missing = [f"{key}={value}" for key, value in sorted(wants.labels) if report.labels.get(key) != value]
    if missing:
        return f"asks for the alert label {missing[0]}"
    trigger = runbook.trigger
    if wants.occasion == STALLED and trigger and trigger.stalled_s is not None and report.stalled_s < trigger.stalled_s:
        return f"asks for {trigger.stalled_s:.0f} s without progress"
    return _unwelcome(report, runbook)


def _unwelcome(report: Report, runbook: Runbook) -> str:
    """Why this source may not start this runbook; "" if it may."""
    if report.allowed and runbook.name not in report.allowed:
        return "its source may not start this runbook (`sources.NAME.runbooks` in nvsx.yaml)"
    acts = any(stage.action and stage.id != "postmortem" for stage in runbook.stages)
    if report.remote and acts and not (runbook.trigger and runbook.trigger.remote):
        return "it has an action outside postmortem, so a webhook may start it only with `trigger.remote: true`"
    return ""


def node_fits(wanted: str, node: str, labels: Mapping[str, str]) -> bool:
    """Whether a node is one of those that `trigger.nodes` means: a label selector, or a pattern of names."""
    if any(sign in wanted for sign in "=!,( "):
        try:
            return all(term.admits(labels) for term in parse_labels(wanted))
        except ValueError:
            return False
    return fnmatchcase(node, wanted) or (not set("*?[") & set(wanted) and wanted in labels)


def _named(report: Report, runbooks: Iterable[Runbook]) -> Route:
    wanted = report.runbook.removeprefix("#")
    known = list(runbooks)
    found = next((one for one in known if one.name == wanted), None)
    found = found or next((one for one in known if one.nickname == wanted), None)
    if found is None:
        return Route("", f"there is no runbook {report.runbook}")
    refusal = _unwelcome(report, found)
    return Route("", refusal, found.file) if refusal else Route(found.name, "named by the sender", found.file)


def _unhandled(report: Report, runbooks: Sequence[Runbook], reason: str) -> Route:
    """The runbook for what nobody else takes, if there is one."""
    last = _best(report._replace(occasion=UNHANDLED), runbooks)
    if not last.runbook:
        return Route("", reason, "", last.considered)
    return Route(last.runbook, f"{reason}; it takes what no other does", last.place, last.considered)


_OCCASIONS = {
    EVENT: "health events and alerts",
    STALLED: "nodes on which nobody acts",
    "storm": "storms",
    UNHANDLED: "what no other runbook takes",
}


def _why_not(report: Report, judged: Sequence[tuple[Wants, bool, str]]) -> str:
    """The nearest miss of a runbook, in words."""
    if not judged:
        return "it has neither a trigger, nor tags, nor conditions in its detect stage"
    implied = [one for one in judged if not one[0].explicit]
    if implied and report.occasion == EVENT:
        wanted = sorted(word for wants, _, _ in implied for word in (*wants.checks, *(f"xid-{c}" for c in wants.codes)))
        return f"its tags and conditions are {_any(wanted)}"
    return judged[0][2]


def _described(report: Report) -> str:
    if report.occasion != EVENT:
        return _OCCASIONS[report.occasion]
    codes = f"code {' '.join(report.error_codes)}" if report.error_codes else ""
    what = f"{report.check} {codes}".strip() if report.check else f"an alert without a check{codes and ', '}{codes}"
    return what + ("" if report.fatal else " that is not fatal")


def _any(words: Sequence[str]) -> str:
    shown = list(dict.fromkeys(words))
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _place(wants: Wants | None, runbook: Runbook) -> str:
    return str(wants.place) if wants and wants.place else runbook.file
