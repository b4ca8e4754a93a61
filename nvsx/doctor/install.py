"""What of NVSentinel is installed on a cluster and how it is set up there, read off its workloads and ConfigMaps."""

from __future__ import annotations

import asyncio
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from nvsx.errors import Forbidden, NotFound
from nvsx.ports import ApiPath
from nvsx.watches import nvsentinel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nvsx.ports import Cluster, Object

WORKLOADS = ("daemonsets", "deployments", "statefulsets")
SETTINGS = "config.toml"
QUARANTINE, DRAINER, REMEDIATION = "fault-quarantine", "node-drainer", "fault-remediation"
CHAIN = (QUARANTINE, DRAINER, REMEDIATION)
"""The components that act, in the order in which a fault passes them. A stock install has none of them."""

BREAKER = "circuit-breaker"
CONFIG_MAPS = (BREAKER, QUARANTINE, DRAINER, REMEDIATION, "mongodb-config")
GPU_MONITOR, SYSLOG_MONITOR = "gpu-health-monitor", "syslog-health-monitor"
CONNECTORS = "platform-connectors"
MONITORS = (GPU_MONITOR, SYSLOG_MONITOR)
MONITORED = {
    # monitor: how the checks begin that it reports
    SYSLOG_MONITOR: ("SysLogs",),
    GPU_MONITOR: ("Gpu",),
    "nic-health-monitor": ("InfiniBand", "Ethernet"),
    "csp-health-monitor": ("CSPMaintenance",),
    "health-events-analyzer": ("Multiple", "Repeated"),
}
_APPS = {
    # app.kubernetes.io/name where it is not the component's
    "nvsentinel": CONNECTORS,
    "percona-server-mongodb": "mongodb",
}


class Component(NamedTuple):
    """One workload of NVSentinel. `app` is the component it belongs to: a monitor may have several DaemonSets."""

    name: str
    app: str
    kind: str  # daemonsets, deployments, statefulsets
    ready: int
    wanted: int

    @property
    def is_ready(self) -> bool:
        """A DaemonSet may well have no node to run on; whatever else is scaled to nothing does not work."""
        return self.ready >= self.wanted and (self.wanted > 0 or self.kind == "daemonsets")

    @property
    def text(self) -> str:
        return f"{self.name} {self.ready}/{self.wanted}"


class DrainMode(NamedTuple):
    """How node-drainer treats the pods of the namespaces that `namespace` (a pattern) names."""

    namespace: str
    mode: str  # AllowCompletion, Immediate, DeleteAfterTimeout


class Drain(NamedTuple):
    modes: tuple[DrainMode, ...]
    delete_after_min: int = 60
    custom: str = ""  # the kind of a custom drain's resource

    @property
    def unbounded(self) -> bool:
        """Whether a drain waits for jobs to end by themselves, however long that takes."""
        return bool(self.custom) or any(mode.mode == "AllowCompletion" for mode in self.modes)

    @property
    def longest_s(self) -> float:
        """How long a drain may take at most; infinite where it waits for jobs."""
        if self.unbounded or not self.modes:
            return float("inf")
        after = self.delete_after_min * 60.0
        return max(after if mode.mode == "DeleteAfterTimeout" else 600.0 for mode in self.modes)


class Repair(NamedTuple):
    """What fault-remediation creates for a recommended action."""

    action: str
    group: str
    version: str
    kind: str
    component_class: str = ""  # "" for all


