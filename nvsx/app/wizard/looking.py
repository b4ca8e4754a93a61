"""The first-run wizard's looks at the cluster: which contexts there are, and what the chosen one has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nvsx.app.checking.doctoring import ground_for
from nvsx.app.live import shown_commands
from nvsx.app.wizard.survey import Survey, find_namespaces, survey
from nvsx.clock import RealClock
from nvsx.cluster.context import known_contexts
from nvsx.errors import ClusterError

if TYPE_CHECKING:
    from nvsx.doctor.ground import Ground
    from nvsx.settings import Settings


def contexts(settings: Settings) -> tuple[list[str], str]:
    """All contexts and the current one; none in a pod. NotInstalled where there is no kubectl."""
    clock = RealClock()
    with ground_for(settings, clock) as ground, shown_commands(verbose=settings.verbose):
        return asyncio.run(known_contexts(ground.site.environment, clock, str(ground.site.root), "kubectl"))


def look(settings: Settings) -> tuple[Survey, tuple[str, ...]]:
    """The survey, and the other namespaces that NVSentinel is in where it is not in the expected one."""
    with ground_for(settings, RealClock()) as ground, shown_commands(verbose=settings.verbose):
        return asyncio.run(_look(ground))


async def _look(ground: Ground) -> tuple[Survey, tuple[str, ...]]:
    found = await survey(ground)
    if found.install.found:
        return found, ()
    try:
        return found, await find_namespaces(await ground.reads())
    except ClusterError:
        return found, ()
