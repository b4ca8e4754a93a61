"""One look at the cluster that the settings name, from pinning its context to what was seen; reads only."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nvsx.app.live import DEFAULT_PATH, shown_commands
from nvsx.app.status import look
from nvsx.cluster.context import pin_context
from nvsx.cluster.kubectl import Kubectl
from nvsx.settings import process_environment

if TYPE_CHECKING:
    from nvsx.app.status import Status
    from nvsx.clock import Clock
    from nvsx.settings import Settings


async def look_once(settings: Settings, clock: Clock) -> tuple[str, Status]:
    """The context's name ("" in a pod) and what NVSentinel does there now."""
    environment = process_environment(settings)
    environment.setdefault("PATH", DEFAULT_PATH)
    with TemporaryDirectory(prefix="nvsx-") as directory, shown_commands(verbose=settings.verbose):
        pinned = await pin_context(
            environment, directory=Path(directory), clock=clock, wanted=settings.context, cwd=directory
        )
        kubectl = Kubectl(env=pinned.env, clock=clock, cwd=directory, context=pinned.context)
        return pinned.context, await look(kubectl, settings.namespace)
