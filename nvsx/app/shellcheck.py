"""What the shell itself and shellcheck say about scripts."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from nvsx.cluster.processes import CannotStart, capture
from nvsx.errors import Place
from nvsx.runbook.finding import error, note, warning
from nvsx.runbook.lint_scripts import interpreter, is_shell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nvsx.catalog import Catalog, Script
    from nvsx.clock import Clock
    from nvsx.cluster.processes import Captured
    from nvsx.errors import Problem

TIMEOUT_S = 60.0
AT_ONCE = 4

_BASH_SAYS = re.compile(r"(?:.*?: )?line (\d+): (.*)")
_SHELLCHECK_SHELLS = ("sh", "bash", "dash", "ksh")


async def check_scripts(
    catalog: Catalog, scripts: Sequence[Script], environment: Mapping[str, str], clock: Clock
) -> list[Problem]:
    """Syntax errors by `bash -n`, and what shellcheck finds where it is installed; a missing tool is a note."""
    tools = _Tools(catalog, environment, clock)
    wanted = [script for script in scripts if is_shell(script.text)]
    if not wanted:
        return []
    found = [problem for listed in await asyncio.gather(*map(tools.check, wanted)) for problem in listed]
    return [*found, *(note(Place("nvsx lint"), "", message, hint) for message, hint in tools.missing.items())]


class _Tools:
    def __init__(self, catalog: Catalog, environment: Mapping[str, str], clock: Clock) -> None:
        self._catalog = catalog
        self._environment = environment
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.missing: dict[str, str] = {}

    async def check(self, script: Script) -> list[Problem]:
        async with self._slots:
            broken = await self._syntax(script)
            return broken or await self._shellcheck(script)

    async def _syntax(self, script: Script) -> list[Problem]:
        shell = interpreter(script.text)
        answer = await self._run([shell, "-n"], script, f"{shell} is not installed here: syntax was not checked")
        if answer is None or answer.exit_code == 0:
            return []
        said = answer.stderr.decode("utf-8", "replace").splitlines()
        matched = [match for line in said if (match := _BASH_SAYS.match(line))]
        if not matched:
            return [error(Place(script.label), "", f"{shell} -n fails: {said[0] if said else 'without a word'}")]
        return [error(Place(script.label, int(match[1])), "", match[2]) for match in matched[:1]]

    async def _shellcheck(self, script: Script) -> list[Problem]:
        if self._catalog.root is None or interpreter(script.text) not in _SHELLCHECK_SHELLS:
            return []
        words = ["shellcheck", "--format=json1", "--severity=warning", "--external-sources", "--source-path=SCRIPTDIR"]
        file = self._catalog.resolve_script(script.path)
        answer = await self._run(
            [*words, "--", str(file)], None, "shellcheck is not installed here: scripts were checked for syntax only"
        )
        if answer is None or answer.exit_code not in (0, 1):
            return []
        return [_comment(script, comment) for comment in _comments(answer.stdout) if comment.get("file") == str(file)]

    async def _run(self, argv: list[str], script: Script | None, absent: str) -> Captured | None:
        """The tool's answer; None where it cannot be started, which is noted once."""
        try:
            return await capture(
                argv,
                env=self._environment,
                cwd=str(self._catalog.root or "/"),
                timeout_s=TIMEOUT_S,
                clock=self._clock,
                stdin=script.text.encode() if script else b"",
            )
        except CannotStart:
            self.missing[absent] = f"install {argv[0]}"
            return None


def _comments(answer: bytes) -> list[dict[str, Any]]:
    try:
        listed = json.loads(answer)["comments"]
    except (ValueError, KeyError, TypeError):
        return []
    return [comment for comment in listed if isinstance(comment, dict)]


def _comment(script: Script, comment: dict[str, Any]) -> Problem:
    place = Place(script.label, int(comment.get("line", 0)), int(comment.get("column", 0)))
    say = error if comment.get("level") == "error" else warning
    code = comment.get("code", "")
    return say(place, "", f"{comment.get('message', '')} (SC{code})", f"https://www.shellcheck.net/wiki/SC{code}")