class Install(NamedTuple):
    """`config` maps ConfigMap to data; None where they may not be read. `error` says which setting is unreadable."""

    namespace: str
    components: tuple[Component, ...]
    config: Mapping[str, Mapping[str, str]] | None

    def has(self, app: str) -> bool:
        return any(one.app == app for one in self.components)

    @property
    def found(self) -> bool:
        """Whether NVSentinel is here at all."""
        return any(self.has(app) for app in (*MONITORS, *CHAIN, CONNECTORS))

    @property
    def acts(self) -> bool:
        """Whether anything is installed that quarantines; without it NVSentinel only watches."""
        return self.has(QUARANTINE)

    @property
    def unready(self) -> tuple[Component, ...]:
        return tuple(one for one in self.components if not one.is_ready)

    @property
    def breaker(self) -> str | None:
        """CLOSED or TRIPPED; "" where there is none yet, None where it may not be read."""
        return None if self.config is None else str(self.config.get(BREAKER, {}).get("status", ""))

    def drain(self) -> Drain | None:
        """node-drainer's modes; None where they are not known. ValueError where they cannot be read."""
        found = self._settings(DRAINER)
        if found is None:
            return None
        modes = tuple(
            DrainMode(str(one.get("name", "")), str(one.get("mode", "")))
            for one in _tables(found.get("userNamespaces"))
        )
        custom = found.get("customDrain")
        kind = str(custom.get("kind", "")) if isinstance(custom, dict) and custom.get("enabled") else ""
        minutes = found.get("deleteAfterTimeoutMinutes") or 60
        return Drain(modes, minutes if isinstance(minutes, int) else 60, kind)

    def repairs(self) -> tuple[Repair, ...] | None:
        """What is created for which action; None where it is not known. ValueError where it cannot be read."""
        found = self._settings(REMEDIATION)
        if found is None:
            return None
        general = [_repair(action, "", one) for action, one in _named(found.get("remediationActions"))]
        special = [
            _repair(action, name, one)
            for name, actions in _named(found.get("componentRemediationActions"))
            for action, one in _named(actions)
        ]
        return tuple(repair for repair in (*general, *special) if repair.kind)

    def _settings(self, name: str) -> dict[str, Any] | None:
        text = (self.config or {}).get(name, {}).get(SETTINGS)
        return None if text is None else tomllib.loads(text)


def _repair(action: str, component_class: str, one: Mapping[str, Any]) -> Repair:
    group, version, kind = (str(one.get(key, "")) for key in ("apiGroup", "version", "kind"))
    return Repair(action, group, version, kind, component_class)


def _named(found: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(str(key), one) for key, one in found.items() if isinstance(one, dict)] if isinstance(found, dict) else []


def _tables(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


async def read_install(cluster: Cluster, namespace: str) -> Install:
    """What is there. Workloads that may not be listed are raised as they are: nothing could be said without them."""

    async def listed(kind: str) -> list[Component]:
        found = await cluster.list(ApiPath("v1", kind, "apps", namespace))
        return [component(kind, thing) for thing in found.objects]

    config, workloads = await asyncio.gather(
        read_config(cluster, namespace), asyncio.gather(*(listed(kind) for kind in WORKLOADS))
    )
    components = [one for found in workloads for one in found]
    return Install(namespace, tuple(sorted(components)), config)


async def read_config(cluster: Cluster, namespace: str) -> dict[str, dict[str, str]] | None:
    """Data of NVSentinel's ConfigMaps by name: all of them at once, else one by one; None where none may be read."""
    try:
        found = (await cluster.list(ApiPath("v1", "configmaps", namespace=namespace))).objects
    except Forbidden:
        each = await asyncio.gather(*(_config_map(cluster, namespace, name) for name in CONFIG_MAPS))
        if all(one is None for one in each):
            return None
        found = [one for one in each if one]
    return {_name(one): one.get("data") or {} for one in found}


async def _config_map(cluster: Cluster, namespace: str, name: str) -> Object | None:
    """The ConfigMap; {} where there is none, None where it may not be read."""
    try:
        return await cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    except NotFound:
        return {}
    except Forbidden:
        return None


def component(kind: str, thing: Object) -> Component:
    """A workload as a component: readiness as its controller counts it, not as some pod's phase looks."""
    label = nvsentinel.labels_of(thing).get("app.kubernetes.io/name", "")
    name = _name(thing)
    status, spec = thing.get("status") or {}, thing.get("spec") or {}
    if kind == "daemonsets":
        ready, wanted = status.get("numberReady"), status.get("desiredNumberScheduled")
    else:
        ready, wanted = status.get("readyReplicas"), spec.get("replicas", 1)
    return Component(name, _APPS.get(label, label or name), kind, _integer(ready), _integer(wanted))


async def plurals(cluster: Cluster, group: str, version: str) -> dict[str, str]:
    """Resource names by kind, as the server serves them at one version; {} where it does not serve that at all.

    Discovery is open to every account, and a hundred times smaller than the definitions.
    """
    try:
        found = await cluster.get(f"/apis/{group}/{version}")
    except NotFound:
        return {}
    listed: Iterable[Any] = found.get("resources") or ()
    return {
        str(one.get("kind")): str(one.get("name"))
        for one in listed
        if isinstance(one, dict) and "/" not in str(one.get("name"))
    }


def _name(thing: Object) -> str:
    return str(nvsentinel.metadata(thing).get("name", ""))


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
