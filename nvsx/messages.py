"""Message: a request that a hook would have sent, and what its receiver tells it from others by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIL, CONNECT, SSH = "MAIL", "CONNECT", "SSH"
"""Methods of what is no plain request: a letter and a command for another machine, whose urls are their command's
words, and an encrypted connection, of which only `host:port` is known.
"""

CHANNELS: Mapping[str, tuple[str, ...]] = {
    "slack": ("hooks.slack.com", "hooks.slack.example"),
    "pagerduty": ("events.pagerduty.com", "events.eu.pagerduty.com"),
    "opsgenie": ("api.opsgenie.com", "api.*.opsgenie.com"),
    "jira": ("*.atlassian.net",),
}
"""Hosts of the channels that people call by name; `mail` is the channel of every letter."""

_KEYS = ("dedup_key", "alias", "incident_key", "dedupKey")
_TEXTS = ("text", "summary", "message", "note", "body")


class Message(NamedTuple):
    """One request, as the program that was to send it was told."""

    method: str
    url: str
    body: str

    @property
    def host(self) -> str:
        """The receiver's name without its port, in lower case; "" for a letter, and for a command."""
        if self.method in (MAIL, SSH):
            return ""
        if self.method == CONNECT:
            return self.url.rpartition(":")[0].lower()
        from urllib.parse import urlsplit

        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:
            return ""

    @property
    def where(self) -> str:
        """Host and path: what else a URL may hold, such as a query or a password, is nobody's business on a screen."""
        if self.method in (MAIL, CONNECT, SSH):
            return self.url.strip()
        from urllib.parse import urlsplit

        return f"{self.host or self.url}{urlsplit(self.url).path}" if self.host else self.url

    @property
    def data(self) -> Mapping[str, Any]:
        """The body as the JSON object that it is; empty where it is none."""
        import json

        try:
            data = json.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def action(self) -> str:
        """What is to become of the incident, `trigger` or `resolve`, where the message says so in PagerDuty's way."""
        return str(self.data.get("event_action", ""))

    @property
    def key(self) -> str:
        """What its receiver tells it from others by: deduplication key, alias, or nvsx's label on a ticket."""
        data = self.data
        for name in _KEYS:
            if data.get(name):
                return str(data[name])
        fields = data.get("fields")
        labels = fields.get("labels") if isinstance(fields, dict) else None
        if isinstance(labels, list):
            return next((str(label) for label in labels if str(label).startswith("nvsx-")), "")
        return _alias_in(self.url)

    @property
    def gist(self) -> str:
        """The part of it that people read."""
        data = self.data
        payload, fields = data.get("payload"), data.get("fields")
        inner = payload if isinstance(payload, dict) else fields if isinstance(fields, dict) else data
        text = next((str(inner[name]) for name in _TEXTS if inner.get(name)), "")
        return "  ".join(word for word in (self.action, text) if word) or self.body


def is_for(message: Message, channel: str) -> bool:
    """Whether a message goes to a channel: one of CHANNELS, `mail`, or a host's name or pattern (`*.example.com`)."""
    from fnmatch import fnmatchcase

    if channel == "mail":
        return message.method == MAIL
    return any(fnmatchcase(message.host, pattern.lower()) for pattern in CHANNELS.get(channel, (channel,)))


def _alias_in(url: str) -> str:
    """The alias in the path of a request of Opsgenie's: `/v2/alerts/ALIAS/close?identifierType=alias`."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    words = parts.path.split("/")
    return unquote(words[3]) if "identifierType=alias" in parts.query and len(words) > 3 else ""
