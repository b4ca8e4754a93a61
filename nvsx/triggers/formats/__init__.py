"""Formats: one module per sender, each a pure function from a decoded body to alerts, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nvsx.triggers.formats import alertmanager, datadog, nvsentinel, opsgenie, own, pagerduty

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvsx.alerts import Alert
    from nvsx.triggers.formats.message import Message


class Format(NamedTuple):
    """A sender's language, and how that sender usually proves who it is."""

    recognises: Callable[[Message], bool]
    parse: Callable[[Message], list[Alert]]
    auth: str = "bearer"
    header: str = "Authorization"
    prefix: str = ""


FORMATS: dict[str, Format] = {
    # the order is that in which an unnamed delivery is looked at; the least particular comes last
    "nvsentinel": Format(nvsentinel.recognises, nvsentinel.parse),
    "pagerduty": Format(pagerduty.recognises, pagerduty.parse, "hmac", "X-PagerDuty-Signature", "v1="),
    "grafana": Format(
        alertmanager.recognises_grafana, alertmanager.parse_grafana, "hmac", "X-Grafana-Alerting-Signature"
    ),
    "alertmanager": Format(alertmanager.recognises, alertmanager.parse),
    "datadog": Format(datadog.recognises, datadog.parse, "header", "X-Nvsx-Token"),
    "opsgenie": Format(opsgenie.recognises, opsgenie.parse, "header", "X-Nvsx-Token"),
    "nvsx": Format(own.recognises, own.parse),
}


def recognise(message: Message) -> str:
    """The format of a delivery that came without one, "" where it is none that nvsx knows."""
    return next((name for name, form in FORMATS.items() if form.recognises(message)), "")
