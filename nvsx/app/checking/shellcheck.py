"""What the shell itself and shellcheck say about scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nvsx.errors import Place
from nvsx.runbook.finding import error, note, warning
from nvsx.runbook.lint_scripts import interpreter, is_shell
from nvsx.tools import Job, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nvsx.catalog import Catalog, Script
    from nvsx.errors import Problem
    from nvsx.tools import Answer

_BASH_SAYS = re.compile(r"(?:.*?: )?line (\d+): (.*)")
_SHELLCHECK = (
    "shellcheck",
    "--format=json1",
    "--severity=warning",
    "--external-sources",
    "--source-path=SCRIPTDIR",
)
_SHELLCHECK_SHELLS = ("sh", "bash", "dash", "ksh")


def check_scripts(catalog: Catalog, scripts: Sequence[Script], environment: Mapping[str, str]) -> list[Problem]:
    """Syntax errors by `bash -n`, and what shellcheck finds where it is installed; a missing tool is a note."""
    wanted = [script for script in scripts if is_shell(script.text)]
    tools = _Tools(catalog, environment)
    broken = tools.syntax(wanted)
    sound = [script for script in wanted if script.path not in broken]
    return [*broken.values(), *tools.shellcheck(sound), *tools.notes()]


class _Tools:
    def __init__(self, catalog: Catalog, environment: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._environment = environment
        self._missing: dict[str, str] = {}

    def syntax(self, scripts: Sequence[Script]) -> dict[str, Problem]:
        """The first syntax error of each script that has one, by the script's path."""
        jobs = [Job([interpreter(script.text), "-n"], script.text.encode()) for script in scripts]
        found = {}
        for script, job, answer in zip(scripts, jobs, self._ask(jobs), strict=True):
            shell = job.argv[0]
            if answer.missing:
                self._missing[f"{shell} is not installed here: syntax was not checked"] = f"install {shell}"
            elif answer.exit_code:
                found[script.path] = _syntax_error(script, shell, answer.stderr.decode("utf-8", "replace"))
        return found

    def shellcheck(self, scripts: Sequence[Script]) -> list[Problem]:
        if self._catalog.root is None:
            return []
        wanted = [script for script in scripts if interpreter(script.text) in _SHELLCHECK_SHELLS]
        files = [str(self._catalog.resolve_script(script.path)) for script in wanted]
        found: list[Problem] = []
        for script, file, answer in zip(
            wanted, files, self._ask([Job([*_SHELLCHECK, "--", file]) for file in files]), strict=True
        ):
            if answer.missing:
                message = "shellcheck is not installed here: scripts were checked for syntax only"
                self._missing[message] = "install shellcheck"
            elif answer.exit_code in (0, 1):
                found += [_comment(script, one) for one in _comments(answer.stdout) if one.get("file") == file]
        return found

    def notes(self) -> list[Problem]:
        return [note(Place("nvsx lint"), "", message, hint) for message, hint in self._missing.items()]

    def _ask(self, jobs: Sequence[Job]) -> Iterator[Answer]:
        return ask(jobs, env=self._environment, cwd=str(self._catalog.root or "/"))


def _syntax_error(script: Script, shell: str, said: str) -> Problem:
    lines = said.splitlines()
    first = next((match for line in lines if (match := _BASH_SAYS.match(line))), None)
    if first is None:
        return error(Place(script.label), "", f"{shell} -n fails: {lines[0] if lines else 'without a word'}")
    return error(Place(script.label, int(first[1])), "", first[2])


def _comments(answer: bytes) -> list[dict[str, Any]]:
    import json

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
