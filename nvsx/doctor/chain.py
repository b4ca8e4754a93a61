"""Checks of NVSentinel: what is installed and ready, what it would do, and where its events can be read."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from nvsx.doctor.finding import Finding, count, fail, ok, some, warn
from nvsx.doctor.install import CHAIN, GPU_MONITOR, MONITORS, REMEDIATION, plurals
from nvsx.durations import format_duration
from nvsx.errors import ClusterError, NotFound
from nvsx.healthevents import Rejection, from_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvsx.doctor.ground import Ground
    from nvsx.doctor.install import Install, Repair

STREAM_ALONE = "the node stream alone is used: it shows every fault that cordons"


async def components(ground: Ground) -> Finding:
    """Installed and ready as the controllers count it. Monitors alone are a valid installation, and are explained."""
    install = await ground.install()
    if not install.found:
        hint = f"{ground.kubectl} get daemonsets -A -l app.kubernetes.io/name={GPU_MONITOR}"
        return fail(f"NVSentinel is not in the namespace {install.namespace}", hint)
    details = [one.text for one in install.components]
    total = count(len(install.components), "workload")
    if install.unready:
        text = f"{len(install.unready)} of {total} not ready: {some([one.text for one in install.unready])}"
        return fail(text, f"{ground.kubectl} -n {install.namespace} get pods", *details)
    if not install.acts:
        return ok(f"{total} ready: monitors only, faults are shown and nothing acts on them", *details)
    missing = [name for name in CHAIN if not install.has(name)]
    if missing:
        return warn(f"{total} ready, but {some(missing)} is not installed: the chain ends there", "", *details)
    return ok(f"{total} ready, the whole chain among them", *details)


async def monitors(ground: Ground) -> Finding:
    """The monitors' DaemonSets by their real names, against the GPU nodes that there are."""
    install = await ground.install()
    gpus = len(await ground.gpu_nodes())
    found = [one for one in install.components if one.kind == "daemonsets" and one.app in MONITORS]
    details = [one.text for one in found]
    dcgm = [one for one in found if one.app == GPU_MONITOR]
    used = [one for one in dcgm if one.wanted]
    text = ", ".join(one.text for one in used or dcgm) or "no GPU monitor"
    watched = sum(one.wanted for one in dcgm)
    if watched < gpus:
        text = (
            f"{gpus - watched} of {count(gpus, 'GPU node')} have no GPU monitor: DCGM or the labeler is missing there"
        )
        return warn(text, f"{ground.kubectl} get nodes -L nvsentinel.dgxc.nvidia.com/dcgm.version", *details)
    missing = [name for name in MONITORS if not install.has(name)]
    if missing:
        return warn(f"{text}; {some(missing)} is not installed", "", *details)
    return ok(f"{text}, on every GPU node", *details)


async def breaker(ground: Ground) -> Finding:
    install = await ground.install()
    state = install.breaker
    if not install.acts:
        return ok("none needed: nothing here quarantines")
    if state is None:
        return fail("may not be read")
    if state == "TRIPPED":
        return fail("TRIPPED: NVSentinel quarantines and releases nothing until people reset it")
    return ok(state or "none yet: nothing has been quarantined here")


async def drain(ground: Ground) -> Finding:
    """How nodes are emptied here, which says how long a drain may rightly take."""
    install = await ground.install()
    if not install.has("node-drainer"):
        return ok("nothing here drains")
    try:
        found = install.drain()
    except tomllib.TOMLDecodeError as error:
        return warn(f"its settings cannot be read: {error}")
    if found is None:
        return warn("its settings may not be read: the shipped timeouts are a guess here")
    if found.custom:
        return ok(f"by {found.custom}, a custom drain")
    modes = [f"{mode.namespace}: {mode.mode}" for mode in found.modes]
    after = f" ({found.delete_after_min} min)" if any("DeleteAfter" in mode for mode in modes) else ""
    meaning = "; waits for jobs to end by themselves" if found.unbounded else ""
    return ok(f"{some(modes)}{after}{meaning}", *modes)


