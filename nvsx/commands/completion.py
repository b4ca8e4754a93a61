"""`nvsx completion SHELL`: a script that knows commands and flags, and asks nvsx for the runbooks as one types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx import shells
from nvsx.arguments import usage_error
from nvsx.commands import COMMANDS
from nvsx.shapes import global_flags, read_shapes
from nvsx.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from nvsx.settings import Settings
    from nvsx.shells import Flag, Shape

SHELLS: dict[str, Callable[[dict[str, Shape], tuple[Flag, ...]], str]] = {
    "bash": shells.bash,
    "zsh": shells.zsh,
    "fish": shells.fish,
}

_INSTALL = """\
Load it once:    bash   source <(nvsx completion bash)
                 zsh    source <(nvsx completion zsh)      (after compinit)
                 fish   nvsx completion fish | source
or for good:     the same line in ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=tuple(SHELLS), help="which shell the script is for")
    parser.add_argument("--runbooks", action="store_true", help="only the names of the runbooks, as the scripts ask")
    parser.epilog = f"{_INSTALL}\n\n{parser.epilog}"


def run(args: argparse.Namespace, settings: Settings) -> int:
    if args.runbooks:
        for name in runbook_names(settings):
            say(name)
        return 0
    if not args.shell:
        usage_error(f"which shell? one of {', '.join(SHELLS)}", hint="source <(nvsx completion bash)")
    from nvsx.topics import TOPICS

    say(SHELLS[args.shell](read_shapes(COMMANDS, TOPICS), global_flags()))
    return 0


def runbook_names(settings: Settings) -> list[str]:
    """Names for the completion of a RUNBOOK; a broken library completes to nothing rather than to an error."""
    from nvsx.catalog import Catalog
    from nvsx.errors import NvsxError

    try:
        return sorted(Catalog(settings.project).names())
    except (NvsxError, OSError):
        return []
