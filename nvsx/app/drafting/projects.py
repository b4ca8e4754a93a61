"""Which project a command that writes files writes them to, and what to type afterwards so that it is found again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nvsx.catalog.library import ProjectLibrary
from nvsx.errors import EnvironmentUnusable, NotFoundHere, NvsxError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvsx.settings import Settings


def project_to_write(settings: Settings, ask: Callable[[str], bool] | None = None) -> Path:
    """The project root that the settings found, or the working directory where they found the bundled library only;
    then `ask` is asked first, where there is somebody to ask.

    EnvironmentUnusable where it belongs to somebody else, or everybody may write to it; Refused after a no.
    """
    from pathlib import Path

    hint = "nvsx --project DIR, with a directory of your own"
    try:
        root = settings.project or Path.cwd()
    except FileNotFoundError:
        raise EnvironmentUnusable("the working directory was removed", hint=hint) from None
    try:
        ProjectLibrary(root)
    except (EnvironmentUnusable, NotFoundHere) as problem:
        raise EnvironmentUnusable(problem.message, hint=f"{hint}, or: {problem.hint}") from None
    if not settings.project and ask and not ask(f"there is no project here yet; make one in {root}?"):
        raise Refused("nothing was written", hint=hint)
    return root


def invocation(root: Path) -> str:
    """`nvsx`, with `--project` where the root would not be found from here without it."""
    from nvsx.settings import load

    try:
        found = load({}).project
    except NvsxError:
        found = None
    return "nvsx" if found and found.resolve() == root.resolve() else f"nvsx --project {shlex.quote(str(root))}"