async def repairs(ground: Ground) -> Finding:
    """What is created for which action, and whether the server serves it."""
    install = await ground.install()
    if not install.has(REMEDIATION):
        return ok("nothing here repairs")
    try:
        found = install.repairs()
    except tomllib.TOMLDecodeError as error:
        return warn(f"its settings cannot be read: {error}")
    if found is None:
        return warn("its settings may not be read: RebootNode is taken for granted")
    unserved = await _unserved(ground, found)
    details = [
        f"{repair.action}{f' of {repair.component_class}' if repair.component_class else ''}:"
        f" {repair.kind} ({repair.group}/{repair.version})"
        for repair in found
    ]
    if unserved:
        repair = unserved[0]
        text = f"{repair.action} asks for {repair.kind}, which the server does not serve at {repair.version}"
        return fail(text, f"{ground.kubectl} api-resources --api-group={repair.group}", *details)
    return ok(_mapped(found), *details)


async def _unserved(ground: Ground, found: Sequence[Repair]) -> list[Repair]:
    reads = await ground.reads()
    places = sorted({(repair.group, repair.version) for repair in found})
    answers = await ground.gathered([lambda place=place: plurals(reads, *place) for place in places])  # type: ignore[misc]
    trouble = next((answer for answer in answers if isinstance(answer, ClusterError)), None)
    if trouble:
        raise trouble
    served = dict(zip(places, answers, strict=True))
    return [repair for repair in found if repair.kind not in served[repair.group, repair.version]]


def _mapped(found: Sequence[Repair]) -> str:
    """The map the other way round, which is shorter: kind, and the actions that ask for it."""
    kinds: dict[str, list[str]] = {}
    for repair in found:
        kinds.setdefault(repair.kind, []).append(repair.action)
    return "; ".join(f"{kind} for {some(sorted(set(actions)), 4)}" for kind, actions in kinds.items()) or "none"


async def events(ground: Ground) -> Finding:
    """Where NVSentinel's events are read, by really reading the newest one."""
    install = await ground.install()
    uri = ground.site.settings.mongo_uri
    provider = _provider(install)
    if not uri and provider not in ("", "mongodb"):
        return ok(f"stored in {provider}, which nvsx does not read; {STREAM_ALONE}")
    if not uri and not provider and not install.has("mongodb"):
        return ok(f"no database is installed; {STREAM_ALONE}")
    database = ground.site.database(await ground.reads())
    try:
        found = await database.find("", {}, sort={"createdAt": -1}, limit=1)
    except NotFound as error:
        if not uri and not install.has("mongodb"):
            return ok(f"the database is outside of the cluster; {STREAM_ALONE}", error.message)
        return warn(f"MongoDB: {error.message}; {STREAM_ALONE}", error.hint)
    except ClusterError as error:
        return warn(f"MongoDB cannot be read: {error.message}; {STREAM_ALONE}", error.hint)
    finally:
        await database.close()
    return ok(f"{_flavour(install, external=bool(uri))} answers; {_age(found, ground.site.clock.now())}")


def _flavour(install: Install, *, external: bool) -> str:
    if external:
        return "the MongoDB of NVSX_MONGO_URI"
    percona = any(one.app == "mongodb" and "rs0" in one.name for one in install.components)
    return "Percona's MongoDB" if percona else "MongoDB"


def _provider(install: Install) -> str:
    """What NVSentinel's ConfigMap says it stores events in; "" where none says anything."""
    maps = install.config or {}
    external = [data for name, data in sorted(maps.items()) if name.endswith("-datastore-config")]
    return next((str(data.get("DATASTORE_PROVIDER", "")) for data in [*external, maps.get("mongodb-config", {})]), "")


def _age(found: Sequence[dict[str, object]], now: float) -> str:
    if not found:
        return "it holds no event yet"
    event = from_document(found[0])
    if isinstance(event, Rejection):
        return f"its newest document is no health event: {event.message}"
    return f"newest event {format_duration(max(0.0, now - event.created_time))} ago"
