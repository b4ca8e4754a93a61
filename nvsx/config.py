"""What `nvsx.yaml` holds beyond settings: limits, silences, webhook sources, hooks of last resort.

`read_config` takes data that fits `schemas/config.schema.json`; times become epoch seconds, durations seconds.
"""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.durations import parse_duration
from nvsx.selectors import parse_labels

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigInvalid(ValueError):
    """A value of the right form that makes no sense. `path` leads to it."""

    def __init__(self, path: tuple[str | int, ...], fact: str) -> None:
        super().__init__(fact)
        self.path = path
        self.fact = fact


class Limits(NamedTuple):
    """How much happens at a time."""

    max_hooks: int = 16  # hook and action processes
    max_waiting: int = 2000  # runs that have not ended
    storm_nodes: int = 10  # more distinct nodes than this are a storm
    storm_window_s: float = 120.0


class Silence(NamedTuple):
    """A time at which runs are not started. What is "" restricts nothing; `start` is 0.0 where it has none."""

    until: float
    why: str
    until_text: str = ""
    start: float = 0.0
    node: str = ""  # a name, or a pattern of names
    selector: str = ""  # label selector of nodes
    runbook: str = ""
    by: str = ""


class Heartbeat(NamedTuple):
    """A sign of life: a script (relative to `runbooks/`) or a URL, one of the two."""

    hook: str = ""
    url: str = ""
    every_s: float = 60.0


class Source(NamedTuple):
    """A webhook sender. Empty `auth` and `header`: what the format's sender usually does."""

    name: str
    format: str
    secret_files: tuple[str, ...] = ()  # relative to the project root
    auth: str = ""  # "bearer", "basic", "hmac", "header"
    header: str = ""
    timestamp_header: str = ""
    observe: bool = False
    runbooks: tuple[str, ...] = ()  # the only ones it may start; () for all
    map: Mapping[str, str] = {}


class Config(NamedTuple):
    """A project's `nvsx.yaml`."""

    cluster: str = ""  # the cluster's name in alerts
    hooks: Mapping[str, str] = {}  # a RUN_HOOKS name or RESOLVED_HOOK -> script, relative to `runbooks/`
    heartbeat: Heartbeat | None = None
    limits: Limits = Limits()
    silences: tuple[Silence, ...] = ()
    sources: Mapping[str, Source] = {}


def read_config(data: Mapping[str, Any] | None) -> Config:
    """The configuration in checked data; ConfigInvalid where a time or a selector has the form but no meaning."""
    data = data or {}
    heartbeat = data.get("heartbeat")
    return Config(
        cluster=data.get("cluster", ""),
        hooks=dict(data.get("hooks", {})),
        heartbeat=_heartbeat(heartbeat) if heartbeat else None,
        limits=_limits(data.get("limits", {})),
        silences=tuple(_silence(each, index) for index, each in enumerate(data.get("silences", ()))),
        sources={name: _source(name, each) for name, each in data.get("sources", {}).items()},
    )


def covers(silence: Silence, time: float, node: str, labels: Mapping[str, str], runbook: str) -> bool:
    """Whether a silence is in force at `time` for a node with these labels and a runbook."""
    if not silence.start <= time < silence.until:
        return False
    if silence.runbook and silence.runbook != runbook:
        return False
    if silence.node and not fnmatchcase(node, silence.node):
        return False
    return all(term.admits(labels) for term in parse_labels(silence.selector))


def _heartbeat(data: Mapping[str, Any]) -> Heartbeat:
    return Heartbeat(data.get("hook", ""), data.get("url", ""), parse_duration(data.get("every", "1m")))


def _limits(data: Mapping[str, Any]) -> Limits:
    window = parse_duration(data["stormWindow"]) if "stormWindow" in data else Limits().storm_window_s
    return Limits(
        max_hooks=data.get("maxHooks", Limits().max_hooks),
        max_waiting=data.get("maxWaiting", Limits().max_waiting),
        storm_nodes=data.get("stormNodes", Limits().storm_nodes),
        storm_window_s=window,
    )


def _silence(data: Mapping[str, Any], index: int) -> Silence:
    start = _time(data["from"], ("silences", index, "from")) if "from" in data else 0.0
    until = _time(data["until"], ("silences", index, "until"))
    if until <= start:
        raise ConfigInvalid(("silences", index, "until"), "is not after `from`")
    selector = data.get("selector", "")
    try:
        parse_labels(selector)
    except ValueError as error:
        raise ConfigInvalid(("silences", index, "selector"), str(error)) from None
    return Silence(
        until=until,
        why=data["why"],
        until_text=data["until"],
        start=start,
        node=data.get("node", ""),
        selector=selector,
        runbook=data.get("runbook", ""),
        by=data.get("by", ""),
    )


def _source(name: str, data: Mapping[str, Any]) -> Source:
    return Source(
        name=name,
        format=data["format"],
        secret_files=tuple(data.get("secretFiles", ())),
        auth=data.get("auth", ""),
        header=data.get("header", ""),
        timestamp_header=data.get("timestampHeader", ""),
        observe=data.get("observe", False),
        runbooks=tuple(data.get("runbooks", ())),
        map=dict(data.get("map", {})),
    )


def _time(text: str, path: tuple[str | int, ...]) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigInvalid(path, f"{text} is no time that exists") from None
